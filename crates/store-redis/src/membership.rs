//! Membership: one hash for the whole deployment that maps a member's id to its name and expiry, with an index by expiry, and a list
//! that is sent only to a process that has another version of it.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::options::LeaseClock;
use super::partition::fresh_nonce;
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, MEMBERS_MAX, Member, MemberId, Result};
use redis::Value;
use std::sync::{Arc, PoisonError};

/// Length of an id in the list: 32 hexadecimal digits.
const ID_DIGITS: usize = 32;
/// Length of the length of a name in the list, in decimal digits.
const LENGTH_DIGITS: usize = 3;

/// Members as last read.
#[derive(Debug, Default)]
pub(super) struct KnownMembers {
    /// Version of the list; empty before the first read.
    version: String,
    /// Members in order.
    members: Vec<Member>,
}

impl RedisStore {
    /// Returns all members, after registering or extending `member` if one is given.
    pub(super) async fn read_members(
        &self,
        member: Option<(&Member, TimeDelta)>,
        now: Timestamp,
    ) -> Result<Vec<Member>> {
        let tagged = self.keys.members();
        // An empty argument makes the script read the server's clock.
        let clock = match self.lease_clock {
            LeaseClock::Server => String::new(),
            LeaseClock::Caller => now.millis().to_string(),
        };
        let (id, ttl, name) = match member {
            Some((member, ttl)) => (hex(member.id), ttl.millis().to_string(), member.name.clone()),
            None => Default::default(),
        };
        let known = Arc::clone(&self.known_members.lock().unwrap_or_else(PoisonError::into_inner));
        let keys = vec![tagged.base(), tagged.key("expiries"), tagged.key("list")];
        let call = ScriptCall::new(&scripts::HEARTBEAT, keys);
        let call = call.arg(id).arg(ttl).arg(clock).arg(name).number(MEMBERS_MAX);
        let call = call.arg(known.version.clone()).arg(fresh_nonce());
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        if reply == Value::Nil {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are members already: stop some"),
            });
        }
        let mut reply = ReplyFields::of(reply, "the members")?;
        let version = reply.text()?;
        // Not the newest known list but the one that was named in the request: another call may have replaced it since.
        if version == known.version {
            return Ok(known.members.clone());
        }
        let mut members = read_list(&reply.bytes()?.unwrap_or_default())?;
        // A hash has no order; the contract orders members by id.
        members.sort_unstable();
        let read = KnownMembers { version, members: members.clone() };
        *self.known_members.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(members)
    }

    /// Removes a member from the hash; the next heartbeat notices it by the length of the index.
    pub(super) async fn remove_member(&self, id: MemberId) -> Result<()> {
        let tagged = self.keys.members();
        let mut command = redis::cmd("HDEL");
        command.arg(&tagged.base()[..]).arg(hex(id));
        self.cluster
            .request(tagged.slot, &Request::Command(command), WriteConcern::Acknowledged)
            .await
            .map(|_| ())
    }
}

fn hex(id: MemberId) -> String {
    format!("{:032x}", id.get())
}

/// Parses the list of members: `(id, length of the name, name)*`, without separators, since a name may contain any byte.
fn read_list(mut list: &[u8]) -> Result<Vec<Member>, UnexpectedReply> {
    const UNEXPECTED: UnexpectedReply = UnexpectedReply("a list of members");
    let mut members = Vec::new();
    while !list.is_empty() {
        let id = u128::from_str_radix(take(&mut list, ID_DIGITS)?, 16).map_err(|_| UNEXPECTED)?;
        let length = take(&mut list, LENGTH_DIGITS)?.parse().map_err(|_| UNEXPECTED)?;
        members.push(Member { id: MemberId::new(id), name: take(&mut list, length)?.to_owned() });
    }
    Ok(members)
}

/// Splits a text of `length` bytes from the front of the list.
fn take<'a>(list: &mut &'a [u8], length: usize) -> Result<&'a str, UnexpectedReply> {
    const UNEXPECTED: UnexpectedReply = UnexpectedReply("a list of members");
    let (front, rest) = list.split_at_checked(length).ok_or(UNEXPECTED)?;
    *list = rest;
    std::str::from_utf8(front).map_err(|_| UNEXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_is_read_and_a_cut_one_is_refused() {
        let list = format!("{:032x}011http://a:50{:032x}000{:032x}003a\nb", 1, 2, 3);
        let member = |id, name: &str| Member { id: MemberId::new(id), name: name.to_owned() };
        let expected = [member(1, "http://a:50"), member(2, ""), member(3, "a\nb")];
        assert_eq!(read_list(list.as_bytes()).expect("a list"), expected);
        assert!(read_list(b"").expect("no members").is_empty());
        for length in [1, 33, 40, list.len() - 1] {
            assert!(read_list(&list.as_bytes()[..length]).is_err(), "{length}");
        }
    }
}
