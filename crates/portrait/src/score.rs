//! `portrait score`: a user's propensity to buy or risk of a bad order, with the contributions to the score, as a table or JSON.

use crate::first_model;
use crate::output;
use anyhow::Result;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ScoreLearner, ScoreRequest, ScoreResponse, ScoreTarget};
use serde_json::json;

/// Arguments of `portrait score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Target of the score.
    #[arg(long, value_enum, default_value_t = ScoreTargetArg::Propensity)]
    pub target: ScoreTargetArg,
    /// Maximum number of reasons.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reasons: u32,
    /// Print the response as JSON.
    #[arg(long)]
    pub json: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Target of a score on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoreTargetArg {
    /// Purchase within seven days.
    Propensity,
    /// Bad outcome of an order.
    Risk,
}

/// Requests and prints the score.
///
/// # Errors
/// If the server cannot be reached, does not know the user, or has no model of this score.
pub async fn run(args: ScoreArgs) -> Result<()> {
    let router = args.server.connect().await?;
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
    let query = QueryServiceClient::new(router.clone());
    let response =
        first_model::when_served(&router, async || query.clone().score(request.clone()).await).await?;
    if args.json {
        println!("{:#}", json(&response));
        return Ok(());
    }
    let quality = response.quality.unwrap_or_default();
    println!(
        "{:.1}%, by {}: {} positives of {} examples, AUC {:.3}; at threshold {:.1}%: precision {:.0}%, recall {:.0}%",
        100.0 * response.probability,
        word(response.learner()),
        quality.positives,
        quality.examples,
        quality.auc,
        100.0 * quality.threshold,
        100.0 * quality.precision,
        100.0 * quality.recall,
    );
    output::line(table(&response));
    println!("profile version {}, model {}", response.profile_version, response.model_version);
    Ok(())
}

/// Renders the contributions that add up to the log-odds.
fn table(response: &ScoreResponse) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["component", "value", "log-odds", "description"]);
    let log_odds = |value: f64| format!("{value:+.3}");
    table.add_row(["", "", &log_odds(response.base_log_odds), "baseline: an unknown user"]);
    for reason in &response.reasons {
        let value = format!("{:.3} {}", reason.value, reason.unit);
        table.add_row([&reason.component, value.trim_end(), &log_odds(reason.log_odds), &reason.description]);
    }
    // The listed rows add up to the total exactly, so the rest is a row of its own.
    table.add_row(["", "", &log_odds(response.other_log_odds), "all other components"]);
    table.add_row(["", "", &log_odds(response.log_odds), "total"]);
    table
}

fn json(response: &ScoreResponse) -> serde_json::Value {
    let quality = response.quality.unwrap_or_default();
    let reasons: Vec<_> = response
        .reasons
        .iter()
        .map(|reason| json!({"component": reason.component, "value": reason.value, "log_odds": reason.log_odds}))
        .collect();
    json!({
        "probability": response.probability,
        "log_odds": response.log_odds,
        "base_log_odds": response.base_log_odds,
        "reasons": reasons,
        "other_log_odds": response.other_log_odds,
        "learner": word(response.learner()),
        "auc": quality.auc,
        "threshold": quality.threshold,
        "precision": quality.precision,
        "recall": quality.recall,
        "profile_version": response.profile_version,
        "model_version": response.model_version,
    })
}

fn word(learner: ScoreLearner) -> &'static str {
    match learner {
        ScoreLearner::Unspecified => "an unknown learner",
        ScoreLearner::Tree => "a decision tree",
        ScoreLearner::Network => "a neural network",
        ScoreLearner::Logistic => "logistic regression",
    }
}
