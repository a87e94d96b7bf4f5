//! `portrait recommend`: recommended items of a user with reasons, as a table or JSON.

use crate::first_model;
use crate::output;
use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{RecommendRequest, Recommendation, RecommendationPart};
use serde_json::json;

/// Arguments of `portrait recommend`.
#[derive(Debug, Args)]
pub struct RecommendArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Maximum number of items.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// Exclude items that the user bought.
    #[arg(long)]
    pub exclude_bought: bool,
    /// Exclude all recent items of the user.
    #[arg(long)]
    pub exclude_recent: bool,
    /// Only items of this category; can be repeated.
    #[arg(long = "category", value_name = "CATEGORY")]
    pub categories: Vec<String>,
    /// Print the response as JSON.
    #[arg(long)]
    pub json: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Requests and prints the recommendations.
///
/// # Errors
/// If the server cannot be reached or has no model of items.
pub async fn run(args: RecommendArgs) -> Result<()> {
    let router = args.server.connect().await?;
    let request = RecommendRequest {
        user_id: args.user,
        count: args.count,
        exclude_bought: args.exclude_bought,
        exclude_recent: args.exclude_recent,
        categories: args.categories,
        ..RecommendRequest::default()
    };
    let query = QueryServiceClient::new(router.clone());
    let response =
        first_model::when_served(&router, async || query.clone().recommend(request.clone()).await).await?;
    if args.json {
        let items: Vec<_> = response.items.iter().map(item_json).collect();
        println!(
            "{:#}",
            json!({
                "profile_version": response.profile_version,
                "model_version": response.model_version,
                "items": items,
            })
        );
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["item", "score", "because", "goes with"]);
    // Two reasons fit into a table row; JSON has all of them.
    for item in &response.items {
        let reasons: Vec<String> = item.reasons.iter().take(2).map(|reason| word(reason.part())).collect();
        let score = format!("{:.3}", item.score);
        table.add_row([item.item_id.clone(), score, reasons.join(", "), item.because_item_id.clone()]);
    }
    output::line(table);
    println!("profile version {}, model {}", response.profile_version, response.model_version);
    Ok(())
}

fn item_json(item: &Recommendation) -> serde_json::Value {
    let reasons = item.reasons.iter().map(|reason| (word(reason.part()), json!(reason.contribution)));
    json!({
        "item_id": item.item_id,
        "score": item.score,
        "because_item_id": item.because_item_id,
        "reasons": reasons.collect::<serde_json::Map<String, serde_json::Value>>(),
    })
}

fn word(part: RecommendationPart) -> String {
    let word = match part {
        RecommendationPart::Unspecified => "unknown",
        RecommendationPart::Repeat => "repeat",
        RecommendationPart::Cooccurrence => "cooccurrence",
        RecommendationPart::Sequence => "sequence",
        RecommendationPart::Latent => "latent",
        RecommendationPart::Segment => "segment",
        RecommendationPart::Popular => "popular",
        RecommendationPart::Trending => "trending",
    };
    word.to_owned()
}
