//! `portrait train`: asks the model service for a training now. In go an address and how many segments, out go a progress line
//! and the outcome.

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_client::{ServerArgs, train};
use portrait_proto::v1::TrainModelRequest;
use std::time::Duration;

/// The arguments of `portrait train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// How many segments; without it, as many as before, or what suits the shoppers best for the first model.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub segments: u32,
    /// Choose the number of segments anew.
    #[arg(long, conflicts_with = "segments")]
    pub choose: bool,
    /// Publish it even if it is worse than the served model.
    #[arg(long)]
    pub force: bool,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Trains and says what came of it.
///
/// # Errors
/// If the server cannot be reached, or nothing was published.
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
    let outcome = outcome?;
    if !outcome.published {
        bail!("nothing was published: {}", outcome.refusal);
    }
    let manifest = outcome.manifest.unwrap_or_default();
    println!(
        "model {} is served: {} of {}",
        outcome.version,
        words::counted(manifest.segments.into(), "segment"),
        words::counted(manifest.rows, "shopper")
    );
    if let Some(kept) = manifest.quality.and_then(|quality| quality.retained_share) {
        println!("{:.1}% of the shoppers keep their segment", kept * 100.0);
    }
    Ok(())
}
