//! Change subscriptions. Input: a start and a filter. Output: a stream of changes, each with a token that resumes
//! after it.
//!
//! ```text
//! store ── read_feed ──> tail ──> ring ─┬─> subscriber ──> outbox ──> stream     one tail and one ring for each partition
//!   └────── what the ring has dropped ──┴─> subscriber ──> outbox ──> stream     one cursor for each of them
//! ```
//!
//! Subscribers pull: a slow one falls behind its ring and reads the store, where the backlog of one user is coalesced
//! to one change. No queue can grow without bound, and no tail waits for a subscriber.

mod deliver;
mod filter;
mod outbox;
mod position;
mod resync;
pub(crate) mod ring;
mod subscriber;
pub(crate) mod tail;
mod token;

pub(crate) use filter::SubscriptionFilter;
pub(crate) use outbox::ResponseStream;
pub(crate) use position::WatchFrom;
pub(crate) use token::ResumeToken;

use crate::context::QueryContext;
use crate::error::Error;
use outbox::SubscriptionPermit;
use portrait_runtime::share::Holding;
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use subscriber::Subscriber;

/// Starts a subscription: when this returns, its position in every feed is fixed.
pub(crate) async fn begin(
    shared: &Arc<QueryContext>,
    caller: Option<&Caller>,
    filter: SubscriptionFilter,
    start: WatchFrom,
) -> Result<ResponseStream, Error> {
    if shared.closing.is_cancelled() {
        return Err(Error::ShuttingDown);
    }
    let limit = shared.config.max_subscribers;
    // The caller's share first: its own excess must not take the last place.
    let hold = caller.map(|caller| caller.hold(Holding::Subscriptions, limit)).transpose()?;
    // Refused rather than queued: a waiting subscriber would miss changes without knowing.
    let permit = SubscriptionPermit::try_acquire(shared, hold).ok_or(Error::TooManySubscribers { limit })?;
    // Positions are fixed before the call returns: a change committed after it is never missed.
    let cursors = position::find(shared, filter.shard, start).await?;
    let (outbox, final_status, responses) = outbox::open(shared, permit);
    let subscriber = Subscriber::new(Arc::clone(shared), filter, cursors, outbox);
    shared.tasks.spawn(subscriber.run(final_status));
    Ok(responses)
}
