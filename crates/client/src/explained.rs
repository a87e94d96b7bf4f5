//! Failed calls in words, with the remedy: neither the code of a status nor the text of a broken connection tells a person what to do.

use std::error::Error as _;
use tonic::{Code, Status};

/// Returns the problem of a failed call and its remedy, for a person at a terminal. The message of a Portrait server has its own
/// remedy; what only the caller knows is added: flags, and what stands at the other end of the connection.
///
/// ```
/// use tonic::Status;
///
/// let text = portrait_client::explained(&Status::unauthenticated("the token is unknown"));
/// assert_eq!(text, "the token is unknown: pass yours with --token-file FILE or in the variable PORTRAIT_TOKEN");
/// ```
pub fn explained(status: &Status) -> String {
    let message = status.message();
    // The text of the library for any response that is not of gRPC.
    if message.starts_with("grpc-status header missing") {
        return "the port does not speak gRPC: name the gRPC port (server.listen), not the one of /metrics"
            .to_owned();
    }
    let remedy = match status.code() {
        Code::Unauthenticated => "pass yours with --token-file FILE or in the variable PORTRAIT_TOKEN",
        Code::PermissionDenied => {
            "pass a token with this role with --token-file FILE; `portrait token NAME --role ROLE` makes one"
        }
        Code::Unimplemented => {
            "the server has another role or is of another release: name the server of each role, --to ROLE=URL"
        }
        Code::DeadlineExceeded => "the server is busy or away: try again, and see `portrait doctor`",
        // With a source it is of the connection, which a port of another protocol closes.
        Code::Cancelled if status.source().is_some() => return without_answer(status),
        Code::Cancelled | Code::Aborted => "the connection ended before the response: try again",
        Code::Unavailable | Code::Unknown | Code::Internal => return without_answer(status),
        // These are about the request; the server says what is wrong with it.
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::DataLoss => "",
    };
    joined(message, remedy)
}

/// Returns the remedy of a connection that could not be made or broke; empty if its cause is not a usual one.
pub(crate) fn connection_remedy(causes: &str) -> &'static str {
    let has = |parts: &[&str]| parts.iter().any(|part| causes.contains(part));
    if has(&["InvalidContentType", "WrongVersionNumber"]) {
        "the port has no TLS: write http:// instead of https://"
    } else if has(&["UnknownIssuer", "CaUsedAsEndEntity", "NotValidForName", "Expired"]) {
        "the server's certificate is not trusted: name its CA with --ca FILE, and the host as the certificate names it"
    } else if has(&["CertificateRequired", "HandshakeFailure"]) {
        "the server requires a client certificate: pass --cert FILE and --key FILE"
    } else if has(&["dns error", "failed to lookup address"]) {
        "no host has this name: check the address in --to"
    } else if has(&["Connection refused"]) {
        "nothing listens on this port: start `portrait serve`, or name the address of the servers with --to"
    } else if has(&[
        "http2 error",
        "h2 protocol error",
        "frame with invalid size",
        "connection closed before message",
    ]) {
        "the port does not speak plaintext gRPC: write https:// if it has TLS, and name the gRPC port, not the one of /metrics"
    } else if has(&["broken pipe", "connection reset", "operation was canceled"]) {
        "the server closed the connection: write https:// if the port has TLS, or try again if it has just stopped"
    } else if has(&["operation timed out", "deadline has elapsed", "timed out"]) {
        "the server does not respond: check the address in --to, and the network between"
    } else {
        ""
    }
}

/// Returns the chain of causes of an error as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Returns the text for a status that the server or the connection may have made.
fn without_answer(status: &Status) -> String {
    let Some(source) = status.source() else {
        // Of the server: its message has the remedy.
        return joined(status.message(), "");
    };
    let causes = chain(source);
    match connection_remedy(&causes) {
        "" => format!("the connection to the server broke: {}: {causes}", status.message()),
        remedy => format!("the connection to the server failed: {remedy}"),
    }
}

fn joined(message: &str, remedy: &str) -> String {
    match (message, remedy) {
        ("", "") => "the server gave no reason: its log may have one".to_owned(),
        ("", remedy) => remedy.to_owned(),
        (message, "") => message.to_owned(),
        (message, remedy) => format!("{message}: {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_words_with_a_remedy_and_never_a_code() {
        let rows = [
            (Code::Unauthenticated, "no token", "--token-file"),
            (Code::PermissionDenied, "the token has not the role admin", "--role ROLE"),
            (Code::Unimplemented, "", "--to ROLE=URL"),
            (Code::DeadlineExceeded, "Timeout expired", "try again"),
            (Code::Cancelled, "", "try again"),
            (Code::Internal, "", "its log"),
            (Code::NotFound, "there is no user 7: check the id", "check the id"),
            (Code::ResourceExhausted, "the store is full: free some space", "free some space"),
            (Code::Unavailable, "the store does not answer", "the store does not answer"),
        ];
        for (code, message, expected) in rows {
            let text = explained(&Status::new(code, message));
            assert!(text.contains(expected) && text.contains(message), "{text}");
            for raw in ["code:", "status:", &format!("{code:?}")] {
                assert!(!text.contains(raw), "{text}");
            }
        }
    }

    #[test]
    fn a_port_of_another_protocol_is_named_as_such() {
        for code in [Code::Unimplemented, Code::Unknown, Code::Unavailable] {
            let text =
                explained(&Status::new(code, "grpc-status header missing, mapped from HTTP status code 404"));
            assert!(text.contains("name the gRPC port") && !text.contains("404"), "{text}");
        }
    }

    #[test]
    fn a_broken_connection_is_explained_by_its_cause() {
        let rows = [
            ("transport error: invalid peer certificate: UnknownIssuer", "--ca FILE"),
            ("received corrupt message of type InvalidContentType", "http://"),
            (
                "dns error: failed to lookup address information: Name or service not known",
                "check the address",
            ),
            ("tcp connect error: Connection refused (os error 111)", "nothing listens"),
            ("received fatal alert: CertificateRequired", "--cert FILE"),
            ("h2 protocol error: http2 error", "https://"),
            ("connection error: stream closed because of a broken pipe", "https://"),
            ("operation timed out", "does not respond"),
            ("something new", "something new"),
        ];
        for (cause, expected) in rows {
            let text = explained(&Status::from_error(Box::new(std::io::Error::other(cause))));
            assert!(text.contains(expected) && text.starts_with("the connection to the server"), "{text}");
        }
    }
}
