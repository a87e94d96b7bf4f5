//! Subscription that prints changes of profiles and resumes after disconnects:
//! `cargo run --package portrait-client --example follow_changes [ADDRESS]`.

use portrait_client::{Error, ServerArgs, Subscription, follow};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let request = WatchProfileChangesRequest {
        start: WatchStart::Now.into(),
        // To resume after a restart, store the token of the last handled response and pass it here.
        resume_token: Vec::new(),
        ..Default::default()
    };
    let mut handle = |response: &WatchProfileChangesResponse| -> Result<(), Error> {
        if let Some(Kind::Change(change)) = &response.kind {
            println!("{} is at version {}", change.user_id, change.version);
        }
        Ok(())
    };
    let mut notice = |text: &str| eprintln!("{text}");
    follow(Subscription { server: ServerArgs::at(&address), request }, &mut handle, &mut notice).await
}
