//! Pictures by their text: what is drawn, that it is the same each time, that it is safe.

use contracts::{
    Timestamp,
    exchanges::{Exchange, ExchangeKind, Timeline},
    operations::{Edge, EdgeKind, Node, Topology},
};

use super::{Dress, graph, sequence};

fn exchange(number: u32, from: &str, to: &str, kind: ExchangeKind, name: &str) -> Exchange {
    Exchange {
        number,
        at: Timestamp(1_700_000_000_000_000 + i64::from(number) * 150),
        duration_micros: None,
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        name: name.to_owned(),
        synchronous: !matches!(kind, ExchangeKind::Event | ExchangeKind::Rail),
        stream: None,
        sequence: None,
        bytes: None,
        cause: number.checked_sub(1).filter(|cause| *cause > 0),
        outcome: None,
    }
}

fn timeline() -> Timeline {
    let mut exchanges = vec![
        exchange(1, "client", "transfers", ExchangeKind::Request, "POST transfers"),
        exchange(2, "transfers", "transfers", ExchangeKind::Commit, "commit"),
        exchange(3, "transfers", "ledger", ExchangeKind::Event, "transfer.created"),
        exchange(4, "transfers", "client", ExchangeKind::Response, "POST transfers"),
    ];
    exchanges[1].duration_micros = Some(1_250);
    exchanges[3].outcome = Some("200".to_owned());
    Timeline {
        transfer_id: "019a8f3e-1c40-7000-8000-0000000000aa".parse().unwrap(),
        status: "completed".to_owned(),
        complete: true,
        exchanges,
    }
}

fn topology() -> Topology {
    let node = |name: &str, tier: &str| Node {
        name: name.to_owned(),
        tier: tier.to_owned(),
        tables: Vec::new(),
    };
    let mut edges = vec![
        Edge::declared("transfers", "ledger", EdgeKind::Event, "transfer.created"),
        Edge::declared("ledger", "transfers", EdgeKind::Event, "ledger.posted"),
        Edge::declared("ledger", "transfers", EdgeKind::Event, "ledger.reserved"),
        Edge::declared("ledger", "rtp", EdgeKind::Event, "ledger.reserved"),
        Edge::declared("transfers", "rtp", EdgeKind::Synchronous, "GetRtpWaiting"),
        Edge::declared("rtp", "rtp-participant", EdgeKind::Rail, "pacs.008"),
        Edge::declared("transfers", "webhooks", EdgeKind::Event, "transfer.updated"),
    ];
    (edges[0].observed, edges[0].last_minute, edges[0].lag_micros) = (120, 90, Some(2_500));
    let services = vec![
        node("ledger", "service"),
        node("transfers", "service"),
        node("webhooks", "service"),
        node("rtp", "rail"),
    ];
    Topology { services, edges }
}

/// The lines that hold this text.
fn lines<'s>(svg: &'s str, text: &str) -> Vec<&'s str> {
    svg.lines().filter(|line| line.contains(text)).collect()
}

/// What a browser would have to read as XML without a complaint: every tag is closed in its order.
fn is_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for (at, _) in svg.match_indices('<') {
        let tag = svg[at + 1..].split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_sequence_diagram_has_a_lifeline_for_each_party_and_an_arrow_for_each_exchange() {
    let svg = sequence(&timeline(), Dress::InPage);
    assert_eq!(svg.matches("class=\"life\"").count(), 3);
    assert_eq!(lines(&svg, "class=\"label\"").len(), 4);
    let event = lines(&svg, "3 transfer.created");
    // The description says it, then the arrow shows it.
    assert!(event[1].starts_with("<g class=\"event\"><line class=\"line dashed\""), "{event:?}");
    assert!(event[1].contains(">event, +150 us</text>"), "{event:?}");
    let commit = lines(&svg, ">2 commit</text>");
    assert!(commit[0].starts_with("<g class=\"commit\"><rect class=\"spot\""), "{commit:?}");
    assert!(commit[0].contains("commit, 1.2 ms"), "{commit:?}");
    let response = lines(&svg, ">4 POST transfers (200)</text>");
    assert!(response[0].contains("<line class=\"line\""), "{response:?}");
    is_well_formed(&svg);
}

#[test]
fn those_who_do_not_see_it_are_told_the_same() {
    let svg = sequence(&timeline(), Dress::InPage);
    assert!(svg.contains("role=\"img\" aria-labelledby=\"picture-title picture-description\""));
    assert!(svg.contains(
        "<title id=\"picture-title\">Transfer 019a8f3e-1c40-7000-8000-0000000000aa is completed</title>"
    ));
    let said = "3 transfer.created: transfers tells ledger by event, +150 us";
    assert!(svg.contains(said), "{svg}");
}

#[test]
fn only_a_picture_that_stands_alone_carries_its_style() {
    let (alone, inside) =
        (sequence(&timeline(), Dress::Alone), sequence(&timeline(), Dress::InPage));
    assert!(alone.contains("<style>") && alone.contains("prefers-color-scheme: dark"));
    assert!(!inside.contains("<style") && !inside.contains(" style="));
    assert_eq!(alone, sequence(&timeline(), Dress::Alone), "the same data, the same picture");
    let map = graph(&topology(), Dress::InPage);
    assert!(!map.contains("<style") && !map.contains(" style="));
}

#[test]
fn markup_in_a_name_is_text() {
    let mut timeline = timeline();
    timeline.exchanges[0].name = "<script>alert('x')</script>\u{1}\"&".to_owned();
    timeline.exchanges[0].outcome = Some("<img src=x onerror=y>".to_owned());
    timeline.exchanges[0].from = "<b>".to_owned();
    timeline.status = "</title><script>".to_owned();
    let svg = sequence(&timeline, Dress::Alone);
    assert!(!svg.contains("<script") && !svg.contains("<img") && !svg.contains("<b>"), "{svg}");
    assert!(svg.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{fffd}&quot;&amp;"));
    is_well_formed(&svg);
    let mut topology = topology();
    topology.edges[0].name = "</svg><script>".to_owned();
    topology.edges[0].to = "<i>".to_owned();
    let map = graph(&topology, Dress::Alone);
    assert!(!map.contains("<script") && !map.contains("<i>"));
    is_well_formed(&map);
}

#[test]
fn an_empty_timeline_is_a_picture_too() {
    let mut timeline = timeline();
    timeline.exchanges.clear();
    is_well_formed(&sequence(&timeline, Dress::Alone));
}

#[test]
fn the_map_has_a_column_a_tier_and_an_arrow_a_pair_and_kind() {
    let map = graph(&topology(), Dress::InPage);
    let x = |name: &str| {
        let text = format!(">{name}</text>");
        let line = lines(&map, &text)[0];
        let box_at = line.split("x=\"").nth(1).unwrap().split('"').next().unwrap();
        box_at.parse::<i64>().unwrap()
    };
    assert!(x("webhooks") < x("transfers"), "no rail meets webhooks");
    assert_eq!(x("transfers"), x("ledger"));
    assert!(x("ledger") < x("rtp") && x("rtp") < x("rtp-participant"));
    assert_eq!(map.matches("class=\"tip\"").count(), 6, "two names of one pair share an arrow");
    assert!(map.contains(">ledger.posted +1</text>"));
    assert!(map.contains(">120 seen, 1.5/s, lag 2.5 ms</text>"));
    is_well_formed(&map);
}

#[test]
fn what_nobody_declared_is_marked() {
    let mut topology = topology();
    topology.edges[6].declared = false;
    assert_eq!(graph(&topology, Dress::InPage).matches("class=\"undeclared\"").count(), 2);
}
