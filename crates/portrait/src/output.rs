//! Output for people. Names and ids come from senders: what no reader sees in them is shown as its code.

use portrait_client::text::printable;
use std::fmt::Display;

/// Prints a text and a line end to standard output.
pub(crate) fn line(text: impl Display) {
    println!("{}", printable(&text.to_string()));
}

/// Prints a text that has its line ends.
pub(crate) fn lines(text: impl Display) {
    print!("{}", printable(&text.to_string()));
}
