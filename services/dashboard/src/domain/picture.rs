//! What every picture shares: its head, its style, how wide a text is about.

use std::fmt::Write;

/// The style of pictures: colours by kind, light or dark as the reader's system is set. A picture
/// that stands alone carries it; a page has it in its own style sheet.
pub const STYLE: &str = include_str!("picture.css");

/// Where a picture is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dress {
    /// A file of its own, with its style inside.
    Alone,
    /// Inside a page that has [`STYLE`] in its style sheet and allows no style inside.
    InPage,
}

/// The sizes of text in pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Font {
    Name,
    Label,
    Small,
}

/// About how many pixels a text takes: pictures are laid out without asking a font.
pub fn width(text: &str, font: Font) -> i64 {
    let letters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX / 100);
    let tenths = match font {
        Font::Name => 76,
        Font::Label => 66,
        Font::Small => 58,
    };
    letters * tenths / 10
}

/// Microseconds as a person reads them: `840 us`, `12.3 ms`, `2.04 s`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// Opens a picture of this size: a title and a description for those who do not see it.
pub fn head(dress: Dress, (width, height): (i64, i64), title: &str, description: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"picture-title picture-description\">\n"
    );
    let _ = writeln!(
        svg,
        "<title id=\"picture-title\">{}</title><desc id=\"picture-description\">{}</desc>",
        escape(title),
        escape(description)
    );
    if dress == Dress::Alone {
        let _ = writeln!(
            svg,
            "<style>{STYLE}</style><rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
    svg
}

/// Text that stands for itself in XML: markup as entities, and what XML cannot hold left out.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&letter) => {
                safe.push('\u{fffd}');
            }
            letter => safe.push(letter),
        }
    }
    safe
}
