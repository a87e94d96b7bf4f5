//! Who may call, and what for. In come the file that `server.tokens_file` names and the tokens that calls show, out go the callers
//! behind them. The file has hashes: whoever reads it can call nothing. What a token is compared with takes as long whichever it is.

use crate::bucket::Bucket;
use crate::config::Invalid;
use crate::files::{Followed, Follower, Named};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::time::Instant;

/// How many tokens a file may have: each call is compared with all of them.
const TOKENS_MAX: usize = 1000;
/// The longest name.
const NAME_MAX: usize = 100;
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4096;
/// What to do about a file that makes no sense.
const REMEDY: &str = "write [[token]] with name, sha256 and roles for each, as `portrait token` prints them";

/// What a call may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Tells the shop's news: events, traits, items, outcomes.
    Write,
    /// Asks for what is known.
    Read,
    /// Changes what others are told: erases, trains, activates.
    Admin,
}

/// Who calls, for as long as the file says so.
#[derive(Debug)]
pub struct Caller {
    name: String,
    roles: Vec<Role>,
    /// What is left of the events it may send; none without limit.
    events: Option<Arc<Bucket>>,
    /// What is left of the calls it may ask by; none without limit.
    calls: Option<Arc<Bucket>>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Tokens {
    callers: Vec<([u8; 32], Arc<Caller>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    roles: Vec<Role>,
    #[serde(default)]
    events_per_second: u32,
    #[serde(default)]
    calls_per_second: u32,
}

/// The limits of a name.
#[derive(Clone)]
struct Rates {
    per_second: [u32; 2],
    buckets: [Option<Arc<Bucket>>; 2],
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

impl Caller {
    /// The caller of a call; none where calls need no token.
    pub fn of(extensions: &http::Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    /// As the file calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes so many events out of what it may send.
    ///
    /// # Errors
    /// If it has sent too many, with the time after which more are taken.
    pub fn take_events(&self, count: usize) -> Result<(), Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.events.as_ref().map_or(Ok(()), |bucket| bucket.take(count, Instant::now()))
    }

    pub(crate) fn take_call(&self) -> Result<(), Duration> {
        self.calls.as_ref().map_or(Ok(()), |bucket| bucket.take(1, Instant::now()))
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// The hash of a token, as the file has it.
pub fn hashed(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tokens {
    /// Reads the file at `path` and follows it; none if that is empty.
    ///
    /// # Errors
    /// If it cannot be read or makes no sense.
    pub(crate) fn follow(path: &Path) -> Result<Option<Followed<Arc<Self>>>, Invalid> {
        let Some(file) = Named::new("server.tokens_file", path, REMEDY) else {
            return Ok(None);
        };
        let named = file.clone();
        let make = move |contents: &[Vec<u8>], before: Option<&Arc<Self>>| {
            let tokens = Self::read(&contents[0], before.map(|before| &**before));
            tokens.map(Arc::new).map_err(|problem| named.invalid(problem))
        };
        Follower::begin(vec![file], make).map(Some)
    }

    /// Reads a file. What is left of a rate that is the same as before is what was left.
    fn read(content: &[u8], before: Option<&Self>) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "which is not text".to_owned())?;
        let file: File = toml::from_str(text).map_err(|error| {
            // The library's own form shows the line, and somebody may have written a token into it.
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("whose line {line} is not as it should be: {}", error.message().trim())
        })?;
        if file.token.is_empty() || file.token.len() > TOKENS_MAX {
            return Err(format!("which has {} tokens, and 1 to {TOKENS_MAX} are allowed", file.token.len()));
        }
        let mut rates = before.map(Self::rates).unwrap_or_default();
        let mut asked = HashMap::new();
        let mut tokens = Self { callers: Vec::with_capacity(file.token.len()) };
        for entry in file.token {
            let hash = entry.checked()?;
            if tokens.callers.iter().any(|(other, _)| *other == hash) {
                return Err(format!("where {:?} has the sha256 of another token", entry.name));
            }
            let per_second = [entry.events_per_second, entry.calls_per_second];
            if *asked.entry(entry.name.clone()).or_insert(per_second) != per_second {
                return Err(format!("where {:?} stands twice with other rates", entry.name));
            }
            let rates = Rates::of(&mut rates, &entry.name, per_second);
            let [events, calls] = rates.buckets;
            tokens
                .callers
                .push((hash, Arc::new(Caller { name: entry.name, roles: entry.roles, events, calls })));
        }
        Ok(tokens)
    }

    fn rates(&self) -> HashMap<String, Rates> {
        let rates = |caller: &Caller| {
            let buckets = [caller.events.clone(), caller.calls.clone()];
            let per_second =
                [0, 1].map(|one: usize| buckets[one].as_ref().map_or(0, |bucket| bucket.per_second()));
            Rates { per_second, buckets }
        };
        self.callers.iter().map(|(_, caller)| (caller.name.clone(), rates(caller))).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.callers.len()
    }

    /// The caller who shows `token`.
    pub(crate) fn caller(&self, token: &str) -> Option<&Arc<Caller>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let shown = digest(&SHA256, token.as_bytes());
        let (mut place, mut found) = (0, Choice::from(0));
        for (index, (hash, _)) in (0u32..).zip(&self.callers) {
            let same = hash.ct_eq(shown.as_ref());
            place.conditional_assign(&index, same);
            found |= same;
        }
        bool::from(found).then(|| &self.callers[place as usize].1)
    }
}

impl Entry {
    /// The hash, if everything makes sense.
    fn checked(&self) -> Result<[u8; 32], String> {
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(format!("where the name {name:?} is not 1 to {NAME_MAX} plain characters"));
        }
        if self.roles.is_empty() {
            return Err(format!("where {name:?} has no role: give it write, read or admin"));
        }
        bytes(&self.sha256)
            .ok_or_else(|| format!("where the sha256 of {name:?} is not 64 hexadecimal digits"))
    }
}

fn bytes(hexadecimal: &str) -> Option<[u8; 32]> {
    let digits = hexadecimal.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hexadecimal.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Rates {
    /// Those of `name`: full buckets, unless they were the same before.
    fn of(known: &mut HashMap<String, Self>, name: &str, per_second: [u32; 2]) -> Self {
        let new = || Self {
            per_second,
            buckets: per_second.map(|rate| Bucket::new(rate, Instant::now()).map(Arc::new)),
        };
        let rates = known.entry(name.to_owned()).or_insert_with(new);
        if rates.per_second != per_second {
            *rates = new();
        }
        rates.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, token: &str, more: &str) -> String {
        format!("[[token]]\nname = {name:?}\nsha256 = {:?}\nroles = [\"read\"]\n{more}\n", hashed(token))
    }

    fn read(text: &str) -> Result<Tokens, String> {
        Tokens::read(text.as_bytes(), None)
    }

    #[test]
    fn a_token_is_found_by_its_hash_alone() {
        let text = entry("shop", "one", "") + &entry("engine", "two", "") + &entry("shop", "three", "");
        let tokens = read(&text).expect("three tokens");
        for (token, name) in [("one", Some("shop")), ("two", Some("engine")), ("three", Some("shop"))] {
            assert_eq!(tokens.caller(token).map(|caller| caller.name()), name, "{token}");
        }
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for token in ["", "One", "one ", &hashed("one"), &long] {
            assert!(tokens.caller(token).is_none(), "{token}");
        }
        let caller = tokens.caller("one").expect("known");
        assert!(caller.has(Role::Read) && !caller.has(Role::Write) && !caller.has(Role::Admin));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_told_by_name_or_line_and_no_token_is_shown() {
        let twice = entry("a", "one", "") + &entry("b", "one", "");
        let rates = entry("a", "one", "") + &entry("a", "two", "calls_per_second = 5");
        let rows = [
            ("", "has 0 tokens"),
            ("token = 5", "line 1"),
            ("[[token]]\nname = \"a\"\ntoken = \"secret\"", "line 3"),
            (&entry("a", "one", "roles = []"), "line 5"),
            (&entry("a", "one", "").replace("\"read\"", "\"cook\""), "line 4"),
            (&entry("a", "one", "").replace("[\"read\"]", "[]"), "\"a\" has no role"),
            (&entry("", "one", ""), "name \"\""),
            ("[[token]]\nname = \"a\"\nsha256 = \"secret\"\nroles = [\"read\"]", "sha256 of \"a\""),
            (&twice, "\"b\" has the sha256 of another"),
            (&rates, "\"a\" stands twice"),
        ];
        for (text, part) in rows {
            let told = read(text).map(|_| ()).expect_err(text);
            assert!(told.contains(part) && !told.contains("secret"), "{told} for {text}");
        }
    }

    #[test]
    fn what_is_left_of_a_rate_outlives_another_reading_of_the_file() {
        let text = entry("shop", "one", "events_per_second = 10");
        let tokens = read(&text).expect("a token");
        let left = |tokens: &Tokens, token: &str| tokens.caller(token).expect("known").take_events(1).is_ok();
        tokens.caller("one").expect("known").take_events(1000).expect("a full bucket");
        assert!(!left(&tokens, "one"));
        let both = text + &entry("shop", "two", "events_per_second = 10");
        let again = Tokens::read(both.as_bytes(), Some(&tokens)).expect("two tokens");
        assert!(!left(&again, "one") && !left(&again, "two"));
        let more = both.replace("= 10", "= 20");
        let more = Tokens::read(more.as_bytes(), Some(&again)).expect("two tokens");
        assert!(left(&more, "one"), "another rate begins anew");
    }
}
