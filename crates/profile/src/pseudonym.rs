//! Pseudonyms of erased users: the first half of the HMAC-SHA-256 of the user id under the deployment's key. Without the
//! key, sixteen such bytes reveal nothing about the id.

use crate::id::UserId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// Bytes of the message authentication code of a sealed token.
pub const SEAL_BYTES: usize = 16;

/// Secret key of one deployment, drawn when its store is created.
///
/// ```
/// use portrait_profile::{PseudonymKey, UserId};
///
/// let user_id = UserId::parse("lena")?;
/// let key = PseudonymKey::new(7);
/// assert_eq!(key.of(&user_id), key.of(&user_id));
/// assert_ne!(key.of(&user_id), PseudonymKey::new(8).of(&user_id));
/// # Ok::<(), portrait_profile::TextError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PseudonymKey(u128);

/// Pseudonym of an erased user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pseudonym([u8; 16]);

impl PseudonymKey {
    /// Builds the key from its bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the bits of the key.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Returns the pseudonym of a user.
    pub fn of(self, user_id: &UserId) -> Pseudonym {
        let mut hmac = self.hmac();
        hmac.update(user_id.as_str().as_bytes());
        let hash = hmac.finalize().into_bytes();
        // 128 bits are enough that no two users of a deployment ever share a pseudonym, and take half the bytes.
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Pseudonym(half)
    }

    /// Appends a message authentication code to `bytes`: [`SEAL_BYTES`] bytes of their HMAC-SHA-256, truncated as RFC 2104,
    /// section 5, allows. Only a process with this key can make it, so that a caller cannot invent what it returns.
    pub fn seal(self, mut bytes: Vec<u8>) -> Vec<u8> {
        let code = self.code_of(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&code[..SEAL_BYTES]);
        bytes
    }

    /// Returns the bytes before the code of [`Self::seal`]; `None` if it is not theirs under this key.
    pub fn unseal(self, sealed: &[u8]) -> Option<&[u8]> {
        let (bytes, code) = sealed.split_last_chunk::<SEAL_BYTES>()?;
        self.code_of(bytes).verify_truncated_left(code).ok().map(|()| bytes)
    }

    fn code_of(self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut hmac = self.hmac();
        // No user id contains this byte: a code is never the pseudonym of a user.
        hmac.update(&[0]);
        hmac.update(bytes);
        hmac
    }

    fn hmac(self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0.to_be_bytes()).expect("HMAC takes a key of any length")
    }
}

impl fmt::Debug for PseudonymKey {
    /// Hides the secret in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

impl Pseudonym {
    /// Builds a pseudonym from its bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the pseudonym.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the pseudonym as an id, for records that refer to no other user.
    pub fn as_user_id(&self) -> UserId {
        UserId::parse(&format!("{:032x}", u128::from_be_bytes(self.0))).expect("digits make an id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_half_an_hmac_of_the_id_under_the_key() {
        let user = UserId::parse("what do ya want for nothing?").expect("an id");
        let key = PseudonymKey::new(7);
        // python3: hmac.new(bytes(15) + b'\x07', b'what do ya want for nothing?', 'sha256').hexdigest()[:32]
        assert_eq!(key.of(&user).as_user_id().as_str(), "378458b3fa8757a286ffe50fdf2c6d68");
        assert_ne!(PseudonymKey::new(8).of(&user), key.of(&user));
        assert_eq!(format!("{key:?}"), "PseudonymKey(..)");
    }

    #[test]
    fn sealed_bytes_are_opened_by_their_key_alone_and_only_unaltered() {
        let key = PseudonymKey::new(7);
        let sealed = key.seal(b"PC\x02".to_vec());
        // python3: hmac.new(bytes(15) + b'\x07', b'\0PC\x02', 'sha256').hexdigest()[:32]
        let code: String = sealed[3..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(code, "178c301b6754eda86403173ded7a51e0");
        assert_eq!(key.unseal(&sealed), Some(&b"PC\x02"[..]));
        assert_eq!(PseudonymKey::new(8).unseal(&sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.unseal(&changed), None, "bit {bit}");
        }
        assert_eq!(key.unseal(&sealed[..SEAL_BYTES - 1]), None);
    }
}
