//! `portrait segments`: the segments of the served model as a table, one segment in full, or why a shopper is in one. In go an
//! address and what is asked, out goes text for a person.

use anyhow::{Result, anyhow};
use clap::Args;
use portrait_client::ServerArgs;
use portrait_client::text::segments;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ExplainSegmentRequest, GetSegmentRequest, ListSegmentsRequest};

/// The arguments of `portrait segments`.
#[derive(Debug, Args)]
pub struct SegmentsArgs {
    /// Only this segment, in full.
    #[arg(value_name = "SEGMENT", conflicts_with = "explain")]
    pub segment_id: Option<String>,
    /// Say why this shopper is in a segment.
    #[arg(long, value_name = "USER")]
    pub explain: Option<String>,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Prints what is asked for.
///
/// # Errors
/// If the server cannot be reached, has no model yet, or does not know the segment or the shopper.
pub async fn run(args: SegmentsArgs) -> Result<()> {
    let mut query = QueryServiceClient::new(args.server.connect().await?);
    let said = |status: tonic::Status| anyhow!("{}", status.message());
    let text = match (args.segment_id, args.explain) {
        (Some(segment_id), _) => {
            let answer = query.get_segment(GetSegmentRequest { segment_id }).await.map_err(said)?;
            answer.into_inner().segment.map_or_else(String::new, |segment| segments::one(&segment))
        }
        (None, Some(user_id)) => {
            let request = ExplainSegmentRequest { user_id, ..Default::default() };
            segments::explanation(&query.explain_segment(request).await.map_err(said)?.into_inner())
        }
        (None, None) => {
            segments::table(&query.list_segments(ListSegmentsRequest {}).await.map_err(said)?.into_inner())
        }
    };
    print!("{text}");
    Ok(())
}
