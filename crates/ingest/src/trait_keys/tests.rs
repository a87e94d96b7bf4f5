//! Keys are read, used as documented, and rotated without a restart.

use super::*;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

fn line(version: u32) -> String {
    format!("{version} {}\n", format!("{version:02x}").repeat(SECRET_BYTES))
}

/// Opens an encrypted value with the key of its version.
fn open(key: &TraitKey, name: &str, value: &str) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(value.strip_prefix(&format!("e{}:", key.version))?).ok()?;
    let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut rest = rest.to_vec();
    let text = key.encrypt.open_in_place(nonce, Aad::from(name.as_bytes()), &mut rest).ok()?;
    String::from_utf8(text.to_vec()).ok()
}

#[test]
fn the_highest_version_writes() {
    let content = format!("# of 2026\n{}\n{}{}", line(2), line(10), line(1));
    let key = TraitKey::newest(content.as_bytes()).expect("three versions");
    assert_eq!(key.version, 10);
    assert_eq!(format!("{key:?}"), "TraitKey(version 10)");
}

#[test]
fn an_invalid_file_is_reported_by_line_without_any_key() {
    let secret = "ab".repeat(SECRET_BYTES);
    let rows = [
        (String::new(), "no key"),
        ("# a comment\n".to_owned(), "no key"),
        (format!("{secret}\n"), "line 1"),
        (format!("{}0 {secret}\n", line(1)), "line 2"),
        (format!("1 {secret}ab\n"), "line 1"),
        (format!("1 {}\n", secret.replace('a', "g")), "line 1"),
        (format!("one {secret}\n"), "line 1"),
        (line(1) + &line(1), "line 2 has version 1 again"),
        ((1..=101).map(line).collect(), "101 versions"),
    ];
    for (content, part) in rows {
        let problem = TraitKey::newest(content.as_bytes()).map(|key| key.version).expect_err(part);
        assert!(problem.contains(part) && !problem.contains("abab"), "{problem}");
    }
    assert!(TraitKey::newest(&[0xFF]).is_err());
}

#[test]
fn a_hash_and_a_ciphertext_are_as_documented() {
    let key = TraitKey::new(3, &[7; SECRET_BYTES]);
    // python3: k = hmac.digest(bytes([7]) * 32, b'portrait trait hash', 'sha256');
    // base64.urlsafe_b64encode(hmac.digest(k, b'lena@example.com', 'sha256')).rstrip(b'=')
    assert_eq!(key.hash("lena@example.com"), "h3:DjeldDTBVBbhxESTIS-G0_l0c60kw0Sjyof5INBdZZw");
    assert_ne!(key.hash("lena@example.com"), key.hash("lena@example.org"));
    let sealed = key.encrypt("email", "lena@example.com", [9; NONCE_BYTES]);
    assert_eq!(open(&key, "email", &sealed).as_deref(), Some("lena@example.com"));
    assert_eq!(open(&key, "phone", &sealed), None, "the name is authenticated");
    assert_eq!(open(&TraitKey::new(3, &[8; SECRET_BYTES]), "email", &sealed), None);
    assert_ne!(sealed, key.encrypt("email", "lena@example.com", [10; NONCE_BYTES]));
}

#[test]
fn the_longest_value_fits_encrypted_and_the_next_does_not() {
    for version in [1, 99, u32::MAX] {
        let key = TraitKey::new(version, &[7; SECRET_BYTES]);
        let longest = key.encrypted_value_max_bytes(256);
        let bytes_of = |count: usize| key.encrypt("a", &"x".repeat(count), [0; NONCE_BYTES]).len();
        assert!(bytes_of(longest) <= 256 && bytes_of(longest + 1) > 256, "{version}: {longest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_version_of_the_file_writes_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trait.keys");
    std::fs::write(&path, line(1)).expect("written");
    let (keys, watcher) = TraitKeys::follow(&path).expect("a valid file").expect("a file is named");
    let end = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(watcher.run(Duration::from_secs(5), end.clone()));
    let old = keys.newest();
    assert_eq!(old.version, 1);
    let mut newest = keys.newest.clone();
    std::fs::write(&path, line(1) + &line(2)).expect("written");
    newest.changed().await.expect("the watcher runs");
    let before = old.encrypt("email", "lena", [1; NONCE_BYTES]);
    assert!(keys.newest().hash("lena").starts_with("h2:"));
    assert_eq!(open(&old, "email", &before).as_deref(), Some("lena"), "older values stay readable");
    end.cancel();
    tasks.close();
    tasks.wait().await;
}

#[test]
fn a_missing_file_is_refused_with_key_and_remedy() {
    let error =
        TraitKeys::follow(Path::new("/none/trait.keys")).map(|_| ()).expect_err("no file").to_string();
    for part in [FILE_KEY, "/none/trait.keys", "openssl rand -hex 32"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(TraitKeys::follow(Path::new("")).expect("no file is named").is_none());
}
