//! How the nouns become bytes and come back: one version byte, then postcard. Bytes of an older version are taken to today's,
//! those of a newer one are refused with the remedy, never guessed at; damaged bytes are an error, never a panic.

use serde::{Serialize, de::DeserializeOwned};

/// The version of an encoded [`crate::Record`]. 2: outcomes are records too. 3: erasures as well. 4: the span, at the end.
pub(crate) const RECORD_VERSION: FormatVersion = FormatVersion::first().then(&[&[], &[], &[0]]);
/// The version of an encoded [`crate::Profile`]. 6: preferences say in one byte what an entry is.
const PROFILE_VERSION: FormatVersion = FormatVersion::only(6);
/// The version before it.
pub(crate) const PROFILE_VERSION_V5: FormatVersion = FormatVersion::only(5);
/// The version of an encoded [`crate::ProfileChange`]. 2: segments before and after, at the end. 3: the span, at the end.
pub(crate) const CHANGE_VERSION: FormatVersion = FormatVersion::first().then(&[&[0, 0], &[0]]);
/// The version of an encoded [`crate::CatalogueItem`].
pub(crate) const ITEM_VERSION: FormatVersion = FormatVersion::first();

/// The version of an encoded [`crate::PartitionLedger`]. 2: erasures, at the end.
pub(crate) const LEDGER_VERSION: FormatVersion = FormatVersion::first().then(&[&[0, 0, 0, 0]]);
/// The version of an encoded [`crate::Tombstone`].
pub(crate) const TOMBSTONE_VERSION: FormatVersion = FormatVersion::first();

/// The version that profiles are written in.
pub(crate) fn profile_version() -> FormatVersion {
    #[cfg(feature = "testing")]
    if crate::testing::is_next_release() {
        return PROFILE_VERSION.then(&[&[]]);
    }
    PROFILE_VERSION
}

/// How many formats ahead of today's a later release may be.
const RELEASES_AHEAD: u8 = 16;

/// The leading byte of encoded bytes, and how bytes of older versions become today's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatVersion {
    oldest: u8,
    newest: u8,
    /// What each version after the oldest added at the end, as postcard writes it of nothing: an optional field is one 0.
    appended: &'static [&'static [u8]],
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing was there.
    #[error("no bytes")]
    Empty,
    /// A later release wrote them.
    #[error(
        "written in format {found}, this release reads up to {known}: run the release that wrote it, or a later one"
    )]
    Newer {
        /// The version byte.
        found: u8,
        /// The newest version this release knows.
        known: u8,
    },
    /// They begin with what is no format.
    #[error("format {0} is none that is read")]
    Format(u8),
    /// They are not what they should be.
    #[error("damaged bytes")]
    Damaged(#[source] postcard::Error),
    /// More bytes than the value needs.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

impl FormatVersion {
    const fn first() -> Self {
        Self::only(1)
    }

    /// That version and no other.
    const fn only(version: u8) -> Self {
        Self { oldest: version, newest: version, appended: &[] }
    }

    /// Versions that each added so much at the end.
    const fn then(self, appended: &'static [&'static [u8]]) -> Self {
        Self { newest: self.oldest + appended.len() as u8, appended, ..self }
    }

    /// Whether bytes are of one of these versions.
    pub(crate) fn is_of(self, bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|found| (self.oldest..=self.newest).contains(found))
    }

    /// The version to write in: the newest, or the one before if nothing is in the newest's field. Then the field is not written either,
    /// and releases of before, which run beside this one while a deployment is renewed, can read the bytes.
    pub(crate) fn saying(self, newest_field: bool) -> Self {
        Self { newest: self.newest - u8::from(!newest_field), ..self }
    }

    /// What bytes of version `found` lack.
    fn lacking(self, found: u8) -> Vec<u8> {
        self.appended.iter().skip(usize::from(found - self.oldest)).copied().flatten().copied().collect()
    }
}

/// Encodes `value` behind its version byte.
pub(crate) fn encode<T: Serialize>(version: FormatVersion, value: &T) -> Vec<u8> {
    encode_after(Vec::with_capacity(256), version, value)
}

/// As [`encode`], behind what `bytes` has already.
pub(crate) fn encode_after<T: Serialize>(mut bytes: Vec<u8>, version: FormatVersion, value: &T) -> Vec<u8> {
    bytes.push(version.newest);
    postcard::to_extend(value, bytes)
        .expect("writing to memory cannot fail: every type here has a known length")
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(version: FormatVersion, bytes: &[u8]) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    // A byte that no release for long will write is damage, which nobody should wait for.
    if (version.newest + 1..=version.newest.saturating_add(RELEASES_AHEAD)).contains(&found) {
        return Err(DecodeError::Newer { found, known: version.newest });
    }
    if !version.is_of(bytes) {
        return Err(DecodeError::Format(found));
    }
    if found == version.newest {
        return whole(rest);
    }
    whole(&[rest, &version.lacking(found)].concat())
}

/// The value of bytes that hold it and nothing else.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, left) = postcard::take_from_bytes(bytes).map_err(DecodeError::Damaged)?;
    match left.len() {
        0 => Ok(value),
        count => Err(DecodeError::Trailing(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Profile, ProfileChange, ProfileVersion, SegmentId, Timestamp, TraceContext, UserId};

    /// The bytes that the first version wrote: without what was appended, behind its number.
    fn of_first_version(bytes: &[u8], version: FormatVersion) -> Vec<u8> {
        let lacking = version.lacking(1);
        let mut old = bytes.strip_suffix(&lacking[..]).expect("nothing is in the new fields").to_vec();
        old[0] = 1;
        old
    }

    #[test]
    fn bytes_of_the_first_version_are_read_and_written_as_todays() {
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
        let second = FormatVersion::first().then(&CHANGE_VERSION.appended[..1]);
        let old = of_first_version(&change.encode(), second);
        assert_eq!(ProfileChange::decode(&old).expect("older"), change);
        let moved = ProfileChange { segment_after: Some(SegmentId::new(3)), ..change };
        let followed = ProfileChange { trace: Some(TraceContext([0; 24])), ..moved.clone() };
        for (written, version) in [(moved, 2), (followed, 3)] {
            let bytes = written.encode();
            assert_eq!((bytes[0], ProfileChange::decode(&bytes).expect("today's")), (version, written));
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
