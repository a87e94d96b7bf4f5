//! Sends a partition as a whole: BEGIN, all its profiles as changes, END; then the changes since the place that was noted
//! before the first profile was read. Until the end was sent the token says that the partition is owed, so that a scan that
//! was cut is done again.

use super::deliver::name_of;
use super::outbox::Ended;
use super::position::State;
use super::subscriber::{Busy, Subscriber};
use crate::read;
use portrait_profile::{Profile, Timestamp, UserId};
use portrait_proto::v1;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{Resync, ResyncPhase, ResyncReason};
use portrait_store::{FeedPosition, ScanCursor};

/// A partition that is being sent.
pub(super) struct Scan {
    /// Its cursor's index.
    index: usize,
    reason: ResyncReason,
    /// The end of the feed before the first profile was read.
    from: FeedPosition,
    rest: Rest,
}

/// What is still to be sent.
enum Rest {
    /// Every profile from there on.
    All(Option<ScanCursor>),
    /// These users, the next one last.
    Users(Vec<UserId>),
    /// Nothing but the end.
    Nothing,
}

impl Subscriber {
    /// One step of sending what is owed: a begin, a page, or an end.
    pub(super) async fn scan_on(&mut self) -> Result<Busy, Ended> {
        let Some(mut scan) = self.scan.take() else { return self.scan_next().await };
        let (profiles, rest) = self.page(&scan).await?;
        let moment = self.shared.moment().await?;
        for profile in profiles.into_iter().filter(|profile| self.wish.concerns(profile)) {
            self.send(Kind::Change(self.as_change(scan.index, &profile, moment))).await?;
        }
        scan.rest = rest;
        if !matches!(scan.rest, Rest::Nothing) {
            self.scan = Some(scan);
            return Ok(true);
        }
        self.cursors[scan.index].state = State::At(scan.from);
        self.send(self.mark(scan.index, ResyncPhase::End, scan.reason)).await?;
        Ok(true)
    }

    /// Begins with the first partition that is owed.
    async fn scan_next(&mut self) -> Result<Busy, Ended> {
        let owed = self.cursors.iter().enumerate().find_map(|(index, cursor)| match cursor.state {
            State::Owed(reason) => Some((index, cursor.partition, reason)),
            State::At(_) => None,
        });
        let Some((index, partition, reason)) = owed else { return Ok(false) };
        let meta = self.shared.store.meta(partition).await?;
        let from = FeedPosition { generation: meta.feed_generations.newest(), seq: meta.feed_end };
        self.shared.metrics.resync(reason);
        self.send(self.mark(index, ResyncPhase::Begin, reason)).await?;
        let rest = if self.wish.users.is_empty() {
            Rest::All(None)
        } else {
            let partitions = self.shared.store.layout().partitions;
            let here = |user_id: &&UserId| partitions.partition_of(user_id) == partition;
            Rest::Users(self.wish.users.iter().filter(here).cloned().collect())
        };
        self.scan = Some(Scan { index, reason, from, rest });
        Ok(true)
    }

    /// The next profiles of a scan, and what is left after them.
    async fn page(&self, scan: &Scan) -> Result<(Vec<Profile>, Rest), Ended> {
        let partition = self.cursors[scan.index].partition;
        let most = self.shared.config.page_profiles.min(self.shared.store.limits().page_items).max(1);
        match &scan.rest {
            Rest::All(cursor) => {
                let page = self.shared.store.scan(partition, cursor.clone(), most).await?;
                let decoded = page
                    .profiles
                    .iter()
                    .map(|(key, value)| read::decoded(&String::from_utf8_lossy(&key.0), value));
                let profiles = decoded.collect::<Result<_, _>>()?;
                Ok((profiles, page.next.map_or(Rest::Nothing, |next| Rest::All(Some(next)))))
            }
            Rest::Users(users) => {
                let (left, page) = users.split_at(users.len().saturating_sub(most));
                let found = read::stored(&self.shared, partition, &page.iter().collect::<Vec<_>>()).await?;
                let rest = if left.is_empty() { Rest::Nothing } else { Rest::Users(left.to_vec()) };
                Ok((found.into_iter().flatten().collect(), rest))
            }
            Rest::Nothing => Ok((Vec::new(), Rest::Nothing)),
        }
    }

    fn as_change(&self, index: usize, profile: &Profile, moment: Timestamp) -> v1::ProfileChange {
        v1::ProfileChange {
            user_id: profile.user_id().as_str().to_owned(),
            version: profile.version().get(),
            segment_id_before: String::new(),
            segment_id_after: name_of(profile.segment().map(|held| held.segment_id)),
            deleted: false,
            profile: self.wish.include_profile.then(|| self.shared.told(profile.view_at(moment))),
            partition: u32::from(self.cursors[index].partition.get()),
        }
    }

    fn mark(&self, index: usize, phase: ResyncPhase, reason: ResyncReason) -> Kind {
        let partition = u32::from(self.cursors[index].partition.get());
        Kind::Resync(Resync { partition, phase: phase.into(), reason: reason.into() })
    }
}
