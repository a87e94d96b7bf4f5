//! `portrait probe`: whether a deployment does its work, from an event to the profile that it made. In go an address and how long it
//! may take, out goes one line and an exit code. One event of a shopper of its own is written, with a new id each time, and read
//! back with its token; nothing else is changed, and a deployment that is probed for ever has one shopper more.

use anyhow::{Context, Result, bail};
use clap::Args;
use portrait_client::{RoleRouter, ServerArgs};
use portrait_profile::{Fingerprint, RecordId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, Profile, TrackRequest};
use portrait_runtime::{Clock, SystemClock};
use std::time::{Duration, Instant};
use tonic::{Code, Request, Status};

/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// The least that a call may take, however little time is left.
const CALL_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The arguments of `portrait probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The shopper that the event is of; nobody's own id.
    #[arg(long, value_name = "USER", default_value = "portrait-probe")]
    user: String,
    /// How many seconds it may take; until then, what fails is tried again.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// What a profile counts of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AppliedCount {
    applied: u64,
    fingerprint: u64,
}

/// Why one try came to nothing.
enum ProbeFailure {
    /// The next one may do better.
    Transient(anyhow::Error),
    /// Every other would fail as well.
    Permanent(anyhow::Error),
}

/// Probes and says what was found.
///
/// # Errors
/// If the event is not in the profile in time, or the profile does not count it once.
pub async fn run(args: ProbeArgs) -> Result<()> {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(args.timeout);
    let event_id = format!("probe-{:032x}", rand::random::<u128>());
    // What the profile counted before the first try: the event may be in it although a try was not answered.
    let mut before = None;
    loop {
        let failure = match attempt(&args, &event_id, &mut before, deadline).await {
            Ok(applied) => {
                let took = started.elapsed().as_millis();
                println!(
                    "event {event_id} is in the profile of {:?}, event {applied} of it, after {took} ms",
                    args.user
                );
                return Ok(());
            }
            Err(ProbeFailure::Permanent(error)) => return Err(error),
            Err(ProbeFailure::Transient(error)) => error,
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(failure).with_context(|| format!("the probe has tried for {} s", args.timeout));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes the event and reads it back; the number of events in the profile. Written again it has the same id, and counts once.
async fn attempt(
    args: &ProbeArgs,
    event_id: &str,
    before: &mut Option<AppliedCount>,
    deadline: Instant,
) -> Result<u64, ProbeFailure> {
    let line = args.server.connect().await.map_err(|error| ProbeFailure::Transient(error.into()))?;
    let known = match *before {
        Some(known) => known,
        None => *before.insert(read(&line, &args.user, Vec::new(), deadline).await?),
    };
    let token = write(&line, &args.user, event_id, deadline).await?;
    let now = read(&line, &args.user, token, deadline).await?;
    counted_once(event_id, known, now).map_err(ProbeFailure::Permanent)?;
    Ok(now.applied)
}

/// Writes one event; the token to read it by.
async fn write(line: &RoleRouter, user: &str, event_id: &str, deadline: Instant) -> Result<Vec<u8>, ProbeFailure> {
    let event = Event {
        event_id: event_id.to_owned(),
        user_id: user.to_owned(),
        action: Action::View.into(),
        occurred_at: Some(time::to_wire(Timestamp::from_millis(SystemClock.now_ms()))),
        ..Event::default()
    };
    let request = within(TrackRequest { events: vec![event], ..TrackRequest::default() }, deadline);
    let answer = IngestServiceClient::new(line.clone())
        .track(request)
        .await
        .map_err(|status| refused("ingest", &status))?;
    let answer = answer.into_inner();
    match answer.rejected.first() {
        None => Ok(answer.consistency_token),
        // Some reasons pass, as a full store; one that does not is told when the time is over.
        Some(rejection) => Err(ProbeFailure::Transient(anyhow::anyhow!(
            "ingest does not take the event: {} {}",
            rejection.field,
            rejection.message
        ))),
    }
}

/// What the profile counts; nothing if there is none yet.
async fn read(line: &RoleRouter, user: &str, read_after: Vec<u8>, deadline: Instant) -> Result<AppliedCount, ProbeFailure> {
    let request = GetProfileRequest { user_id: user.to_owned(), read_after, read_at: None };
    match QueryServiceClient::new(line.clone()).get_profile(within(request, deadline)).await {
        Ok(answer) => Ok(AppliedCount::of(&answer.into_inner().profile.unwrap_or_default())),
        Err(status) if status.code() == Code::NotFound => Ok(AppliedCount::default()),
        Err(status) => Err(refused("query", &status)),
    }
}

/// Whether the profile counts the event, and counts it once. Other probes may have written meanwhile.
fn counted_once(event_id: &str, before: AppliedCount, now: AppliedCount) -> Result<()> {
    let record = RecordId::parse(event_id).context("a probe's id")?;
    let own = Fingerprint::default().with(&record).get();
    match now.applied.checked_sub(before.applied) {
        Some(1) if now.fingerprint == before.fingerprint.wrapping_add(own) => Ok(()),
        Some(1) => bail!("one event was applied, and it is not {event_id}: the fingerprint differs"),
        Some(2..) => Ok(()),
        Some(0) | None => bail!(
            "{event_id} was acknowledged and is not in the profile, which counted {} events before and {} now",
            before.applied,
            now.applied
        ),
    }
}

fn within<T>(message: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()).max(CALL_TIMEOUT_MIN));
    request
}

fn refused(role: &str, status: &Status) -> ProbeFailure {
    let error = anyhow::anyhow!("{role} answers {:?}: {}", status.code(), status.message());
    match status.code() {
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
    fn an_event_that_is_missing_or_another_one_is_told() {
        let own = Fingerprint::default().with(&RecordId::parse("probe-1").expect("an id")).get();
        let before = AppliedCount { applied: 7, fingerprint: u64::MAX };
        let rows = [
            (8, before.fingerprint.wrapping_add(own), None),
            (9, 5, None),
            (8, 5, Some("it is not probe-1")),
            (7, u64::MAX, Some("is not in the profile, which counted 7 events before and 7 now")),
            (0, 0, Some("counted 7 events before and 0 now")),
        ];
        for (applied, fingerprint, expected) in rows {
            let told = counted_once("probe-1", before, AppliedCount { applied, fingerprint })
                .map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(told, Ok(())),
                Some(part) => assert!(told.as_ref().is_err_and(|told| told.contains(part)), "{told:?}"),
            }
        }
    }
}
