//! Pseudonyms of erased users: the first half of the HMAC-SHA-256 of the user id under the deployment's key. Without the
//! key, sixteen such bytes reveal nothing about the id.

use crate::id::UserId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

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
        let hmac = Hmac::<Sha256>::new_from_slice(&self.0.to_be_bytes());
        let mut hmac = hmac.expect("HMAC takes a key of any length");
        hmac.update(user_id.as_str().as_bytes());
        let hash = hmac.finalize().into_bytes();
        // 128 bits are enough that no two users of a deployment ever share a pseudonym, and take half the bytes.
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Pseudonym(half)
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
}
