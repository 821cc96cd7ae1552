//! The sequence diagram of one transfer as SVG.

use std::fmt::Write;

use contracts::exchanges::Timeline;

use super::sequence::{cost, label, parties};

const COLUMN_PIXELS: usize = 210;
const ROW_PIXELS: usize = 44;
const TOP_PIXELS: usize = 60;

/// A picture that needs nothing from the network.
pub fn sequence_svg(timeline: &Timeline) -> String {
    let parties = parties(timeline);
    let width = parties.len() * COLUMN_PIXELS + 40;
    let height = TOP_PIXELS + (timeline.exchanges.len() + 1) * ROW_PIXELS;
    let x = |at: usize| at * COLUMN_PIXELS + COLUMN_PIXELS / 2 + 20;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>transfer {} {}</title>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
        timeline.transfer_id,
        escape(&timeline.status),
    );
    for (at, party) in parties.iter().enumerate() {
        let x = x(at);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"24\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\
             <line x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"{height}\" stroke=\"#999\"/>",
            escape(party)
        );
    }
    for (row, exchange) in timeline.exchanges.iter().enumerate() {
        let find = |name: &str| parties.iter().position(|party| *party == name).unwrap_or(0);
        let (from, to) = (x(find(&exchange.from)), x(find(&exchange.to)));
        let y = TOP_PIXELS + row * ROW_PIXELS + 20;
        let dash = if exchange.synchronous { "" } else { " stroke-dasharray=\"6 4\"" };
        let text = format!("{} {}", label(exchange), cost(timeline, exchange));
        if from == to {
            let _ = writeln!(svg, "<circle cx=\"{from}\" cy=\"{y}\" r=\"4\"/>");
        } else {
            let _ = writeln!(
                svg,
                "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" stroke=\"#000\"{dash} \
                 marker-end=\"url(#head)\"/>"
            );
        }
        let (at, above) = (from.min(to) + 8, y - 6);
        let _ = writeln!(svg, "<text x=\"{at}\" y=\"{above}\">{}</text>", escape(text.trim_end()));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text that stands for itself in XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
