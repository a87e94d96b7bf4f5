//! Prints changes of profiles and goes on after every cut: `cargo run --package portrait-client --example follow_changes [ADDRESS]`.

use portrait_client::{Error, Subscription, ServerArgs, follow};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let request = WatchProfileChangesRequest {
        start: WatchStart::Now.into(),
        // A program that outlives its process keeps the token of the newest answer it has handled, and gives it here.
        resume_token: Vec::new(),
        ..Default::default()
    };
    let mut handle = |answer: &WatchProfileChangesResponse| -> Result<(), Error> {
        if let Some(Kind::Change(change)) = &answer.kind {
            println!("{} is at version {}", change.user_id, change.version);
        }
        Ok(())
    };
    let mut notice = |text: &str| eprintln!("{text}");
    follow(Subscription { server: ServerArgs::at(&address), request }, &mut handle, &mut notice).await
}
