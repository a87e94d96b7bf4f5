//! Statements that the log holds as text: definitions of tables, truncations, and writes that a session did not log by rows.

/// Statement of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LoggedStatement {
    /// Start of a transaction, or a point within one.
    Within,
    /// Write of rows that the log does not hold.
    Write,
    /// All rows of a table are gone; the schema is `None` if the statement names none.
    Truncate {
        /// Schema as written.
        schema: Option<String>,
        /// Table as written.
        table: String,
    },
    /// End of a transaction, or a statement that commits on its own.
    Commit,
}

impl LoggedStatement {
    /// Reads a statement by its first words.
    pub(super) fn parse(query: &str) -> Self {
        let mut rest = without_comments(query);
        match word(&mut rest).to_ascii_uppercase().as_str() {
            "BEGIN" | "START" | "SAVEPOINT" | "ROLLBACK" | "XA" => Self::Within,
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" => Self::Write,
            "TRUNCATE" => {
                let mut after = rest;
                if word(&mut after).eq_ignore_ascii_case("TABLE") {
                    rest = after;
                }
                let first = name(&mut rest);
                match without_comments(rest).strip_prefix('.') {
                    Some(mut rest) => Self::Truncate { schema: Some(first), table: name(&mut rest) },
                    None => Self::Truncate { schema: None, table: first },
                }
            }
            _ => Self::Commit,
        }
    }
}

/// Skips spaces and comments.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some((_, after)) = rest.strip_prefix("/*").and_then(|comment| comment.split_once("*/")) {
        rest = after.trim_start();
    }
    rest
}

/// Takes a word of letters.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let text = without_comments(rest);
    let end = text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

/// Takes a name, in backticks or without.
fn name(rest: &mut &str) -> String {
    let text = without_comments(rest);
    let Some(mut quoted) = text.strip_prefix('`') else {
        let is_end = |letter: char| letter.is_whitespace() || ".;/".contains(letter);
        let end = text.find(is_end).unwrap_or(text.len());
        *rest = &text[end..];
        return text[..end].to_owned();
    };
    let mut name = String::new();
    while let Some((part, after)) = quoted.split_once('`') {
        name.push_str(part);
        quoted = after;
        match quoted.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                quoted = after;
            }
            None => break,
        }
    }
    *rest = quoted;
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncate(schema: Option<&str>, table: &str) -> LoggedStatement {
        LoggedStatement::Truncate { schema: schema.map(str::to_owned), table: table.to_owned() }
    }

    #[test]
    fn statements_are_known_by_their_first_words() {
        let rows = [
            ("BEGIN", LoggedStatement::Within),
            ("SAVEPOINT `a`", LoggedStatement::Within),
            ("COMMIT", LoggedStatement::Commit),
            ("ALTER TABLE orders ADD x INT", LoggedStatement::Commit),
            (" /* app */ insert into orders values (1)", LoggedStatement::Write),
            ("UPDATE orders SET x = 1", LoggedStatement::Write),
            ("TRUNCATE orders", truncate(None, "orders")),
            ("truncate table shop.orders;", truncate(Some("shop"), "orders")),
            ("TRUNCATE TABLE `sh``op` . `or.ders`", truncate(Some("sh`op"), "or.ders")),
            ("TRUNCATE/**/`table`", truncate(None, "table")),
            ("TRUNCATE TABLE orders /* generated */", truncate(None, "orders")),
            ("", LoggedStatement::Commit),
        ];
        for (query, expected) in rows {
            assert_eq!(LoggedStatement::parse(query), expected, "{query}");
        }
    }
}
