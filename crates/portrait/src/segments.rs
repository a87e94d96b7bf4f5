//! `portrait segments`: segments of the served model as a table, one segment in detail, or the explanation of a user's segment.

use crate::first_model;
use anyhow::Result;
use clap::Args;
use portrait_client::ServerArgs;
use portrait_client::text::segments;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ExplainSegmentRequest, GetSegmentRequest, ListSegmentsRequest};

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
            segments::table(&first_model::when_served(&router, call).await?)
        }
    };
    print!("{text}");
    Ok(())
}
