//! Resync of a partition: BEGIN, all profiles as changes, END; then the changes since the position noted before the
//! first profile was read. Until END the token says that a resync is needed, so that an interrupted scan starts
//! again.

use super::deliver::{Delivery, name_of};
use super::outbox::Ended;
use super::position::State;
use crate::read;
use portrait_profile::{Profile, Timestamp, UserId};
use portrait_proto::v1;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{Resync, ResyncPhase, ResyncReason};
use portrait_store::{FeedPosition, ScanCursor};

/// Resync in progress.
pub(super) struct Scan {
    /// Index of the cursor.
    index: usize,
    reason: ResyncReason,
    /// End of the feed before the first profile was read. Changes during the scan are sent again after it, so that
    /// none is missed.
    from: FeedPosition,
    rest: Rest,
}

/// Remaining work of a resync.
enum Rest {
    /// Every profile from this cursor on.
    All(Option<ScanCursor>),
    /// These users, in reverse order.
    Users(Vec<UserId>),
    /// Only the END marker.
    Nothing,
}

/// True if a step had work to do.
pub(super) type Busy = bool;

/// Performs one step of a resync: BEGIN, a page, or END.
pub(super) async fn scan_on(delivery: &mut Delivery, under_way: &mut Option<Scan>) -> Result<Busy, Ended> {
    let Some(mut scan) = under_way.take() else {
        *under_way = scan_next(delivery).await?;
        return Ok(under_way.is_some());
    };
    let (profiles, rest) = page(delivery, &scan).await?;
    let moment = delivery.shared.moment().await?;
    for profile in profiles.into_iter().filter(|profile| delivery.wish.concerns(profile)) {
        delivery.send(Kind::Change(as_change(delivery, scan.index, &profile, moment))).await?;
    }
    scan.rest = rest;
    if !matches!(scan.rest, Rest::Nothing) {
        *under_way = Some(scan);
        return Ok(true);
    }
    delivery.cursors[scan.index].state = State::At(scan.from);
    delivery.send(mark(delivery, scan.index, ResyncPhase::End, scan.reason)).await?;
    Ok(true)
}

/// Begins the first resync that is needed.
async fn scan_next(delivery: &mut Delivery) -> Result<Option<Scan>, Ended> {
    let owed = delivery.cursors.iter().enumerate().find_map(|(index, cursor)| match cursor.state {
        State::Owed(reason) => Some((index, cursor.partition, reason)),
        State::At(_) => None,
    });
    let Some((index, partition, reason)) = owed else { return Ok(None) };
    let meta = delivery.shared.store.meta(partition).await?;
    let from = FeedPosition { generation: meta.feed_generations.newest(), seq: meta.feed_end };
    delivery.shared.metrics.resync(reason);
    delivery.send(mark(delivery, index, ResyncPhase::Begin, reason)).await?;
    let rest = if delivery.wish.users.is_empty() {
        Rest::All(None)
    } else {
        let partitions = delivery.shared.store.layout().partitions;
        let here = |user_id: &&UserId| partitions.partition_of(user_id) == partition;
        Rest::Users(delivery.wish.users.iter().filter(here).cloned().collect())
    };
    Ok(Some(Scan { index, reason, from, rest }))
}

/// Returns the next profiles of a resync, and the remaining work.
async fn page(delivery: &Delivery, scan: &Scan) -> Result<(Vec<Profile>, Rest), Ended> {
    let partition = delivery.cursors[scan.index].partition;
    let most = delivery.shared.config.page_profiles.min(delivery.shared.store.limits().page_items).max(1);
    match &scan.rest {
        Rest::All(cursor) => {
            let page = delivery.shared.store.scan(partition, cursor.clone(), most).await?;
            let decoded = page
                .profiles
                .iter()
                .map(|(key, value)| read::decoded(&String::from_utf8_lossy(&key.0), value));
            let profiles = decoded.collect::<Result<_, _>>()?;
            Ok((profiles, page.next.map_or(Rest::Nothing, |next| Rest::All(Some(next)))))
        }
        Rest::Users(users) => {
            // Taken from the end: the remaining users need no copy of the front.
            let (left, page) = users.split_at(users.len().saturating_sub(most));
            let found = read::stored(&delivery.shared, partition, &page.iter().collect::<Vec<_>>()).await?;
            let rest = if left.is_empty() { Rest::Nothing } else { Rest::Users(left.to_vec()) };
            Ok((found.into_iter().flatten().collect(), rest))
        }
        Rest::Nothing => Ok((Vec::new(), Rest::Nothing)),
    }
}

fn as_change(delivery: &Delivery, index: usize, profile: &Profile, moment: Timestamp) -> v1::ProfileChange {
    v1::ProfileChange {
        user_id: profile.user_id().as_str().to_owned(),
        version: profile.version().get(),
        segment_id_before: String::new(),
        segment_id_after: name_of(profile.segment().map(|held| held.segment_id)),
        deleted: false,
        profile: delivery.wish.include_profile.then(|| delivery.shared.told(profile.view_at(moment))),
        partition: u32::from(delivery.cursors[index].partition.get()),
    }
}

fn mark(delivery: &Delivery, index: usize, phase: ResyncPhase, reason: ResyncReason) -> Kind {
    let partition = u32::from(delivery.cursors[index].partition.get());
    Kind::Resync(Resync { partition, phase: phase.into(), reason: reason.into() })
}
