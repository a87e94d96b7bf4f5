//! A subscription that outlives its connections: in go an address and a request, out go answers, one after the other. After a
//! cut it connects again, later and later, and resumes with the token of the newest answer that was handled. It ends only
//! when the server refuses the request, or when whoever handles the answers fails.

use crate::{Error, ServerArgs};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{WatchProfileChangesRequest, WatchProfileChangesResponse};
use std::error::Error as _;
use std::time::Duration;
use tonic::{Code, Status};

/// How long to wait after the first cut; after each one more that brought nothing, twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A server says at least once a second that it has nothing to say: silence of that length is a cut that nobody noticed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is followed.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Where the server answers.
    pub server: ServerArgs,
    /// What is asked for, and with which token.
    pub request: WatchProfileChangesRequest,
}

/// Why a connection ended.
enum Disconnect<E> {
    /// Another try may go on where this one ended.
    Transient(String),
    /// Nothing will change by trying again.
    Permanent(E),
}

/// Gives every answer to `handle` and tells `notice` what becomes of the connection. Never returns without an error.
///
/// # Errors
/// If the first connection cannot be made, the server refuses the request, or `handle` fails.
pub async fn follow<E: From<Error>>(
    mut subscription: Subscription,
    handle: &mut (dyn FnMut(&WatchProfileChangesResponse) -> Result<(), E> + Send),
    notice: &mut (dyn FnMut(&str) + Send),
) -> Result<(), E> {
    // A wrong address is a fault of whoever typed it, not a cut: it is said at once.
    drop(subscription.server.connect().await?);
    let mut wait = FIRST_WAIT;
    loop {
        let before = subscription.request.resume_token.clone();
        match listen(&mut subscription, handle).await {
            Disconnect::Permanent(error) => return Err(error),
            Disconnect::Transient(why) => {
                if subscription.request.resume_token != before {
                    wait = FIRST_WAIT;
                }
                notice(&format!(
                    "the connection to {} was cut ({why}); trying again",
                    subscription.server.address()
                ));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// One connection, until it ends.
async fn listen<E: From<Error>>(
    subscription: &mut Subscription,
    handle: &mut (dyn FnMut(&WatchProfileChangesResponse) -> Result<(), E> + Send),
) -> Disconnect<E> {
    let channel = match subscription.server.connect().await {
        Ok(channel) => channel,
        Err(error) => return Disconnect::Transient(reasons(&error)),
    };
    let mut query = QueryServiceClient::new(channel);
    let mut answers = match query.watch_profile_changes(subscription.request.clone()).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return cut_of(status),
    };
    loop {
        let answer = match tokio::time::timeout(SILENCE_MAX, answers.message()).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Disconnect::Transient("the server ended the stream".to_owned()),
            Ok(Err(status)) => return cut_of(status),
            Err(_) => return Disconnect::Transient(format!("silence for {} s", SILENCE_MAX.as_secs())),
        };
        if let Err(error) = handle(&answer) {
            return Disconnect::Permanent(error);
        }
        // Only now is the answer handled, and only now may it be resumed after.
        if !answer.resume_token.is_empty() {
            subscription.request.resume_token = answer.resume_token;
        }
    }
}

/// An error and its causes, as one line.
fn reasons(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn cut_of<E: From<Error>>(status: Status) -> Disconnect<E> {
    match status.code() {
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::DataLoss => Disconnect::Permanent(Error::Refused(status).into()),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => Disconnect::Transient(status.message().to_owned()),
    }
}

#[cfg(test)]
mod tests;
