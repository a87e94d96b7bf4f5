//! `portrait next`: what a shopper does next. In go an address and a shopper, out goes a bar for every action, or JSON.

use anyhow::Result;
use clap::Args;
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, NextAction, PredictNextActionRequest};
use serde_json::json;

/// The arguments of `portrait next`.
#[derive(Debug, Args)]
pub struct NextActionArgs {
    /// The shopper's id.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// How long the bar of a certain action is.
const BAR: f64 = 40.0;

/// Asks and prints.
///
/// # Errors
/// If the server cannot be reached or has no model.
pub async fn run(args: NextActionArgs) -> Result<()> {
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    let request =
        PredictNextActionRequest { user_id: args.user.clone(), ..PredictNextActionRequest::default() };
    let answer = query.predict_next_action(request).await?.into_inner();
    if args.json {
        let action =
            |next: &NextAction| json!({"action": word(next.action()), "probability": next.probability});
        let actions: Vec<_> = answer.actions.iter().map(action).collect();
        println!(
            "{:#}",
            json!({
                "last_action": word(answer.last_action()),
                "actions": actions,
                "profile_version": answer.profile_version,
                "model_version": answer.model_version,
            })
        );
        return Ok(());
    }
    match answer.last_action() {
        Action::Unspecified => println!("The next visit of {} begins with", args.user),
        last => println!("After {} comes", word(last)),
    }
    for next in &answer.actions {
        let bar = "#".repeat((BAR * next.probability).round() as usize);
        println!("{:>17} {:5.1}% {bar}", word(next.action()), 100.0 * next.probability);
    }
    println!("profile version {}, model {}", answer.profile_version, answer.model_version);
    Ok(())
}

/// As it is called in configuration and logs: `add_to_cart`.
fn word(action: Action) -> String {
    action.as_str_name().trim_start_matches("ACTION_").to_lowercase()
}
