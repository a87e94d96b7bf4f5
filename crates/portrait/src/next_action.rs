//! `portrait next`: predicted probabilities of a user's next action, as bars or JSON.

use crate::first_model;
use crate::output;
use anyhow::Result;
use clap::Args;
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, NextAction, PredictNextActionRequest};
use serde_json::json;

/// Arguments of `portrait next`.
#[derive(Debug, Args)]
pub struct NextActionArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Print the response as JSON.
    #[arg(long)]
    pub json: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Length of the bar of probability 1, in columns.
const BAR_COLUMNS: f64 = 40.0;

/// Requests and prints the prediction.
///
/// # Errors
/// If the server cannot be reached or has no model.
pub async fn run(args: NextActionArgs) -> Result<()> {
    let router = args.server.connect().await?;
    let request =
        PredictNextActionRequest { user_id: args.user.clone(), ..PredictNextActionRequest::default() };
    let query = QueryServiceClient::new(router.clone());
    let response =
        first_model::when_served(&router, async || query.clone().predict_next_action(request.clone()).await)
            .await?;
    if args.json {
        let action =
            |next: &NextAction| json!({"action": word(next.action()), "probability": next.probability});
        let actions: Vec<_> = response.actions.iter().map(action).collect();
        println!(
            "{:#}",
            json!({
                "last_action": word(response.last_action()),
                "actions": actions,
                "profile_version": response.profile_version,
                "model_version": response.model_version,
            })
        );
        return Ok(());
    }
    // Without a last action the user starts a new visit.
    match response.last_action() {
        Action::Unspecified => output::line(format_args!("The next visit of {} begins with", args.user)),
        last => println!("After {} comes", word(last)),
    }
    for next in &response.actions {
        let bar = "#".repeat((BAR_COLUMNS * next.probability).round() as usize);
        println!("{:>17} {:5.1}% {bar}", word(next.action()), 100.0 * next.probability);
    }
    println!("profile version {}, model {}", response.profile_version, response.model_version);
    Ok(())
}

/// Returns the name of an action as in configuration and logs, such as `add_to_cart`.
fn word(action: Action) -> String {
    action.as_str_name().trim_start_matches("ACTION_").to_lowercase()
}
