//! Whether a connection has said what it wants. In come the first bytes that a caller sends, out goes whether they are the whole
//! preface of HTTP/2, or the whole head of a first request of HTTP/1.1: until then nobody has asked for anything.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// How the preface of HTTP/2 begins, which ends in a second empty line.
const HTTP2: &[u8] = b"PRI";
/// What a head ends with.
const END: &[u8] = b"\r\n\r\n";

/// A connection that has yet to say what it wants, and until when it may.
pub(super) struct Opening {
    over: Pin<Box<Sleep>>,
    /// How many bytes were seen, up to the length of `HTTP2`.
    seen: usize,
    /// Whether they are those of `HTTP2` so far.
    http2: bool,
    /// How much of `END` was seen last.
    of_end: usize,
    /// How often `END` was seen.
    ends: usize,
}

impl Opening {
    /// It may take so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { over: Box::pin(tokio::time::sleep(limit)), seen: 0, http2: true, of_end: 0, ends: 0 }
    }

    /// Takes what was read; whether it is said now.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.take(*byte))
    }

    fn take(&mut self, byte: u8) -> bool {
        if let Some(expected) = HTTP2.get(self.seen) {
            self.http2 &= *expected == byte;
            self.seen += 1;
        }
        self.of_end = match byte {
            byte if byte == END[self.of_end] => self.of_end + 1,
            b'\r' => 1,
            _ => 0,
        };
        if self.of_end == END.len() {
            self.of_end = 0;
            self.ends += 1;
        }
        self.ends > usize::from(self.http2)
    }

    /// Whether it took too long.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        matches!(self.over.as_mut().poll(context), Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_preface_or_a_head_must_be_whole() {
        let rows: [(&[u8], bool); 8] = [
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false),
            (b"PRI * HTTP/2.0\r\n\r\n", false),
            (b"POST /portrait.v1.QueryService/GetProfile HTTP/1.1\r\nhost: a\r\n", false),
            (b"GET / HTTP/1.0\r\n\r\n", true),
            (b"GET / HTTP/1.0\r\r\n\r\n", true),
            (b"\r\n\r\r\n\r", false),
            (b"", false),
        ];
        for (bytes, expected) in rows {
            let text = String::from_utf8_lossy(bytes);
            let whole = Opening::new(Duration::from_secs(1)).hear(bytes);
            assert_eq!(whole, expected, "{text:?} at once");
            let mut opening = Opening::new(Duration::from_secs(1));
            let pieces = bytes.chunks(1).fold(false, |_, byte| opening.hear(byte));
            assert_eq!(pieces, expected, "{text:?} byte by byte");
        }
    }
}
