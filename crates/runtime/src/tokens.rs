//! Callers by bearer token, from the file `server.tokens_file`. The file holds SHA-256 hashes, so reading it grants no access.
//! Lookups take the same time for every token, known or not.

use crate::config::InvalidValue;
use crate::files::{FileWatch, FileWatcher, WatchedFile};
use crate::share::{Hold, Holding, Holdings, PerCaller, ShareTaken};
use crate::token_bucket::TokenBucket;
use futures::stream::{BoxStream, Stream, StreamExt};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::time::Instant;

/// Maximum number of tokens of a file. Each call is compared with all of them, in constant time.
const TOKENS_MAX: usize = 1000;
/// Maximum length of a name, in bytes.
const NAME_MAX: usize = 100;
/// Maximum length of a token, which bounds the cost of hashing it.
const TOKEN_BYTES_MAX: usize = 4096;
/// Users of a batch, a stream or an export that count as one call.
const USERS_PER_CALL: usize = 10;
/// Remedy for an invalid file.
const REMEDY: &str = "write [[token]] with name, sha256 and roles for each, as `portrait token` prints them";

/// Role of a token; each method requires one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessRole {
    /// Sends events, traits, items and outcomes.
    Write,
    /// Reads profiles, predictions, segments and changes.
    Read,
    /// Erases users, trains and activates models.
    Admin,
}

/// Caller of a call, with its roles and rates.
#[derive(Debug)]
pub struct Caller {
    name: String,
    roles: Vec<AccessRole>,
    /// Rate of events; `None` is unlimited.
    events: Option<Arc<TokenBucket>>,
    /// Rate of calls; `None` is unlimited.
    calls: Option<Arc<TokenBucket>>,
    per_caller: PerCaller,
    holdings: Arc<Holdings>,
}

/// Stream that keeps the rate of its caller.
pub type Paced<T> = BoxStream<'static, T>;

/// Callers by the hash of their token.
#[derive(Debug)]
pub(crate) struct Tokens {
    callers: Vec<([u8; 32], Arc<Caller>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    /// Shares of callers whose token has none of its own.
    #[serde(default)]
    per_caller: PerCaller,
    #[serde(default)]
    token: Vec<CallerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerEntry {
    name: String,
    sha256: String,
    roles: Vec<AccessRole>,
    #[serde(default)]
    events_per_second: u32,
    #[serde(default)]
    calls_per_second: u32,
    #[serde(default)]
    per_caller: PerCaller,
}

/// Rates and holdings of a caller; tokens of the same name share them.
#[derive(Clone)]
struct CallerState {
    limits: CallerLimits,
    events: Option<Arc<TokenBucket>>,
    calls: Option<Arc<TokenBucket>>,
    holdings: Arc<Holdings>,
}

/// Configured limits of a caller; a rate of 0 is unlimited.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CallerLimits {
    events_per_second: u32,
    calls_per_second: u32,
    per_caller: PerCaller,
}

impl fmt::Display for AccessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

impl Caller {
    /// Returns the caller from the extensions of a call; `None` where no token is required.
    pub fn of(extensions: &http::Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    /// Returns the name in the tokens file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes `count` events from the rate of the caller.
    ///
    /// # Errors
    /// The time until more events are admitted, if the rate is exceeded.
    pub fn take_events(&self, count: usize) -> Result<(), Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.events.as_ref().map_or(Ok(()), |bucket| bucket.take(count, Instant::now()))
    }

    /// Returns whether the caller may send an event now, without taking it from its rate.
    ///
    /// # Errors
    /// The time until it may.
    pub(crate) fn may_send(&self) -> Result<(), Duration> {
        self.take_events(0)
    }

    pub(crate) fn take_call(&self) -> Result<(), Duration> {
        self.calls.as_ref().map_or(Ok(()), |bucket| bucket.take(1, Instant::now()))
    }

    /// Charges `count` more calls for an admitted call that does the work of several: the calls after it wait for longer.
    pub fn charge_calls(&self, count: usize) {
        if let Some(bucket) = &self.calls {
            bucket.charge(u32::try_from(count).unwrap_or(u32::MAX), Instant::now());
        }
    }

    /// Charges an admitted call for the users that it reads: [`USERS_PER_CALL`] of them count as one call.
    pub fn charge_users(&self, count: usize) {
        self.charge_calls(count / USERS_PER_CALL);
    }

    /// Slows a stream of pages down to the rate of its caller; `users` returns the number of users on a page.
    pub fn pace<T: Send + 'static>(
        caller: Option<Arc<Self>>,
        pages: impl Stream<Item = T> + Send + 'static,
        users: fn(&T) -> usize,
    ) -> Paced<T> {
        let Some(caller) = caller.filter(|caller| caller.calls.is_some()) else { return pages.boxed() };
        let paced = pages.then(move |page| {
            let caller = Arc::clone(&caller);
            async move {
                caller.wait_for_call().await;
                caller.charge_users(users(&page));
                page
            }
        });
        paced.boxed()
    }

    /// Charges one event for a request that was refused for its form.
    pub(crate) fn charge_event(&self) {
        if let Some(bucket) = &self.events {
            bucket.charge(1, Instant::now());
        }
    }

    /// Waits until the rate of calls admits another.
    async fn wait_for_call(&self) {
        while let Some(bucket) = &self.calls
            && let Err(delay) = bucket.take(0, Instant::now())
        {
            tokio::time::sleep(delay).await;
        }
    }

    /// Takes one of the server's `places` for the caller.
    ///
    /// # Errors
    /// [`ShareTaken`] if the caller holds its share of them.
    pub fn hold(&self, what: Holding, places: usize) -> Result<Hold, ShareTaken> {
        self.holdings.hold(what, self.per_caller.limit(what, places))
    }

    /// Returns what the caller holds.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    fn state(&self) -> CallerState {
        let per_second =
            |bucket: &Option<Arc<TokenBucket>>| bucket.as_ref().map_or(0, |bucket| bucket.per_second());
        let limits = CallerLimits {
            events_per_second: per_second(&self.events),
            calls_per_second: per_second(&self.calls),
            per_caller: self.per_caller,
        };
        let (events, calls) = (self.events.clone(), self.calls.clone());
        CallerState { limits, events, calls, holdings: Arc::clone(&self.holdings) }
    }

    pub(crate) fn has(&self, role: AccessRole) -> bool {
        self.roles.contains(&role)
    }
}

/// Returns the SHA-256 of a token in hexadecimal, as in the tokens file.
pub fn hashed(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tokens {
    /// Reads the file at `path` and returns a watcher for it; `None` if the path is empty.
    ///
    /// # Errors
    /// If the file cannot be read or is invalid.
    pub(crate) fn follow(path: &Path) -> Result<Option<FileWatch<Arc<Self>>>, InvalidValue> {
        let Some(file) = WatchedFile::new("server.tokens_file", path, REMEDY) else {
            return Ok(None);
        };
        let named = file.clone();
        let watching = FileWatcher::start(vec![file], move |contents, previous: Option<&Arc<Self>>| {
            let tokens = Self::read(&contents[0], previous.map(|previous| &**previous));
            tokens.map(Arc::new).map_err(|problem| named.invalid(problem))
        });
        watching.map(Some)
    }

    /// Parses a file. Buckets of unchanged rates are kept, so that a reload does not refill them.
    fn read(content: &[u8], previous: Option<&Self>) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "which is not text".to_owned())?;
        let file: TokensFile = toml::from_str(text).map_err(|error| {
            // The message of the library quotes the line, which may contain a token written by mistake.
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("whose line {line} is invalid: {}", error.message().trim())
        })?;
        if file.token.is_empty() || file.token.len() > TOKENS_MAX {
            return Err(format!("which has {} tokens, and 1 to {TOKENS_MAX} are allowed", file.token.len()));
        }
        let mut states = previous.map(Self::states).unwrap_or_default();
        let mut limits_by_name = HashMap::new();
        let mut tokens = Self { callers: Vec::with_capacity(file.token.len()) };
        for entry in file.token {
            let hash = entry.validate()?;
            // Two callers with one token could not be told apart.
            if tokens.callers.iter().any(|(other, _)| *other == hash) {
                return Err(format!("where {:?} has the sha256 of another token", entry.name));
            }
            let per_caller = entry.per_caller.or(file.per_caller);
            if let Some(key) = per_caller.zero() {
                return Err(format!("where per_caller.{key} of {:?} is 0: give it at least 1", entry.name));
            }
            let limits = CallerLimits {
                events_per_second: entry.events_per_second,
                calls_per_second: entry.calls_per_second,
                per_caller,
            };
            if *limits_by_name.entry(entry.name.clone()).or_insert(limits) != limits {
                return Err(format!("where {:?} is listed twice with different limits", entry.name));
            }
            let CallerState { events, calls, holdings, .. } =
                CallerState::of(&mut states, &entry.name, limits);
            let caller = Caller { name: entry.name, roles: entry.roles, events, calls, per_caller, holdings };
            tokens.callers.push((hash, Arc::new(caller)));
        }
        Ok(tokens)
    }

    fn states(&self) -> HashMap<String, CallerState> {
        self.callers.iter().map(|(_, caller)| (caller.name.clone(), caller.state())).collect()
    }

    /// Returns one caller for each name, since tokens of one name share what they hold.
    pub(crate) fn by_name(&self) -> HashMap<&str, &Caller> {
        self.callers.iter().map(|(_, caller)| (caller.name(), &**caller)).collect()
    }

    /// Returns the number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.callers.len()
    }

    /// Returns the caller of `token`.
    pub(crate) fn caller(&self, token: &str) -> Option<&Arc<Caller>> {
        // The length is no secret, so this early exit reveals nothing.
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = digest(&SHA256, token.as_bytes());
        let mut caller_index = 0;
        let mut is_known = Choice::from(0);
        // All entries are compared, without an early exit: the time must not reveal which prefix of the list matches.
        for (index, (known_hash, _)) in (0u32..).zip(&self.callers) {
            let matches = known_hash.ct_eq(hash.as_ref());
            caller_index.conditional_assign(&index, matches);
            is_known |= matches;
        }
        bool::from(is_known).then(|| &self.callers[caller_index as usize].1)
    }
}

impl CallerEntry {
    /// Validates the entry and returns the hash.
    fn validate(&self) -> Result<[u8; 32], String> {
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(format!("where the name {name:?} is not 1 to {NAME_MAX} plain characters"));
        }
        if self.roles.is_empty() {
            return Err(format!("where {name:?} has no role: give it write, read or admin"));
        }
        decode_hash(&self.sha256)
            .ok_or_else(|| format!("where the sha256 of {name:?} is not 64 hexadecimal digits"))
    }
}

fn decode_hash(hexadecimal: &str) -> Option<[u8; 32]> {
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

impl CallerState {
    /// Returns the state of `name`: the known buckets if the limits are unchanged, full ones otherwise. What the caller holds
    /// stays held.
    fn of(known: &mut HashMap<String, Self>, name: &str, limits: CallerLimits) -> Self {
        let state = known.entry(name.to_owned()).or_insert_with(|| Self::full(limits, Arc::default()));
        if state.limits != limits {
            *state = Self::full(limits, Arc::clone(&state.holdings));
        }
        state.clone()
    }

    fn full(limits: CallerLimits, holdings: Arc<Holdings>) -> Self {
        let bucket = |per_second| TokenBucket::new(per_second, Instant::now()).map(Arc::new);
        let (events, calls) = (bucket(limits.events_per_second), bucket(limits.calls_per_second));
        Self { limits, events, calls, holdings }
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
    fn a_token_is_found_by_its_hash() {
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
        assert!(
            caller.has(AccessRole::Read) && !caller.has(AccessRole::Write) && !caller.has(AccessRole::Admin)
        );
    }

    #[test]
    fn an_invalid_file_is_reported_by_name_or_line_without_any_token() {
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
            (&rates, "\"a\" is listed twice"),
            (&entry("a", "one", "per_caller = { calls = 0 }"), "per_caller.calls of \"a\" is 0"),
            (&entry("a", "one", "per_caller = { seats = 1 }"), "line 5"),
        ];
        for (text, part) in rows {
            let message = read(text).map(|_| ()).expect_err(text);
            assert!(message.contains(part) && !message.contains("secret"), "{message} for {text}");
        }
    }

    #[test]
    fn the_remainder_of_a_rate_survives_a_reload() {
        let text = entry("shop", "one", "events_per_second = 10");
        let tokens = read(&text).expect("a token");
        let admits =
            |tokens: &Tokens, token: &str| tokens.caller(token).expect("known").take_events(1).is_ok();
        tokens.caller("one").expect("known").take_events(1000).expect("a full bucket");
        assert!(!admits(&tokens, "one"));
        let both_tokens = text + &entry("shop", "two", "events_per_second = 10");
        let reloaded = Tokens::read(both_tokens.as_bytes(), Some(&tokens)).expect("two tokens");
        assert!(!admits(&reloaded, "one") && !admits(&reloaded, "two"));
        let held = reloaded.caller("one").expect("known").hold(Holding::Calls, 4).expect("its first place");
        let doubled = both_tokens.replace("= 10", "= 20");
        let faster = Tokens::read(doubled.as_bytes(), Some(&reloaded)).expect("two tokens");
        assert!(admits(&faster, "one"), "a changed rate starts full");
        let caller = faster.caller("two").expect("known");
        caller.hold(Holding::Calls, 4).expect_err("the place of the other token of the name is still held");
        drop(held);
        caller.hold(Holding::Calls, 4).expect("it was given back");
    }
}
