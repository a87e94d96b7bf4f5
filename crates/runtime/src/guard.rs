//! Authentication and authorisation of calls by bearer tokens. Without a tokens file every call is admitted; in-process calls
//! always are.

use crate::connections::{PeerOrigin, PublicCall};
pub use crate::methods::AccessRule;
use crate::methods::{Method, MethodTable};
use crate::share::{ShareTaken, held_by_body};
use crate::tokens::{AccessRole, Caller, Tokens};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Status};

/// Denial of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The call carries no token.
    #[error("the call has no token: send it as `authorization: Bearer TOKEN`")]
    NoToken,
    /// The token belongs to no caller.
    #[error("the token is not known: request one from the operator of the servers")]
    UnknownToken,
    /// The caller lacks the role.
    #[error(
        "the token lacks the role {0}, which this call requires: request one with it from the operator of the servers"
    )]
    MissingRole(AccessRole),
    /// The caller exceeds its rate.
    #[error("the token's {rate} are used up: call again later")]
    RateLimited {
        /// Key of the rate in the tokens file.
        rate: &'static str,
        /// Time until the next call is admitted.
        retry_after: Duration,
    },
    /// The caller holds its share.
    #[error(transparent)]
    ShareTaken(#[from] ShareTaken),
    /// The connection has too many public calls open.
    #[error("the connection has too many health checks open: end one, or use fewer")]
    TooManyPublicCalls,
}

/// Converts a denial to the documented status.
pub type DenialToStatus = fn(&AccessDenied) -> Status;

/// State of the authentication layer.
pub(crate) struct Guard {
    /// `None` admits every call.
    pub(crate) tokens: Option<watch::Receiver<Arc<Tokens>>>,
    /// Access rule of each method.
    pub(crate) methods: Arc<MethodTable>,
    /// Conversion of denials to statuses.
    pub(crate) to_status: DenialToStatus,
    /// Whether calls of a method are written to the audit log, by its path.
    pub(crate) audited: fn(&str) -> bool,
}

impl Guard {
    /// Finds the caller of a call; `None` if the method or the server needs none.
    fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<Caller>>, AccessDenied> {
        let Method { rule, is_client_streaming, .. } = self.methods.method(path);
        // Public methods need no caller, also with a tokens file: health checks come without a token.
        let Some(tokens) = self.tokens.as_ref().filter(|_| rule != AccessRule::Public) else {
            return Ok(None);
        };
        let token = bearer(headers).ok_or(AccessDenied::NoToken)?;
        let caller = tokens.borrow().caller(token).cloned().ok_or(AccessDenied::UnknownToken)?;
        if let AccessRule::Role(role) = rule {
            if !caller.has(role) {
                tracing::debug!(caller = caller.name(), path, %role, "permission denied");
                return Err(AccessDenied::MissingRole(role));
            }
            let (rate, admitted) = match role {
                AccessRole::Read | AccessRole::Admin => ("calls_per_second", caller.take_call()),
                // A stream waits for its rate, message by message.
                AccessRole::Write if is_client_streaming => ("events_per_second", Ok(())),
                // Writers are limited in events, which only ingest can count. Asked here too: a request that must wait is not
                // even decoded.
                AccessRole::Write => ("events_per_second", caller.may_send()),
            };
            admitted.map_err(|retry_after| AccessDenied::RateLimited { rate, retry_after })?;
        }
        Ok(Some(caller))
    }

    /// Admits the connection of a call, or counts it as public. The returned call is counted until it is dropped.
    fn admit_connection(
        &self,
        peer: Option<&PeerOrigin>,
        path: &str,
        caller: Option<&Arc<Caller>>,
    ) -> Result<Option<PublicCall>, AccessDenied> {
        let Some(PeerOrigin::Port(slot)) = peer else { return Ok(None) };
        if self.methods.method(path).rule == AccessRule::Public {
            return slot.public_call().map(Some).ok_or(AccessDenied::TooManyPublicCalls);
        }
        slot.admit_caller(caller.map(|caller| &**caller))?;
        Ok(None)
    }

    /// Begins the audit of a call, if its method is audited.
    fn audit(&self, path: &str, caller: Option<Arc<Caller>>) -> Option<AuditedCall> {
        (self.audited)(path).then(|| AuditedCall { path: path.to_owned(), caller, code: Code::Cancelled })
    }
}

/// Call that leaves an audit line on drop, so that one whose caller disconnects leaves it too: its effect may have happened.
struct AuditedCall {
    path: String,
    caller: Option<Arc<Caller>>,
    code: Code,
}

impl Drop for AuditedCall {
    fn drop(&mut self) {
        let caller = self.caller.as_ref().map_or("none", |caller| caller.name());
        let Self { path, code, .. } = self;
        tracing::info!(target: "portrait::audit", caller, method = path, ?code, "audit");
    }
}

/// Returns the bearer token of a call.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Admits or denies a call.
pub(crate) async fn guarded(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    // In-process calls have no token: the process trusts itself.
    if matches!(request.extensions().get(), Some(PeerOrigin::InProcess)) {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let admitted = guard.authenticate(&path, request.headers()).and_then(|caller| {
        let public = guard.admit_connection(request.extensions().get(), &path, caller.as_ref())?;
        Ok((caller, public))
    });
    let (caller, public) = match admitted {
        Ok(admitted) => admitted,
        Err(denial) => return (guard.to_status)(&denial).into_http::<Body>(),
    };
    // Services do not need the token; removed here, it cannot leak into logs or errors.
    request.headers_mut().remove(AUTHORIZATION);
    if let Some(caller) = &caller {
        request.extensions_mut().insert(Arc::clone(caller));
    }
    let audited = guard.audit(&path, caller.clone());
    let response = next.run(request).await;
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    if let Some(mut audited) = audited {
        audited.code = code;
    }
    match caller {
        // Work without an event: decoding costs as much for a request that is refused for its form.
        Some(caller) if is_malformed(code) => caller.charge_event(),
        _ => {}
    }
    match public {
        // The stream of a watch is open for longer than the call.
        Some(public) => held_by_body(response, public),
        None => response,
    }
}

/// Returns whether a request was refused for its form.
fn is_malformed(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::OutOfRange | Code::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_header() {
        let rows = [
            (None, None),
            (Some("Bearer one"), Some("one")),
            (Some("bearer  one "), Some("one")),
            (Some("Basic one"), None),
            (Some("one"), None),
            (Some("Bearer "), Some("")),
        ];
        for (header, token) in rows {
            let mut headers = HeaderMap::new();
            header.map(|text| headers.insert(AUTHORIZATION, text.parse().expect("a header")));
            assert_eq!(bearer(&headers), token, "{header:?}");
        }
    }
}
