//! Parser of `store.url`: addresses, credentials and TLS. No part of a URL appears in an error, a log or a debug form, since any part
//! of an invalid one may be a password.

use portrait_store::{Error, Result};
use std::fmt;

/// Port of a server without one in the URL.
const DEFAULT_PORT: u16 = 6379;

/// Servers of a URL, with credentials and TLS.
#[derive(Clone)]
pub struct RedisTarget {
    /// At least one server; for a cluster, the seeds that the map of the slots is read from.
    pub(super) servers: Vec<Address>,
    /// True if the servers form a cluster.
    pub(super) cluster: bool,
    /// True if connections are encrypted and the servers authenticate.
    pub(super) tls: bool,
    /// User name; the server's default user by default.
    pub(super) username: Option<String>,
    /// Password, which is never displayed.
    pub(super) password: Option<String>,
    /// Database of a standalone server; a cluster has only database 0.
    pub(super) database: u16,
}

/// Address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    /// Host name or IP address, IPv6 without brackets.
    pub(super) host: String,
    /// TCP port of the server.
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, cluster, tls, username, password, database } = self;
        f.debug_struct("Target")
            .field("servers", servers)
            .field("cluster", cluster)
            .field("tls", tls)
            .field("username", &username.as_ref().map(|_| "..."))
            .field("password", &password.as_ref().map(|_| "..."))
            .field("database", database)
            .finish()
    }
}

impl RedisTarget {
    /// Returns whether the servers form a cluster.
    pub fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// Parses a URL: `redis://[user:password@]host[:port][/database]` for one server,
    /// `redis-cluster://[user:password@]host[:port],host[:port]...` for a cluster, and `rediss://` and `rediss-cluster://`
    /// for the same with TLS. In user and password, `:@/,%` are escaped as `%` and two hexadecimal digits.
    ///
    /// # Errors
    /// `Incompatible`, with the problem and the remedy.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            invalid_url("has no scheme", "write redis://host:6379, or redis-cluster://host:6379,host:6379")
        })?;
        let (cluster, tls) = match scheme {
            "redis" => (false, false),
            "rediss" => (false, true),
            "redis-cluster" => (true, false),
            "rediss-cluster" => (true, true),
            _ => {
                let remedy = "use redis://, rediss://, redis-cluster:// or rediss-cluster://";
                return Err(invalid_url("has an unknown scheme", remedy));
            }
        };
        // From the right, so that an unescaped @ in a password is still part of it.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let (username, password) = credentials.map_or(Ok((None, None)), read_credentials)?;
        let (servers, database) = rest.split_once('/').unwrap_or((rest, ""));
        let servers = servers
            .split(',')
            .enumerate()
            .map(|(index, server)| read_address(index + 1, server))
            .collect::<Result<Vec<_>>>()?;
        // Refused, and not read as seeds: a standalone store would ignore all servers but the first.
        if !cluster && servers.len() > 1 {
            let remedy = "use one, or use redis-cluster:// if they form a cluster";
            return Err(invalid_url("names several servers", remedy));
        }
        let database = read_database(database)?;
        if cluster && database != 0 {
            return Err(invalid_url("names a database", "leave it out: a cluster has only database 0"));
        }
        Ok(Self { servers, cluster, tls, username, password, database })
    }
}

fn invalid_url(problem: &str, remedy: &str) -> Error {
    Error::Incompatible { detail: format!("store.url {problem}: {remedy}") }
}

fn read_credentials(text: &str) -> Result<(Option<String>, Option<String>)> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(unescaped(password)?)),
        None => (text, None),
    };
    let username = Some(unescaped(username)?).filter(|username| !username.is_empty());
    // Redis authenticates with a password; a user alone is most likely a password without its colon.
    if password.is_none() && username.is_some() {
        let remedy = "write user:password@, or :password@ for the default user";
        return Err(invalid_url("has a user without a password", remedy));
    }
    Ok((username, password))
}

/// Parses the `number`-th server.
fn read_address(number: usize, text: &str) -> Result<Address> {
    // An IPv6 address has colons of its own, so it stands in brackets.
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| {
                invalid_url(
                    &format!("opens a bracket in server {number} that it does not close"),
                    "write [::1]:6379",
                )
            })?;
            (host, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(invalid_url(&format!("has no host in server {number}"), "write host:6379"));
    }
    if host.contains(['/', '?', '#', ' ']) {
        let problem = format!("has an invalid character in the host of server {number}");
        return Err(invalid_url(&problem, "escape : @ / , and % in a password as %3A %40 %2F %2C and %25"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            let remedy = "write host:6379; an IPv6 address is in brackets";
            invalid_url(
                &format!("has a port in server {number} that is not a number from 1 to 65535"),
                remedy,
            )
        })?,
    };
    Ok(Address { host: host.to_owned(), port })
}

fn read_database(text: &str) -> Result<u16> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| invalid_url("has a database that is not a number", "write redis://host:6379/0"))
}

/// Returns `text` with its `%` escapes decoded.
fn unescaped(text: &str) -> Result<String> {
    let invalid_escape =
        || invalid_url("has a % without two hexadecimal digits after it", "write a % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2).ok_or_else(invalid_escape)?;
            let digits = std::str::from_utf8(digits).map_err(|_| invalid_escape())?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid_escape())?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| invalid_url("has an escape that is not UTF-8", "escape UTF-8 byte by byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_into_servers_and_settings() {
        let rows = [
            ("redis://localhost", "localhost:6379", false, false, 0),
            ("redis://10.0.0.1:7000/3", "10.0.0.1:7000", false, false, 3),
            ("rediss://[::1]:6380/", "[::1]:6380", false, true, 0),
            ("redis-cluster://a:1,b,c:3", "a:1 b:6379 c:3", true, false, 0),
            ("rediss-cluster://u:p@a:1", "a:1", true, true, 0),
        ];
        for (url, servers, cluster, tls, database) in rows {
            let target = RedisTarget::parse(url).expect(url);
            let named: Vec<String> = target.servers.iter().map(Address::to_string).collect();
            assert_eq!(
                (named.join(" ").as_str(), target.cluster, target.tls, target.database),
                (servers, cluster, tls, database)
            );
        }
    }

    #[test]
    fn credentials_are_unescaped() {
        let rows = [
            ("redis://me:pass@h", Some("me"), Some("pass")),
            ("redis://:p%40ss%3a@h", None, Some("p@ss:")),
            ("redis://h", None, None),
        ];
        for (url, username, password) in rows {
            let target = RedisTarget::parse(url).expect(url);
            assert_eq!((target.username.as_deref(), target.password.as_deref()), (username, password));
        }
    }

    #[test]
    fn an_error_names_the_problem_and_no_secret() {
        let rows = [
            ("me:hunter2@h", "no scheme"),
            ("http://me:hunter2@h", "unknown scheme"),
            ("redis://me:hunter2@", "no host in server 1"),
            ("redis://me:hunter2@h:x", "port in server 1"),
            ("redis://hunter2@h", "without a password"),
            ("redis://me:hunter2%@h", "without two hexadecimal digits"),
            ("redis://me:hunter2@a,b", "several servers"),
            ("redis-cluster://me:hunter2@a,:7", "no host in server 2"),
            ("redis-cluster://me:hunter2@a/4", "names a database"),
            ("redis://me:hunter2@a/x", "database that is not a number"),
            ("redis://me:hunter2/extra", "port in server 1"),
            ("redis://me:hunter2@[::1", "bracket in server 1"),
        ];
        for (url, expected) in rows {
            let refused = RedisTarget::parse(url).expect_err(url).to_string();
            assert!(refused.contains(expected) && !refused.contains("hunter2"), "{url}: {refused}");
        }
        let target = RedisTarget::parse("redis://me:hunter2@h").expect("a target");
        let shown = format!("{target:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("me\""), "{shown}");
    }
}
