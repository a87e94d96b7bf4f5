//! Repeated warnings and errors: the first one is logged, the ones of the next minute are counted, and then one line has their number.
//! An outage of a store makes every partition and every call fail; without a bound their lines bury the others.
//!
//! Lines of one place in the code and of one text are the same; numbers in the text make no difference.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Time in which the same line is logged once.
const WINDOW: Duration = Duration::from_secs(60);
/// Different texts of one place that are logged in a window: a new cause shows, and causes that vary do not flood the log.
const TEXTS_MAX: usize = 3;
/// Maximum number of lines that are remembered; further ones are logged without a bound.
const LINES_MAX: usize = 256;
/// Maximum length of the text of a line in a summary, in bytes.
const TEXT_BYTES_MAX: usize = 400;
/// Target of the summaries, which are never filtered here.
const TARGET: &str = "portrait_runtime::telemetry::repeats";
/// Fields that tell the cause; the others, such as a partition, differ between lines of one cause.
const CAUSES: [&str; 7] = ["message", "error", "problem", "panic", "reason", "command", "caller"];

/// Filter of the log that lets the same warning or error pass once a minute; clones share their memory.
#[derive(Clone, Default)]
pub(super) struct RepeatFilter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    repeats: Mutex<Repeats>,
    /// Signals the reporter that the first line is remembered.
    first: Condvar,
}

/// Lines of the last window.
#[derive(Default)]
struct Repeats {
    lines: HashMap<LineKey, RepeatedLine>,
}

/// Hashes of the place in the code and of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LineKey {
    place: u64,
    text: u64,
}

struct RepeatedLine {
    level: Level,
    text: String,
    /// Begin of the current window.
    since: Instant,
    /// Lines of the current window that were not logged.
    suppressed: u64,
    /// Lines of earlier windows that were not logged.
    summarised: u64,
}

/// Summary of lines that were not logged.
#[derive(Debug, PartialEq, Eq)]
enum Summary {
    /// The line came `count` more times within a window.
    Repeated { level: Level, text: String, count: u64 },
    /// The line has not come for a window; `count` were not logged.
    Ended { text: String, count: u64 },
}

impl RepeatFilter {
    /// Spawns the thread that logs the summaries; it lives as long as the process.
    pub(super) fn spawn_reporter(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.0);
        // A thread and not a task: the log must not depend on a runtime that is blocked.
        std::thread::Builder::new().name("portrait-log".to_owned()).spawn(move || shared.report()).map(drop)
    }
}

impl<S> Filter<S> for RepeatFilter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    #[expect(clippy::disallowed_methods, reason = "the log is in real time")]
    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_limited = matches!(*metadata.level(), Level::WARN | Level::ERROR);
        if !is_limited || metadata.target() == TARGET {
            return true;
        }
        let text = Text::of(event);
        let mut place = DefaultHasher::new();
        metadata.callsite().hash(&mut place);
        let key = LineKey { place: place.finish(), text: text.hash() };
        let mut repeats = self.0.repeats();
        let is_first = repeats.lines.is_empty();
        let is_logged = repeats.observe(key, *metadata.level(), text, Instant::now());
        if is_first {
            self.0.first.notify_one();
        }
        is_logged
    }
}

impl Shared {
    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        // An entry is always set as a whole; a panic elsewhere must not end the log.
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "the log is in real time")]
    fn report(&self) {
        loop {
            let mut repeats = self.repeats();
            while repeats.lines.is_empty() {
                repeats = self.first.wait(repeats).unwrap_or_else(PoisonError::into_inner);
            }
            let now = Instant::now();
            let summaries = repeats.summaries(now);
            let pause = repeats.next_end().map(|end| end.saturating_duration_since(now));
            // Unlocked before logging: the summary passes the filter itself.
            drop(repeats);
            summaries.iter().for_each(Summary::log);
            std::thread::sleep(pause.unwrap_or_default());
        }
    }
}

impl Repeats {
    /// Counts a line; returns whether it is logged.
    fn observe(&mut self, key: LineKey, level: Level, text: Text, now: Instant) -> bool {
        if let Some(line) = self.lines.get_mut(&key) {
            line.suppressed += 1;
            return false;
        }
        let mut same_place = self.lines.iter_mut().filter(|(other, _)| other.place == key.place);
        // Counted with any of the same place: the number of lines stays right.
        if let Some((_, line)) = same_place.nth(TEXTS_MAX - 1) {
            line.suppressed += 1;
            return false;
        }
        if self.lines.len() < LINES_MAX {
            let line = RepeatedLine { level, text: text.shown, since: now, suppressed: 0, summarised: 0 };
            self.lines.insert(key, line);
        }
        true
    }

    /// Returns the summaries of the windows that are over, and begins the next ones.
    fn summaries(&mut self, now: Instant) -> Vec<Summary> {
        let mut summaries = Vec::new();
        self.lines.retain(|_, line| {
            if now.saturating_duration_since(line.since) < WINDOW {
                return true;
            }
            let text = line.text.clone();
            match (line.suppressed, line.summarised) {
                (0, 0) => {}
                (0, count) => summaries.push(Summary::Ended { text, count }),
                (count, _) => {
                    summaries.push(Summary::Repeated { level: line.level, text, count });
                    line.summarised += std::mem::take(&mut line.suppressed);
                    // The summary is the line of the next window.
                    line.since = now;
                    return true;
                }
            }
            false
        });
        summaries
    }

    /// Returns the end of the window that ends first.
    fn next_end(&self) -> Option<Instant> {
        self.lines.values().map(|line| line.since + WINDOW).min()
    }
}

impl Summary {
    fn log(&self) {
        let seconds = WINDOW.as_secs();
        match self {
            Self::Repeated { level: Level::ERROR, text, count } => {
                tracing::error!(target: TARGET, count, seconds, "repeated: {text}");
            }
            Self::Repeated { text, count, .. } => {
                tracing::warn!(target: TARGET, count, seconds, "repeated: {text}");
            }
            Self::Ended { text, count } => {
                tracing::info!(target: TARGET, count, seconds, "no longer repeated: {text}");
            }
        }
    }
}

/// Text of a line: message and cause.
#[derive(Default)]
struct Text {
    shown: String,
}

impl Text {
    fn of(event: &Event<'_>) -> Self {
        let mut text = Self::default();
        event.record(&mut text);
        text
    }

    /// Hashes the text without its digits: ports, positions and durations differ between lines of one cause.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.shown.bytes().filter(|byte| !byte.is_ascii_digit()).for_each(|byte| byte.hash(&mut hasher));
        hasher.finish()
    }

    fn push(&mut self, value: std::fmt::Arguments<'_>) {
        if !self.shown.is_empty() {
            self.shown.push_str(": ");
        }
        let _ = self.shown.write_fmt(value);
        let end = self.shown.floor_char_boundary(TEXT_BYTES_MAX);
        self.shown.truncate(end);
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if CAUSES.contains(&field.name()) {
            self.push(format_args!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if CAUSES.contains(&field.name()) {
            self.push(format_args!("{value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    /// Layer that counts the lines that pass the filter.
    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicU64>);

    impl<S: tracing::Subscriber> Layer<S> for Counted {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many lines of `log` are logged, and the summaries after a window and after a silent one.
    fn logged(log: impl FnOnce()) -> (u64, Vec<Summary>, Vec<Summary>) {
        let filter = RepeatFilter::default();
        let counted = Counted::default();
        let subscriber = tracing_subscriber::registry().with(counted.clone().with_filter(filter.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let mut repeats = filter.0.repeats();
        let later = |windows| repeats_end(&repeats, windows);
        let (first, second) = (later(1), later(2));
        let summaries = (repeats.summaries(first), repeats.summaries(second));
        assert!(repeats.lines.is_empty(), "silent lines are forgotten");
        (counted.0.load(Ordering::Relaxed), summaries.0, summaries.1)
    }

    fn repeats_end(repeats: &Repeats, windows: u32) -> Instant {
        let newest = repeats.lines.values().map(|line| line.since).max();
        newest.expect("a line") + windows * WINDOW
    }

    #[test]
    fn an_outage_is_one_line_its_number_and_its_end() {
        let (lines, repeated, ended) = logged(|| {
            for partition in 0..455 {
                tracing::warn!(partition, error = "no answer after 12 ms", "partition stalled");
            }
        });
        assert_eq!(lines, 1);
        let text = "partition stalled: no answer after 12 ms".to_owned();
        // Fields are recorded in the order of the macro, the message first.
        assert_eq!(repeated, [Summary::Repeated { level: Level::WARN, text: text.clone(), count: 454 }]);
        assert_eq!(ended, [Summary::Ended { text, count: 454 }]);
    }

    #[test]
    fn another_cause_of_the_same_line_is_logged_and_numbers_are_no_cause() {
        let (lines, ..) = logged(|| {
            for (at, cause) in
                ["refused by 1", "refused by 2", "timed out", "reset", "closed"].iter().enumerate()
            {
                tracing::error!(at, error = %cause, "store request failed");
            }
        });
        assert_eq!(lines, TEXTS_MAX as u64, "refused, timed out, reset");
    }

    #[test]
    fn lines_of_normal_work_are_never_suppressed() {
        let (lines, repeated, _) = logged(|| {
            for version in 0..10 {
                tracing::info!(version, "model served");
            }
            tracing::warn!("one warning");
            tracing::warn!("one warning of another place");
        });
        assert_eq!((lines, repeated.len()), (12, 0));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut repeats = Repeats::default();
        #[expect(clippy::disallowed_methods, reason = "the log is in real time")]
        let now = Instant::now();
        for place in 0..2 * LINES_MAX as u64 {
            let text = Text { shown: "x".to_owned() };
            assert!(repeats.observe(LineKey { place, text: 0 }, Level::WARN, text, now), "{place}");
        }
        assert_eq!(repeats.lines.len(), LINES_MAX);
    }
}
