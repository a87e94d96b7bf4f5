//! `portrait erase`: erases a user, or shows the progress of an erasure by its receipt.

use crate::output;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use portrait_client::{RoleRouter, ServerArgs, explained};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{EraseRequest, ErasureState, GetErasureRequest, GetErasureResponse};
use std::time::{Duration, Instant};
use tonic::{Code, Status};

/// Time for which a failed erase request is retried.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// Default of `--wait`, in seconds.
const WAIT_S: &str = "600";
/// Delay before an erase request is retried.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// First interval of polls of the state; doubled after each poll.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Maximum interval of polls: a large store needs minutes to sweep all profiles.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// Arguments of `portrait erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER", required_unless_present = "receipt", conflicts_with = "receipt")]
    pub user: Option<String>,
    /// Show the progress of an earlier erasure by its receipt.
    #[arg(long, value_name = "RECEIPT")]
    pub receipt: Option<String>,
    /// Wait until the erasure is applied, at most 10 minutes or this many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = WAIT_S)]
    pub wait: Option<u64>,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Sends the erasure or reads its state, waits if requested, and prints the state.
///
/// # Errors
/// If the server cannot be reached or refuses, or the erasure is not applied within `--wait`.
pub async fn run(args: EraseArgs) -> Result<()> {
    let mut ingest = IngestServiceClient::new(args.server.connect().await?);
    let receipt = match args.receipt {
        Some(text) => parse_receipt(&text)
            .context("the receipt is not one printed by portrait erase: pass it unchanged, or erase again")?,
        None => {
            let receipt = erase(&mut ingest, &args.user.unwrap_or_default()).await?;
            // Printed first, so that an interrupted command can be continued with the receipt.
            println!("receipt   {}", print_receipt(&receipt));
            receipt
        }
    };
    let wait = args.wait.map(Duration::from_secs);
    let state = poll_state(&mut ingest, &receipt, wait.unwrap_or_default()).await?;
    output::lines(print_state(&state));
    if let Some(wait) = wait.filter(|_| state.state() == ErasureState::Accepted) {
        bail!("the erasure is in the log but not applied after {wait:?}: check again with --receipt");
    }
    Ok(())
}

/// Sends the erase request until it succeeds. All attempts carry the same id, so they are one erasure.
async fn erase(ingest: &mut IngestServiceClient<RoleRouter>, user: &str) -> Result<Vec<u8>> {
    let deadline = Instant::now() + SEND_WITHIN;
    // Random, because the same user may be erased again later, which is another erasure.
    let event_id = format!("erase-{:032x}", rand::random::<u128>());
    loop {
        let request = EraseRequest { user_id: user.to_owned(), event_id: event_id.clone() };
        match ingest.erase(request).await {
            Ok(response) => return Ok(response.into_inner().receipt),
            Err(status) if is_retryable(&status) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(status) => bail!(explained(&status)),
        }
    }
}

/// Polls the state until the erasure is applied, at most for `wait`.
async fn poll_state(
    ingest: &mut IngestServiceClient<RoleRouter>,
    receipt: &[u8],
    wait: Duration,
) -> Result<GetErasureResponse> {
    let deadline = Instant::now() + wait;
    let mut interval = POLL_INTERVAL_MIN;
    loop {
        match state(ingest, receipt).await {
            // Applied is enough: completion depends on the retention of log and feed, which may take days.
            Ok(state) if state.state() != ErasureState::Accepted || Instant::now() >= deadline => {
                return Ok(state);
            }
            Ok(_) => {}
            Err(status) if is_retryable(&status) && Instant::now() < deadline => {}
            Err(status) => bail!(explained(&status)),
        }
        tokio::time::sleep(interval).await;
        interval = (interval * 2).min(POLL_INTERVAL_MAX);
    }
}

async fn state(
    ingest: &mut IngestServiceClient<RoleRouter>,
    receipt: &[u8],
) -> Result<GetErasureResponse, Status> {
    Ok(ingest.get_erasure(GetErasureRequest { receipt: receipt.to_vec() }).await?.into_inner())
}

/// Returns `true` if the call may succeed when repeated.
fn is_retryable(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
}

/// Formats the state for a terminal.
fn print_state(state: &GetErasureResponse) -> String {
    let word = match state.state() {
        ErasureState::Unspecified => "unknown",
        ErasureState::Accepted => "accepted: in the log, not applied yet",
        ErasureState::Applied => "applied: the profile is gone, and so are edges to the user",
        ErasureState::Complete => "complete: no earlier data of the user is left in the store",
    };
    let total = state.partitions;
    let steps = [
        ("applied", state.applied_partitions),
        ("edges", state.swept_partitions),
        ("log", state.trimmed_partitions),
        ("files", state.cleared_partitions),
    ];
    let steps: Vec<String> = steps.iter().map(|(name, done)| format!("{name} {done}/{total}")).collect();
    let mut text = format!("state     {word}\ndone      {}\n", steps.join(", "));
    if !state.waiting_for.is_empty() {
        text += &format!("waits for {}\n", state.waiting_for);
    }
    text
}

/// Formats a receipt as one word without characters that a shell or a URL treats specially.
fn print_receipt(receipt: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(receipt)
}

fn parse_receipt(text: &str) -> Result<Vec<u8>> {
    Ok(URL_SAFE_NO_PAD.decode(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::{PseudonymKey, Timestamp, UserId};
    use portrait_proto::receipt::Receipt;
    use portrait_proto::token::TokenEntry;

    #[test]
    fn a_printed_receipt_is_short_for_any_number_of_partitions_and_is_parsed_back() {
        for last_partition in [0, 15, 255, u16::MAX] {
            let entry = TokenEntry { partition: last_partition, generation: u128::MAX, seq: u64::MAX };
            let pseudonym = PseudonymKey::new(7).of(&UserId::parse("lena").expect("an id"));
            let accepted_at = Timestamp::from_millis(1_767_225_600_000);
            let receipt = Receipt { accepted_at, pseudonym, home: entry, coordinator: entry };
            let receipt = receipt.encode(PseudonymKey::new(7));
            let printed = print_receipt(&receipt);
            assert!(printed.len() <= 160, "{} characters: {printed}", printed.len());
            assert_eq!(parse_receipt(&printed).expect("what was printed"), receipt);
        }
        for wrong in ["0", "x y", "ä1", "5045+/"] {
            assert!(parse_receipt(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_state_shows_progress_and_what_is_pending() {
        let state = GetErasureResponse {
            state: ErasureState::Applied.into(),
            partitions: 4,
            applied_partitions: 4,
            swept_partitions: 4,
            trimmed_partitions: 1,
            waiting_for: "the log".to_owned(),
            ..Default::default()
        };
        let expected = "state     applied: the profile is gone, and so are edges to the user\n\
                    done      applied 4/4, edges 4/4, log 1/4, files 0/4\nwaits for the log\n";
        assert_eq!(print_state(&state), expected);
    }
}
