//! List of members as last read, with the version by which a heartbeat tells that it has not changed.

use super::failure::UnexpectedReply;
use portrait_store::{Member, MemberId};

/// Error of a list that was cut or is of another form.
const UNEXPECTED: UnexpectedReply = UnexpectedReply("a list of members");
/// Length of an id in the list: 32 hexadecimal digits.
const ID_DIGITS: usize = 32;
/// Length of the length of a name in the list, in decimal digits.
const LENGTH_DIGITS: usize = 3;

/// Members as last read.
#[derive(Debug, Default)]
pub(super) struct KnownMembers {
    /// Version of the list; empty before the first read.
    pub(super) version: String,
    /// Members, ordered by id.
    pub(super) members: Vec<Member>,
}

impl KnownMembers {
    /// Reads a list: `(id, length of the name, name)*`, without separators, since a name may contain any byte.
    pub(super) fn read(version: String, mut list: &[u8]) -> Result<Self, UnexpectedReply> {
        let mut members = Vec::new();
        while !list.is_empty() {
            let id = u128::from_str_radix(take(&mut list, ID_DIGITS)?, 16).map_err(|_| UNEXPECTED)?;
            let length = take(&mut list, LENGTH_DIGITS)?.parse().map_err(|_| UNEXPECTED)?;
            members.push(Member { id: MemberId::new(id), name: take(&mut list, length)?.to_owned() });
        }
        // A hash has no order; the contract orders members by id.
        members.sort_unstable();
        Ok(Self { version, members })
    }
}

/// Splits a text of `length` bytes from the front of the list.
fn take<'a>(list: &mut &'a [u8], length: usize) -> Result<&'a str, UnexpectedReply> {
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
        let read = |list: &[u8]| KnownMembers::read("v".to_owned(), list).map(|known| known.members);
        assert_eq!(read(list.as_bytes()).expect("a list"), expected);
        assert!(read(b"").expect("no members").is_empty());
        for length in [1, 33, 40, list.len() - 1] {
            assert!(read(&list.as_bytes()[..length]).is_err(), "{length}");
        }
    }
}
