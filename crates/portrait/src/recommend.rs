//! `portrait recommend`: what a shopper may want next. In go an address, a shopper and filters, out go a table of items and why, or
//! JSON.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use portrait_client::ServerArgs;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{RecommendRequest, Recommendation, RecommendationPart};
use serde_json::json;

/// The arguments of `portrait recommend`.
#[derive(Debug, Args)]
pub struct RecommendArgs {
    /// The shopper's id.
    #[arg(value_name = "USER")]
    pub user: String,
    /// How many items.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// Leave out what the shopper bought.
    #[arg(long)]
    pub exclude_bought: bool,
    /// Leave out all of the shopper's newest items.
    #[arg(long)]
    pub exclude_recent: bool,
    /// Only items of this category; may be given again.
    #[arg(long = "category", value_name = "CATEGORY")]
    pub categories: Vec<String>,
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
/// If the server cannot be reached or has no model of items.
pub async fn run(args: RecommendArgs) -> Result<()> {
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    let request = RecommendRequest {
        user_id: args.user,
        count: args.count,
        exclude_bought: args.exclude_bought,
        exclude_recent: args.exclude_recent,
        categories: args.categories,
        ..RecommendRequest::default()
    };
    let answer = query.recommend(request).await?.into_inner();
    if args.json {
        let item = |item: &Recommendation| {
            let reasons = item.reasons.iter().map(|reason| (word(reason.part()), json!(reason.contribution)));
            json!({
                "item_id": item.item_id,
                "score": item.score,
                "because_item_id": item.because_item_id,
                "reasons": reasons.collect::<serde_json::Map<String, serde_json::Value>>(),
            })
        };
        let (profile, model) = (answer.profile_version, answer.model_version);
        let items: Vec<_> = answer.items.iter().map(item).collect();
        println!("{:#}", json!({"profile_version": profile, "model_version": model, "items": items}));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["item", "score", "because", "goes with"]);
    for item in &answer.items {
        let reasons: Vec<String> = item.reasons.iter().take(2).map(|reason| word(reason.part())).collect();
        let score = format!("{:.3}", item.score);
        table.add_row([item.item_id.clone(), score, reasons.join(", "), item.because_item_id.clone()]);
    }
    println!("{table}");
    println!("profile version {}, model {}", answer.profile_version, answer.model_version);
    Ok(())
}

fn word(part: RecommendationPart) -> String {
    let word = match part {
        RecommendationPart::Unspecified => "unknown",
        RecommendationPart::Repeat => "had before",
        RecommendationPart::Cooccurrence => "had together",
        RecommendationPart::Sequence => "follows",
        RecommendationPart::Latent => "taste",
        RecommendationPart::Segment => "segment",
        RecommendationPart::Popular => "popular",
        RecommendationPart::Trending => "popular lately",
    };
    word.to_owned()
}
