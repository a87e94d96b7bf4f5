//! The scripts that run inside the server, and calls of them. Each one touches keys of one tag only, looks at everything
//! before it writes anything, and says by its flags whether it may run while memory is used up.

use super::commit_arguments::CommitArguments;
use super::keys::WINDOW_BYTES_MAX;
use bytes::Bytes;
use portrait_store::GENERATIONS_KEPT;
use redis::Cmd;
use std::sync::LazyLock;

/// What every script may use.
const PRELUDE: &str = include_str!("lua/prelude.lua");

/// One script.
pub(super) struct Script {
    /// What the server is given.
    text: String,
    /// By what the server knows it.
    hash: String,
    /// Whether its first argument is the server's life as the connection knows it, and the first value of its reply what it is.
    pub(super) takes_incarnation: bool,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal, $flags:literal, $lives:literal, $names:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file, ".lua")), $flags, $lives, $names));
        )*

        /// All of them, to be loaded into a server.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts!(
    /// Appends a block to a log. Refused while memory is used up.
    APPEND = "append", "", true, &[];
    /// One step of an owner.
    COMMIT = "commit", " flags=allow-oom", true, CommitArguments::NAMES;
    /// Takes, extends or ends a lease.
    LEASE = "lease", " flags=allow-oom", false, &[];
    /// Takes a worker in, and says who is there.
    ATTEND = "attend", " flags=allow-oom", false, &[];
    /// Begins a generation where one is due.
    SETTLE = "settle", " flags=allow-oom", true, &[];
    /// Reads a stretch of a log or feed.
    READ = "read", " flags=no-writes", false, &[];
    /// Tells how far the windows of remembered ids have grown.
    SEEN = "seen", " flags=no-writes", false, &[];
    /// Publishes a model. Refused while memory is used up.
    PUBLISH = "registry", "", false, &[];
    /// Changes the models without a new one: room is made by forgetting.
    REGISTRY = "registry", " flags=allow-oom", false, &[];
    /// Fixes what is fixed at creation. Also read while memory is used up: whoever makes room has to open the store.
    LAYOUT = "layout", " flags=allow-oom", false, &[];
    /// Forgets what is old.
    TRIM = "trim", " flags=allow-oom", false, &[];
);

/// A call of a script.
#[derive(Clone)]
pub(super) struct ScriptCall {
    script: &'static Script,
    keys: Vec<Bytes>,
    arguments: Vec<Bytes>,
}

impl Script {
    /// A script whose first arguments, after the server's life if it `lives`, have `names`.
    fn new(body: &str, flags: &str, lives: bool, names: &[&str]) -> Self {
        let constants =
            format!("local GENERATIONS_KEPT, WINDOW_BYTES_MAX = {GENERATIONS_KEPT}, {WINDOW_BYTES_MAX}");
        let arguments = locals(names, if lives { 2 } else { 1 });
        let text = format!("#!lua{flags}\n{constants}\n{PRELUDE}\n{arguments}\n{body}");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, takes_incarnation: lives }
    }

    /// By what the server knows it.
    #[cfg(feature = "testing")]
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The command that loads it.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }
}

/// Locals of a script that are its arguments from `first` on, and the place of the first argument without a name.
fn locals(names: &[&str], first: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    let (list, next) = (names.join(", "), first + names.len());
    format!("local {list} = unpack(ARGV, {first}, {})\nlocal FIRST_UNNAMED = {next}", next - 1)
}

impl ScriptCall {
    /// A call of `script` on `keys`.
    pub(super) fn new(script: &'static Script, keys: Vec<Bytes>) -> Self {
        Self { script, keys, arguments: Vec::new() }
    }

    /// With one more argument.
    pub(super) fn arg(mut self, argument: impl Into<Bytes>) -> Self {
        self.push(argument);
        self
    }

    /// With a number as one more argument.
    pub(super) fn number(self, number: impl std::fmt::Display) -> Self {
        self.arg(number.to_string())
    }

    /// Adds an argument.
    pub(super) fn push(&mut self, argument: impl Into<Bytes>) {
        self.arguments.push(argument.into());
    }

    /// How many bytes keys and arguments have.
    pub(super) fn size(&self) -> usize {
        self.keys.iter().chain(&self.arguments).map(Bytes::len).sum()
    }

    /// Whether it asks for the server's life and tells it.
    pub(super) fn takes_incarnation(&self) -> bool {
        self.script.takes_incarnation
    }

    /// The command, sent to a server that lives the life `life` as far as is known.
    pub(super) fn command(&self, life: &str) -> Cmd {
        let mut command = Cmd::with_capacity(4 + self.keys.len() + self.arguments.len(), self.size() + 100);
        command.arg("EVALSHA").arg(&self.script.hash).arg(self.keys.len());
        self.keys.iter().for_each(|key| {
            command.arg(&key[..]);
        });
        if self.script.takes_incarnation {
            command.arg(life);
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
        // The life of the server is the first argument of every script that has one.
        assert!(numbered.iter().all(|number| *number == "1"), "{numbered:?}");
    }
}
