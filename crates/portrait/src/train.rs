//! `portrait train`: starts a training at the model service and prints its progress and outcome.

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_client::{ServerArgs, train};
use portrait_proto::v1::TrainModelRequest;
use std::time::Duration;

/// Arguments of `portrait train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Number of segments [default: as in the served model; for the first model, chosen by quality].
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub segments: u32,
    /// Choose the number of segments by quality again.
    #[arg(long, conflicts_with = "segments")]
    pub choose: bool,
    /// Publish the model even if it is worse than the served one.
    #[arg(long)]
    pub force: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Trains a model and prints the outcome.
///
/// # Errors
/// If the server cannot be reached, or no model was published.
pub async fn run(args: TrainArgs) -> Result<()> {
    let channel = args.server.connect().await?;
    let request =
        TrainModelRequest { segments: args.segments, choose_segments: args.choose, force: args.force };
    let bar = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {elapsed} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    let outcome =
        train(channel, request, |stage, done| bar.set_message(format!("{stage} {}", words::count(done))))
            .await;
    bar.finish_and_clear();
    // After the bar is cleared, so that an error is not printed into it.
    let outcome = outcome?;
    if !outcome.published {
        bail!("no model was published: {}", outcome.refusal);
    }
    let manifest = outcome.manifest.unwrap_or_default();
    println!(
        "model {} is served: {} of {}",
        outcome.version,
        words::counted(manifest.segments.into(), "segment"),
        words::counted(manifest.rows, "user")
    );
    if let Some(kept) = manifest.quality.and_then(|quality| quality.retained_share) {
        println!("{:.1}% of the users keep their segment", kept * 100.0);
    }
    Ok(())
}
