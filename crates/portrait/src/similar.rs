//! `portrait similar`: users similar to a user, as a table or JSON.

use crate::first_model;
use crate::output;
use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{FindSimilarUsersRequest, SimilarUser};
use serde_json::json;

/// Arguments of `portrait similar`.
#[derive(Debug, Args)]
pub struct SimilarArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Maximum number of users.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// Print the response as JSON.
    #[arg(long)]
    pub json: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Requests and prints the similar users.
///
/// # Errors
/// If the server cannot be reached, does not know the user, or has no model.
pub async fn run(args: SimilarArgs) -> Result<()> {
    let router = args.server.connect().await?;
    let request = FindSimilarUsersRequest {
        user_id: args.user,
        count: args.count,
        ..FindSimilarUsersRequest::default()
    };
    let query = QueryServiceClient::new(router.clone());
    let response =
        first_model::when_served(&router, async || query.clone().find_similar_users(request.clone()).await)
            .await?;
    let profile = response.profile_version;
    let model = response.model_version;
    if args.json {
        let users: Vec<_> = response.users.iter().map(user_json).collect();
        println!("{:#}", json!({"users": users, "profile_version": profile, "model_version": model}));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    // Distances are comparable within one model only, so the model is printed below the table.
    table.set_header(["user", "distance", "segment"]);
    for user in response.users {
        table.add_row([user.user_id, format!("{:.3}", user.distance), user.segment_id]);
    }
    output::line(table);
    println!("profile version {profile}, model {model}");
    Ok(())
}

fn user_json(user: &SimilarUser) -> serde_json::Value {
    json!({"user_id": user.user_id, "distance": user.distance, "segment_id": user.segment_id})
}
