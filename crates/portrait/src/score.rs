//! `portrait score`: how likely a purchase or a bad order is of a shopper. In go an address, a shopper and a target, out goes a table of
//! what moves the score, or JSON.

use anyhow::Result;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ScoreLearner, ScoreRequest, ScoreResponse, ScoreTarget};
use serde_json::json;

/// The arguments of `portrait score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The shopper's id.
    #[arg(value_name = "USER")]
    pub user: String,
    /// What is foretold.
    #[arg(long, value_enum, default_value_t = ScoreTargetArg::Propensity)]
    pub target: ScoreTargetArg,
    /// How many reasons are told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reasons: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoreTargetArg {
    /// A purchase within seven days.
    Propensity,
    /// That an order turns out badly.
    Risk,
}

/// Asks and prints.
///
/// # Errors
/// If the server cannot be reached, does not know the shopper or has learned no such score.
pub async fn run(args: ScoreArgs) -> Result<()> {
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    let target = match args.target {
        ScoreTargetArg::Propensity => ScoreTarget::Propensity,
        ScoreTargetArg::Risk => ScoreTarget::Risk,
    };
    let request = ScoreRequest {
        user_id: args.user,
        target: target.into(),
        reasons: args.reasons,
        ..ScoreRequest::default()
    };
    let answer = query.score(request).await?.into_inner();
    if args.json {
        println!("{:#}", json(&answer));
        return Ok(());
    }
    let quality = answer.quality.unwrap_or_default();
    println!(
        "{:.1}%, by {}: {} of {} cases came about, AUC {:.3}; at {:.1}% or more, {:.0}% do and {:.0}% of all are found",
        100.0 * answer.probability,
        word(answer.learner()),
        quality.positives,
        quality.examples,
        quality.auc,
        100.0 * quality.threshold,
        100.0 * quality.precision,
        100.0 * quality.recall,
    );
    println!("{}", table(&answer));
    println!("profile version {}, model {}", answer.profile_version, answer.model_version);
    Ok(())
}

/// What the score adds up from.
fn table(answer: &ScoreResponse) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["component", "value", "log-odds", "what it says"]);
    let log_odds = |value: f64| format!("{value:+.3}");
    table.add_row(["", "", &log_odds(answer.base_log_odds), "a shopper of whom nothing is known"]);
    for reason in &answer.reasons {
        let value = format!("{:.3} {}", reason.value, reason.unit);
        table.add_row([&reason.component, value.trim_end(), &log_odds(reason.log_odds), &reason.description]);
    }
    table.add_row(["", "", &log_odds(answer.other_log_odds), "everything else"]);
    table.add_row(["", "", &log_odds(answer.log_odds), "together"]);
    table
}

fn json(answer: &ScoreResponse) -> serde_json::Value {
    let quality = answer.quality.unwrap_or_default();
    let reasons: Vec<_> = answer
        .reasons
        .iter()
        .map(|reason| json!({"component": reason.component, "value": reason.value, "log_odds": reason.log_odds}))
        .collect();
    json!({
        "probability": answer.probability,
        "log_odds": answer.log_odds,
        "base_log_odds": answer.base_log_odds,
        "reasons": reasons,
        "other_log_odds": answer.other_log_odds,
        "learner": word(answer.learner()),
        "auc": quality.auc,
        "threshold": quality.threshold,
        "precision": quality.precision,
        "recall": quality.recall,
        "profile_version": answer.profile_version,
        "model_version": answer.model_version,
    })
}

fn word(learner: ScoreLearner) -> &'static str {
    match learner {
        ScoreLearner::Unspecified => "something unknown",
        ScoreLearner::Tree => "a decision tree",
        ScoreLearner::Network => "a neural network",
        ScoreLearner::Logistic => "logistic regression",
    }
}
