//! The sequence diagram of one transfer: lifelines and arrows for a terminal, and Mermaid.

use contracts::exchanges::{Exchange, ExchangeKind, Timeline};

use super::duration;

/// Columns between two lifelines at least.
const GAP_LEAST: usize = 14;

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

/// What the exchange cost: its own duration, or how long after its cause it came.
fn cost(timeline: &Timeline, exchange: &Exchange) -> String {
    if let Some(micros) = exchange.duration_micros {
        return duration(micros);
    }
    let cause = exchange
        .cause
        .and_then(|number| timeline.exchanges.iter().find(|candidate| candidate.number == number));
    cause.map_or_else(String::new, |cause| {
        format!("+{}", duration(exchange.at.micros_since(cause.at)))
    })
}

/// The label of an arrow, without what it cost.
fn label(exchange: &Exchange) -> String {
    let mut label = format!("{} {}", exchange.number, exchange.name);
    if let Some(outcome) = &exchange.outcome {
        label.push_str(&format!(" [{outcome}]"));
    }
    label
}

/// Lifelines and arrows for a terminal. `===>` is synchronous, `--->` an event or a message.
pub fn sequence_text(timeline: &Timeline) -> String {
    let parties = parties(timeline);
    let columns = columns(&parties, timeline);
    let begin = timeline.exchanges.iter().map(|exchange| exchange.at).min();
    let mut text = format!("transfer {} {}", timeline.transfer_id, timeline.status);
    if !timeline.complete {
        text.push_str(" (a service did not answer: its part is missing)");
    }
    text.push('\n');
    text.push_str(&heads(&parties, &columns));
    for exchange in &timeline.exchanges {
        let since = begin.map_or(0, |begin| exchange.at.micros_since(begin));
        let right =
            format!("  at {}, cost {}", duration(since), or_dash(&cost(timeline, exchange)));
        let at = |name: &str| parties.iter().position(|party| *party == name).map(|at| columns[at]);
        let (Some(from), Some(to)) = (at(&exchange.from), at(&exchange.to)) else { continue };
        text.push_str(&labelled(&columns, from, to, &label(exchange)));
        text.push_str(&arrow(&columns, from, to, exchange.synchronous));
        text.push_str(&right);
        text.push('\n');
    }
    text.push_str(lifelines(&columns).trim_end());
    text.push('\n');
    text
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The column of each lifeline: as near as heads and the labels of neighbours allow.
fn columns(parties: &[&str], timeline: &Timeline) -> Vec<usize> {
    let mut columns = Vec::with_capacity(parties.len());
    let mut next = 1;
    for (at, party) in parties.iter().enumerate() {
        columns.push(next);
        let mut gap = GAP_LEAST.max(party.len() + 2);
        for exchange in &timeline.exchanges {
            let ends = [exchange.from.as_str(), exchange.to.as_str()];
            let neighbour = parties.get(at + 1);
            let between = neighbour.is_some_and(|n| ends.contains(n)) && ends.contains(party);
            if between {
                gap = gap.max(label(exchange).chars().count() + 3);
            }
        }
        next += gap;
    }
    columns
}

fn heads(parties: &[&str], columns: &[usize]) -> String {
    let mut line = String::new();
    for (party, column) in parties.iter().zip(columns) {
        while line.chars().count() < column.saturating_sub(1) {
            line.push(' ');
        }
        line.push_str(party);
    }
    format!("{line}\n{}\n", lifelines(columns).trim_end())
}

/// A row with nothing but lifelines, as wide as the last of them.
fn lifelines(columns: &[usize]) -> String {
    let mut row = vec![' '; columns.last().map_or(0, |last| last + 1)];
    for column in columns {
        row[*column] = '|';
    }
    row.into_iter().collect()
}

fn labelled(columns: &[usize], from: usize, to: usize, label: &str) -> String {
    let mut row: Vec<char> = lifelines(columns).chars().collect();
    let begin = from.min(to) + 2;
    for (at, letter) in label.chars().enumerate() {
        match row.get_mut(begin + at) {
            Some(cell) => *cell = letter,
            None => {
                row.resize(begin + at, ' ');
                row.push(letter);
            }
        }
    }
    let row: String = row.into_iter().collect();
    format!("{}\n", row.trim_end())
}

fn arrow(columns: &[usize], from: usize, to: usize, synchronous: bool) -> String {
    let mut row: Vec<char> = lifelines(columns).chars().collect();
    let stroke = if synchronous { '=' } else { '-' };
    if from == to {
        // A party that talks to itself: a commit, most often.
        for (at, letter) in "*".chars().enumerate() {
            row[from + at] = letter;
        }
        return row.into_iter().collect();
    }
    for cell in &mut row[from.min(to) + 1..from.max(to)] {
        *cell = stroke;
    }
    if from < to {
        row[to - 1] = '>';
    } else {
        row[to + 1] = '<';
    }
    row.into_iter().collect()
}

/// A Mermaid sequence diagram.
pub fn sequence_mermaid(timeline: &Timeline) -> String {
    let mut text = String::from("sequenceDiagram\n");
    for party in parties(timeline) {
        let kind = match party {
            "client" | "bank" | "card-host" | "rtp-participant" => "actor",
            _ => "participant",
        };
        text.push_str(&format!("    {kind} {} as {party}\n", name(party)));
    }
    for exchange in &timeline.exchanges {
        let arrow = match (exchange.kind, exchange.synchronous) {
            (ExchangeKind::Response, _) => "-->>",
            (_, true) => "->>",
            (_, false) => "-)",
        };
        let (from, to) = (name(&exchange.from), name(&exchange.to));
        let label = label(exchange).replace([';', '#'], ",");
        let cost = cost(timeline, exchange);
        let cost = if cost.is_empty() { cost } else { format!(" ({cost})") };
        text.push_str(&format!("    {from}{arrow}{to}: {label}{cost}\n"));
    }
    text.push_str(&format!("    Note over {}: {}\n", over(timeline), timeline.status));
    text
}

fn over(timeline: &Timeline) -> String {
    let parties = parties(timeline);
    match (parties.first(), parties.last()) {
        (Some(first), Some(last)) if first != last => format!("{},{}", name(first), name(last)),
        (Some(first), _) => name(first),
        _ => "client".to_owned(),
    }
}

/// A party's name as a Mermaid identifier.
fn name(party: &str) -> String {
    party.replace('-', "_")
}
