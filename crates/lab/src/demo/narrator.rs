//! Output of the demo: a terminal with a progress bar below the lines, or a file with the lines only.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::Duration;

/// Receiver of the narration.
pub trait Narrator: Send {
    /// Prints one line, or several that are separated by line ends.
    fn line(&mut self, text: &str);

    /// Updates the progress; `done` of `total` in any unit.
    fn progress(&mut self, done: u64, total: u64, note: &str);
}

/// Lines on standard output; a progress bar on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    /// Creates the output with an empty bar.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{bar:32.cyan} {percent:>3}%  {msg}  {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Removes the progress bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Narrator for Terminal {
    fn line(&mut self, text: &str) {
        // Printing while the bar is drawn would mix both on one line. A closed output panics outside: within, the bar is locked.
        if self.bar.suspend(|| writeln!(std::io::stdout(), "{text}")).is_err() {
            println!();
        }
    }

    fn progress(&mut self, done: u64, total: u64, note: &str) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(note.to_owned());
    }
}
