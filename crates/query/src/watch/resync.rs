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
    rest: Remaining,
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
pub(super) async fn scan_on(delivery: &mut Delivery, under_way: &mut Option<ResyncScan>) -> Result<HasWork, SubscriptionEnd> {
    let Some(mut scan) = under_way.take() else {
        *under_way = scan_next(delivery).await?;
        return Ok(under_way.is_some());
    };
    let (profiles, rest) = page(delivery, &scan).await?;
    let moment = delivery.shared.profile_now().await?;
    for profile in profiles.into_iter().filter(|profile| delivery.filter.matches_profile(profile)) {
        delivery.send(Kind::Change(as_change(delivery, scan.index, &profile, moment))).await?;
    }
    scan.rest = rest;
    if !matches!(scan.rest, Remaining::Nothing) {
        *under_way = Some(scan);
        return Ok(true);
    }
    delivery.cursors[scan.index].state = CursorState::At(scan.from);
    delivery.send(resync_marker(delivery, scan.index, ResyncPhase::End, scan.reason)).await?;
    Ok(true)
}

/// Begins the first resync that is needed.
async fn scan_next(delivery: &mut Delivery) -> Result<Option<ResyncScan>, SubscriptionEnd> {
    let owed = delivery.cursors.iter().enumerate().find_map(|(index, cursor)| match cursor.state {
        CursorState::NeedsResync(reason) => Some((index, cursor.partition, reason)),
        CursorState::At(_) => None,
    });
    let Some((index, partition, reason)) = owed else { return Ok(None) };
    let meta = delivery.shared.store.meta(partition).await?;
    let from = FeedPosition { generation: meta.feed_generations.newest(), seq: meta.feed_end };
    delivery.shared.metrics.resync(reason);
    delivery.send(resync_marker(delivery, index, ResyncPhase::Begin, reason)).await?;
    let rest = if delivery.filter.users.is_empty() {
        Remaining::All(None)
    } else {
        let partitions = delivery.shared.store.layout().partitions;
        let here = |user_id: &&UserId| partitions.partition_of(user_id) == partition;
        Remaining::Users(delivery.filter.users.iter().filter(here).cloned().collect())
    };
    Ok(Some(ResyncScan { index, reason, from, rest }))
}

/// Returns the next profiles of a resync, and the remaining work.
async fn page(delivery: &Delivery, scan: &ResyncScan) -> Result<(Vec<Profile>, Remaining), SubscriptionEnd> {
    let partition = delivery.cursors[scan.index].partition;
    let most = delivery.shared.config.page_profiles.min(delivery.shared.store.limits().page_items).max(1);
    match &scan.rest {
        Remaining::All(cursor) => {
            let page = delivery.shared.store.scan(partition, cursor.clone(), most).await?;
            let decoded = page
                .profiles
                .iter()
                .map(|(key, value)| read::decoded(&String::from_utf8_lossy(&key.0), value));
            let profiles = decoded.collect::<Result<_, _>>()?;
            Ok((profiles, page.next.map_or(Remaining::Nothing, |next| Remaining::All(Some(next)))))
        }
        Remaining::Users(users) => {
            // Taken from the end: the remaining users need no copy of the front.
            let (left, page) = users.split_at(users.len().saturating_sub(most));
            let found = read::stored(&delivery.shared, partition, &page.iter().collect::<Vec<_>>()).await?;
            let rest = if left.is_empty() { Remaining::Nothing } else { Remaining::Users(left.to_vec()) };
            Ok((found.into_iter().flatten().collect(), rest))
        }
        Remaining::Nothing => Ok((Vec::new(), Remaining::Nothing)),
    }
}

fn as_change(delivery: &Delivery, index: usize, profile: &Profile, moment: Timestamp) -> v1::ProfileChange {
    v1::ProfileChange {
        user_id: profile.user_id().as_str().to_owned(),
        version: profile.version().get(),
        segment_id_before: String::new(),
        segment_id_after: name_of(profile.segment().map(|held| held.segment_id)),
        deleted: false,
        profile: delivery.filter.include_profile.then(|| delivery.shared.profile_to_wire(profile.view_at(moment))),
        partition: u32::from(delivery.cursors[index].partition.get()),
    }
}

fn resync_marker(delivery: &Delivery, index: usize, phase: ResyncPhase, reason: ResyncReason) -> Kind {
    let partition = u32::from(delivery.cursors[index].partition.get());
    Kind::Resync(Resync { partition, phase: phase.into(), reason: reason.into() })
}
