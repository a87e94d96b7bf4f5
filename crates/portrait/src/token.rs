//! `portrait token`: creates a token for a caller. Standard output gets the entry for `server.tokens_file`, with the hash only, so
//! that it can be appended to the file. Standard error gets the token itself, once. No server is contacted.

use anyhow::{Result, bail};
use clap::Args;
use portrait_runtime::tokens::{AccessRole, hashed};
use std::fmt::Write;

/// Prefix of tokens, so that secret scanners recognise leaked ones.
const PREFIX: &str = "portrait_";

/// Arguments of `portrait token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Name of the caller, for limits and messages.
    #[arg(value_name = "NAME")]
    name: String,
    /// Role of the token; can be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<AccessRole>,
    /// Maximum number of events a second; 0: unlimited.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    events_per_second: u32,
    /// Maximum number of read calls a second; 0: unlimited.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    calls_per_second: u32,
}

fn role(text: &str) -> Result<AccessRole, String> {
    match text {
        "write" => Ok(AccessRole::Write),
        "read" => Ok(AccessRole::Read),
        "admin" => Ok(AccessRole::Admin),
        _ => Err("is no role: give write, read or admin".to_owned()),
    }
}

/// Creates and prints a token.
///
/// # Errors
/// If the name is empty or has control characters.
pub fn run(args: &TokenArgs) -> Result<()> {
    if args.name.is_empty() || args.name.chars().any(char::is_control) {
        bail!("the name {:?} is empty or has control characters: give another", args.name);
    }
    let token = random();
    // On standard error, so that `portrait token ... >> tokens.toml` appends only the entry.
    eprintln!("secret of the caller, shown only once: {token}");
    print!("{}", entry(args, &token));
    Ok(())
}

/// Generates a token with 256 random bits.
fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().fold(PREFIX.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn entry(args: &TokenArgs, token: &str) -> String {
    let roles: Vec<String> = args.roles.iter().map(|role| format!("\"{role}\"")).collect();
    // Quoted by the TOML library: a name may contain quotes.
    let name = toml::Value::String(args.name.clone());
    let mut text =
        format!("[[token]]\nname = {name}\nsha256 = \"{}\"\nroles = [{}]\n", hashed(token), roles.join(", "));
    for (key, rate) in
        [("events_per_second", args.events_per_second), ("calls_per_second", args.calls_per_second)]
    {
        if rate > 0 {
            let _ = writeln!(text, "{key} = {rate}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_an_entry_has_only_the_hash() {
        let token = random();
        assert_eq!(token.len(), PREFIX.len() + 64);
        assert_ne!(token, random());
        let args = TokenArgs {
            name: "the \"shop\"".to_owned(),
            roles: vec![AccessRole::Write, AccessRole::Read],
            events_per_second: 500,
            calls_per_second: 0,
        };
        let text = entry(&args, &token);
        assert!(!text.contains(&token), "{text}");
        let read: toml::Table = toml::from_str(&text).expect("TOML");
        let first_entry = &read["token"][0];
        assert_eq!(first_entry["name"].as_str(), Some("the \"shop\""));
        assert_eq!(first_entry["sha256"].as_str(), Some(hashed(&token).as_str()));
        assert_eq!(first_entry["events_per_second"].as_integer(), Some(500));
        assert!(first_entry.get("calls_per_second").is_none());
    }
}
