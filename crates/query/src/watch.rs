//! Change subscriptions. Input: a start and a filter. Output: a stream of changes, each with a token that resumes
//! after it.
//!
//! ```text
//! store ── read_feed ──> tail ──> ring ─┬─> subscriber ──> outbox ──> stream     one tail and one ring for each partition
//!   └────── what the ring has dropped ─ ┴─> subscriber ──> outbox ──> stream     one cursor for each of them
//! ```
//!
//! Subscribers pull: a slow one falls behind its ring and reads the store, where the backlog of one user is coalesced
//! to one change. No queue can grow without bound, and no tail waits for a subscriber.

mod deliver;
mod outbox;
mod position;
mod resync;
mod ring;
mod subscriber;
pub(crate) mod tail;
mod token;
mod filter;

pub(crate) use outbox::ResponseStream;
pub(crate) use position::WatchFrom;
pub(crate) use ring::ChangeRing;
pub(crate) use token::ResumeToken;
pub(crate) use filter::SubscriptionFilter;

use crate::context::QueryContext;
use crate::error::Error;
use outbox::SubscriptionPermit;
use std::sync::Arc;
use subscriber::Subscriber;

/// Starts a subscription: when this returns, its position in every feed is fixed.
pub(crate) async fn begin(shared: &Arc<QueryContext>, wish: SubscriptionFilter, start: WatchFrom) -> Result<ResponseStream, Error> {
    if shared.closing.is_cancelled() {
        return Err(Error::ShuttingDown);
    }
    let limit = shared.config.max_subscribers;
    let seat = SubscriptionPermit::try_acquire(shared).ok_or(Error::TooManySubscribers { limit })?;
    let cursors = position::find(shared, wish.shard, start).await?;
    let (outbox, last_word, answers) = outbox::open(shared, seat);
    let subscriber = Subscriber::new(Arc::clone(shared), wish, cursors, outbox);
    shared.tasks.spawn(subscriber.run(last_word));
    Ok(answers)
}
