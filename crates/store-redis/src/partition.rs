//! State of a partition in the server's hash and in the form of the contract; and its leases.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::keys::TaggedKeys;
use super::options::LeaseClock;
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use portrait_store::backend::log_size::LogSize;
use portrait_store::{
    Acquisition, CommitNo, Counters, Epoch, Error, FeedSeq, GenerationId, Generations, LeaseClaim,
    LeaseToken, LogSeq, Nonce, PartitionMeta, Result,
};
use redis::Value;
use std::sync::Arc;

/// Fields of the hash in the order in which they are read. The names are stored and stay as they are; `home` holds the incarnation
/// of the server that wrote last.
const FIELDS: [&str; 21] = [
    "home",
    "generations",
    "token",
    "commit_no",
    "applied",
    "log_end",
    "log_trimmed",
    "log_bytes",
    "log_bytes_from",
    "log_bytes_end",
    "feed_end",
    "feed_trimmed",
    "clock",
    "c_applied",
    "c_duplicates",
    "c_dead",
    "c_late",
    "c_blocked",
    "c_sourced",
    "note",
    "holder",
];

/// Action on a lease.
#[derive(Clone, Copy, Debug)]
pub(super) enum LeaseAction<'a> {
    Acquire(&'a LeaseClaim),
    Renew(LeaseToken),
    Release(LeaseToken),
}

/// Returns the stored form of a token: epoch, colon, nonce as 32 hexadecimal digits.
pub(super) fn token_text(token: LeaseToken) -> String {
    format!("{}:{:032x}", token.epoch, token.nonce.get())
}

/// Parses a stored token.
pub(super) fn read_token(text: &str) -> Result<LeaseToken, UnexpectedReply> {
    let (epoch, nonce) = text.split_once(':').ok_or(UnexpectedReply("a token"))?;
    let epoch = epoch.parse().map_err(|_| UnexpectedReply("a token"))?;
    Ok(LeaseToken { epoch: Epoch::new(epoch), nonce: read_nonce(nonce)? })
}

/// Parses a stored nonce.
pub(super) fn read_nonce(text: &str) -> Result<Nonce, UnexpectedReply> {
    u128::from_str_radix(text, 16).map(Nonce::new).map_err(|_| UnexpectedReply("a nonce"))
}

/// Returns the stored form of a new nonce, for a generation that may begin now.
pub(super) fn fresh_nonce() -> String {
    format!("{:032x}", Nonce::random().get())
}

impl RedisStore {
    /// Returns the state of a partition, with a generation of the server's current incarnation.
    pub(super) async fn read_meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        let tagged = self.keys.partition(partition);
        let meta = tagged.key("meta");
        let mut command = redis::cmd("HMGET");
        command.arg(&meta[..]).arg(&FIELDS);
        let request = Request::Command(command);
        let mut state =
            ReplyFields::of(self.cluster.request(tagged.slot, &request, WriteConcern::Read).await?, "HMGET")?;
        let owner_incarnation = state.text()?;
        // The server restarted or was promoted since the last write: readers must see the new generation before any later record.
        if !self.cluster.is_current(tagged.slot, &owner_incarnation) {
            self.begin_generation(partition, owner_incarnation.is_empty()).await?;
            state = ReplyFields::of(
                self.cluster.request(tagged.slot, &request, WriteConcern::Read).await?,
                "HMGET",
            )?;
            state.value()?;
        }
        self.identity.has_data(partition);
        Ok(read_state(&mut state)?)
    }

    /// Returns the newest applied record of a partition, without the rest of the state.
    pub(super) async fn read_applied(&self, partition: PartitionId) -> Result<LogSeq> {
        let tagged = self.keys.partition(partition);
        let found = self.fields(tagged.slot, &tagged.key("meta"), [&b"applied"[..]]).await?;
        let applied = found.into_iter().next().flatten().unwrap_or_default();
        let applied = std::str::from_utf8(&applied).ok().filter(|applied| !applied.is_empty());
        let applied =
            applied.map(|applied| applied.parse().map_err(|_| UnexpectedReply("a position"))).transpose()?;
        Ok(LogSeq::new(applied.unwrap_or_default()))
    }

    /// Makes sure that the process has seen the partition with data, so that a write to one without is a loss and not a beginning.
    pub(super) async fn ensure_known(&self, partition: PartitionId) -> Result<()> {
        if self.identity.is_known(partition) {
            return Ok(());
        }
        let _turn = self.identity.first_use(partition).await;
        if !self.identity.is_known(partition) {
            self.read_meta(partition).await?;
        }
        Ok(())
    }

    /// Begins a generation if the partition has none of the server's current incarnation. A partition without data is compared with
    /// what is known of the store first; a server that restarted empty then gets the layout again, unless an id is required.
    pub(super) async fn begin_generation(&self, partition: PartitionId, is_empty: bool) -> Result<()> {
        if is_empty {
            self.identity.verify_empty(partition).await?;
        }
        let tagged = self.keys.partition(partition);
        let call = ScriptCall::new(&scripts::BEGIN_GENERATION, vec![tagged.key("meta")]).arg(fresh_nonce());
        self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await.map(|_| ())
    }

    /// Acts on a partition's lease; renewals and releases are allowed if they return `Acquired`.
    pub(super) async fn lease(
        &self,
        partition: PartitionId,
        action: LeaseAction<'_>,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        self.ensure_known(partition).await?;
        let tagged = self.keys.partition(partition);
        // Absent twice only if the data is lost again in between.
        for _ in 0..2 {
            let changed = self.change_lease(&tagged, "meta", fresh_nonce(), action, ttl, now).await?;
            if let Some(acquisition) = changed {
                return Ok(acquisition);
            }
            self.begin_generation(partition, true).await?;
        }
        Err(Error::Unavailable(None))
    }

    /// Acts on the training lease as [`Self::lease`] does on a partition's.
    pub(super) async fn training(
        &self,
        action: LeaseAction<'_>,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        // The registry is stored by a trainer's token and not by positions, so it has no generations.
        let tagged = self.keys.models();
        let changed = self.change_lease(&tagged, "registry", String::new(), action, ttl, now).await?;
        Ok(changed.ok_or(UnexpectedReply("a lease"))?)
    }

    /// Returns none for a partition without data.
    async fn change_lease(
        &self,
        tagged: &TaggedKeys,
        key: &str,
        generation: String,
        action: LeaseAction<'_>,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Option<Acquisition>> {
        let (action, holder, claim) = match action {
            LeaseAction::Acquire(claim) => ("acquire", format!("{:032x}", claim.nonce.get()), Some(claim)),
            LeaseAction::Renew(token) => ("renew", token_text(token), None),
            LeaseAction::Release(token) => ("release", token_text(token), None),
        };
        // An empty argument makes the script use the server's clock.
        let clock = match self.lease_clock {
            LeaseClock::Server => String::new(),
            LeaseClock::Caller => now.millis().to_string(),
        };
        let call = ScriptCall::new(&scripts::LEASE, vec![tagged.key(key)]);
        let mut call = call.arg(action).arg(generation).arg(holder).number(ttl.millis()).arg(clock);
        if let Some(claim) = claim {
            call = call.arg(claim.name.as_bytes().to_vec()).number(u8::from(claim.takes_back));
        }
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        let mut reply = ReplyFields::of(reply, "a lease")?;
        match reply.text()?.as_str() {
            "acquired" => Ok(Some(Acquisition::Acquired(read_token(&reply.text()?)?))),
            "held" => Ok(Some(Acquisition::Held { by: known_name(reply.text()?) })),
            "absent" => Ok(None),
            _ => Err(UnexpectedReply("a lease").into()),
        }
    }
}

/// Reads the values after the first of [`FIELDS`].
fn read_state(state: &mut ReplyFields) -> Result<PartitionMeta, UnexpectedReply> {
    let (log_generations, feed_generations) = read_generations(&state.text()?)?;
    let token = state.text()?;
    // The field does not exist before the first owner.
    let token = if token.is_empty() { None } else { Some(read_token(&token)?) };
    let commit_no = CommitNo::new(state.number()?);
    let applied_through = LogSeq::new(state.number()?);
    let log_end = LogSeq::new(state.number()?);
    let log_trimmed = LogSeq::new(state.number()?);
    let log_size = LogSize { bytes: state.number()?, from: state.number()?, end: state.number()? };
    let mut meta = PartitionMeta {
        token,
        holder: None,
        commit_no,
        applied_through,
        log_end,
        log_first: log_trimmed.next(),
        log_bytes: log_size.of(log_trimmed.get(), log_end.get()),
        log_generations,
        feed_end: FeedSeq::new(state.number()?),
        feed_first: FeedSeq::new(state.number()?).next(),
        feed_generations,
        clock: Timestamp::from_millis(state.number()?),
        counters: Counters {
            applied: state.number()?,
            duplicates: state.number()?,
            dead_letters: state.number()?,
            late: state.number()?,
            blocked: state.number()?,
            sourced: state.number()?,
        },
        note: state.bytes()?.unwrap_or_default(),
    };
    meta.holder = read_holder(&state.text()?, token);
    Ok(meta)
}

/// Parses generations: `(nonce:first record:first change;)*`.
fn read_generations(text: &str) -> Result<(Generations<LogSeq>, Generations<FeedSeq>), UnexpectedReply> {
    const NAME: &str = "a list of generations";
    let mut read: Option<(Generations<LogSeq>, Generations<FeedSeq>)> = None;
    for generation in text.split_terminator(';') {
        let mut parts = generation.split(':');
        let id = GenerationId::new(read_nonce(parts.next().ok_or(UnexpectedReply(NAME))?)?);
        let mut first = || parts.next().and_then(|first| first.parse().ok()).ok_or(UnexpectedReply(NAME));
        let log = LogSeq::new(first()?);
        let feed = FeedSeq::new(first()?);
        match &mut read {
            Some((logs, feeds)) => {
                logs.renew(id, log);
                feeds.renew(id, feed);
            }
            None => read = Some((Generations::begin(id, log), Generations::begin(id, feed))),
        }
    }
    read.ok_or(UnexpectedReply(NAME))
}

/// Parses the stored holder, `nonce name`; none if it is not that of `token`: a release without names writes the token alone.
fn read_holder(text: &str, token: Option<LeaseToken>) -> Option<Arc<str>> {
    let (nonce, name) = text.split_once(' ')?;
    (read_nonce(nonce).ok() == Some(token?.nonce)).then(|| name.into())
}

/// Returns a name that is not empty.
fn known_name(name: String) -> Option<Arc<str>> {
    (!name.is_empty()).then(|| name.into())
}

/// Returns whether a lease script allowed a renewal or release.
pub(super) fn was_held(acquisition: Acquisition) -> bool {
    acquisition.token().is_some()
}

/// Parses the generation in a script's reply.
pub(super) fn read_generation(value: &Value) -> Result<GenerationId, UnexpectedReply> {
    let text = super::reply::text(value).ok_or(UnexpectedReply("a generation"))?;
    read_nonce(text).map(GenerationId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let token = LeaseToken { epoch: Epoch::new(7), nonce: Nonce::new(u128::MAX - 5) };
        assert_eq!(read_token(&token_text(token)).expect("a token"), token);
        for text in ["", "7", "x:1", "7:xyz"] {
            assert!(read_token(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_holder_counts_only_with_the_nonce_of_its_token() {
        let token = LeaseToken { epoch: Epoch::new(7), nonce: Nonce::new(11) };
        let stored = format!("{:032x} http://features 1:50051", 11);
        assert_eq!(read_holder(&stored, Some(token)).as_deref(), Some("http://features 1:50051"));
        let later = LeaseToken { epoch: Epoch::new(8), nonce: Nonce::new(12) };
        assert_eq!(
            read_holder(&stored, Some(later)),
            None,
            "a release without names acquired the lease since"
        );
        assert_eq!(read_holder("", Some(token)), None);
        assert_eq!(read_holder(&stored, None), None);
    }

    #[test]
    fn generations_of_log_and_feed_are_read_together() {
        let (log, feed) = read_generations("a:1:1;b:11:5;").expect("two");
        let firsts: Vec<(u64, u64)> =
            log.iter().zip(feed.iter()).map(|(l, f)| (l.first.get(), f.first.get())).collect();
        assert_eq!(firsts, [(1, 1), (11, 5)]);
        assert_eq!(log.newest(), GenerationId::new(Nonce::new(11)));
        assert!(read_generations("").is_err() && read_generations("a:1;").is_err());
    }
}
