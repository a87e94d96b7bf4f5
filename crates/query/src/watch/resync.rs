//! Resync of a partition: BEGIN, all profiles as changes, END; then the changes since the position noted before the
//! first profile was read. Until END the token says that a resync is needed, so that an interrupted scan starts
//! again.

use super::deliver::{Delivery, name_of};
use super::outbox::SubscriptionEnd;
use super::position::CursorState;
use crate::read;
use portrait_profile::{Profile, Timestamp, UserId};
use portrait_proto::v1;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{Resync, ResyncPhase, ResyncReason};
use portrait_store::{FeedPosition, ScanCursor};

/// Resync of one partition in progress.
pub(super) struct ResyncScan {
    /// Index of the cursor.
    index: usize,
    reason: ResyncReason,
    /// End of the feed before the first profile was read. Changes during the scan are sent again after it, so that
    /// none is missed.
    from: FeedPosition,
    remaining: Remaining,
}

/// Remaining work of a resync.
enum Remaining {
    /// Every profile from this cursor on.
    All(Option<ScanCursor>),
    /// These users, in reverse order.
    Users(Vec<UserId>),
    /// Only the END marker.
    Nothing,
}

/// True if a step had work to do.
pub(super) type HasWork = bool;

/// Performs one step of a resync: BEGIN, a page, or END.
pub(super) async fn run_step(
    delivery: &mut Delivery,
    current: &mut Option<ResyncScan>,
) -> Result<HasWork, SubscriptionEnd> {
    let Some(mut scan) = current.take() else {
        *current = begin_next(delivery).await?;
        return Ok(current.is_some());
    };
    let (profiles, remaining) = page(delivery, &scan).await?;
    let read_time = delivery.shared.profile_now().await?;
    for profile in profiles.into_iter().filter(|profile| delivery.filter.matches_profile(profile)) {
        delivery.send(Kind::Change(profile_as_change(delivery, scan.index, &profile, read_time))).await?;
    }
    scan.remaining = remaining;
    if !matches!(scan.remaining, Remaining::Nothing) {
        *current = Some(scan);
        return Ok(true);
    }
    // Set before END is sent: the token of END must say that the partition is complete.
    delivery.cursors[scan.index].state = CursorState::At(scan.from);
    delivery.send(resync_marker(delivery, scan.index, ResyncPhase::End, scan.reason)).await?;
    Ok(true)
}

/// Begins the first resync that is needed.
async fn begin_next(delivery: &mut Delivery) -> Result<Option<ResyncScan>, SubscriptionEnd> {
    // One resync at a time bounds the memory of a subscription.
    let needed = delivery.cursors.iter().enumerate().find_map(|(index, cursor)| match cursor.state {
        CursorState::NeedsResync(reason) => Some((index, cursor.partition, reason)),
        CursorState::At(_) => None,
    });
    let Some((index, partition, reason)) = needed else { return Ok(None) };
    let meta = delivery.shared.store.meta(partition).await?;
    let from = FeedPosition { generation: meta.feed_generations.newest(), seq: meta.feed_end };
    delivery.shared.metrics.resync(reason);
    delivery.send(resync_marker(delivery, index, ResyncPhase::Begin, reason)).await?;
    let remaining = if delivery.filter.users.is_empty() {
        Remaining::All(None)
    } else {
        let partitions = delivery.shared.store.layout().partitions;
        let users =
            delivery.filter.users.iter().filter(|user_id| partitions.partition_of(user_id) == partition);
        Remaining::Users(users.cloned().collect())
    };
    Ok(Some(ResyncScan { index, reason, from, remaining }))
}

/// Returns the next profiles of a resync, and the remaining work.
async fn page(delivery: &Delivery, scan: &ResyncScan) -> Result<(Vec<Profile>, Remaining), SubscriptionEnd> {
    let partition = delivery.cursors[scan.index].partition;
    // The store may allow less than is configured; pages of 0 profiles would never end.
    let limit = delivery.shared.config.page_profiles.min(delivery.shared.store.limits().page_items).max(1);
    match &scan.remaining {
        Remaining::All(cursor) => {
            let page = delivery.shared.store.scan(partition, cursor.clone(), limit).await?;
            let decoded = page
                .profiles
                .iter()
                // The key is for the error only, which a damaged one must not hide.
                .map(|(key, value)| read::decoded(&String::from_utf8_lossy(&key.0), value));
            let profiles = decoded.collect::<Result<_, _>>()?;
            Ok((profiles, page.next.map_or(Remaining::Nothing, |next| Remaining::All(Some(next)))))
        }
        Remaining::Users(users) => {
            // Taken from the end: the remaining users need no copy of the front.
            let (rest, page) = users.split_at(users.len().saturating_sub(limit));
            let found = read::stored(&delivery.shared, partition, &page.iter().collect::<Vec<_>>()).await?;
            let remaining =
                if rest.is_empty() { Remaining::Nothing } else { Remaining::Users(rest.to_vec()) };
            Ok((found.into_iter().flatten().collect(), remaining))
        }
        Remaining::Nothing => Ok((Vec::new(), Remaining::Nothing)),
    }
}

fn profile_as_change(
    delivery: &Delivery,
    index: usize,
    profile: &Profile,
    read_time: Timestamp,
) -> v1::ProfileChange {
    v1::ProfileChange {
        user_id: profile.user_id().as_str().to_owned(),
        version: profile.version().get(),
        // The subscriber's copy is void: there is no segment before this one.
        segment_id_before: String::new(),
        segment_id_after: name_of(profile.segment().map(|membership| membership.segment_id)),
        deleted: false,
        profile: delivery
            .filter
            .include_profile
            .then(|| delivery.shared.profile_to_wire(profile.view_at(read_time))),
        partition: u32::from(delivery.cursors[index].partition.get()),
    }
}

fn resync_marker(delivery: &Delivery, index: usize, phase: ResyncPhase, reason: ResyncReason) -> Kind {
    let partition = u32::from(delivery.cursors[index].partition.get());
    Kind::Resync(Resync { partition, phase: phase.into(), reason: reason.into() })
}
