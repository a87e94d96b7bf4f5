//! `portrait similar`: who shops as a shopper does. In go an address and a shopper, out goes a table of others, or JSON.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{FindSimilarUsersRequest, SimilarUser};
use serde_json::json;

/// The arguments of `portrait similar`.
#[derive(Debug, Args)]
pub struct SimilarArgs {
    /// The shopper's id.
    #[arg(value_name = "USER")]
    pub user: String,
    /// How many others.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Asks and prints.
///
/// # Errors
/// If the server cannot be reached, does not know the shopper or has no model.
pub async fn run(args: SimilarArgs) -> Result<()> {
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    let request = FindSimilarUsersRequest {
        user_id: args.user,
        count: args.count,
        ..FindSimilarUsersRequest::default()
    };
    let answer = query.find_similar_users(request).await?.into_inner();
    let (profile, model) = (answer.profile_version, answer.model_version);
    if args.json {
        let user = |user: &SimilarUser| json!({"user_id": user.user_id, "distance": user.distance, "segment_id": user.segment_id});
        let users: Vec<_> = answer.users.iter().map(user).collect();
        println!("{:#}", json!({"users": users, "profile_version": profile, "model_version": model}));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["shopper", "distance", "segment"]);
    for user in answer.users {
        table.add_row([user.user_id, format!("{:.3}", user.distance), user.segment_id]);
    }
    println!("{table}");
    println!("profile version {profile}, model {model}");
    Ok(())
}
