//! Keys of the policies `hash` and `encrypt`, from the file `ingest.trait_keys_file`: one line for each version, with its number
//! and 64 hexadecimal digits. The highest version writes; lower ones stay for readers of older values. A new line is in effect
//! without a restart. Keys and values are never logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::files::{FileWatcher, WatchedFile};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Configuration key that names the file.
pub(crate) const FILE_KEY: &str = "ingest.trait_keys_file";
/// Remedy for a missing or invalid file.
pub(crate) const REMEDY: &str = "write a line for each version: its number, a space, and 64 hexadecimal digits as \
     `openssl rand -hex 32` prints them";
/// Bytes of a secret, as AES-256 takes them.
const SECRET_BYTES: usize = 32;
/// Most versions of a file; a rotation a month fills it in eight years.
const VERSIONS_MAX: usize = 100;
/// Bytes of a nonce and of a tag of AES-GCM, which an encrypted value has beside its text.
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Labels of the two keys that are derived from a secret. One key for both could be asked, as a hash, for the other.
const HASH_LABEL: &[u8] = b"portrait trait hash";
const ENCRYPT_LABEL: &[u8] = b"portrait trait encrypt";

/// Source of nonces; each is used for one value.
pub(crate) type NonceSource = Arc<dyn Fn() -> [u8; NONCE_BYTES] + Send + Sync>;
/// Watcher of the file of keys.
pub(crate) type TraitKeyWatcher = FileWatcher<Arc<TraitKey>>;

/// Newest key of the file, as the last valid content has it.
#[derive(Clone, Debug)]
pub(crate) struct TraitKeys {
    newest: watch::Receiver<Arc<TraitKey>>,
}

/// Key of one version.
pub(crate) struct TraitKey {
    version: u32,
    hash: hmac::Key,
    encrypt: LessSafeKey,
}

impl TraitKeys {
    /// Reads the file at `path` and returns its newest key, with the watcher that replaces it.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is invalid.
    pub(crate) fn follow(path: &Path) -> Result<Option<(Self, TraitKeyWatcher)>, InvalidValue> {
        let Some(file) = WatchedFile::new(FILE_KEY, path, REMEDY) else { return Ok(None) };
        let named = file.clone();
        let (watcher, newest) = FileWatcher::start(vec![file], move |contents, _| {
            TraitKey::newest(&contents[0]).map(Arc::new).map_err(|problem| named.invalid(problem))
        })?;
        Ok(Some((Self { newest }, watcher)))
    }

    /// Returns the key that writes now.
    pub(crate) fn newest(&self) -> Arc<TraitKey> {
        Arc::clone(&self.newest.borrow())
    }
}

impl TraitKey {
    /// Reads all versions of a file and returns the highest. The problem names a line, never its content.
    fn newest(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "which is not text".to_owned())?;
        let mut secrets = BTreeMap::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line_number = index + 1;
            let (version, secret) =
                parse_line(line).ok_or_else(|| format!("whose line {line_number} is no version and key"))?;
            if secrets.insert(version, secret).is_some() {
                return Err(format!("whose line {line_number} has version {version} again"));
            }
        }
        if secrets.len() > VERSIONS_MAX {
            return Err(format!("which has {} versions, {VERSIONS_MAX} are allowed", secrets.len()));
        }
        let (version, secret) = secrets.pop_last().ok_or("which has no key")?;
        Ok(Self::new(version, &secret))
    }

    fn new(version: u32, secret: &[u8; SECRET_BYTES]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let hash = hmac::sign(&secret, HASH_LABEL);
        let encrypt = hmac::sign(&secret, ENCRYPT_LABEL);
        let encrypt =
            UnboundKey::new(&AES_256_GCM, encrypt.as_ref()).expect("a SHA-256 has the bytes of a key");
        Self {
            version,
            hash: hmac::Key::new(hmac::HMAC_SHA256, hash.as_ref()),
            encrypt: LessSafeKey::new(encrypt),
        }
    }

    /// Returns `h`, the version, `:`, and the HMAC-SHA-256 of `value` in URL-safe base64.
    pub(crate) fn hash(&self, value: &str) -> String {
        let tag = hmac::sign(&self.hash, value.as_bytes());
        format!("h{}:{}", self.version, URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns `e`, the version, `:`, and nonce, AES-256-GCM ciphertext and tag in URL-safe base64. The name of the trait is
    /// authenticated, so that a value cannot be moved to another trait.
    pub(crate) fn encrypt(&self, name: &str, value: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let mut sealed = value.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.encrypt
            .seal_in_place_append_tag(unique, Aad::from(name.as_bytes()), &mut sealed)
            .expect("a trait is far below the 64 GiB of AES-GCM");
        format!("e{}:{}", self.version, URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Returns the longest value, in bytes, whose encrypted form has at most `max_bytes`.
    pub(crate) fn encrypted_value_max_bytes(&self, max_bytes: usize) -> usize {
        let prefix = format!("e{}:", self.version).len();
        // Base64 without padding has four characters for three bytes.
        (max_bytes.saturating_sub(prefix) * 3 / 4).saturating_sub(NONCE_BYTES + TAG_BYTES)
    }
}

impl fmt::Debug for TraitKey {
    /// Hides the secret in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraitKey(version {})", self.version)
    }
}

/// Parses a version and its secret.
fn parse_line(line: &str) -> Option<(u32, [u8; SECRET_BYTES])> {
    let (version, digits) = line.split_once(char::is_whitespace)?;
    let version = version.parse().ok().filter(|version| *version > 0)?;
    let digits = digits.trim();
    if digits.len() != 2 * SECRET_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; SECRET_BYTES];
    for (index, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some((version, secret))
}

#[cfg(test)]
mod tests;
