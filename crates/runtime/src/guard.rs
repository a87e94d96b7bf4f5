//! Who may make a call. In come a call and what its method needs, out goes the call with its caller, or why not. Without a file
//! of tokens every call is let in; calls of the process to itself always are.

use crate::connections::Origin;
use crate::methods::Methods;
pub use crate::methods::Need;
use crate::tokens::{Caller, Role, Tokens};
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

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It shows no token.
    #[error("the call has no token: send it as `authorization: Bearer TOKEN`")]
    NoToken,
    /// It shows one that nobody has.
    #[error("the token is not known: ask whoever runs the servers for one")]
    UnknownToken,
    /// Its caller has not the role.
    #[error(
        "the token has not the role {0}, which this call needs: ask whoever runs the servers for one that has"
    )]
    Lacks(Role),
    /// Its caller has made too many.
    #[error("the token's calls_per_second are used up: call again later")]
    TooMany {
        /// When one more is taken.
        retry_after: Duration,
    },
}

/// Gives a refusal the form that is documented.
pub type Refuse = fn(&Refusal) -> Status;

/// What the layer needs.
pub(crate) struct Guard {
    /// None: every call is let in.
    pub(crate) tokens: Option<watch::Receiver<Arc<Tokens>>>,
    /// What each method needs.
    pub(crate) methods: Arc<Methods>,
    /// The last word on a refusal.
    pub(crate) refuse: Refuse,
}

impl Guard {
    /// The caller of a call, if there must be one.
    fn caller(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<Caller>>, Refusal> {
        let need = self.methods.need_of(path);
        let Some(tokens) = self.tokens.as_ref().filter(|_| need != Need::Nothing) else {
            return Ok(None);
        };
        let shown = bearer(headers).ok_or(Refusal::NoToken)?;
        let caller = tokens.borrow().caller(shown).cloned().ok_or(Refusal::UnknownToken)?;
        if let Need::Role(role) = need {
            if !caller.has(role) {
                tracing::debug!(caller = caller.name(), path, %role, "a call is not for its caller");
                return Err(Refusal::Lacks(role));
            }
            // What a writer sends is counted in events, by the room that reads them.
            if role == Role::Read {
                caller.take_call().map_err(|retry_after| Refusal::TooMany { retry_after })?;
            }
        }
        Ok(Some(caller))
    }
}

/// The token that a call shows.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a call in, or refuses it.
pub(crate) async fn guarded(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if request.extensions().get() == Some(&Origin::Inside) {
        return next.run(request).await;
    }
    match guard.caller(request.uri().path(), request.headers()) {
        Ok(caller) => {
            // No room has a use for it, and what nobody holds nobody shows.
            request.headers_mut().remove(AUTHORIZATION);
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refusal) => (guard.refuse)(&refusal).into_http::<Body>(),
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
