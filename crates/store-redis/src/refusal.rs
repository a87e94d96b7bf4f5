//! Refusals: errors by which a server says that it does not allow something. A refusal lasts until a person changes a right or a
//! setting, so it is told apart from an outage, and its text names what is missing.

use redis::{ErrorKind, RedisError};
use std::error::Error;
use std::sync::Arc;

/// Returns whether a server refuses something for good, and not for the moment.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
            true
        }
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => true,
            // Without a code of its own: a command that does not exist or was renamed, and a right that a script lacks.
            Some("ERR") => is_unknown_command(error) || is_refused_in_script(error),
            Some(_) => false,
            None => refused_handshake(error).is_some(),
        },
    }
}

/// Returns what the operator has to grant or change, as an imperative; `prefix` is that of all keys.
pub(super) fn remedy(error: &RedisError, prefix: &str) -> String {
    let text = error.to_string();
    if let Some(alert) = refused_handshake(error) {
        return alert.remedy().to_owned();
    }
    if is_unknown_command(error) {
        let name = quoted(&text).unwrap_or("the command");
        return format!(
            "run a server that has {name}, release 7.0 or newer, or ask its provider to enable it"
        );
    }
    match error.code() {
        Some("NOPERM" | "ERR") if text.contains("channel") => {
            format!("grant the channels: ACL SETUSER NAME &{{{prefix}:*")
        }
        Some("NOPERM" | "ERR") if text.contains(" key") => {
            format!("grant the keys: ACL SETUSER NAME ~{{{prefix}:*")
        }
        Some("NOPERM") => match quoted(&text) {
            Some(command) => format!("grant the command: ACL SETUSER NAME +{command}"),
            None => RIGHTS_PAGE.to_owned(),
        },
        Some("ERR") => RIGHTS_PAGE.to_owned(),
        _ => {
            "use a valid user and password in store.url, and rediss:// if the server requires TLS".to_owned()
        }
    }
}

/// Remedy where the server does not say which right is missing.
const RIGHTS_PAGE: &str = "grant the rights that docs/operate/redis.md lists";

/// Reason for which a server ended a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandshakeRefusal {
    /// The server requires a client certificate, and none was sent.
    CertificateRequired,
    /// The server does not accept the client certificate.
    CertificateRefused,
}

impl HandshakeRefusal {
    fn remedy(self) -> &'static str {
        match self {
            Self::CertificateRequired => {
                "the server requires a client certificate: name its files in store.certificate and store.key"
            }
            Self::CertificateRefused => {
                "the server does not accept the client certificate: name a valid one, signed by an authority that the server \
                 trusts, in store.certificate and store.key"
            }
        }
    }
}

/// Returns the reason for which the server ended the handshake, if it did.
fn refused_handshake(error: &RedisError) -> Option<HandshakeRefusal> {
    use rustls::AlertDescription as Alert;
    // The client library shares the error between its callers.
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    let io = shared.downcast_ref::<std::io::Error>()?;
    match io.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            Some(HandshakeRefusal::CertificateRequired)
        }
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Some(HandshakeRefusal::CertificateRefused),
        _ => None,
    }
}

fn is_unknown_command(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| {
        detail.starts_with("unknown command")
            || detail.starts_with("unknown subcommand")
            || detail.starts_with("Unknown ")
    })
}

/// Returns whether a command inside a script was refused; releases before 7.2 give such an error no code.
fn is_refused_in_script(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| {
        detail.starts_with("The user executing the script") || detail.starts_with("ACL failure in script")
    })
}

/// Returns the first part of a text in single quotes.
fn quoted(text: &str) -> Option<&str> {
    text.split('\'').nth(1).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str, detail: &str) -> RedisError {
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn a_refusal_names_the_missing_right() {
        // Texts of the releases 7.0 and 7.2.
        let rows = [
            (
                server(
                    "NOPERM",
                    "this user has no permissions to access one of the channels used as arguments",
                ),
                "&{portrait:*",
            ),
            (server("NOPERM", "No permissions to access a channel"), "&{portrait:*"),
            (
                server("ERR", "The user executing the script can't publish to the channel mentioned"),
                "&{portrait:*",
            ),
            (
                server("NOPERM", "this user has no permissions to access one of the keys used as arguments"),
                "~{portrait:*",
            ),
            (
                server(
                    "ERR",
                    "The user executing the script can't access at least one of the keys mentioned",
                ),
                "~{portrait:*",
            ),
            (server("NOPERM", "this user has no permissions to run the 'ssubscribe' command"), "+ssubscribe"),
            (server("NOPERM", "User p has no permissions to run the 'config|get' command"), "+config|get"),
            (
                server("ERR", "The user executing the script can't run this command or subcommand"),
                "docs/operate/redis.md",
            ),
            (
                server("ERR", "ACL failure in script: User p has no permissions to run"),
                "docs/operate/redis.md",
            ),
            (server("ERR", "unknown command 'SSUBSCRIBE', with args beginning with: "), "SSUBSCRIBE"),
            (server("WRONGPASS", "invalid username-password pair or user is disabled."), "store.url"),
            (server("NOAUTH", "Authentication required."), "store.url"),
        ];
        for (error, expected) in rows {
            assert!(is_refusal(&error), "{error}");
            let remedy = remedy(&error, "portrait");
            assert!(remedy.contains(expected), "{error}: {remedy}");
        }
    }

    #[test]
    fn an_outage_and_an_overload_are_no_refusals() {
        let reset = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(!is_refusal(&reset));
        for (code, detail) in [
            ("OOM", "command not allowed when used memory > 'maxmemory'."),
            ("LOADING", "Redis is loading the dataset in memory"),
            ("BUSY", "Redis is busy running a script."),
            ("MASTERDOWN", "Link with MASTER is down"),
            ("NOREPLICAS", "Not enough good replicas to write."),
            ("ERR", "max number of clients reached"),
        ] {
            assert!(!is_refusal(&server(code, detail)), "{code} {detail}");
        }
    }

    #[test]
    fn a_handshake_without_an_accepted_certificate_names_the_keys() {
        use rustls::AlertDescription as Alert;
        for alert in
            [Alert::CertificateRequired, Alert::BadCertificate, Alert::UnknownCA, Alert::CertificateExpired]
        {
            let error = RedisError::from(std::io::Error::other(rustls::Error::AlertReceived(alert)));
            assert!(is_refusal(&error), "{error}");
            let remedy = remedy(&error, "portrait");
            assert!(remedy.contains("store.certificate") && remedy.contains("store.key"), "{remedy}");
        }
    }
}
