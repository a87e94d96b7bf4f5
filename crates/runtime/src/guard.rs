//! Authentication and authorisation of calls by bearer tokens. Without a tokens file every call is admitted; in-process calls
//! always are.

use crate::connections::PeerOrigin;
pub use crate::methods::AccessRule;
use crate::methods::MethodTable;
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
use tonic::Status;

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
    #[error("the token's calls_per_second are used up: call again later")]
    RateLimited {
        /// Time until the next call is admitted.
        retry_after: Duration,
    },
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
}

impl Guard {
    /// Finds the caller of a call; `None` if the method or the server needs none.
    fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<Caller>>, AccessDenied> {
        let rule = self.methods.access_rule(path);
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
            // Writers are limited in events, which only ingest can count.
            if role == AccessRole::Read {
                caller.take_call().map_err(|retry_after| AccessDenied::RateLimited { retry_after })?;
            }
        }
        Ok(Some(caller))
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
    if request.extensions().get() == Some(&PeerOrigin::InProcess) {
        return next.run(request).await;
    }
    match guard.authenticate(request.uri().path(), request.headers()) {
        Ok(caller) => {
            // Services do not need the token; removed here, it cannot leak into logs or errors.
            request.headers_mut().remove(AUTHORIZATION);
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(denial) => (guard.to_status)(&denial).into_http::<Body>(),
    }
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
