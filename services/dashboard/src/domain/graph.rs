//! The map of services as SVG: tiers as columns, an arrow for each pair and kind with its traffic.

use std::fmt::Write;

use contracts::operations::{Edge, EdgeKind, Topology};

use super::picture::{Dress, Font, duration, escape, head, width};

/// Pixels between the middles of columns and of rows, and above the first row.
const COLUMN: i64 = 345;
const ROW: i64 = 196;
const TOP: i64 = 120;
const LEFT: i64 = 235;
/// Half the size of a box, and pixels between two arrows at its side.
const HALF: (i64, i64) = (76, 40);
const PORT: i64 = 32;

/// Where a party stands.
struct Place<'g> {
    name: &'g str,
    column: usize,
    x: i64,
    y: i64,
}

/// All edges of one kind between two parties, as one arrow.
struct Arrow<'g> {
    from: &'g str,
    to: &'g str,
    kind: EdgeKind,
    edges: Vec<&'g Edge>,
}

impl Arrow<'_> {
    fn class(&self) -> &'static str {
        match self.kind {
            _ if self.edges.iter().any(|edge| !edge.declared) => "undeclared",
            EdgeKind::Synchronous => "request",
            EdgeKind::Event => "event",
            EdgeKind::Rail => "rail",
        }
    }
    /// The first name, and how many more there are.
    fn label(&self) -> String {
        match self.edges.as_slice() {
            [] => String::new(),
            [one] => one.name.clone(),
            [first, more @ ..] => format!("{} +{}", first.name, more.len()),
        }
    }
    /// What is seen on it: the rate of the last minute, and how late its consumer is.
    fn traffic(&self) -> String {
        let minute: u64 = self.edges.iter().map(|edge| edge.last_minute).sum();
        let seen: u64 = self.edges.iter().map(|edge| edge.observed).sum();
        if seen == 0 {
            return String::new();
        }
        let mut text = format!("{seen} seen, {}", rate(minute));
        let lag = self.edges.iter().filter_map(|edge| edge.lag_micros).max();
        if let Some(lag) = lag.filter(|lag| *lag > 0) {
            let _ = write!(text, ", lag {}", duration(lag));
        }
        text
    }
    fn sentence(&self) -> String {
        let names: Vec<&str> = self.edges.iter().map(|edge| edge.name.as_str()).collect();
        let how = match self.kind {
            EdgeKind::Synchronous => "asks",
            EdgeKind::Event => "is heard by",
            EdgeKind::Rail => "sends to",
        };
        let traffic = match self.traffic() {
            none if none.is_empty() => none,
            traffic => format!(" ({traffic})"),
        };
        format!("{} {how} {}: {}{traffic}", self.from, self.to, names.join(", "))
    }
}

/// So many in a minute, as a rate: `3/min`, `1.5/s`.
pub fn rate(minute: u64) -> String {
    match minute {
        0..60 => format!("{minute}/min"),
        _ => format!("{}.{}/s", minute / 60, minute % 60 / 6),
    }
}

fn arrows(graph: &Topology) -> Vec<Arrow<'_>> {
    let mut arrows: Vec<Arrow<'_>> = Vec::new();
    for edge in &graph.edges {
        let same = arrows.iter_mut().find(|arrow| {
            arrow.from == edge.from && arrow.to == edge.to && arrow.kind == edge.kind
        });
        match same {
            Some(arrow) => arrow.edges.push(edge),
            None => arrows.push(Arrow {
                from: &edge.from,
                to: &edge.to,
                kind: edge.kind,
                edges: vec![edge],
            }),
        }
    }
    arrows
}

/// Services that no rail meets, services that rails meet, rails, the outside.
const TIERS: [&str; 4] = ["around it", "the road", "rails", "outside"];

fn column(graph: &Topology, name: &str) -> usize {
    let is_rail =
        |name: &str| graph.services.iter().any(|node| node.name == name && node.tier == "rail");
    if is_rail(name) {
        return 2;
    }
    if !graph.services.iter().any(|node| node.name == name) {
        return 3;
    }
    let meets = graph.edges.iter().any(|edge| {
        let kinds = matches!(edge.kind, EdgeKind::Synchronous | EdgeKind::Event);
        kinds
            && ((edge.from == name && is_rail(&edge.to))
                || (edge.to == name && is_rail(&edge.from)))
    });
    usize::from(meets)
}

fn places(graph: &Topology) -> Vec<Place<'_>> {
    let mut names: Vec<&str> = graph.services.iter().map(|node| node.name.as_str()).collect();
    for edge in &graph.edges {
        for party in [edge.from.as_str(), edge.to.as_str()] {
            if !names.contains(&party) {
                names.push(party);
            }
        }
    }
    names.sort_by_key(|name| column(graph, name));
    for of_column in names.chunk_by_mut(|one, next| column(graph, one) == column(graph, next)) {
        settle(graph, of_column);
    }
    let columns: Vec<usize> = names.iter().map(|name| column(graph, name)).collect();
    let size = |of: usize| columns.iter().filter(|column| **column == of).count();
    let most = (0..TIERS.len()).map(size).max().unwrap_or(0);
    let mut used = [0_usize; 4];
    let mut places = Vec::with_capacity(names.len());
    for (name, column) in names.into_iter().zip(columns.iter().copied()) {
        let row = i64::try_from(used[column]).unwrap_or(0);
        used[column] += 1;
        // A short column stands in the middle of the longest.
        let shift = i64::try_from(most - size(column)).unwrap_or(0) * ROW / 2;
        let x = LEFT + i64::try_from(column).unwrap_or(0) * COLUMN;
        places.push(Place { name, column, x, y: TOP + shift + row * ROW });
    }
    places
}

/// Swaps neighbours of a column while that brings those closer that talk to each other.
fn settle(graph: &Topology, names: &mut [&str]) {
    let cost = |names: &[&str]| -> usize {
        let at = |name: &str| names.iter().position(|known| *known == name);
        let spans = graph.edges.iter().filter_map(|e| Some(at(&e.from)?.abs_diff(at(&e.to)?)));
        spans.map(|span| span * span).sum()
    };
    for _ in 0..names.len() {
        for first in 0..names.len() {
            for second in first + 1..names.len() {
                let before = cost(names);
                names.swap(first, second);
                if cost(names) >= before {
                    names.swap(first, second);
                }
            }
        }
    }
}

/// A curve: from, the two points that bend it, to. It leaves and arrives level.
type Curve = [(i64, i64); 4];

/// The point at so many hundredths of a curve (Bezier's, of the third degree).
fn along(curve: Curve, hundredths: i64) -> (i64, i64) {
    let (t, u) = (hundredths, 100 - hundredths);
    let weights = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
    let at = |of: fn((i64, i64)) -> i64| {
        weights.iter().zip(curve).map(|(weight, point)| weight * of(point)).sum::<i64>() / 1_000_000
    };
    (at(|point| point.0), at(|point| point.1))
}

/// Which side of its boxes an arrow uses: right (1) or left (-1), at its start and at its end.
fn sides(from: &Place<'_>, to: &Place<'_>) -> (i64, i64) {
    match from.column.cmp(&to.column) {
        std::cmp::Ordering::Less => (1, -1),
        std::cmp::Ordering::Greater => (-1, 1),
        std::cmp::Ordering::Equal if from.y <= to.y => (1, 1),
        std::cmp::Ordering::Equal => (-1, -1),
    }
}

/// One end of an arrow at the side of a box.
struct Port {
    arrow: usize,
    is_start: bool,
    /// The box and its side; where the other end is: ports stand in that order.
    at: (usize, i64),
    other: (i64, i64),
}

/// The y of both ends of every arrow, so that no two share a port.
fn ports(places: &[Place<'_>], ends: &[(usize, usize)]) -> Vec<(i64, i64)> {
    let mut all = Vec::with_capacity(ends.len() * 2);
    for (arrow, (from, to)) in ends.iter().enumerate() {
        let (start, end) = sides(&places[*from], &places[*to]);
        let other = |of: usize| (places[of].y, places[of].x);
        all.push(Port { arrow, is_start: true, at: (*from, start), other: other(*to) });
        all.push(Port { arrow, is_start: false, at: (*to, end), other: other(*from) });
    }
    all.sort_by_key(|port| (port.at, port.other, port.arrow, port.is_start));
    let mut found = vec![(0, 0); ends.len()];
    for side in all.chunk_by(|one, next| one.at == next.at) {
        let count = i64::try_from(side.len()).unwrap_or(1);
        let step = PORT.min((2 * HALF.1 - 8) / count);
        for (number, port) in side.iter().enumerate() {
            let number = i64::try_from(number).unwrap_or(0);
            let y = places[port.at.0].y + step * number - step * (count - 1) / 2;
            let ends = &mut found[port.arrow];
            *(if port.is_start { &mut ends.0 } else { &mut ends.1 }) = y;
        }
    }
    found
}

/// The curve between two boxes at these heights.
fn curve(from: &Place<'_>, to: &Place<'_>, (start, end): (i64, i64)) -> Curve {
    let (out, back) = sides(from, to);
    let (x1, x2) = (from.x + out * HALF.0, to.x + back * HALF.0);
    let bend = match out == back {
        true => 50 + (start - end).abs() / 3,
        false => (x2 - x1).abs() / 2,
    };
    [(x1, start), (x1 + out * bend, start), (x2 + back * bend, end), (x2, end)]
}

/// A box around text that nothing else may cover: left, top, right, bottom.
type Room = [i64; 4];

fn overlap(one: &Room, other: &Room) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

/// The first place along the curve where a label of this width covers nothing.
fn room(curve: Curve, wide: i64, taken: &[Room]) -> ((i64, i64), Room) {
    let at = |hundredths| {
        let (x, y) = along(curve, hundredths);
        ((x, y), [x - wide / 2 - 3, y - 15, x + wide / 2 + 3, y + 15])
    };
    let tries = (0..=36).map(|step| 50 + if step % 2 == 0 { step } else { -step - 1 });
    let covers = |room: &Room| taken.iter().filter(|other| overlap(room, other)).count();
    let best = tries.map(at).min_by_key(|(_, room)| covers(room));
    best.unwrap_or_else(|| at(50))
}

/// The map.
pub fn graph(graph: &Topology, dress: Dress) -> String {
    let places = places(graph);
    let arrows = arrows(graph);
    let bottom = places.iter().map(|place| place.y).max().unwrap_or(TOP) + HALF.1 + 60;
    let right = places.iter().map(|place| place.x).max().unwrap_or(LEFT) + HALF.0 + 30;
    let sentences: Vec<String> = arrows.iter().map(Arrow::sentence).collect();
    let mut svg = head(dress, (right, bottom), "Map of services", &sentences.join(". "));
    for (number, tier) in TIERS.iter().enumerate() {
        if places.iter().any(|place| place.column == number) {
            let x = LEFT + i64::try_from(number).unwrap_or(0) * COLUMN;
            let _ = writeln!(svg, "<text class=\"tier\" x=\"{x}\" y=\"28\">{tier}</text>");
        }
    }
    let mut taken: Vec<Room> = places
        .iter()
        .map(|p| [p.x - HALF.0 - 2, p.y - HALF.1 - 2, p.x + HALF.0 + 2, p.y + HALF.1 + 2])
        .collect();
    let mut labels = String::new();
    let place = |name: &str| places.iter().position(|place| place.name == name).unwrap_or(0);
    let ends: Vec<(usize, usize)> =
        arrows.iter().map(|arrow| (place(arrow.from), place(arrow.to))).collect();
    let heights = ports(&places, &ends);
    for ((arrow, (from, to)), heights) in arrows.iter().zip(&ends).zip(heights) {
        let curve = curve(&places[*from], &places[*to], heights);
        stroke(&mut svg, arrow, curve);
        let (label, traffic) = (arrow.label(), arrow.traffic());
        let wide = width(&label, Font::Label).max(width(&traffic, Font::Small));
        let ((x, y), covered) = room(curve, wide, &taken);
        taken.push(covered);
        let _ = writeln!(
            labels,
            "<g class=\"{}\"><text class=\"label middle\" x=\"{x}\" y=\"{}\">{}</text>\
             <text class=\"small middle\" x=\"{x}\" y=\"{}\">{}</text></g>",
            arrow.class(),
            y - 2,
            escape(&label),
            y + 11,
            escape(&traffic),
        );
    }
    for place in &places {
        let outside = if place.column == 3 { " outside" } else { "" };
        let _ = writeln!(
            svg,
            "<rect class=\"party{outside}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"10\"/>\
             <text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            place.x - HALF.0,
            place.y - HALF.1,
            HALF.0 * 2,
            HALF.1 * 2,
            place.x,
            place.y + 5,
            escape(place.name),
        );
    }
    svg.push_str(&labels);
    svg.push_str("</svg>\n");
    svg
}

/// The curve and its tip, which is level as the curve's end is.
fn stroke(svg: &mut String, arrow: &Arrow<'_>, curve: Curve) {
    let [(x1, y1), (bx1, by1), (bx2, by2), (x2, y2)] = curve;
    let dashed = if arrow.kind == EdgeKind::Event { " dashed" } else { "" };
    let back = if bx2 > x2 { 10 } else { -10 };
    let _ = writeln!(
        svg,
        "<g class=\"{}\"><title>{}</title><path class=\"line{dashed}\" d=\"M{x1} {y1}C{bx1} {by1} \
         {bx2} {by2} {x2} {y2}\"/><path class=\"tip\" d=\"M{x2} {y2}l{back} -5v10z\"/></g>",
        arrow.class(),
        escape(&arrow.sentence()),
    );
}
