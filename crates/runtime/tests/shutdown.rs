//! Signals of a process. The test starts its own binary again as the process that receives them.

use portrait_runtime::shutdown::signalled;
use rustix::process::{Signal, getpid, kill_process};
use std::process::Command;

/// Environment variable with the signal that the child process sends itself.
const SIGNAL: &str = "PORTRAIT_TEST_SIGNAL";

#[test]
fn the_first_signal_starts_the_drain_and_the_second_stops_the_process() {
    if let Ok(name) = std::env::var(SIGNAL) {
        signal_twice(if name == "INT" { Signal::INT } else { Signal::TERM });
        return;
    }
    for name in ["TERM", "INT"] {
        let itself = std::env::current_exe().expect("a test is a file");
        let child = Command::new(itself).env(SIGNAL, name).output().expect("it was started before");
        assert_eq!(child.status.code(), Some(130), "SIG{name}: {child:?}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn signal_twice(signal: Signal) {
    let token = signalled().expect("signals can be listened for");
    assert!(!token.is_cancelled());
    kill_process(getpid(), signal).expect("a process may signal itself");
    token.cancelled().await;
    kill_process(getpid(), signal).expect("a process may signal itself");
    std::future::pending::<()>().await;
}
