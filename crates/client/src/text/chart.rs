//! What a terminal can draw: bars, small columns, texts cut to a width, and colour. In go shares and texts, out goes text.
//! Numbers that are not finite are drawn as nothing.

use std::io::IsTerminal;

/// Whether text may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colours: bool,
}

const COLUMN_BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BAR_BLOCKS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

impl Paint {
    /// Never coloured.
    pub const PLAIN: Self = Self { colours: false };

    /// Coloured if standard output is a terminal and `NO_COLOR` is not set.
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: std::io::stdout().is_terminal() && !refused }
    }

    /// For what the eye should find first.
    pub fn strong(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    /// For what is there if it is looked for.
    pub fn faint(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    /// For drawings.
    pub fn drawn(self, text: &str) -> String {
        self.wrapped("36", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A bar of `share` of `columns` columns, to an eighth of a column.
pub fn bar(share: f64, columns: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.extend((eighths % 8).checked_sub(1).map(|block| BAR_BLOCKS[block]));
    bar
}

/// A column for each share, the largest drawn full; a dot where there is nothing.
pub fn columns(shares: &[f64]) -> Vec<char> {
    let finite = |share: f64| if share.is_finite() { share.max(0.0) } else { 0.0 };
    let largest = shares.iter().copied().map(finite).fold(0.0, f64::max);
    let column = |share: &f64| {
        let share = finite(*share);
        if share <= 0.0 {
            return '·';
        }
        let level = (share / largest * COLUMN_BLOCKS.len() as f64).ceil() as usize;
        COLUMN_BLOCKS[level.clamp(1, COLUMN_BLOCKS.len()) - 1]
    };
    shares.iter().map(column).collect()
}

/// The place of the largest of some finite shares; none if there is nothing.
pub fn peak(shares: &[f64]) -> Option<usize> {
    let holding = shares.iter().enumerate().filter(|(_, share)| share.is_finite() && **share > 0.0);
    holding.max_by(|one, other| one.1.total_cmp(other.1)).map(|(place, _)| place)
}

/// How many columns of a terminal a text takes: letters of East Asia and pictures take two.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text in exactly so many columns: filled with spaces, or cut with an ellipsis.
pub fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.push_str(&" ".repeat(columns.saturating_sub(width(&fitted))));
    fitted
}

/// The text in at most so many columns.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut shortened: String = text
        .chars()
        .take_while(|letter| {
            let fits = char_width(*letter) <= room;
            room = room.saturating_sub(char_width(*letter));
            fits
        })
        .collect();
    shortened.push('…');
    shortened
}

fn char_width(letter: char) -> usize {
    match letter as u32 {
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
    fn a_bar_is_as_long_as_its_share() {
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
    fn columns_are_as_high_as_their_share_of_the_largest() {
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
    fn a_text_takes_exactly_its_columns() {
        let rows = [("ab", "ab  "), ("abcd", "abcd"), ("abcde", "abc…"), ("用户画像", "用… "), ("", "    ")];
        for (text, expected) in rows {
            assert_eq!(fit(text, 4), expected, "{text}");
            assert_eq!(width(&fit(text, 4)), 4, "{text}");
        }
    }
}
