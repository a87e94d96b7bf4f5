//! From a chunk of a feed to answers: of each user the newest change, of those that are wanted, with the profile if that is
//! wanted too. In come changes in order, out they go in order.

use super::outbox::Ended;
use super::position::State;
use super::ring::Change;
use super::subscriber::Subscriber;
use crate::read;
use portrait_profile::{Profile, ProfileChange, UserId};
use portrait_proto::v1;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_store::{FeedPosition, GenerationId};
use std::collections::HashSet;
use std::sync::Arc;

impl Subscriber {
    /// Sends a contiguous stretch of a partition's feed, and moves its cursor to the end of it.
    pub(super) async fn deliver(
        &mut self,
        index: usize,
        generation: GenerationId,
        changes: Vec<Change>,
    ) -> Result<(), Ended> {
        let Some(end) = changes.last().map(|change| change.seq) else { return Ok(()) };
        let (wanted, coalesced) = newest_of_each(changes, &self.wish.users);
        self.shared.metrics.coalesced(coalesced);
        for page in wanted.chunks(self.shared.config.page_profiles) {
            let profiles = self.profiles_of(index, page).await?;
            for (change, profile) in page.iter().zip(profiles) {
                // Users whose newest change comes later are not sent yet, and will be from here on.
                self.cursors[index].state = State::At(FeedPosition { generation, seq: change.seq });
                let answer = self.answer(index, &change.change, profile);
                self.send(Kind::Change(answer)).await?;
                let latency = self.shared.wall().since(change.change.accepted_at);
                self.shared.metrics.delivered(latency.millis());
            }
        }
        self.cursors[index].state = State::At(FeedPosition { generation, seq: end });
        Ok(())
    }

    /// The profiles of the changes of one page, as far as they are wanted and there.
    async fn profiles_of(&self, index: usize, page: &[Change]) -> Result<Vec<Option<v1::Profile>>, Ended> {
        if !self.wish.include_profile {
            return Ok(page.iter().map(|_| None).collect());
        }
        let partition = self.cursors[index].partition;
        let user_ids: Vec<&UserId> = page.iter().map(|change| &change.change.user_id).collect();
        let stored = read::stored(&self.shared, partition, &user_ids).await?;
        let moment = self.shared.moment().await?;
        let view = |profile: Option<Profile>| profile.map(|profile| profile.view_at(moment).into());
        Ok(stored.into_iter().map(view).collect())
    }

    fn answer(
        &self,
        index: usize,
        change: &Arc<ProfileChange>,
        profile: Option<v1::Profile>,
    ) -> v1::ProfileChange {
        // A profile that is wanted and no longer there was deleted by a later change, which will follow. One that is there
        // although this change deleted it was made anew by a later one.
        let deleted = change.deleted || (self.wish.include_profile && profile.is_none());
        let profile = profile.filter(|_| !deleted);
        let version = profile.as_ref().map_or(change.version.get(), |profile| profile.version);
        v1::ProfileChange {
            user_id: change.user_id.as_str().to_owned(),
            version,
            deleted,
            profile,
            partition: u32::from(self.cursors[index].partition.get()),
        }
    }
}

/// Of each wanted user the newest change, in the order of the feed, and how many gave way to them.
fn newest_of_each(mut changes: Vec<Change>, users: &HashSet<UserId>) -> (Vec<Change>, usize) {
    if !users.is_empty() {
        changes.retain(|change| users.contains(&change.change.user_id));
    }
    let wanted = changes.len();
    let mut known = HashSet::with_capacity(wanted);
    let is_newest: Vec<bool> =
        changes.iter().rev().map(|change| known.insert(change.change.user_id.clone())).collect();
    let mut is_newest = is_newest.into_iter().rev();
    changes.retain(|_| is_newest.next().unwrap_or(true));
    let coalesced = wanted - changes.len();
    (changes, coalesced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::{ProfileVersion, Timestamp};
    use portrait_store::FeedSeq;

    fn changes(users: &str) -> Vec<Change> {
        let change = |(index, user): (usize, char)| Change {
            seq: FeedSeq::new(index as u64 + 1),
            change: Arc::new(ProfileChange {
                user_id: UserId::parse(&user.to_string()).expect("an id"),
                version: ProfileVersion::default(),
                deleted: false,
                accepted_at: Timestamp::EPOCH,
            }),
            bytes: 1,
        };
        users.chars().enumerate().map(change).collect()
    }

    #[test]
    fn the_newest_change_of_each_wanted_user_remains_in_order() {
        let rows = [
            ("", "", "", 0),
            ("abc", "", "a1 b2 c3", 0),
            ("abacab", "", "c4 a5 b6", 3),
            ("aaaa", "", "a4", 3),
            ("abacab", "bc", "c4 b6", 1),
            ("abacab", "x", "", 0),
        ];
        for (feed, users, expected, coalesced) in rows {
            let users = users.chars().map(|user| UserId::parse(&user.to_string()).expect("an id")).collect();
            let (newest, gone) = newest_of_each(changes(feed), &users);
            let text: Vec<String> =
                newest.iter().map(|change| format!("{}{}", change.change.user_id, change.seq)).collect();
            assert_eq!((text.join(" ").as_str(), gone), (expected, coalesced), "{feed}");
        }
    }
}
