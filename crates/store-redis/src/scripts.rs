//! Lua scripts that run in the server, and calls of them. A script uses keys of one tag only, checks everything before its first
//! write, and declares by its flags whether it may run while memory is used up.

use super::commit_arguments::CommitArguments;
use super::keys::WINDOW_BYTES_MAX;
use bytes::Bytes;
use portrait_store::GENERATIONS_KEPT;
use redis::Cmd;
use std::sync::LazyLock;

/// Functions that precede every script.
const PRELUDE: &str = include_str!("lua/prelude.lua");

/// Script with its hash.
pub(super) struct Script {
    /// Text that is loaded into the server.
    text: String,
    /// SHA-1 hash by which the server finds the script.
    hash: String,
    /// True if the first argument is the incarnation known to the connection, and the first value of the reply the actual one.
    pub(super) takes_incarnation: bool,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal, $flags:literal, $takes_incarnation:literal, $names:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file, ".lua")), $flags, $takes_incarnation, $names));
        )*

        /// Returns all scripts, to be loaded into a server.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts!(
    /// Append of a block to a log. Refused while memory is used up.
    APPEND = "append", "", true, &[];
    /// Commit of a partition's owner.
    COMMIT = "commit", " flags=allow-oom", true, CommitArguments::NAMES;
    /// Acquisition, extension or end of a lease.
    LEASE = "lease", " flags=allow-oom", false, &[];
    /// Heartbeat of a member, and read of all members.
    HEARTBEAT = "heartbeat", " flags=allow-oom", false, &[];
    /// Begin of a generation if one is due.
    BEGIN_GENERATION = "begin_generation", " flags=allow-oom", true, &[];
    /// Range read of a log or feed.
    READ = "read", " flags=no-writes", false, &[];
    /// Read of the sizes of the windows of remembered ids.
    SEEN = "seen", " flags=no-writes", false, &[];
    /// Publication of a model. Refused while memory is used up.
    PUBLISH = "registry", "", false, &[];
    /// Change of the registry without a new model. Allowed while memory is used up, since removing models frees memory.
    REGISTRY = "registry", " flags=allow-oom", false, &[];
    /// Read or creation of the layout. Allowed while memory is used up: a process that frees memory has to open the store first.
    LAYOUT = "layout", " flags=allow-oom", false, &[];
    /// Trim of expired data.
    TRIM = "trim", " flags=allow-oom", false, &[];
);

/// Call of a script.
#[derive(Clone)]
pub(super) struct ScriptCall {
    script: &'static Script,
    keys: Vec<Bytes>,
    arguments: Vec<Bytes>,
}

impl Script {
    /// Returns a script whose first arguments are named, after the incarnation if it takes one.
    fn new(body: &str, flags: &str, takes_incarnation: bool, names: &[&str]) -> Self {
        // Constants come from Rust, so that both sides agree on them.
        let constants =
            format!("local GENERATIONS_KEPT, WINDOW_BYTES_MAX = {GENERATIONS_KEPT}, {WINDOW_BYTES_MAX}");
        let arguments = locals(names, if takes_incarnation { 2 } else { 1 });
        let text = format!("#!lua{flags}\n{constants}\n{PRELUDE}\n{arguments}\n{body}");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, takes_incarnation }
    }

    /// Returns the hash by which the server finds the script.
    #[cfg(feature = "testing")]
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Returns the command that loads the script.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }
}

/// Returns the declaration of locals for the named arguments from index `first` on, and of the index of the first unnamed one.
fn locals(names: &[&str], first: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    let list = names.join(", ");
    let next = first + names.len();
    format!("local {list} = unpack(ARGV, {first}, {})\nlocal FIRST_UNNAMED = {next}", next - 1)
}

impl ScriptCall {
    /// Returns a call of `script` on `keys` without arguments.
    pub(super) fn new(script: &'static Script, keys: Vec<Bytes>) -> Self {
        Self { script, keys, arguments: Vec::new() }
    }

    /// Returns the call with one more argument.
    pub(super) fn arg(mut self, argument: impl Into<Bytes>) -> Self {
        self.push(argument);
        self
    }

    /// Returns the call with a number as one more argument.
    pub(super) fn number(self, number: impl std::fmt::Display) -> Self {
        self.arg(number.to_string())
    }

    /// Appends an argument to the call.
    pub(super) fn push(&mut self, argument: impl Into<Bytes>) {
        self.arguments.push(argument.into());
    }

    /// Returns the size of keys and arguments in bytes.
    pub(super) fn size(&self) -> usize {
        self.keys.iter().chain(&self.arguments).map(Bytes::len).sum()
    }

    /// Returns whether the script takes and returns the server's incarnation.
    pub(super) fn takes_incarnation(&self) -> bool {
        self.script.takes_incarnation
    }

    /// Returns the command, with the last known incarnation of the server.
    pub(super) fn command(&self, incarnation: &str) -> Cmd {
        let mut command = Cmd::with_capacity(4 + self.keys.len() + self.arguments.len(), self.size() + 100);
        // By hash, so that the text of a script is sent once per server and not with each call.
        command.arg("EVALSHA").arg(&self.script.hash).arg(self.keys.len());
        self.keys.iter().for_each(|key| {
            command.arg(&key[..]);
        });
        if self.script.takes_incarnation {
            command.arg(incarnation);
        }
        self.arguments.iter().for_each(|argument| {
            command.arg(&argument[..]);
        });
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_commit_script_reads_its_arguments_by_the_names_that_rust_writes() {
        let names = CommitArguments::NAMES;
        let list = names.join(", ");
        let locals = format!(
            "local {list} = unpack(ARGV, 2, {})\nlocal FIRST_UNNAMED = {}\n",
            1 + names.len(),
            2 + names.len()
        );
        assert!(COMMIT.text.contains(&locals), "{}", COMMIT.text);
        let body = include_str!("lua/commit.lua");
        let code: String = body
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        let words: BTreeSet<&str> = code.split(|sign: char| !sign.is_alphanumeric() && sign != '_').collect();
        for name in names {
            assert!(words.contains(name), "{name} is not read");
        }
        let numbered =
            code.split("ARGV[").skip(1).filter(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()));
        let numbered: Vec<&str> = numbered.map(|rest| rest.split(']').next().unwrap_or_default()).collect();
        // The incarnation of the server is the first argument of every script that takes it.
        assert!(numbered.iter().all(|number| *number == "1"), "{numbered:?}");
    }
}
