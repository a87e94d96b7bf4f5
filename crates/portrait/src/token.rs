//! `portrait token`: makes a token for a caller. In go its name and roles, out go the entry of the file that `server.tokens_file`
//! names, with nothing but the token's hash, on standard output, so that it can be put at the end of that file; and the token itself,
//! once, on standard error. Nothing is written anywhere else and no server is asked.

use anyhow::{Result, bail};
use clap::Args;
use portrait_runtime::tokens::{AccessRole, hashed};
use std::fmt::Write;

/// How a token begins, so that whoever finds one knows what it is.
const PREFIX: &str = "portrait_";

/// The arguments of `portrait token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Who will show it, as limits and messages of yours call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do; may be given again.
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<AccessRole>,
    /// Events a second that it may send; 0 is without limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    events_per_second: u32,
    /// Calls a second that it may read by; 0 is without limit.
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

/// Makes a token and prints it.
///
/// # Errors
/// If the name cannot stand in the file.
pub fn run(args: &TokenArgs) -> Result<()> {
    if args.name.is_empty() || args.name.chars().any(char::is_control) {
        bail!("the name {:?} is empty or has control characters: give another", args.name);
    }
    let token = random();
    eprintln!("for the caller alone, and not shown again: {token}");
    print!("{}", entry(args, &token));
    Ok(())
}

/// 256 bits that nobody can guess.
fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().fold(PREFIX.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn entry(args: &TokenArgs, token: &str) -> String {
    let roles: Vec<String> = args.roles.iter().map(|role| format!("\"{role}\"")).collect();
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
    fn tokens_differ_and_an_entry_has_the_hash_alone() {
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
        let first = &read["token"][0];
        assert_eq!(first["name"].as_str(), Some("the \"shop\""));
        assert_eq!(first["sha256"].as_str(), Some(hashed(&token).as_str()));
        assert_eq!(first["events_per_second"].as_integer(), Some(500));
        assert!(first.get("calls_per_second").is_none());
    }
}
