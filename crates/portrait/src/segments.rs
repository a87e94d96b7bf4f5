//! `portrait segments`: segments of the served model as a table, one segment in detail, or the explanation of a user's segment.

use crate::first_model;
use crate::output;
use crate::train::sentence;
use anyhow::Result;
use clap::Args;
use portrait_client::text::{segments, words};
use portrait_client::{RoleRouter, ServerArgs};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    ExplainSegmentRequest, GetModelRequest, GetSegmentRequest, ListSegmentsRequest, ListSegmentsResponse,
};

/// Arguments of `portrait segments`.
#[derive(Debug, Args)]
pub struct SegmentsArgs {
    /// Show only this segment, in detail.
    #[arg(value_name = "SEGMENT", conflicts_with = "explain")]
    pub segment_id: Option<String>,
    /// Explain the segment of this user.
    #[arg(long, value_name = "USER")]
    pub explain: Option<String>,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Requests and prints the segments.
///
/// # Errors
/// If the server cannot be reached, has no model, or does not know the segment or the user.
pub async fn run(args: SegmentsArgs) -> Result<()> {
    let router = args.server.connect().await?;
    let query = QueryServiceClient::new(router.clone());
    let text = match (args.segment_id, args.explain) {
        (Some(segment_id), _) => {
            let request = GetSegmentRequest { segment_id };
            let call = async || query.clone().get_segment(request.clone()).await;
            let response = first_model::when_served(&router, call).await?;
            response.segment.map_or_else(String::new, |segment| segments::one(&segment))
        }
        (None, Some(user_id)) => {
            let request = ExplainSegmentRequest { user_id, ..Default::default() };
            let call = async || query.clone().explain_segment(request.clone()).await;
            segments::explanation(&first_model::when_served(&router, call).await?)
        }
        (None, None) => {
            let call = async || query.clone().list_segments(ListSegmentsRequest {}).await;
            let listed = first_model::when_served(&router, call).await?;
            match listed.segments.is_empty() {
                true => without_segments(&router, &listed).await,
                false => segments::table(&listed),
            }
        }
    };
    output::lines(text);
    Ok(())
}

/// Renders that a model has no segments, and why.
async fn without_segments(router: &RoleRouter, listed: &ListSegmentsResponse) -> String {
    let version = listed.model_version;
    let mut text =
        format!("model {version} has no segments; recommendations, next actions and scores need none\n");
    // A token may permit reading segments and not models: the sentence stands without the reason.
    let model = ModelServiceClient::new(router.clone()).get_model(GetModelRequest { version }).await;
    let manifest = model.ok().and_then(|response| response.into_inner().manifest).unwrap_or_default();
    for shortfall in manifest.shortfalls.iter().filter(|shortfall| shortfall.part == "segments") {
        text.push_str(&sentence(shortfall));
        text.push('\n');
    }
    if listed.retired_users > 0 {
        let users = words::counted(listed.retired_users, "user");
        text.push_str(&format!("{users} still in segments of an earlier model\n"));
    }
    text
}
