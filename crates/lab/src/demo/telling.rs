//! The story of a simulated shop as it is told to the server: in go happenings in the order of time, out go requests, and to
//! the narrator a line a day. On the evenings that matter it waits until everything is in the profiles, reads those of the
//! cast, says what they say, and has the server learn its first model and look for drift.

use super::cast::Role;
use super::facts::Facts;
use super::feed::Feed;
use super::learning::Learning;
use super::narrator::Narrator;
use super::tally::Tally;
use crate::simulate::{Day, Happening, Promotion, What};
use anyhow::{Result, bail};
use portrait_client::text::words;
use portrait_client::{self as client, Line};
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, BatchGetProfilesRequest, Event, IdentifyRequest, Item, Rejection, RelateRequest, Relation,
    TraitsUpdate, UpsertItemsRequest,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Items, traits or relations of one request.
const BATCH: usize = 1000;
/// The bar moves every so many events.
const PROGRESS_EVERY: u64 = 2_000;

/// What the narrator knows beforehand.
pub(super) struct Plot {
    pub(super) promotion: Option<Promotion>,
    /// The day of the change of habits, and how many change.
    pub(super) change: Option<(Day, usize)>,
    pub(super) ends: Day,
    pub(super) roles: Vec<Role>,
    /// The evening of the first model.
    pub(super) first_model: Day,
    /// Those whose habits change, the followed ones first.
    pub(super) changing: Vec<String>,
}

/// The story so far.
pub(super) struct Telling<'a> {
    narrator: &'a mut dyn Narrator,
    channel: Line,
    feed: Feed,
    plot: Plot,
    learning: Learning,
    today: Today,
    items: Vec<Item>,
    traits: Vec<TraitsUpdate>,
    relations: Vec<Relation>,
    began: Instant,
    /// How long no events were sent because models were learned.
    learned_for: Duration,
    /// What was sent.
    tally: Tally,
    /// The time of the newest happening.
    newest: Timestamp,
}

/// The story when it has been told.
pub(super) struct Told {
    /// What was sent.
    pub(super) tally: Tally,
    /// The time of the newest happening.
    pub(super) newest: Timestamp,
    /// Events that were sent and acknowledged.
    pub(super) events: u64,
    /// What is known of models.
    pub(super) learning: Learning,
    /// How long no events were sent because of those.
    pub(super) learned_for: Duration,
}

/// What happened on one day.
struct Today {
    day: Day,
    events: u64,
    shoppers: BTreeSet<String>,
    orders: BTreeSet<String>,
}

impl Today {
    fn begin(day: Day) -> Self {
        Self { day, events: 0, shoppers: BTreeSet::new(), orders: BTreeSet::new() }
    }
}

impl<'a> Telling<'a> {
    pub(super) fn begin(
        channel: Line,
        feed: Feed,
        plot: Plot,
        learning: Learning,
        narrator: &'a mut dyn Narrator,
    ) -> Self {
        Self {
            narrator,
            channel,
            feed,
            plot,
            learning,
            today: Today::begin(Day::FIRST),
            items: Vec::new(),
            traits: Vec::new(),
            relations: Vec::new(),
            began: Instant::now(),
            learned_for: Duration::ZERO,
            tally: Tally::default(),
            newest: Day::FIRST.begins(),
        }
    }

    /// Tells one happening; those before it were told.
    pub(super) async fn tell(&mut self, happening: Happening) -> Result<()> {
        let day = Day::of(happening.at);
        while self.today.day < day {
            self.end_day().await?;
        }
        self.newest = self.newest.max(happening.at);
        match happening.what {
            What::Item(item) => self.items.push(item),
            What::Traits(update) => {
                self.tally.note(&update.user_id, &update.event_id);
                self.traits.push(update);
            }
            What::Relation(relation) => {
                self.tally.note(&relation.user_id, &relation.event_id);
                self.relations.push(relation);
            }
            What::Event(event) => return self.tell_event(event).await,
        }
        if self.items.len() == BATCH || self.traits.len() == BATCH || self.relations.len() == BATCH {
            self.send_facts().await?;
        }
        Ok(())
    }

    /// Ends the last day and the stream, and returns when everything is in the profiles.
    pub(super) async fn end(mut self) -> Result<Told> {
        self.end_day().await?;
        let events = self.feed.close().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        let Self { tally, newest, learning, learned_for, .. } = self;
        Ok(Told { tally, newest, events, learning, learned_for })
    }

    async fn tell_event(&mut self, mut event: Event) -> Result<()> {
        // The items it is about must be in the catalogue first.
        if !self.items.is_empty() {
            self.send_facts().await?;
        }
        self.tally.note(&event.user_id, &event.event_id);
        self.today.events += 1;
        self.today.shoppers.insert(event.user_id.clone());
        if event.action() == Action::Purchase {
            self.today.orders.insert(event.order_id.clone());
        }
        if !event.item_id.is_empty() {
            // As most shops do, this one names the item and leaves the rest to the catalogue.
            event.category.clear();
            event.brand.clear();
        }
        self.feed.send(event).await?;
        if self.feed.sent_events().is_multiple_of(PROGRESS_EVERY) {
            self.progress();
        }
        Ok(())
    }

    fn progress(&mut self) {
        let events = self.feed.sent_events();
        let each_second =
            events as f64 / self.began.elapsed().saturating_sub(self.learned_for).as_secs_f64().max(0.001);
        let note = format!(
            "{} · {} events · {} a second",
            self.today.day,
            words::count(events),
            words::count(each_second as u64)
        );
        self.narrator.progress(self.today.day.number().into(), self.plot.ends.number().into(), &note);
    }

    async fn end_day(&mut self) -> Result<()> {
        self.send_facts().await?;
        let Today { day, events, shoppers, orders } = &self.today;
        if *day < self.plot.ends {
            let label = format!("{}  {:<7}", words::date(day.begins()), day.to_string());
            let (events, shoppers, orders) = (words::count(*events), shoppers.len(), orders.len());
            self.narrator
                .say(&format!("{label} {events:>7} events · {shoppers:>5} shoppers · {orders:>4} orders"));
            self.evening(*day).await?;
        }
        self.today = Today::begin(self.today.day.next());
        if let Some(news) = self.plot.news_of(self.today.day) {
            self.narrator.say(&news);
        }
        self.progress();
        Ok(())
    }

    /// On an evening that matters, waits until everything is in the profiles, and says what there is to see. Once there is a
    /// model every evening does: it is looked whether the shoppers have changed.
    async fn evening(&mut self, day: Day) -> Result<()> {
        let (reports, first_model) = (self.plot.is_report_day(day), day == self.plot.first_model);
        if !reports && !first_model && self.learning.version() == 0 {
            return Ok(());
        }
        self.feed.flush().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        if reports {
            self.report().await?;
        }
        let begun = Instant::now();
        let user_ids: Vec<String> = self.tally.user_ids().cloned().collect();
        if first_model {
            self.learning.begin_models(&user_ids, self.narrator).await?;
        } else {
            self.learning.look(&user_ids, self.narrator).await?;
        }
        if self.plot.ends_after_change(day) {
            self.learning.explain_moves(&self.plot.changing, self.newest, self.narrator).await?;
        }
        self.learned_for += begun.elapsed();
        if self.plot.change.is_some_and(|(on, _)| day.next() == on) {
            self.learning.remember();
        }
        Ok(())
    }

    /// Says what the profiles of the cast say.
    async fn report(&mut self) -> Result<()> {
        let user_ids: Vec<String> = self.plot.roles.iter().map(|role| role.truth.user_id.clone()).collect();
        if user_ids.is_empty() {
            return Ok(());
        }
        let read_at = Some(time::to_wire(self.newest));
        let request = BatchGetProfilesRequest { user_ids, read_at, ..Default::default() };
        let mut query = QueryServiceClient::new(self.channel.clone());
        let profiles = query.batch_get_profiles(request).await?.into_inner().profiles;
        for role in &self.plot.roles {
            let profile = profiles.iter().find(|profile| profile.user_id == role.truth.user_id);
            self.narrator.say(&role.line(profile.map(Facts::of).as_ref()));
        }
        Ok(())
    }

    /// Sends items, traits and relations that wait.
    async fn send_facts(&mut self) -> Result<()> {
        let mut ingest = IngestServiceClient::new(self.channel.clone());
        let items = std::mem::take(&mut self.items);
        if !items.is_empty() {
            none_rejected(&ingest.upsert_items(UpsertItemsRequest { items }).await?.into_inner().rejected)?;
        }
        let updates = std::mem::take(&mut self.traits);
        if !updates.is_empty() {
            none_rejected(&ingest.identify(IdentifyRequest { updates }).await?.into_inner().rejected)?;
        }
        let relations = std::mem::take(&mut self.relations);
        if !relations.is_empty() {
            none_rejected(&ingest.relate(RelateRequest { relations }).await?.into_inner().rejected)?;
        }
        Ok(())
    }
}

impl Plot {
    /// The evenings before and after something changes, and the last.
    fn is_report_day(&self, day: Day) -> bool {
        let promotion = self
            .promotion
            .is_some_and(|promotion| day.next() == promotion.from || day.next() == promotion.until);
        let change = self.change.is_some_and(|(on, _)| day.next() == on || day == on.after(6));
        promotion || change || day.next() == self.ends
    }

    /// Whether all is told with a day, and habits have changed before.
    fn ends_after_change(&self, day: Day) -> bool {
        day.next() == self.ends && self.change.is_some_and(|(on, _)| on <= day)
    }

    /// What begins or ends with a day.
    fn news_of(&self, day: Day) -> Option<String> {
        if let Some(promotion) = self.promotion.filter(|promotion| promotion.from == day) {
            let off = words::percent(1.0 - promotion.price_factor);
            return Some(format!(
                ">> {day}: a week of low prices on {} begins, {off} off",
                promotion.category
            ));
        }
        if let Some(promotion) = self.promotion.filter(|promotion| promotion.until == day && day < self.ends)
        {
            return Some(format!(">> {day}: the low prices on {} are over", promotion.category));
        }
        let (on, changing) = self.change?;
        (on == day)
            .then(|| format!(">> {day}: {} change their habits", words::counted(changing as u64, "shopper")))
    }
}

fn none_rejected(rejected: &[Rejection]) -> Result<()> {
    match rejected.first() {
        Some(rejection) => bail!("{} was rejected: {}", rejection.field, rejection.message),
        None => Ok(()),
    }
}
