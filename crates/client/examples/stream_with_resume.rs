//! Streams events and resumes after a cut with the first one that has no answer:
//! `cargo run --package portrait-client --example stream_with_resume [ADDRESS]`.

use portrait_client::{Error, Sender};
use portrait_proto::v1::{Action, Event};
use std::time::{Duration, SystemTime};

/// Connections that are tried before the stream is given up.
const TRIES: u32 = 5;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let events: Vec<Event> = (0..10_000).map(event).collect();
    let mut answered = 0;
    for attempt in 1..=TRIES {
        match stream(&address, &events, &mut answered).await {
            Ok(()) => break,
            Err(error) if attempt == TRIES => return Err(error),
            Err(error) => {
                eprintln!("{answered} of {} events are answered, then: {error}", events.len());
                tokio::time::sleep(Duration::from_secs(1) * attempt).await;
            }
        }
    }
    println!("{answered} events are answered");
    Ok(())
}

/// Sends the events that are not answered yet over one connection.
async fn stream(address: &str, events: &[Event], answered: &mut usize) -> Result<(), Error> {
    let mut sender = Sender::open(portrait_client::connect(address).await?).await?;
    let begin = *answered;
    let sent = send(&mut sender, &events[begin..]).await;
    // Events of requests under way may have arrived: they have ids, so that they count once although they are sent again.
    *answered = begin + usize::try_from(sender.answered_events()).unwrap_or(usize::MAX);
    for rejection in sender.take_results().into_iter().flat_map(|answer| answer.rejected) {
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
        user_id: format!("shopper-{}", number % 100),
        action: Action::View.into(),
        item_id: format!("item-{}", number % 1000),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    }
}
