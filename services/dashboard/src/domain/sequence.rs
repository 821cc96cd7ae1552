//! The sequence diagram of one transfer as SVG, drawn from its recorded exchanges.

use std::fmt::Write;

use contracts::exchanges::{Exchange, ExchangeKind, Timeline};

use super::picture::{Dress, Font, duration, escape, head, width};

/// Pixels from a lifeline to the next at least, between two exchanges, and above the first.
const GAP_LEAST: i64 = 132;
const ROW: i64 = 46;
const TOP: i64 = 74;
/// The column of moments on the left.
const MOMENTS: i64 = 92;
/// Where the names of the parties stand.
const NAMES: i64 = 34;
/// Room below the last exchange for the key of the strokes.
const KEY: i64 = 56;

/// The parties in the order in which they first take part.
fn parties(timeline: &Timeline) -> Vec<&str> {
    let mut parties: Vec<&str> = Vec::new();
    for exchange in &timeline.exchanges {
        for party in [exchange.from.as_str(), exchange.to.as_str()] {
            if !parties.contains(&party) {
                parties.push(party);
            }
        }
    }
    parties
}

/// What kind of exchange it is, as its class and its label say.
pub fn kind(exchange: &Exchange) -> &'static str {
    match exchange.kind {
        ExchangeKind::Request => "request",
        ExchangeKind::Response => "response",
        ExchangeKind::Commit => "commit",
        ExchangeKind::Event => "event",
        ExchangeKind::Rail => "rail",
    }
}

/// What the exchange cost: its own duration, or how long after its cause it came.
pub fn cost(timeline: &Timeline, exchange: &Exchange) -> Option<String> {
    if let Some(micros) = exchange.duration_micros {
        return Some(duration(micros));
    }
    let cause = exchange.cause?;
    let cause = timeline.exchanges.iter().find(|candidate| candidate.number == cause)?;
    Some(format!("+{}", duration(exchange.at.micros_since(cause.at))))
}

/// The name of an exchange with its outcome.
fn named(exchange: &Exchange) -> String {
    match &exchange.outcome {
        Some(outcome) => format!("{} {} ({outcome})", exchange.number, exchange.name),
        None => format!("{} {}", exchange.number, exchange.name),
    }
}

/// What stands below the arrow, small.
fn small(timeline: &Timeline, exchange: &Exchange) -> String {
    match cost(timeline, exchange) {
        Some(cost) => format!("{}, {cost}", kind(exchange)),
        None => kind(exchange).to_owned(),
    }
}

/// One sentence for each exchange, for those who do not see the picture.
pub fn sentence(timeline: &Timeline, exchange: &Exchange) -> String {
    let (from, to) = (&exchange.from, &exchange.to);
    let what = match exchange.kind {
        ExchangeKind::Request => format!("{from} asks {to}"),
        ExchangeKind::Response => format!("{from} answers {to}"),
        ExchangeKind::Commit => format!("{from} commits"),
        ExchangeKind::Event => format!("{from} tells {to} by event"),
        ExchangeKind::Rail => format!("{from} sends {to} a message"),
    };
    let cost = cost(timeline, exchange).map(|cost| format!(", {cost}")).unwrap_or_default();
    format!("{}: {what}{cost}", named(exchange))
}

/// The x of every lifeline: as near as names and the labels of neighbours allow.
fn columns(parties: &[&str], timeline: &Timeline) -> Vec<i64> {
    let mut columns = Vec::with_capacity(parties.len());
    let mut x = MOMENTS + parties.first().map_or(0, |first| width(first, Font::Name) / 2 + 14);
    for (at, party) in parties.iter().enumerate() {
        columns.push(x);
        let Some(next) = parties.get(at + 1) else { break };
        let names = (width(party, Font::Name) + width(next, Font::Name)) / 2 + 34;
        let mut gap = GAP_LEAST.max(names);
        for exchange in &timeline.exchanges {
            let ends = [exchange.from.as_str(), exchange.to.as_str()];
            let room = width(&named(exchange), Font::Label);
            if ends == [*party, *party] || (ends.contains(party) && ends.contains(next)) {
                gap = gap.max(room + 28);
            }
        }
        x += gap;
    }
    columns
}

/// The diagram. Its text is the recorded data alone, so that equal data give equal bytes.
pub fn sequence(timeline: &Timeline, dress: Dress) -> String {
    let parties = parties(timeline);
    let columns = columns(&parties, timeline);
    let rows = i64::try_from(timeline.exchanges.len()).unwrap_or(i64::MAX / ROW / 2);
    let bottom = TOP + rows * ROW;
    let last = columns.last().copied().unwrap_or(MOMENTS);
    let widest = timeline.exchanges.iter().map(|exchange| {
        let from = parties.iter().position(|party| *party == exchange.from).unwrap_or(0);
        columns[from] + width(&named(exchange), Font::Label) + 24
    });
    let right = widest.max().unwrap_or(0).max(last + 90).max(560);
    let title = format!("Transfer {} is {}", timeline.transfer_id, timeline.status);
    let sentences: Vec<String> =
        timeline.exchanges.iter().map(|exchange| sentence(timeline, exchange)).collect();
    let mut svg = head(dress, (right, bottom + KEY), &title, &sentences.join(". "));
    for (party, x) in parties.iter().zip(&columns) {
        let half = width(party, Font::Name) / 2 + 12;
        let outside = if outside(party) { " outside" } else { "" };
        let _ = writeln!(
            svg,
            "<line class=\"life\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/>\
             <rect class=\"party{outside}\" x=\"{}\" y=\"12\" width=\"{}\" height=\"34\" rx=\"8\"/>\
             <text class=\"name\" x=\"{x}\" y=\"{NAMES}\">{}</text>",
            NAMES + 12,
            x - half,
            half * 2,
            escape(party),
        );
    }
    let begin = timeline.exchanges.iter().map(|exchange| exchange.at).min();
    let mut y = TOP;
    for exchange in &timeline.exchanges {
        y += ROW;
        let since = begin.map_or(0, |begin| exchange.at.micros_since(begin));
        let _ = writeln!(
            svg,
            "<text class=\"moment\" x=\"{}\" y=\"{}\">{}</text>",
            MOMENTS - 18,
            y - 12,
            duration(since)
        );
        let at = |name: &str| parties.iter().position(|party| *party == name).unwrap_or(0);
        let (from, to) = (columns[at(&exchange.from)], columns[at(&exchange.to)]);
        arrow(&mut svg, timeline, exchange, (from, to, y - 16));
    }
    key(&mut svg, bottom + 30);
    svg.push_str("</svg>\n");
    svg
}

/// Whether a party is no service of ours.
fn outside(party: &str) -> bool {
    matches!(party, "client" | "bank" | "card-host" | "rtp-participant")
}

fn arrow(
    svg: &mut String,
    timeline: &Timeline,
    exchange: &Exchange,
    (from, to, y): (i64, i64, i64),
) {
    let class = kind(exchange);
    let (label, below) = (escape(&named(exchange)), escape(&small(timeline, exchange)));
    let _ = write!(svg, "<g class=\"{class}\">");
    if from == to {
        let _ = write!(
            svg,
            "<rect class=\"spot\" x=\"{}\" y=\"{}\" width=\"10\" height=\"18\" rx=\"3\"/>\
             <text class=\"label\" x=\"{}\" y=\"{}\">{label}</text>\
             <text class=\"small\" x=\"{}\" y=\"{}\">{below}</text>",
            from - 5,
            y - 9,
            from + 12,
            y - 2,
            from + 12,
            y + 12,
        );
    } else {
        let stroke = if exchange.synchronous { "line" } else { "line dashed" };
        let (tip, back) = if to > from { (to - 2, -9) } else { (to + 2, 9) };
        let left = from.min(to) + 12;
        let _ = write!(
            svg,
            "<line class=\"{stroke}\" x1=\"{from}\" y1=\"{y}\" x2=\"{tip}\" y2=\"{y}\"/>\
             <path class=\"tip\" d=\"M{tip} {y}l{back} -5v10z\"/>\
             <text class=\"label\" x=\"{left}\" y=\"{}\">{label}</text>\
             <text class=\"small\" x=\"{left}\" y=\"{}\">{below}</text>",
            y - 6,
            y + 14,
        );
    }
    svg.push_str("</g>\n");
}

/// What the strokes and colours mean.
fn key(svg: &mut String, y: i64) {
    let mut x = MOMENTS;
    for (class, stroke, text) in [
        ("request", "line", "request (waits)"),
        ("response", "line", "response"),
        ("event", "line dashed", "event (later)"),
        ("rail", "line", "rail message"),
    ] {
        let _ = writeln!(
            svg,
            "<g class=\"{class}\"><line class=\"{stroke}\" x1=\"{x}\" y1=\"{y}\" x2=\"{}\" \
             y2=\"{y}\"/><text class=\"small\" x=\"{}\" y=\"{}\">{text}</text></g>",
            x + 26,
            x + 32,
            y + 4,
        );
        x += 46 + width(text, Font::Small);
    }
}
