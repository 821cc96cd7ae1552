//! Diagrams as text: pure functions from recorded data to what a person reads. Pictures are drawn
//! by the dashboard, which shows the same.

mod graph;
mod sequence;
#[cfg(test)]
mod tests;

pub use graph::{graph_markdown, graph_mermaid, graph_text};
pub use sequence::{sequence_mermaid, sequence_text};

/// Microseconds as a person reads them: `840 us`, `12.3 ms`, `2.04 s`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}
