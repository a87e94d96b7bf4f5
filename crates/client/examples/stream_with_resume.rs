//! Stream of events that resumes after a disconnect at the first event without a response:
//! `cargo run --package portrait-client --example stream_with_resume [ADDRESS]`.

use portrait_client::{Error, Sender};
use portrait_proto::v1::{Action, Event};
use std::time::{Duration, SystemTime};

/// Maximum number of connections.
const CONNECTIONS_MAX: u32 = 5;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let events: Vec<Event> = (0..10_000).map(event).collect();
    let mut confirmed = 0;
    for attempt in 1..=CONNECTIONS_MAX {
        match stream(&address, &events, &mut confirmed).await {
            Ok(()) => break,
            Err(error) if attempt == CONNECTIONS_MAX => return Err(error),
            Err(error) => {
                eprintln!("{confirmed} of {} events have responses, then: {error}", events.len());
                tokio::time::sleep(Duration::from_secs(1) * attempt).await;
            }
        }
    }
    println!("{confirmed} events have responses");
    Ok(())
}

/// Sends the events without a response over one connection.
async fn stream(address: &str, events: &[Event], confirmed: &mut usize) -> Result<(), Error> {
    let mut sender = Sender::open(portrait_client::connect(address).await?).await?;
    let begin = *confirmed;
    let sent = send(&mut sender, &events[begin..]).await;
    // Requests in flight may have arrived. Their events have ids, so sending them again counts them once.
    *confirmed = begin + usize::try_from(sender.confirmed_events()).unwrap_or(usize::MAX);
    for rejection in sender.take_results().into_iter().flat_map(|response| response.rejected) {
        eprintln!("{} was rejected: {}", rejection.field, rejection.message);
    }
    sent
}

async fn send(sender: &mut Sender, events: &[Event]) -> Result<(), Error> {
    for event in events {
        sender.event(event.clone()).await?;
    }
    sender.flush().await
}

fn event(number: u32) -> Event {
    Event {
        event_id: format!("example-{number}"),
        user_id: format!("user-{}", number % 100),
        action: Action::View.into(),
        item_id: format!("item-{}", number % 1000),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    }
}
