//! Text of a guessed mapping.

use super::super::mapping::{Field, FileKind};
use super::fields::GuessedFields;
use super::names;
use super::table::SampleTable;
use std::fmt::Write;
use std::path::Path;

/// Returns a mapping as TOML, with comments on what to check. Keys without a column are comments.
pub(super) fn toml(path: &Path, table: &SampleTable, fields: &GuessedFields) -> String {
    let mut text = format!(
        "# Guessed from the first rows of {}. Check each line, then: portrait import FILE --map THIS --check\nname = {}\n",
        quoted(&path.display().to_string()),
        quoted(&name(path))
    );
    source(&mut text, table, fields);
    text.push_str("\n[fields]\n");
    for (field, columns) in &fields.columns {
        let names: Vec<String> = columns.iter().map(|column| quoted(&table.names[*column])).collect();
        let names = if let [name] = &names[..] { name.clone() } else { format!("[{}]", names.join(", ")) };
        let note = note(*field, table.names.get(columns[0]).map_or("", String::as_str));
        line(&mut text, &format!("{} = {names}{note}", field.key()));
    }
    if !fields.is_catalogue {
        events(&mut text, table, fields);
    }
    let used = |column: &usize| {
        fields.columns.iter().any(|(_, columns)| columns.contains(column))
            || fields.time.as_ref().is_some_and(|(time, _)| time == column)
    };
    let unused: Vec<String> = (0..table.names.len())
        .filter(|column| !used(column))
        .map(|column| quoted(&table.names[column]))
        .collect();
    if !unused.is_empty() {
        line(&mut text, &format!("# Columns that are not read: {}", unused.join(", ")));
    }
    rules(&mut text, table, fields);
    text
}

fn source(text: &mut String, table: &SampleTable, fields: &GuessedFields) {
    let mut lines = Vec::new();
    if table.kind != FileKind::Csv {
        lines.push(format!("format = {}", quoted(table.kind.name())));
    }
    if let Some(delimiter) = table.delimiter.filter(|delimiter| *delimiter != b',') {
        lines.push(format!("delimiter = {}", quoted(&char::from(delimiter).to_string())));
    }
    if !table.has_header {
        let names: Vec<String> = table.names.iter().map(|name| quoted(name)).collect();
        lines.push(format!("header = false\ncolumns = [{}]", names.join(", ")));
    }
    if table.has_other_bytes {
        lines.push("encoding = \"windows-1252\" # a cell is not UTF-8: or gbk, shift_jis, ...".to_owned());
    }
    let numbers = fields.columns.iter().filter(|(field, _)| matches!(field, Field::Price | Field::Amount));
    let has_commas = numbers.flat_map(|(_, columns)| columns).any(|column| {
        let values = table.values(*column);
        values.iter().any(|value| value.contains(',')) && !values.iter().any(|value| value.contains('.'))
    });
    if has_commas {
        lines.push("decimal = \",\"".to_owned());
    }
    if let Some(each) = &table.each {
        lines.push(format!("each = {} # a row for each entry of this list", quoted(each)));
    }
    if let Some((_, spelling)) = fields.time.as_ref().filter(|(_, spelling)| spelling.format != "iso") {
        let other = spelling.other.map(|other| format!(" # or {other:?}: the first rows do not tell"));
        lines.push(format!("time_format = {}{}", quoted(&spelling.format), other.unwrap_or_default()));
    }
    if !lines.is_empty() {
        line(text, &format!("\n[source]\n{}", lines.join("\n")));
    }
}

fn events(text: &mut String, table: &SampleTable, fields: &GuessedFields) {
    if fields.get(Field::User).is_none() {
        line(text, "# user = \"?\" # no column looks like a user: name the one with the user's id");
    }
    match &fields.time {
        Some((column, _)) => line(text, &format!("time = {}", quoted(&table.names[*column]))),
        None => line(text, "# time = \"?\" # no column looks like a time: name it, or year, month and day"),
    }
    if fields.get(Field::Action).is_none() {
        let sold = [Field::Order, Field::Quantity, Field::Amount, Field::Price];
        let is_sale = sold.into_iter().any(|field| fields.get(field).is_some());
        let action = if is_sale { "purchase" } else { "view" };
        line(
            text,
            &format!(
                "action = {{ value = \"{action}\" }} # no column looks like one: all rows are the same action"
            ),
        );
    }
}

fn rules(text: &mut String, table: &SampleTable, fields: &GuessedFields) {
    if !fields.actions.is_empty() {
        line(text, "\n[actions]");
    }
    for (value, action) in &fields.actions {
        match action {
            Some(kind) => line(text, &format!("{} = \"{}\"", quoted(value), kind.name())),
            None => {
                line(text, &format!("# {} = \"?\" # view, click, add_to_cart, purchase, ...", quoted(value)));
            }
        }
    }
    let quantities = fields.get(Field::Quantity).and_then(|columns| columns.first());
    if quantities
        .is_some_and(|column| table.values(*column).iter().any(|value| value.trim().starts_with('-')))
    {
        line(text, "\n[refunds]\nnegative_quantity = true");
    }
    if fields.is_catalogue {
        line(text, "\n[rows]\nas = \"items\"");
    }
}

/// Returns a comment on a field that may be another one.
fn note(field: Field, column: &str) -> &'static str {
    match field {
        Field::User if names::columns_of(Field::Session, &[column.to_owned()]) == [0] => {
            " # there is no column of users: each session is one"
        }
        Field::Amount => " # the total of the line; or price, of one unit",
        _ => "",
    }
}

/// Returns the name of the source: that of the file, without its endings.
fn name(path: &Path) -> String {
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let plain = stem.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let name: String = plain.take(64).collect();
    if name.is_empty() { "shop".to_owned() } else { name }
}

/// Returns a text in quotes of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\t' => quoted.push_str("\\t"),
            _ if letter.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
