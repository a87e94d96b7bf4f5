//! Wait for the first model: a command that needs a model right after an import finds it in training, not missing.

use anyhow::{Result, anyhow, bail};
use indicatif::ProgressBar;
use portrait_client::text::words;
use portrait_client::{RoleRouter, explained};
use portrait_proto::status::reason_of;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{ErrorReason, ListPartitionsRequest};
use std::time::{Duration, Instant};
use tonic::{Response, Status};

/// Longest wait for the first model. Its training begins within two seconds of the end of an import and takes seconds for a small shop;
/// a million users take a minute (`make scale`), which is explained instead of waited for.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Delay between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Calls `call` until a model answers it, at most 20 seconds.
///
/// # Errors
/// The message of the status; if there is no model, what to wait for and how long.
pub(crate) async fn when_served<T>(
    router: &RoleRouter,
    call: impl AsyncFn() -> Result<Response<T>, Status>,
) -> Result<T> {
    let deadline = Instant::now() + WAIT_MAX;
    let mut spinner = None;
    let status = loop {
        match call().await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if reason_of(&status) != Some(ErrorReason::NoModel) => break status,
            Err(_) => {}
        }
        let applied = applied(router).await?;
        if applied == 0 || Instant::now() >= deadline {
            bail!(explanation(applied));
        }
        // Only now: a call that is answered at once shows no spinner.
        spinner.get_or_insert_with(Spinner::start);
        tokio::time::sleep(RETRY_DELAY).await;
    };
    // Code and details of a status mean nothing in a terminal.
    bail!(explained(&status))
}

/// Spinner in the terminal; cleared when dropped, so that nothing is printed into it.
struct Spinner(ProgressBar);

impl Spinner {
    fn start() -> Self {
        let bar = ProgressBar::new_spinner().with_message("waiting for the first model");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Returns the number of applied events.
async fn applied(router: &RoleRouter) -> Result<u64> {
    let partitions =
        FeatureServiceClient::new(router.clone()).list_partitions(ListPartitionsRequest {}).await;
    let partitions = partitions.map_err(|status| anyhow!(explained(&status)))?.into_inner().partitions;
    Ok(partitions.iter().map(|partition| partition.applied_total).sum())
}

fn explanation(applied: u64) -> String {
    if applied == 0 {
        return "there is no model yet, because there are no events: send some, for example with `portrait import`"
            .to_owned();
    }
    format!(
        "there is no model yet. The first one is trained by itself within two seconds of the end of an import, once model.rows_min users (200 \
         by default) have events; a million users take about a minute. {} applied so far. `portrait train` trains now, with \
         fewer users a model without segments, and shows the progress",
        words::counted(applied, "event")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_model_is_explained_by_what_is_missing() {
        for (applied, expected) in
            [(0, "portrait import"), (1, "1 event applied"), (7_000, "7,000 events applied")]
        {
            assert!(explanation(applied).contains(expected), "{}", explanation(applied));
        }
    }
}
