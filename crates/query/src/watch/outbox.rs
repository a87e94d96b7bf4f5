//! Response queue of one subscriber, bounded in number and bytes. Input: responses. Output: the stream that tonic
//! polls, which ends with a final status. A response that cannot be queued for too long ends the subscription.

use crate::context::Shared;
use crate::error::Error;
use futures::Stream;
use portrait_proto::v1::WatchProfileChangesResponse;
use prost::Message;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Sending end of the response queue.
pub(super) struct Outbox {
    answers: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    room_bytes: u32,
    stuck_after: Duration,
    closing: CancellationToken,
}

/// Sender of the final status of a subscription.
pub(super) type LastWord = oneshot::Sender<Status>;

/// Response stream of one subscription. It holds the permit: queued responses take memory as long as the stream
/// lives.
pub(crate) struct Answers {
    answers: mpsc::Receiver<Waiting>,
    last_word: Option<oneshot::Receiver<Status>>,
    _seat: Seat,
}

/// Permit of one subscription; counted as open until dropped.
pub(super) struct Seat {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

/// Reason that a subscription ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The subscriber has disconnected, so no status can be sent.
    Gone,
    /// The stream ends with this error as its status.
    Failed(Error),
}

struct Waiting {
    answer: WatchProfileChangesResponse,
    _room: OwnedSemaphorePermit,
}

impl<E: Into<Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Seat {
    /// Acquires a permit; none if all are in use.
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let permit = Arc::clone(&shared.seats).try_acquire_owned().ok()?;
        shared.metrics.subscribers(1);
        Some(Self { shared: Arc::clone(shared), _permit: permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.metrics.subscribers(-1);
    }
}

/// Creates the two ends of a response queue and the sender of the final status.
pub(super) fn open(shared: &Shared, seat: Seat) -> (Outbox, LastWord, Answers) {
    let config = &shared.config;
    let (sender, receiver) = mpsc::channel(config.queue_answers);
    let (last_word, last_heard) = oneshot::channel();
    let outbox = Outbox {
        answers: sender,
        room: Arc::new(Semaphore::new(config.queue_bytes as usize)),
        room_bytes: config.queue_bytes,
        stuck_after: config.stuck_after,
        closing: shared.closing.clone(),
    };
    (outbox, last_word, Answers { answers: receiver, last_word: Some(last_heard), _seat: seat })
}

impl Outbox {
    /// Queues a response as soon as there is space.
    pub(super) async fn send(&self, answer: WatchProfileChangesResponse) -> Result<(), Ended> {
        // A response larger than the whole limit is queued alone rather than never.
        let bytes = u32::try_from(answer.encoded_len()).unwrap_or(u32::MAX).min(self.room_bytes);
        // Fast path: there is usually space, and the select below costs a timer.
        if let Ok(slot) = self.answers.try_reserve()
            && let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes)
        {
            slot.send(Waiting { answer, _room: room });
            return Ok(());
        }
        let queued = async {
            let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Ended::Gone)?;
            self.answers.send(Waiting { answer, _room: room }).await.map_err(|_| Ended::Gone)
        };
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err(Error::ShuttingDown.into()),
            // Checked before the queue: a dropped stream frees its memory, so the send would succeed into nothing.
            () = self.answers.closed() => Err(Ended::Gone),
            queued = timeout(self.stuck_after, queued) => {
                queued.unwrap_or(Err(Error::Stuck { after: self.stuck_after }.into()))
            }
        }
    }

    /// Waits until the subscriber has disconnected.
    pub(super) async fn closed(&self) {
        self.answers.closed().await;
    }

    /// Returns true if the subscriber has disconnected.
    pub(super) fn is_closed(&self) -> bool {
        self.answers.is_closed()
    }
}

impl Stream for Answers {
    type Item = Result<WatchProfileChangesResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(waiting) = ready!(self.answers.poll_recv(context)) {
            return Poll::Ready(Some(Ok(waiting.answer)));
        }
        let Some(last_word) = &mut self.last_word else { return Poll::Ready(None) };
        let status = ready!(Pin::new(last_word).poll(context));
        self.last_word = None;
        // A task that ended without a status has panicked; that must not look like a clean end.
        let status =
            status.unwrap_or_else(|_| Status::internal("internal error; the server log has the cause"));
        Poll::Ready(Some(Err(status)))
    }
}
