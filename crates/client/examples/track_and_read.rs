//! One event, and a read of the profile that includes it:
//! `cargo run --package portrait-client --example track_and_read [ADDRESS]`.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, TrackRequest};
use std::error::Error;
use std::time::SystemTime;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let router = portrait_client::connect(&address).await?;
    let event = Event {
        // Events with the same id count once, so a request can be repeated after any error.
        event_id: "example-1".to_owned(),
        user_id: "lena".to_owned(),
        action: Action::View.into(),
        item_id: "shoe-42".to_owned(),
        category: "shoes".to_owned(),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    };
    let request = TrackRequest { events: vec![event], ..Default::default() };
    let tracked = IngestServiceClient::new(router.clone()).track(request).await?.into_inner();
    for rejection in &tracked.rejected {
        eprintln!("{} was rejected: {}", rejection.field, rejection.message);
    }
    // With the token of the write, the read waits until the event is in the profile.
    let request = GetProfileRequest {
        user_id: "lena".to_owned(),
        read_after: tracked.consistency_token,
        ..Default::default()
    };
    let profile = QueryServiceClient::new(router).get_profile(request).await?.into_inner().profile;
    println!("{:#?}", profile.unwrap_or_default());
    Ok(())
}
