//! Load of a shop of any size: new users first, each with one event, then events of known users. Half of these come from a skewed
//! distribution, as a shop's do; items are those of the user's neighbourhood or of the popular head.

use anyhow::Result;
use portrait_client::{self as client, RoleRouter, Sender};
use portrait_proto::v1::{self, Event};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Instant;

/// Time of the first event: 2025-09-01T00:00:00Z.
const BEGIN_S: i64 = 1_756_684_800;
/// Events that are made before they are sent, so that making them is not part of a measured rate.
const PREPARED: usize = 100_000;
/// Items around a user's own.
const NEIGHBOURHOOD: f64 = 2_000.0;

/// Size of a shop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Users {
    pub(super) count: usize,
    pub(super) items: usize,
}

/// Kind of the users of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each event is of a user without any before.
    New,
    /// Events of users who have some.
    Known,
}

/// Generator of the events of one shop; the same for every run.
pub(super) struct ScaleLoad {
    users: Users,
    rng: StdRng,
    /// Users with an event so far.
    known: usize,
    sent: usize,
}

impl ScaleLoad {
    pub(super) fn new(users: Users) -> Self {
        Self { users, rng: StdRng::seed_from_u64(5), known: 0, sent: 0 }
    }

    /// Sends `count` events and waits until they are applied.
    pub(super) async fn send(&mut self, router: &RoleRouter, kind: Kind, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let events = self.events(kind, left.min(PREPARED));
            left -= events.len();
            client::send_all(router.clone(), &events).await?;
        }
        Ok(client::wait_until_applied(router.clone()).await?)
    }

    /// Sends `count` events; returns the events per second from the first one sent to the last one applied.
    pub(super) async fn timed(&mut self, router: &RoleRouter, kind: Kind, count: usize) -> Result<f64> {
        let events = self.events(kind, count);
        let mut sender = Sender::open(router.clone()).await?;
        let started = Instant::now();
        for event in events {
            sender.event(event).await?;
        }
        sender.flush().await?;
        client::wait_until_applied(router.clone()).await?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    pub(super) fn events(&mut self, kind: Kind, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.event(kind)).collect()
    }

    fn event(&mut self, kind: Kind) -> Event {
        let user = match kind {
            Kind::New => {
                self.known += 1;
                self.known - 1
            }
            Kind::Known if self.rng.random_bool(0.5) => self.rng.random_range(0..self.known.max(1)),
            // The cube of a uniform number: an eighth of the users have half of these events.
            Kind::Known => (self.known as f64 * self.rng.random::<f64>().powi(3)) as usize,
        };
        let action = match self.rng.random_range(0..100) {
            0..93 => v1::Action::View,
            93..98 => v1::Action::AddToCart,
            _ => v1::Action::Purchase,
        };
        self.sent += 1;
        let item = item_of(user, self.users.items, &mut self.rng);
        event(self.sent, user, item, action)
    }
}

/// One event of each of `count` users.
pub(super) fn distinct(count: usize, items: usize) -> Vec<Event> {
    ScaleLoad::new(Users { count, items }).events(Kind::New, count)
}

fn item_of(user: usize, items: usize, rng: &mut StdRng) -> usize {
    if rng.random_bool(0.8) {
        let own = user.wrapping_mul(7_919) % items;
        (own + (NEIGHBOURHOOD * rng.random::<f64>().powi(4)) as usize) % items
    } else {
        (items as f64 * rng.random::<f64>().powi(3)) as usize
    }
}

/// Event number `number`; each is two seconds after the one before.
pub(super) fn event(number: usize, user: usize, item: usize, action: v1::Action) -> Event {
    Event {
        event_id: format!("scale-{number}"),
        user_id: format!("user-{user}"),
        action: action.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: BEGIN_S + (number / 8) as i64, nanos: 0 }),
        item_id: format!("item-{item}"),
        category: format!("category-{}", item % 40),
        price: Some(5.0 + (item % 200) as f64),
        ..Default::default()
    }
}
