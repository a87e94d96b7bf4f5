//! `portrait erase`: a shopper is erased, or an earlier erasure is asked how far it is. In go an address and a shopper or a receipt,
//! out go the state, the receipt and what it waits for.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use portrait_client::{RoleRouter, ServerArgs};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{EraseRequest, ErasureState, GetErasureRequest, GetErasureResponse};
use std::time::{Duration, Instant};
use tonic::{Code, Status};

/// How long an erasure is sent again while nobody takes it.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// How long `--wait` waits unless it says how long.
const WAIT_S: &str = "600";
/// Pause before an erasure is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often the state is asked for, at first and at last: a large store takes its time to look at everybody.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// The arguments of `portrait erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The shopper's id.
    #[arg(value_name = "USER", required_unless_present = "receipt", conflicts_with = "receipt")]
    pub user: Option<String>,
    /// Say how far an earlier erasure is, by its receipt.
    #[arg(long, value_name = "RECEIPT")]
    pub receipt: Option<String>,
    /// Wait until it is applied, for 10 minutes at most or so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = WAIT_S)]
    pub wait: Option<u64>,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Erases or asks, waits if told to, and prints.
///
/// # Errors
/// If the server cannot be reached, refuses, or has not applied an erasure in time that is waited for.
pub async fn run(args: EraseArgs) -> Result<()> {
    let mut ingest = IngestServiceClient::new(args.server.connect().await?);
    let receipt = match args.receipt {
        Some(text) => bytes_of(&text).context("the receipt is not what portrait erase printed")?,
        None => {
            let receipt = erase(&mut ingest, &args.user.unwrap_or_default()).await?;
            // First of all: whoever ends this now can ask again with it.
            println!("receipt   {}", text_of(&receipt));
            receipt
        }
    };
    let wait = args.wait.map(Duration::from_secs);
    let state = state_within(&mut ingest, &receipt, wait.unwrap_or_default()).await?;
    print!("{}", print_state(&state));
    if let Some(wait) = wait.filter(|_| state.state() == ErasureState::Accepted) {
        bail!("it is in the log and not applied after {wait:?}: ask again with --receipt");
    }
    Ok(())
}

/// Sends it until it is answered, each time with the same id: it is one erasure.
async fn erase(ingest: &mut IngestServiceClient<RoleRouter>, user: &str) -> Result<Vec<u8>> {
    let deadline = Instant::now() + SEND_WITHIN;
    let event_id = format!("erase-{:032x}", rand::random::<u128>());
    loop {
        let request = EraseRequest { user_id: user.to_owned(), event_id: event_id.clone() };
        match ingest.erase(request).await {
            Ok(answer) => return Ok(answer.into_inner().receipt),
            Err(status) if may_pass(&status) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(status) => return Err(status_error(status)),
        }
    }
}

/// The state, once it is applied, or after `wait`.
async fn state_within(
    ingest: &mut IngestServiceClient<RoleRouter>,
    receipt: &[u8],
    wait: Duration,
) -> Result<GetErasureResponse> {
    let deadline = Instant::now() + wait;
    let mut pause = POLL_INTERVAL.0;
    loop {
        match state(ingest, receipt).await {
            Ok(state) if state.state() != ErasureState::Accepted || Instant::now() >= deadline => {
                return Ok(state);
            }
            Ok(_) => {}
            Err(status) if may_pass(&status) && Instant::now() < deadline => {}
            Err(status) => return Err(status_error(status)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL_INTERVAL.1);
    }
}

async fn state(ingest: &mut IngestServiceClient<RoleRouter>, receipt: &[u8]) -> Result<GetErasureResponse, Status> {
    Ok(ingest.get_erasure(GetErasureRequest { receipt: receipt.to_vec() }).await?.into_inner())
}

/// Whether the same may succeed soon.
fn may_pass(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn status_error(status: Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}

/// How far it is, for a person.
fn print_state(state: &GetErasureResponse) -> String {
    let word = match state.state() {
        ErasureState::Unspecified => "unknown",
        ErasureState::Accepted => "accepted: it is in the log, and will be applied",
        ErasureState::Applied => "applied: the profile is gone, and so are edges to the shopper",
        ErasureState::Complete => "complete: nothing that was sent before is left in the store",
    };
    let of = state.partitions;
    let steps = [
        ("applied", state.applied_partitions),
        ("edges", state.swept_partitions),
        ("log", state.trimmed_partitions),
        ("files", state.cleared_partitions),
    ];
    let steps: Vec<String> = steps.iter().map(|(name, done)| format!("{name} {done}/{of}")).collect();
    let mut text = format!("state     {word}\ndone      {}\n", steps.join(", "));
    if !state.waiting_for.is_empty() {
        text += &format!("waits for {}\n", state.waiting_for);
    }
    text
}

fn text_of(receipt: &[u8]) -> String {
    receipt.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Result<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        bail!("it is not of pairs of hexadecimal digits");
    }
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    Ok(pairs.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_is_printed() {
        let receipt = [0, 7, 255, 16];
        assert_eq!(bytes_of(&text_of(&receipt)).expect("what was printed"), receipt);
        for wrong in ["0", "xy", "ä1"] {
            assert!(bytes_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_is_told_what_is_done_and_what_is_waited_for() {
        let state = GetErasureResponse {
            state: ErasureState::Applied.into(),
            partitions: 4,
            applied_partitions: 4,
            swept_partitions: 4,
            trimmed_partitions: 1,
            waiting_for: "the log".to_owned(),
            ..Default::default()
        };
        let said = "state     applied: the profile is gone, and so are edges to the shopper\n\
                    done      applied 4/4, edges 4/4, log 1/4, files 0/4\nwaits for the log\n";
        assert_eq!(print_state(&state), said);
    }
}
