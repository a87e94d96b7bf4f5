//! Output to a pipe whose reader is gone, as in `portrait profile ID | head -1`: the command ends quietly, in one place for every
//! `println!` of all commands.
//!
//! SIGPIPE stays ignored. With its default action a process would also die of a write to a socket that a peer has closed.

use portrait_runtime::telemetry::console;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a process that ended because its output was closed: that of a shell for SIGPIPE.
pub(crate) const EXIT_CLOSED: u8 = 141;

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Notes a closed pipe instead of printing the panic that it causes. The panic still unwinds, so that temporary folders are removed.
pub(crate) fn notice() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        if panic.payload_as_str().is_some_and(is_closed_pipe) {
            IS_CLOSED.store(true, Ordering::Relaxed);
        } else {
            console::report_panic(panic, &report);
        }
    }));
}

/// Returns true if a write to standard output or standard error met a closed pipe.
pub(crate) fn is_noticed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}

/// Returns true for the message with which `println!` and `eprintln!` panic.
fn is_closed_pipe(message: &str) -> bool {
    let error = std::io::Error::from_raw_os_error(rustix::io::Errno::PIPE.raw_os_error());
    message.starts_with("failed printing to std") && message.ends_with(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_quiet() {
        let rows = [
            ("failed printing to stdout: Broken pipe (os error 32)", true),
            ("failed printing to stderr: Broken pipe (os error 32)", true),
            ("failed printing to stdout: No space left on device (os error 28)", false),
            ("called `Result::unwrap()`: Broken pipe (os error 32)", false),
            ("index out of bounds", false),
        ];
        for (message, expected) in rows {
            assert_eq!(is_closed_pipe(message), expected, "{message}");
        }
    }
}
