//! Subscription to profile changes that reconnects with exponential backoff and resumes after the last handled response. It ends
//! only if the server refuses the request or the handler fails. If the store behind the server was replaced, which then refuses the
//! token that it issued before, the subscription starts with all profiles.

use crate::explained::{chain, explained};
use crate::{Error, ServerArgs};
use portrait_proto::status::reason_of;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ErrorReason, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart};
use std::time::Duration;
use tonic::{Code, Status};

/// First delay before reconnecting; doubled after each connection without progress.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Maximum delay before reconnecting.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Time without a message after which the connection counts as lost: servers send a progress message at least once a second, and a
/// broken TCP connection may stay unnoticed for minutes.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Subscription to the changes of profiles.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Server to connect to.
    pub server: ServerArgs,
    /// Filter and resume token; the token advances with each handled response.
    pub request: WatchProfileChangesRequest,
}

/// End of one connection.
enum Disconnect<E> {
    /// A new connection can resume.
    Transient(String),
    /// A retry cannot succeed.
    Permanent(E),
}

/// Passes each response to `handle` and each disconnect, as a message, to `notice`. Never returns without an error.
///
/// Delivery is at least once: a response whose handler failed, or that was in flight at a disconnect, is delivered again.
///
/// # Errors
/// If the first connection fails, the server refuses the request ([`Error::Refused`]), or `handle` fails.
pub async fn follow<E: From<Error>>(
    mut subscription: Subscription,
    handle: &mut (dyn FnMut(&WatchProfileChangesResponse) -> Result<(), E> + Send),
    notice: &mut (dyn FnMut(&str) + Send),
) -> Result<(), E> {
    // A wrong address is a mistake of the caller, not an outage: it is reported at once instead of retried.
    drop(subscription.server.connect().await?);
    let mut backoff = BACKOFF_MIN;
    let given = subscription.request.resume_token.clone();
    loop {
        let token_before = subscription.request.resume_token.clone();
        match receive(&mut subscription, &given, handle).await {
            Disconnect::Permanent(error) => return Err(error),
            Disconnect::Transient(reason) => {
                // Progress shows that the server works: the next outage starts with a short delay again.
                if subscription.request.resume_token != token_before {
                    backoff = BACKOFF_MIN;
                }
                notice(&format!(
                    "the connection to {} was lost ({reason}); reconnecting",
                    subscription.server.address()
                ));
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Receives responses over one connection until it ends; `given` is the token that the subscription began with.
async fn receive<E: From<Error>>(
    subscription: &mut Subscription,
    given: &[u8],
    handle: &mut (dyn FnMut(&WatchProfileChangesResponse) -> Result<(), E> + Send),
) -> Disconnect<E> {
    let channel = match subscription.server.connect().await {
        Ok(channel) => channel,
        Err(error) => return Disconnect::Transient(chain(&error)),
    };
    let mut query = QueryServiceClient::new(channel);
    let mut responses = match query.watch_profile_changes(subscription.request.clone()).await {
        Ok(responses) => responses.into_inner(),
        // A token that this server issued is of another store now. One that the caller passed may be a mistake.
        Err(status)
            if reason_of(&status) == Some(ErrorReason::BadToken)
                && subscription.request.resume_token != given =>
        {
            subscription.request.resume_token.clear();
            subscription.request.start = WatchStart::Snapshot.into();
            return Disconnect::Transient("its store was replaced: all profiles follow".to_owned());
        }
        Err(status) => return disconnect(status),
    };
    loop {
        let response = match tokio::time::timeout(SILENCE_MAX, responses.message()).await {
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => return Disconnect::Transient("the server ended the stream".to_owned()),
            Ok(Err(status)) => return disconnect(status),
            Err(_) => return Disconnect::Transient(format!("silence for {} s", SILENCE_MAX.as_secs())),
        };
        if let Err(error) = handle(&response) {
            return Disconnect::Permanent(error);
        }
        // The token advances only after the handler succeeded, so that a failed response is delivered again.
        if !response.resume_token.is_empty() {
            subscription.request.resume_token = response.resume_token;
        }
    }
}

fn disconnect<E: From<Error>>(status: Status) -> Disconnect<E> {
    match status.code() {
        // The request itself is at fault, or the caller has no access: the same request would be refused again.
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::DataLoss => Disconnect::Permanent(Error::Refused(status).into()),
        // Everything else may pass with a new connection, also UNKNOWN and INTERNAL, which broken connections produce.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => Disconnect::Transient(explained(&status)),
    }
}

#[cfg(test)]
mod tests;
