//! Cells of CSV files that people open in a spreadsheet, which takes a cell that begins with `=`, `+`, `-` or `@` for a formula.

use std::borrow::Cow;

/// Returns the cell with a leading `'` if a spreadsheet would take it for a formula. Numbers stay as they are.
///
/// ```
/// use portrait_connect::files::spreadsheet_cell;
///
/// assert_eq!(spreadsheet_cell(b"=HYPERLINK(1)"), &b"'=HYPERLINK(1)"[..]);
/// assert_eq!(spreadsheet_cell(b"-5.2"), &b"-5.2"[..]);
/// ```
pub fn spreadsheet_cell(cell: &[u8]) -> Cow<'_, [u8]> {
    // A tab or carriage return is skipped by some spreadsheets before they look for a formula.
    if !matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')) || is_number(cell) {
        return Cow::Borrowed(cell);
    }
    Cow::Owned([b"'", cell].concat())
}

fn is_number(cell: &[u8]) -> bool {
    // `inf` and `nan` are numbers for Rust alone; without letters but the exponent's, nothing is left that a formula could use.
    let has_number_form =
        cell.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    has_number_form && std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_text_and_numbers_stay_numbers() {
        let formulas = [
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "-",
            "+",
            "-inf",
            "-5.2.1",
            "=-5.2",
            "-\u{200b}5",
        ];
        for cell in formulas {
            assert_eq!(spreadsheet_cell(cell.as_bytes()), format!("'{cell}").as_bytes(), "{cell:?}");
        }
        for cell in ["-5.2", "+7", "-1e-9", "5.2", "", "lena", "'=1", "u-1", " =1", "用户", "1-1"] {
            assert_eq!(spreadsheet_cell(cell.as_bytes()), cell.as_bytes(), "{cell:?}");
        }
    }
}
