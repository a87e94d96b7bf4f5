//! `portrait probe`: end-to-end check of a deployment. It writes one event of a dedicated user, with a new id each time, and reads the
//! profile back with the token of the write. Repeated probes add one user to a deployment, no more.

use crate::output;
use anyhow::{Context, Result, bail};
use clap::Args;
use portrait_client::{RoleRouter, ServerArgs, explained};
use portrait_profile::{Fingerprint, RecordId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, Profile, TrackRequest};
use portrait_runtime::{Clock, SystemClock};
use std::time::{Duration, Instant};
use tonic::{Code, Request, Status};

/// Delay between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Minimum timeout of a call, however little time is left.
const CALL_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// Arguments of `portrait probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Id of the dedicated user; no real user may have it.
    #[arg(long, value_name = "USER", default_value = "portrait-probe")]
    user: String,
    /// Time limit in seconds; failed attempts are repeated until then.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Counters of applied events in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AppliedCount {
    applied: u64,
    fingerprint: u64,
}

/// Failure of one attempt.
enum ProbeFailure {
    /// The next attempt may succeed.
    Transient(anyhow::Error),
    /// All further attempts would fail too.
    Permanent(anyhow::Error),
}

/// Probes the deployment and prints the result.
///
/// # Errors
/// If the event is not in the profile within the time limit, or the profile does not count it exactly once.
pub async fn run(args: ProbeArgs) -> Result<()> {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(args.timeout);
    let event_id = format!("probe-{:032x}", rand::random::<u128>());
    // Counters before the first attempt: the event may be applied although an attempt got no response.
    let mut before = None;
    loop {
        let failure = match attempt(&args, &event_id, &mut before, deadline).await {
            Ok(applied) => {
                let elapsed_ms = started.elapsed().as_millis();
                output::line(format_args!(
                    "event {event_id} is in the profile of {:?}, event {applied} of it, after {elapsed_ms} ms",
                    args.user
                ));
                return Ok(());
            }
            Err(ProbeFailure::Permanent(error)) => return Err(error),
            Err(ProbeFailure::Transient(error)) => error,
        };
        if Instant::now() + RETRY_DELAY >= deadline {
            return Err(failure).with_context(|| format!("the probe has tried for {} s", args.timeout));
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Writes the event and reads it back; returns the number of applied events. Repeated writes have the same id and count once.
async fn attempt(
    args: &ProbeArgs,
    event_id: &str,
    before: &mut Option<AppliedCount>,
    deadline: Instant,
) -> Result<u64, ProbeFailure> {
    let router = args.server.connect().await.map_err(|error| ProbeFailure::Transient(error.into()))?;
    let known = match *before {
        Some(known) => known,
        // Only the first attempt reads the counters: later ones may already include the event.
        None => *before.insert(read(&router, &args.user, Vec::new(), deadline).await?),
    };
    let token = write(&router, &args.user, event_id, deadline).await?;
    let now = read(&router, &args.user, token, deadline).await?;
    counted_once(event_id, known, now).map_err(ProbeFailure::Permanent)?;
    Ok(now.applied)
}

/// Writes one event; returns the token to read it with.
async fn write(
    router: &RoleRouter,
    user: &str,
    event_id: &str,
    deadline: Instant,
) -> Result<Vec<u8>, ProbeFailure> {
    let event = Event {
        event_id: event_id.to_owned(),
        user_id: user.to_owned(),
        action: Action::View.into(),
        occurred_at: Some(time::to_wire(Timestamp::from_millis(SystemClock.now_ms()))),
        ..Event::default()
    };
    let request = within(TrackRequest { events: vec![event], ..TrackRequest::default() }, deadline);
    let response = IngestServiceClient::new(router.clone())
        .track(request)
        .await
        .map_err(|status| call_failed("ingest", &status))?;
    let response = response.into_inner();
    match response.rejected.first() {
        None => Ok(response.consistency_token),
        // Some reasons are temporary, such as a full store. A lasting one is reported at the time limit.
        Some(rejection) => Err(ProbeFailure::Transient(anyhow::anyhow!(
            "ingest rejected the event: {} {}",
            rejection.field,
            rejection.message
        ))),
    }
}

/// Reads the counters of the profile; zeros without a profile.
async fn read(
    router: &RoleRouter,
    user: &str,
    read_after: Vec<u8>,
    deadline: Instant,
) -> Result<AppliedCount, ProbeFailure> {
    let request = GetProfileRequest { user_id: user.to_owned(), read_after, read_at: None };
    match QueryServiceClient::new(router.clone()).get_profile(within(request, deadline)).await {
        Ok(response) => Ok(AppliedCount::of(&response.into_inner().profile.unwrap_or_default())),
        // The first probe of a deployment finds no profile yet.
        Err(status) if status.code() == Code::NotFound => Ok(AppliedCount::default()),
        Err(status) => Err(call_failed("query", &status)),
    }
}

/// Checks that the profile counts the event exactly once. Concurrent probes may have added other events.
fn counted_once(event_id: &str, before: AppliedCount, now: AppliedCount) -> Result<()> {
    let record = RecordId::parse(event_id).context("a probe's id")?;
    let event_fingerprint = Fingerprint::default().with(&record).get();
    // With exactly one new event the fingerprint must be the old one plus the event. With more, other probes wrote
    // concurrently, and the fingerprint proves nothing.
    match now.applied.checked_sub(before.applied) {
        Some(1) if now.fingerprint == before.fingerprint.wrapping_add(event_fingerprint) => Ok(()),
        Some(1) => bail!("one event was applied, and it is not {event_id}: the fingerprint differs"),
        Some(2..) => Ok(()),
        Some(0) | None => bail!(
            "{event_id} was acknowledged but is not in the profile, which counted {} events before and {} now",
            before.applied,
            now.applied
        ),
    }
}

fn within<T>(message: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(message);
    // The deadline of the probe bounds each call, also a read that waits for the event.
    request.set_timeout(deadline.saturating_duration_since(Instant::now()).max(CALL_TIMEOUT_MIN));
    request
}

fn call_failed(role: &str, status: &Status) -> ProbeFailure {
    let error = anyhow::anyhow!("{role} refused: {}", explained(status));
    match status.code() {
        // Wrong credentials or a wrong server: waiting does not help.
        Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::FailedPrecondition => ProbeFailure::Permanent(error),
        _ => ProbeFailure::Transient(error),
    }
}

impl AppliedCount {
    fn of(profile: &Profile) -> Self {
        Self { applied: profile.applied_events, fingerprint: profile.fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_event_and_a_foreign_event_are_reported() {
        let event_fingerprint =
            Fingerprint::default().with(&RecordId::parse("probe-1").expect("an id")).get();
        let before = AppliedCount { applied: 7, fingerprint: u64::MAX };
        let rows = [
            (8, before.fingerprint.wrapping_add(event_fingerprint), None),
            (9, 5, None),
            (8, 5, Some("it is not probe-1")),
            (7, u64::MAX, Some("is not in the profile, which counted 7 events before and 7 now")),
            (0, 0, Some("counted 7 events before and 0 now")),
        ];
        for (applied, fingerprint, expected) in rows {
            let result = counted_once("probe-1", before, AppliedCount { applied, fingerprint })
                .map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(result, Ok(())),
                Some(part) => {
                    assert!(result.as_ref().is_err_and(|message| message.contains(part)), "{result:?}");
                }
            }
        }
    }
}
