//! Deadline of a new connection: the HTTP/2 preface, or the head of the first HTTP/1.1 request, must arrive in time. A client
//! that sends bytes slowly gains no time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// First bytes of the HTTP/2 preface, which end_count at its second empty line (RFC 9113, section 3.4).
const HTTP2: &[u8] = b"PRI";
/// End of a request head.
const END: &[u8] = b"\r\n\r\n";

/// Parser state of the first bytes, with the deadline.
pub(super) struct HandshakeDeadline {
    deadline: Pin<Box<Sleep>>,
    /// Bytes seen, at most the length of `HTTP2`.
    seen: usize,
    /// All bytes seen match `HTTP2`.
    http2: bool,
    /// Length of the prefix of `END` that the last bytes match.
    end_prefix: usize,
    /// Number of occurrences of `END`.
    end_count: usize,
}

impl HandshakeDeadline {
    /// Starts a deadline of `limit` from now.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            deadline: Box::pin(tokio::time::sleep(limit)),
            seen: 0,
            http2: true,
            end_prefix: 0,
            end_count: 0,
        }
    }

    /// Consumes incoming bytes; `true` once the head or preface is complete.
    pub(super) fn observe(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.observe_byte(*byte))
    }

    fn observe_byte(&mut self, byte: u8) -> bool {
        if let Some(expected) = HTTP2.get(self.seen) {
            self.http2 &= *expected == byte;
            self.seen += 1;
        }
        self.end_prefix = match byte {
            byte if byte == END[self.end_prefix] => self.end_prefix + 1,
            // A carriage return may start the sequence again.
            b'\r' => 1,
            _ => 0,
        };
        if self.end_prefix == END.len() {
            self.end_prefix = 0;
            self.end_count += 1;
        }
        // The HTTP/2 preface contains an empty line in its middle, so it needs two.
        self.end_count > usize::from(self.http2)
    }

    /// Returns `true` once the deadline has passed.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        matches!(self.deadline.as_mut().poll(context), Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_preface_or_a_head_must_be_complete() {
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
            let at_once = HandshakeDeadline::new(Duration::from_secs(1)).observe(bytes);
            assert_eq!(at_once, expected, "{text:?} at once");
            let mut deadline = HandshakeDeadline::new(Duration::from_secs(1));
            let pieces = bytes.chunks(1).fold(false, |_, byte| deadline.observe(byte));
            assert_eq!(pieces, expected, "{text:?} byte by byte");
        }
    }
}
