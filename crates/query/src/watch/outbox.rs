//! Response queue of one subscriber, bounded in number and bytes. Input: responses. Output: the stream that tonic
//! polls, which ends with a final status. A response that cannot be queued for too long ends the subscription.

use crate::context::QueryContext;
use crate::error::Error;
use futures::Stream;
use portrait_proto::v1::WatchProfileChangesResponse;
use portrait_runtime::share::Hold;
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
    responses: mpsc::Sender<QueuedResponse>,
    memory: Arc<Semaphore>,
    memory_bytes: u32,
    stall_timeout: Duration,
    closing: CancellationToken,
}

/// Sender of the final status of a subscription.
pub(super) type FinalStatus = oneshot::Sender<Status>;

/// Response stream of one subscription. It holds the permit: queued responses take memory as long as the stream
/// lives.
pub(crate) struct ResponseStream {
    responses: mpsc::Receiver<QueuedResponse>,
    final_status: Option<oneshot::Receiver<Status>>,
    _permit: SubscriptionPermit,
}

/// Permit of one subscription; counted as open until dropped.
pub(super) struct SubscriptionPermit {
    shared: Arc<QueryContext>,
    _permit: OwnedSemaphorePermit,
    /// Part of the caller's share; `None` where no token is required.
    _hold: Option<Hold>,
}

/// Reason that a subscription ended.
#[derive(Debug)]
pub(super) enum SubscriptionEnd {
    /// The subscriber has disconnected, so no status can be sent.
    Disconnected,
    /// The stream ends with this error as its status.
    Failed(Error),
}

struct QueuedResponse {
    response: WatchProfileChangesResponse,
    _permit: OwnedSemaphorePermit,
}

impl<E: Into<Error>> From<E> for SubscriptionEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl SubscriptionPermit {
    /// Acquires a permit; none if all are in use.
    pub(super) fn try_acquire(shared: &Arc<QueryContext>, hold: Option<Hold>) -> Option<Self> {
        let permit = Arc::clone(&shared.subscription_permits).try_acquire_owned().ok()?;
        shared.metrics.subscribers(1);
        Some(Self { shared: Arc::clone(shared), _permit: permit, _hold: hold })
    }
}

impl Drop for SubscriptionPermit {
    fn drop(&mut self) {
        self.shared.metrics.subscribers(-1);
    }
}

/// Creates the two ends of a response queue and the sender of the final status.
pub(super) fn open(
    shared: &QueryContext,
    permit: SubscriptionPermit,
) -> (Outbox, FinalStatus, ResponseStream) {
    let config = &shared.config;
    let (sender, receiver) = mpsc::channel(config.queue_responses);
    let (final_sender, final_receiver) = oneshot::channel();
    let outbox = Outbox {
        responses: sender,
        // A permit per byte travels with each response and is released when tonic takes it.
        memory: Arc::new(Semaphore::new(config.queue_bytes as usize)),
        memory_bytes: config.queue_bytes,
        stall_timeout: config.stall_timeout,
        closing: shared.closing.clone(),
    };
    (
        outbox,
        final_sender,
        ResponseStream { responses: receiver, final_status: Some(final_receiver), _permit: permit },
    )
}

impl Outbox {
    /// Queues a response as soon as there is space.
    pub(super) async fn send(&self, response: WatchProfileChangesResponse) -> Result<(), SubscriptionEnd> {
        // A response larger than the whole limit is queued alone rather than never.
        let bytes = u32::try_from(response.encoded_len()).unwrap_or(u32::MAX).min(self.memory_bytes);
        // Fast path: there is usually space, and the select below costs a timer.
        if let Ok(slot) = self.responses.try_reserve()
            && let Ok(permit) = Arc::clone(&self.memory).try_acquire_many_owned(bytes)
        {
            slot.send(QueuedResponse { response, _permit: permit });
            return Ok(());
        }
        let queued = async {
            let permit = Arc::clone(&self.memory)
                .acquire_many_owned(bytes)
                .await
                .map_err(|_| SubscriptionEnd::Disconnected)?;
            self.responses
                .send(QueuedResponse { response, _permit: permit })
                .await
                .map_err(|_| SubscriptionEnd::Disconnected)
        };
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err(Error::ShuttingDown.into()),
            // Checked before the queue: a dropped stream frees its memory, so the send would succeed into nothing.
            () = self.responses.closed() => Err(SubscriptionEnd::Disconnected),
            queued = timeout(self.stall_timeout, queued) => {
                queued.unwrap_or(Err(Error::SubscriberStalled { after: self.stall_timeout }.into()))
            }
        }
    }

    /// Waits until the subscriber has disconnected.
    pub(super) async fn closed(&self) {
        self.responses.closed().await;
    }

    /// Returns true if the subscriber has disconnected.
    pub(super) fn is_closed(&self) -> bool {
        self.responses.is_closed()
    }
}

impl Stream for ResponseStream {
    type Item = Result<WatchProfileChangesResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(queued) = ready!(self.responses.poll_recv(context)) {
            return Poll::Ready(Some(Ok(queued.response)));
        }
        let Some(final_status) = &mut self.final_status else { return Poll::Ready(None) };
        let status = ready!(Pin::new(final_status).poll(context));
        self.final_status = None;
        // A task that ended without a status has panicked; that must not look like a clean end.
        let status =
            status.unwrap_or_else(|_| Status::internal("internal error; the server log has the cause"));
        Poll::Ready(Some(Err(status)))
    }
}
