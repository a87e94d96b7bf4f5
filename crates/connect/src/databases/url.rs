//! URLs of databases.

use super::error::SourceError;
use std::fmt;
use std::str::FromStr;
use url::Url;

/// Kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// PostgreSQL, 13 or newer.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

/// URL of a database without a password: `postgres://USER@HOST:PORT/DATABASE`, `mysql://...` or `mariadb://...`.
///
/// The port defaults to 5432 and 3306. The only parameter is `sslmode=require`, which asks for TLS on loopback too.
///
/// ```
/// use portrait_connect::databases::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://portrait@db.example.com/shop".parse()?;
/// assert_eq!((url.host(), url.port(), url.database()), ("db.example.com", 5432, "shop"));
/// assert!("postgres://portrait:secret@db.example.com/shop".parse::<DatabaseUrl>().is_err());
/// # Ok::<(), portrait_connect::databases::SourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    engine: DatabaseEngine,
    user: String,
    host: String,
    port: u16,
    database: String,
    requires_tls: bool,
}

impl DatabaseUrl {
    /// Returns the kind of server.
    #[must_use]
    pub fn engine(&self) -> DatabaseEngine {
        self.engine
    }

    /// Returns the database user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the host's name or address; an IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns whether the URL has `sslmode=require`.
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.requires_tls
    }
}

impl FromStr for DatabaseUrl {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        // The parser's own error has no part of the URL in it.
        let url = Url::parse(text).map_err(|error| defect(&error.to_string()))?;
        if url.password().is_some()
            || url.query_pairs().any(|(name, _)| name.contains("pass") || name == "pwd")
        {
            return Err(SourceError::PasswordInUrl);
        }
        let engine = match url.scheme() {
            "postgres" | "postgresql" => DatabaseEngine::Postgres,
            "mysql" | "mariadb" => DatabaseEngine::MySql,
            _ => return Err(defect("the scheme must be postgres, mysql or mariadb")),
        };
        let default_port = match engine {
            DatabaseEngine::Postgres => 5432,
            DatabaseEngine::MySql => 3306,
        };
        let host = decode(url.host_str().unwrap_or_default(), "the host")?;
        if url.fragment().is_some() {
            return Err(defect("it must not have a fragment (#)"));
        }
        Ok(Self {
            engine,
            user: decode(url.username(), "the user")?,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(default_port),
            database: decode(url.path().trim_start_matches('/'), "the database")?,
            requires_tls: requires_tls(&url)?,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.engine {
            DatabaseEngine::Postgres => "postgres",
            DatabaseEngine::MySql => "mysql",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let Self { user, host, port, database, .. } = self;
        write!(formatter, "{scheme}://{user}@{open}{host}{close}:{port}/{database}")
    }
}

fn defect(defect: &str) -> SourceError {
    SourceError::Url { defect: defect.to_owned() }
}

/// Reads the parameters.
fn requires_tls(url: &Url) -> Result<bool, SourceError> {
    let mut required = false;
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("sslmode", "require") => required = true,
            ("sslmode", _) => return Err(defect("sslmode can only be `require`")),
            _ => return Err(defect("sslmode=require is the only parameter")),
        }
    }
    Ok(required)
}

/// Decodes a part that must not be empty or hold control characters.
fn decode(part: &str, name: &str) -> Result<String, SourceError> {
    // The decoder is that of query strings, in which these signs have a meaning; here they stand for themselves.
    let escaped = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let decoded = url::form_urlencoded::parse(escaped.as_bytes()).next().map(|(part, _)| part.into_owned());
    match decoded {
        Some(decoded) if !decoded.contains(char::is_control) && !decoded.contains('\u{fffd}') => Ok(decoded),
        Some(_) => Err(defect(&format!("{name} has characters that cannot be used"))),
        None => Err(defect(&format!("{name} is missing"))),
    }
}
