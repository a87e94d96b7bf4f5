//! Arrival of messages: each has a time to arrive and memory to arrive in. Without them a caller could hold places for ever
//! with messages that never end, and memory with messages that it never completes.
//!
//! The body of a gRPC request is a sequence of messages, each with a prefix of five bytes: whether it is compressed, and its
//! length (gRPC over HTTP/2, "Length-Prefixed-Message").

use crate::share::usual_part;
use crate::tokens::Caller;
use axum::body::{Body, Bytes};
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// Bytes of the prefix of a message.
const PREFIX_BYTES: usize = 5;
/// Messages up to this size need no memory of the budget: as many as there can be calls are small against it.
const FREE_BYTES: u64 = 16 << 10;
/// Largest number of bytes that one byte of deflate can unpack to (zlib, "Maximum Expansion Factor": 1032:1).
const INFLATION_MAX: u64 = 1032;
/// Bytes of one permit of the budget.
const PERMIT_BYTES: u64 = 1 << 10;

/// Memory for messages of all calls of a server.
#[derive(Clone, Debug)]
pub(crate) struct MessageMemory {
    permits: Arc<Semaphore>,
    budget: usize,
    /// Maximum size of a message after decompression, as the services enforce it.
    message_max: u64,
}

/// Memory that a message holds: its caller's and the server's.
type Charge = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

/// Memory of the message that a call is receiving or handling. The call keeps a clone until its response begins, since the library
/// drops the body as soon as it has the message.
pub(crate) type HeldMemory = Arc<Mutex<Option<Charge>>>;

/// Body of a request whose messages arrive in time and within the budget.
pub(crate) struct MessageBody {
    inner: Body,
    parser: PrefixParser,
    memory: MessageMemory,
    caller: Option<Arc<Caller>>,
    held: HeldMemory,
    /// Bytes that the memory in `held` covers.
    held_bytes: u64,
    /// Frame that waits for memory.
    waiting: Option<(Frame<Bytes>, u64, BoxFuture<'static, Charge>)>,
    time: Duration,
    /// Set while a message is due.
    due: Option<Pin<Box<Sleep>>>,
    /// The caller sends a stream: the next message may come after any time.
    is_stream: bool,
}

/// Parser of the prefixes in a body.
#[derive(Debug, Default)]
struct PrefixParser {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of `prefix` that have arrived.
    prefix_length: usize,
    /// Bytes of the current message that are still to come.
    missing: u64,
    /// Memory of the current message.
    need: u64,
}

impl MessageMemory {
    /// Creates a budget of `budget` bytes for messages of at most `message_max` bytes after decompression.
    pub(crate) fn new(budget: u64, message_max: usize) -> Self {
        let permits =
            usize::try_from(budget / PERMIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), budget: permits, message_max: message_max as u64 }
    }

    /// Returns the memory that a message needs.
    fn need(&self, is_compressed: bool, length: u64) -> u64 {
        let unpacked = if is_compressed { length.saturating_mul(INFLATION_MAX) } else { length };
        // A longer message is refused by the service once its prefix has arrived.
        let need = unpacked.min(self.message_max);
        if need <= FREE_BYTES { 0 } else { need }
    }

    /// Waits for memory: first for the caller's share, so that a caller waits for itself and not in the way of others.
    fn charge(&self, caller: Option<&Arc<Caller>>, bytes: u64) -> BoxFuture<'static, Charge> {
        let share = caller.map(|caller| Arc::clone(caller.holdings().memory(self.budget)));
        let all = Arc::clone(&self.permits);
        // One message always fits, alone.
        let permits = |available: usize| {
            u32::try_from((bytes / PERMIT_BYTES).min(available as u64)).unwrap_or(u32::MAX)
        };
        let (of_share, of_all) = (permits(usual_part(self.budget)), permits(self.budget));
        Box::pin(async move {
            let acquired = "the semaphore is never closed";
            let own = match share {
                Some(share) => Some(share.acquire_many_owned(of_share).await.expect(acquired)),
                None => None,
            };
            (own, all.acquire_many_owned(of_all).await.expect(acquired))
        })
    }
}

impl PrefixParser {
    /// Consumes bytes of the body; returns the most memory that a message with bytes among them needs.
    fn consume(&mut self, mut bytes: &[u8], memory: &MessageMemory) -> u64 {
        let mut most = if self.missing > 0 { self.need } else { 0 };
        while !bytes.is_empty() {
            if self.missing > 0 {
                let length = bytes.len().min(usize::try_from(self.missing).unwrap_or(usize::MAX));
                self.missing -= length as u64;
                bytes = &bytes[length..];
                continue;
            }
            let length = bytes.len().min(PREFIX_BYTES - self.prefix_length);
            self.prefix[self.prefix_length..][..length].copy_from_slice(&bytes[..length]);
            self.prefix_length += length;
            bytes = &bytes[length..];
            if self.prefix_length == PREFIX_BYTES {
                self.prefix_length = 0;
                let [flag, a, b, c, d] = self.prefix;
                self.missing = u32::from_be_bytes([a, b, c, d]).into();
                self.need = memory.need(flag != 0, self.missing);
                most = most.max(self.need);
            }
        }
        most
    }

    /// Returns whether a message has begun and not ended.
    fn is_within_message(&self) -> bool {
        self.missing > 0 || self.prefix_length > 0
    }
}

impl MessageBody {
    /// Wraps a body whose messages have `time` to arrive. Returns it with the memory that its call is to keep.
    pub(crate) fn new(
        inner: Body,
        memory: MessageMemory,
        caller: Option<Arc<Caller>>,
        time: Duration,
        is_stream: bool,
    ) -> (Self, HeldMemory) {
        let held = HeldMemory::default();
        // A single message is due at once. In a stream only a message that has begun is.
        let due = (!is_stream).then(|| Box::pin(tokio::time::sleep(time)));
        let body = Self {
            inner,
            parser: PrefixParser::default(),
            memory,
            caller,
            held: Arc::clone(&held),
            held_bytes: 0,
            waiting: None,
            time,
            due,
            is_stream,
        };
        (body, held)
    }

    /// Begins to take memory for a frame with messages that need `bytes`; `None` if what is held suffices.
    fn begin_charge(&mut self, bytes: u64) -> Option<BoxFuture<'static, Charge>> {
        if bytes == self.held_bytes {
            return None;
        }
        // The memory of the message before: it has been handed over, and the service bounds what it queues.
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.held_bytes = 0;
        (bytes > 0).then(|| self.memory.charge(self.caller.as_ref(), bytes))
    }

    /// Starts, keeps or stops the time of a message, after bytes of the body have arrived.
    fn update_due(&mut self) {
        match (self.parser.is_within_message(), &self.due) {
            (true, None) => self.due = Some(Box::pin(tokio::time::sleep_until(Instant::now() + self.time))),
            // A single message is due until the caller ends its side: the library waits for that too.
            (false, Some(_)) if self.is_stream => self.due = None,
            _ => {}
        }
    }

    /// Polls the time of the current message.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.due {
            Some(due) => {
                ready!(due.as_mut().poll(context));
                let status =
                    Status::deadline_exceeded("the message did not arrive within server.call_timeout");
                Poll::Ready(Some(Err(axum::Error::new(status))))
            }
            None => Poll::Pending,
        }
    }
}

impl HttpBody for MessageBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            if let Some((frame, bytes, mut charging)) = this.waiting.take() {
                let Poll::Ready(charge) = charging.as_mut().poll(context) else {
                    this.waiting = Some((frame, bytes, charging));
                    return this.poll_late(context);
                };
                *this.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(charge);
                this.held_bytes = bytes;
                this.update_due();
                return Poll::Ready(Some(Ok(frame)));
            }
            let frame = match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Pending => return this.poll_late(context),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(end) => return Poll::Ready(end),
            };
            let bytes = match frame.data_ref() {
                Some(data) => this.parser.consume(data, &this.memory),
                None => return Poll::Ready(Some(Ok(frame))),
            };
            match this.begin_charge(bytes) {
                Some(charging) => this.waiting = Some((frame, bytes, charging)),
                None => {
                    this.update_due();
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt, stream};
    use http_body_util::BodyExt;

    /// Longer than any test runs.
    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(30);

    fn message(is_compressed: bool, length: usize) -> Vec<u8> {
        let mut bytes = vec![u8::from(is_compressed)];
        bytes.extend_from_slice(&u32::try_from(length).expect("short").to_be_bytes());
        bytes.resize(PREFIX_BYTES + length, 7);
        bytes
    }

    /// Body that sends `chunks` and then nothing, without an end.
    fn endless(chunks: Vec<Vec<u8>>) -> Body {
        let sent = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, axum::Error>(Bytes::from(chunk))));
        Body::from_stream(sent.chain(stream::pending()))
    }

    fn body(chunks: Vec<Vec<u8>>, memory: &MessageMemory, is_stream: bool) -> (MessageBody, HeldMemory) {
        MessageBody::new(endless(chunks), memory.clone(), None, LONG, is_stream)
    }

    #[test]
    fn memory_is_needed_for_what_a_message_may_unpack_to() {
        let memory = MessageMemory::new(1 << 30, 8 << 20);
        let rows = [
            (false, 100, 0),
            (false, FREE_BYTES, 0),
            (false, FREE_BYTES + 1, FREE_BYTES + 1),
            (false, 4 << 30, 8 << 20),
            (true, 10, 0),
            (true, 1000, 1_032_000),
            (true, 8183, 8 << 20),
        ];
        for (is_compressed, length, need) in rows {
            assert_eq!(
                memory.need(is_compressed, length),
                need,
                "{length} bytes, compressed {is_compressed}"
            );
        }
    }

    #[test]
    fn the_parser_finds_every_message_however_the_body_is_cut() {
        let memory = MessageMemory::new(1 << 30, 8 << 20);
        let bytes =
            [message(false, 10), message(false, 20_000), message(true, 100), message(false, 0)].concat();
        for size in [1, 2, 5, 7, 1000, bytes.len()] {
            let mut parser = PrefixParser::default();
            let most = bytes.chunks(size).map(|chunk| parser.consume(chunk, &memory)).max();
            assert_eq!(most, Some(103_200), "in pieces of {size}");
            assert!(!parser.is_within_message(), "in pieces of {size}");
        }
        let mut parser = PrefixParser::default();
        parser.consume(&bytes[..3], &memory);
        assert!(parser.is_within_message(), "a prefix has begun");
    }

    #[tokio::test]
    async fn a_message_that_does_not_end_is_late_and_a_silent_stream_is_not() {
        let memory = MessageMemory::new(1 << 20, 1 << 20);
        let part = message(false, 100)[..50].to_vec();
        for (chunks, is_stream) in [(vec![], false), (vec![part.clone()], false), (vec![part], true)] {
            let (mut body, _held) = MessageBody::new(endless(chunks), memory.clone(), None, SHORT, is_stream);
            let start = Instant::now();
            let error = loop {
                match body.frame().await.expect("an error") {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(start.elapsed() >= SHORT);
            assert!(error.to_string().contains("server.call_timeout"), "{error}");
        }
        let sent = endless(vec![message(false, 100)]);
        let (mut quiet, _held) = MessageBody::new(sent, memory.clone(), None, SHORT, true);
        quiet.frame().await.expect("a frame").expect("the message");
        let waits = tokio::time::timeout(SHORT * 3, quiet.frame()).await;
        assert!(waits.is_err(), "no message is due");
    }

    #[tokio::test]
    async fn a_message_waits_for_the_memory_of_another_until_its_call_has_responded() {
        let memory = MessageMemory::new(1 << 20, 1 << 20);
        let large = || vec![message(false, 700 << 10)];
        let (mut first, held) = body(large(), &memory, false);
        first.frame().await.expect("a frame").expect("the message");
        let (mut second, _held) = body(large(), &memory, false);
        assert!(second.frame().now_or_never().is_none(), "the memory is taken");
        // The library drops the body with the message; the handler still works with it.
        drop(first);
        assert!(second.frame().now_or_never().is_none(), "the call has not responded");
        drop(held);
        second.frame().await.expect("a frame").expect("the message");
    }

    #[tokio::test]
    async fn a_stream_gives_memory_back_with_its_next_message() {
        let memory = MessageMemory::new(1 << 20, 1 << 20);
        let (mut body, _held) = body(vec![message(false, 700 << 10), message(false, 10)], &memory, true);
        body.frame().await.expect("a frame").expect("the large message");
        assert!(memory.permits.available_permits() < 400);
        body.frame().await.expect("a frame").expect("the small message");
        assert_eq!(memory.permits.available_permits(), 1024);
    }
}
