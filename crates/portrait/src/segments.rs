//! `portrait segments`: segments of the served model as a table, one segment in detail, or the explanation of a user's segment.

use anyhow::{Result, anyhow};
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
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    // Only the message: code and details of a status mean nothing in a terminal.
    let status_error = |status: tonic::Status| anyhow!("{}", status.message());
    let text = match (args.segment_id, args.explain) {
        (Some(segment_id), _) => {
            let response = query.get_segment(GetSegmentRequest { segment_id }).await.map_err(status_error)?;
            response.into_inner().segment.map_or_else(String::new, |segment| segments::one(&segment))
        }
        (None, Some(user_id)) => {
            let request = ExplainSegmentRequest { user_id, ..Default::default() };
            segments::explanation(&query.explain_segment(request).await.map_err(status_error)?.into_inner())
        }
        (None, None) => segments::table(
            &query.list_segments(ListSegmentsRequest {}).await.map_err(status_error)?.into_inner(),
        ),
    };
    print!("{text}");
    Ok(())
}
