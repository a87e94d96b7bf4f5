//! Drawing in a terminal: bars, columns, text fitted to a width, and colour. Numbers that are not finite are drawn as 0.

use std::io::IsTerminal;

/// Colouring of text by ANSI escapes, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colours: bool,
}

const COLUMN_BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BAR_BLOCKS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

impl Paint {
    /// Paint that never emits escapes.
    pub const PLAIN: Self = Self { colours: false };

    /// Enables colours if standard output is a terminal and `NO_COLOR` is unset or empty.
    pub fn of_stdout() -> Self {
        // https://no-color.org: any non-empty value disables colours.
        let disabled = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: std::io::stdout().is_terminal() && !disabled }
    }

    /// Formats headings in bold.
    pub fn strong(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    /// Formats secondary text as dim.
    pub fn faint(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    /// Formats charts in cyan.
    pub fn drawn(self, text: &str) -> String {
        self.wrapped("36", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns a bar of `share` (0 to 1) of `columns` columns, in steps of an eighth.
pub fn bar(share: f64, columns: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    // Unicode has blocks for one to seven eighths of a column; 0 adds none.
    bar.extend((eighths % 8).checked_sub(1).map(|block| BAR_BLOCKS[block]));
    bar
}

/// Returns one block for each share, scaled to the largest; a dot for 0.
pub fn columns(shares: &[f64]) -> Vec<char> {
    let finite = |share: f64| if share.is_finite() { share.max(0.0) } else { 0.0 };
    let largest = shares.iter().copied().map(finite).fold(0.0, f64::max);
    shares.iter().map(|share| column(finite(*share), largest)).collect()
}

fn column(share: f64, largest: f64) -> char {
    if share <= 0.0 {
        return '·';
    }
    let level = (share / largest * COLUMN_BLOCKS.len() as f64).ceil() as usize;
    // Clamped, because a tiny positive share would round to no block although it is not 0.
    COLUMN_BLOCKS[level.clamp(1, COLUMN_BLOCKS.len()) - 1]
}

/// Returns the index of the largest share; `None` if no share is positive and finite.
pub fn peak(shares: &[f64]) -> Option<usize> {
    let positive = shares.iter().enumerate().filter(|(_, share)| share.is_finite() && **share > 0.0);
    positive.max_by(|left, right| left.1.total_cmp(right.1)).map(|(index, _)| index)
}

/// Returns the width of a text in terminal columns; East Asian characters and emoji take two.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Fits a text to exactly `columns` columns: padded with spaces, or truncated with an ellipsis.
pub fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.push_str(&" ".repeat(columns.saturating_sub(width(&fitted))));
    fitted
}

/// Truncates a text to at most `columns` columns, with an ellipsis.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    // One column is reserved for the ellipsis.
    let mut columns_left = columns.saturating_sub(1);
    let mut shortened: String = text
        .chars()
        .take_while(|letter| {
            let fits = char_width(*letter) <= columns_left;
            columns_left = columns_left.saturating_sub(char_width(*letter));
            fits
        })
        .collect();
    shortened.push('…');
    shortened
}

fn char_width(letter: char) -> usize {
    match letter as u32 {
        // Combining marks and zero-width characters; then the wide ranges of East Asian scripts, then emoji and full-width
        // forms. A table of these ranges is enough for names, and needs no Unicode crate.
        0x300..=0x36F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF => 2,
        0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_proportional_to_its_share() {
        let rows = [
            (0.0, ""),
            (1.0, "████"),
            (0.5, "██"),
            (0.03, "▏"),
            (0.28, "█▏"),
            (7.0, "████"),
            (-1.0, ""),
            (f64::NAN, ""),
            (f64::INFINITY, ""),
        ];
        for (share, expected) in rows {
            assert_eq!(bar(share, 4), expected, "{share}");
        }
    }

    #[test]
    fn columns_are_scaled_to_the_largest() {
        let rows: [(&[f64], &str); 5] = [
            (&[], ""),
            (&[0.0, 0.0], "··"),
            (&[0.1, 0.8, 0.4, 0.0], "▁█▄·"),
            (&[f64::NAN, 1.0, -1.0], "·█·"),
            (&[1e-300, 1.0], "▁█"),
        ];
        for (shares, expected) in rows {
            assert_eq!(columns(shares).into_iter().collect::<String>(), expected, "{shares:?}");
        }
        assert_eq!(
            (peak(&[0.1, 0.8, 0.4]), peak(&[0.0]), peak(&[f64::NAN, f64::INFINITY])),
            (Some(1), None, None)
        );
    }

    #[test]
    fn a_fitted_text_takes_exactly_its_columns() {
        let rows = [("ab", "ab  "), ("abcd", "abcd"), ("abcde", "abc…"), ("用户画像", "用… "), ("", "    ")];
        for (text, expected) in rows {
            assert_eq!(fit(text, 4), expected, "{text}");
            assert_eq!(width(&fit(text, 4)), 4, "{text}");
        }
    }
}
