//! Lines that a process writes outside of the log, in the format of the log: its addresses once it is ready, the error that ends it,
//! and panics. A collector that parses JSON gets JSON from the first line to the last.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people, the default.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Format of this process, set before its log exists.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of the lines outside of the log.
pub fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Returns whether the lines of this process are JSON.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Returns a line in the form of the JSON log.
pub fn json_line(level: tracing::Level, message: &str, fields: &[(&str, &str)]) -> String {
    let named = [("message", message)].into_iter().chain(fields.iter().copied());
    let fields: Map<String, Value> = named.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut timestamp = String::new();
    // Only the formatting of the time can fail; a line without a time is better than none.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let line = JsonLine { timestamp, level: level.as_str(), fields, target: "portrait" };
    serde_json::to_string(&line).unwrap_or_default()
}

/// Writes a panic to standard error as JSON if the log is JSON, or by `report`, the hook for people.
pub fn report_panic(panic: &PanicHookInfo<'_>, report: impl FnOnce(&PanicHookInfo<'_>)) {
    if !is_json() {
        return report(panic);
    }
    let text = panic.payload_as_str().unwrap_or("without a message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let fields = [("panic", text), ("location", &*location), ("thread", thread.name().unwrap_or_default())];
    let line = json_line(tracing::Level::ERROR, "panicked", &fields);
    // A closed standard error must not turn a panic into an abort.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Line in the order of the log's fields.
#[derive(Serialize)]
struct JsonLine<'a> {
    timestamp: String,
    level: &'a str,
    fields: Map<String, Value>,
    target: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_whatever_the_text_has() {
        for text in ["ready", "a \"quote\"", "two\nlines", "", "\u{1b}[31m", "用户"] {
            let line = json_line(tracing::Level::ERROR, text, &[("http", text)]);
            assert!(!line.contains('\n'), "{line}");
            let read: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(read["level"], "ERROR");
            assert_eq!((&read["fields"]["message"], &read["fields"]["http"]), (&text.into(), &text.into()));
            assert!(read["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        }
    }
}
