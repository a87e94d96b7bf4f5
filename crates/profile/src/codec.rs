//! Encoding of the domain types: one version byte, then postcard. Bytes of an older version are converted to the current
//! one. Those of a newer version are refused with the remedy, never guessed at. Damaged bytes are an error, never a panic.

use serde::de::{DeserializeOwned, Error as _, SeqAccess};
use serde::{Deserialize, Serialize, Serializer};

/// Version of an encoded [`crate::Record`]. 2: outcomes. 3: erasures. 4: the trace context, at the end. 5: the number of the line in
/// its order and the strength of the shop, at the end. 6: the source, at the end.
pub(crate) const RECORD_VERSION: FormatVersion =
    FormatVersion::first().followed_by(&[&[], &[], &[0], &[0, 0], &[0]]);
/// Version of an encoded [`crate::Profile`]. 7: lines of orders, times of actions, and all actions on an item.
// Not readable as an older version with appended fields: the behavior, in the middle, changed its encoding.
const PROFILE_VERSION: FormatVersion = FormatVersion::only(7);
/// Previous version of an encoded [`crate::Profile`], which is still read.
pub(crate) const PROFILE_VERSION_V6: FormatVersion = FormatVersion::only(6);
/// Version of an encoded [`crate::ProfileChange`]. 2: segments before and after, at the end. 3: the trace context, at the
/// end.
pub(crate) const CHANGE_VERSION: FormatVersion = FormatVersion::first().followed_by(&[&[0, 0], &[0]]);
/// Version of an encoded [`crate::CatalogueItem`]. 2: whether it can be bought, at the end.
pub(crate) const ITEM_VERSION: FormatVersion = FormatVersion::first().followed_by(&[&[0]]);

/// Version of an encoded [`crate::PartitionLedger`]. 2: erasures, at the end.
pub(crate) const LEDGER_VERSION: FormatVersion = FormatVersion::first().followed_by(&[&[0, 0, 0, 0]]);
/// Version of an encoded [`crate::Tombstone`].
pub(crate) const TOMBSTONE_VERSION: FormatVersion = FormatVersion::first();

/// Returns the version that profiles are written in.
pub(crate) fn profile_version() -> FormatVersion {
    #[cfg(feature = "testing")]
    if crate::testing::is_next_release() {
        return PROFILE_VERSION.followed_by(&[&[]]);
    }
    PROFILE_VERSION
}

/// Number of format versions that a later release may be ahead.
const RELEASES_AHEAD: u8 = 16;

/// Leading byte of encoded bytes, and the conversion from older versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatVersion {
    oldest: u8,
    newest: u8,
    /// Fields that each version after the oldest appended, as postcard encodes them empty: an optional field is one 0.
    appended: &'static [&'static [u8]],
}

/// Failure to decode bytes.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("no bytes")]
    Empty,
    /// Bytes of a later release.
    #[error(
        "written in format {found}, this release reads up to {known}: run the release that wrote it, or a later one"
    )]
    Newer {
        /// Version byte that was found.
        found: u8,
        /// Newest version that this release reads.
        known: u8,
    },
    /// Leading byte that no known format has.
    #[error("format {0} is not readable")]
    Format(u8),
    /// Bytes that do not decode as the type.
    #[error("damaged bytes")]
    Damaged(#[source] postcard::Error),
    /// More bytes than the value needs.
    #[error("{0} surplus bytes")]
    Trailing(usize),
}

impl FormatVersion {
    const fn first() -> Self {
        Self::only(1)
    }

    /// Returns a type with exactly one readable version.
    const fn only(version: u8) -> Self {
        Self { oldest: version, newest: version, appended: &[] }
    }

    /// Adds versions that each appended the given bytes.
    const fn followed_by(self, appended: &'static [&'static [u8]]) -> Self {
        Self { newest: self.oldest + appended.len() as u8, appended, ..self }
    }

    /// Returns whether bytes are of one of these versions.
    pub(crate) fn matches(self, bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|found| (self.oldest..=self.newest).contains(found))
    }

    /// Returns the version to write in: the newest whose appended fields are not all empty. Those of later versions are then not
    /// written, and an earlier release, which runs beside this one during a rolling update, can read the bytes.
    ///
    /// `has_fields` says for each version that appended fields, the newest last, whether one of them is not empty.
    pub(crate) fn for_content<const N: usize>(self, has_fields: [bool; N]) -> Self {
        let empty = has_fields.iter().rev().take_while(|has_field| !**has_field).count();
        Self { newest: self.newest - empty as u8, ..self }
    }

    /// Returns the fields that bytes of version `found` lack.
    fn missing_fields(self, found: u8) -> Vec<u8> {
        self.appended.iter().skip(usize::from(found - self.oldest)).copied().flatten().copied().collect()
    }
}

/// Encodes `value` after its version byte.
pub(crate) fn encode<T: Serialize>(version: FormatVersion, value: &T) -> Vec<u8> {
    encode_after(Vec::with_capacity(256), version, value)
}

/// Encodes as [`encode`], appending to `bytes`.
pub(crate) fn encode_after<T: Serialize>(mut bytes: Vec<u8>, version: FormatVersion, value: &T) -> Vec<u8> {
    bytes.push(version.newest);
    postcard::to_extend(value, bytes)
        .expect("memory accepts every write, and every type here has a known length")
}

/// Decodes the bytes of [`encode`].
pub(crate) fn decode<T: DeserializeOwned>(version: FormatVersion, bytes: &[u8]) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    // Only a near version counts as newer: the reader waits for a release that can read it, and damage would make it wait forever.
    if (version.newest + 1..=version.newest.saturating_add(RELEASES_AHEAD)).contains(&found) {
        return Err(DecodeError::Newer { found, known: version.newest });
    }
    if !version.matches(bytes) {
        return Err(DecodeError::Format(found));
    }
    if found == version.newest {
        return decode_whole(rest);
    }
    // Bytes of an older version are completed instead of parsed by older types: one type serves all versions.
    decode_whole(&[rest, &version.missing_fields(found)].concat())
}

/// Returns the size of a variable-length integer of postcard, in bytes: seven bits each.
pub(crate) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Sequence of the elements of an iterator, encoded as a list of them without making one. The closure returns the iterator, of a
/// known length, for each encoding.
pub(crate) struct Sequence<F>(pub(crate) F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Sequence<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// Reads the next part of a value that is encoded part by part.
pub(crate) fn part<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::custom("incomplete entry"))
}

/// Decodes bytes that hold a value and nothing else.
fn decode_whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(DecodeError::Damaged)?;
    // postcard stops at the end of the value: surplus bytes are damage that it does not see.
    match rest.len() {
        0 => Ok(value),
        count => Err(DecodeError::Trailing(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Profile, ProfileChange, ProfileVersion, SegmentId, Timestamp, TraceContext, UserId};

    /// Returns the bytes that the first version wrote: its version byte, and no appended fields.
    fn as_first_version(bytes: &[u8], version: FormatVersion) -> Vec<u8> {
        let missing = version.missing_fields(1);
        let mut old = bytes.strip_suffix(&missing[..]).expect("the new fields are empty").to_vec();
        old[0] = 1;
        old
    }

    #[test]
    fn bytes_of_the_first_version_are_read_and_rewritten() {
        let user_id = UserId::parse("lena").expect("an id");
        let change = ProfileChange {
            user_id,
            version: ProfileVersion::default(),
            deleted: true,
            accepted_at: Timestamp::EPOCH,
            segment_before: None,
            segment_after: None,
            trace: None,
        };
        let second = FormatVersion::first().followed_by(&CHANGE_VERSION.appended[..1]);
        let old = as_first_version(&change.encode(), second);
        assert_eq!(ProfileChange::decode(&old).expect("older"), change);
        let moved = ProfileChange { segment_after: Some(SegmentId::new(3)), ..change };
        let traced = ProfileChange { trace: Some(TraceContext([0; 24])), ..moved.clone() };
        for (written, version) in [(moved, 2), (traced, 3)] {
            let bytes = written.encode();
            assert_eq!(
                (bytes[0], ProfileChange::decode(&bytes).expect("the current version")),
                (version, written)
            );
        }
    }

    #[test]
    fn bytes_of_a_newer_version_are_refused_with_the_remedy() {
        let mut bytes = Profile::new(UserId::parse("lena").expect("an id")).encode();
        bytes[0] += 1;
        let refused = Profile::decode(&bytes).expect_err("it is newer").to_string();
        assert!(refused.contains("run the release that wrote it"), "{refused}");
    }
}
