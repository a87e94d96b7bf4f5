//! Whoever listens to the demo: a terminal with a bar below the lines, or a file with the lines alone.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Takes what the demo has to say.
pub trait Narrator: Send {
    /// One line, or several with line ends between them.
    fn say(&mut self, text: &str);

    /// How far the story is, and what goes on.
    fn progress(&mut self, done: u64, total: u64, note: &str);
}

/// Lines on standard output; a bar on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    /// Nothing is said yet.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{bar:32.cyan} {percent:>3}%  {msg}  {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Takes the bar away.
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
    fn say(&mut self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    fn progress(&mut self, done: u64, total: u64, note: &str) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(note.to_owned());
    }
}
