//! Narration of a simulated shop: sends its events in the order of time, with a line for each day. On selected
//! evenings it waits until all events are applied, prints the profiles of the personas, and requests the first
//! training or a drift check.

use super::facts::ProfileFacts;
use super::feed::EventFeed;
use super::learning::LearningNarration;
use super::narrator::Narrator;
use super::personas::Persona;
use super::sent_counts::SentCounts;
use crate::simulate::{Day, Promotion, ShopEvent, ShopEventKind};
use anyhow::{Result, bail};
use portrait_client::text::words;
use portrait_client::{self as client, RoleRouter};
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

/// Items, traits or relations of one request, at most.
const BATCH: usize = 1000;
/// Events from one update of the progress bar to the next.
const PROGRESS_EVERY: u64 = 2_000;

/// Planned changes of the shop, known to the narration from the start.
pub(super) struct Scenario {
    pub(super) promotion: Option<Promotion>,
    /// Day of the change of habits, and the number of users who change.
    pub(super) change: Option<(Day, usize)>,
    pub(super) end: Day,
    pub(super) personas: Vec<Persona>,
    /// Day on whose evening the first training is requested.
    pub(super) first_model: Day,
    /// Users whose habits change, personas first.
    pub(super) changing: Vec<String>,
}

/// Narration that is in progress.
pub(super) struct Narration<'a> {
    narrator: &'a mut dyn Narrator,
    channel: RoleRouter,
    feed: EventFeed,
    scenario: Scenario,
    learning: LearningNarration,
    today: DayCounts,
    items: Vec<Item>,
    traits: Vec<TraitsUpdate>,
    relations: Vec<Relation>,
    started: Instant,
    /// Time without events because of trainings.
    learned_for: Duration,
    /// Records sent so far.
    sent: SentCounts,
    /// Time of the newest event.
    newest: Timestamp,
}

/// Result of a finished narration.
pub(super) struct NarrationResult {
    /// Records sent, by user.
    pub(super) sent: SentCounts,
    /// Time of the newest event.
    pub(super) newest: Timestamp,
    /// Events that were sent and acknowledged.
    pub(super) events: u64,
    /// Narration of the models.
    pub(super) learning: LearningNarration,
    /// Time without events because of trainings.
    pub(super) learned_for: Duration,
}

/// Counts of one day.
struct DayCounts {
    day: Day,
    events: u64,
    users: BTreeSet<String>,
    orders: BTreeSet<String>,
}

impl DayCounts {
    fn begin(day: Day) -> Self {
        Self { day, events: 0, users: BTreeSet::new(), orders: BTreeSet::new() }
    }
}

impl<'a> Narration<'a> {
    pub(super) fn begin(
        channel: RoleRouter,
        feed: EventFeed,
        scenario: Scenario,
        learning: LearningNarration,
        narrator: &'a mut dyn Narrator,
    ) -> Self {
        Self {
            narrator,
            channel,
            feed,
            scenario,
            learning,
            today: DayCounts::begin(Day::FIRST),
            items: Vec::new(),
            traits: Vec::new(),
            relations: Vec::new(),
            started: Instant::now(),
            learned_for: Duration::ZERO,
            sent: SentCounts::default(),
            newest: Day::FIRST.midnight(),
        }
    }

    /// Sends one event of the shop; events must come in the order of time.
    pub(super) async fn narrate(&mut self, event: ShopEvent) -> Result<()> {
        let day = Day::of(event.at);
        // Days without events get their line too.
        while self.today.day < day {
            self.end_day().await?;
        }
        self.newest = self.newest.max(event.at);
        match event.kind {
            ShopEventKind::Item(item) => self.items.push(item),
            ShopEventKind::Traits(update) => {
                self.sent.note(&update.user_id, &update.event_id);
                self.traits.push(update);
            }
            ShopEventKind::Relation(relation) => {
                self.sent.note(&relation.user_id, &relation.event_id);
                self.relations.push(relation);
            }
            ShopEventKind::Event(event) => return self.send_event(event).await,
        }
        if self.items.len() == BATCH || self.traits.len() == BATCH || self.relations.len() == BATCH {
            self.send_facts().await?;
        }
        Ok(())
    }

    /// Ends the last day and the stream, and waits until all events are applied.
    pub(super) async fn end(mut self) -> Result<NarrationResult> {
        self.end_day().await?;
        let events = self.feed.close().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        let Self { sent, newest, learning, learned_for, .. } = self;
        Ok(NarrationResult { sent, newest, events, learning, learned_for })
    }

    async fn send_event(&mut self, mut event: Event) -> Result<()> {
        // The items of an event must be in the catalogue first: the server fills in category and brand from it.
        if !self.items.is_empty() {
            self.send_facts().await?;
        }
        self.sent.note(&event.user_id, &event.event_id);
        self.today.events += 1;
        self.today.users.insert(event.user_id.clone());
        if event.action() == Action::Purchase {
            self.today.orders.insert(event.order_id.clone());
        }
        if !event.item_id.is_empty() {
            // As in most shops, events name the item only.
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
        let per_second =
            events as f64 / self.started.elapsed().saturating_sub(self.learned_for).as_secs_f64().max(0.001);
        let note = format!(
            "{} · {} events · {} a second",
            self.today.day,
            words::count(events),
            words::count(per_second as u64)
        );
        self.narrator.progress(self.today.day.number().into(), self.scenario.end.number().into(), &note);
    }

    async fn end_day(&mut self) -> Result<()> {
        self.send_facts().await?;
        let DayCounts { day, events, users, orders } = &self.today;
        // Events after the last midnight belong to visits of the last day: they get no line of their own.
        if *day < self.scenario.end {
            let label = format!("{}  {:<7}", words::date(day.midnight()), day.to_string());
            let events = words::count(*events);
            let users = users.len();
            let orders = orders.len();
            self.narrator
                .line(&format!("{label} {events:>7} events · {users:>5} shoppers · {orders:>4} orders"));
            self.evening(*day).await?;
        }
        self.today = DayCounts::begin(self.today.day.next());
        if let Some(note) = self.scenario.notes_for_day(self.today.day) {
            self.narrator.line(&note);
        }
        self.progress();
        Ok(())
    }

    /// Waits on selected evenings until all events are applied, and narrates. Once there is a model, every evening is
    /// selected: a drift check is requested.
    async fn evening(&mut self, day: Day) -> Result<()> {
        let reports = self.scenario.is_report_day(day);
        let first_model = day == self.scenario.first_model;
        if !reports && !first_model && self.learning.version() == 0 {
            return Ok(());
        }
        self.feed.flush().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        if reports {
            self.report().await?;
        }
        let started = Instant::now();
        let user_ids: Vec<String> = self.sent.user_ids().cloned().collect();
        if first_model {
            self.learning.begin_models(&user_ids, self.narrator).await?;
        } else {
            self.learning.check_drift(&user_ids, self.narrator).await?;
        }
        if self.scenario.ends_after_change(day) {
            self.learning.explain_moves(&self.scenario.changing, self.newest, self.narrator).await?;
        }
        // Trainings do not count as time to send events.
        self.learned_for += started.elapsed();
        if self.scenario.change.is_some_and(|(on, _)| day.next() == on) {
            self.learning.record_memberships();
        }
        Ok(())
    }

    /// Prints the profiles of the personas.
    async fn report(&mut self) -> Result<()> {
        let user_ids: Vec<String> =
            self.scenario.personas.iter().map(|persona| persona.truth.user_id.clone()).collect();
        if user_ids.is_empty() {
            return Ok(());
        }
        let read_at = Some(time::to_wire(self.newest));
        let request = BatchGetProfilesRequest { user_ids, read_at, ..Default::default() };
        let mut query = QueryServiceClient::new(self.channel.clone());
        let profiles = query.batch_get_profiles(request).await?.into_inner().profiles;
        for persona in &self.scenario.personas {
            let profile = profiles.iter().find(|profile| profile.user_id == persona.truth.user_id);
            self.narrator.line(&persona.line(profile.map(ProfileFacts::of).as_ref()));
        }
        Ok(())
    }

    /// Sends the queued items, traits and relations.
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

impl Scenario {
    /// True on the evenings before and after a planned change, and on the last one.
    fn is_report_day(&self, day: Day) -> bool {
        let promotion = self
            .promotion
            .is_some_and(|promotion| day.next() == promotion.from || day.next() == promotion.until);
        let change = self.change.is_some_and(|(on, _)| day.next() == on || day == on.after(6));
        promotion || change || day.next() == self.end
    }

    /// True on the last day, if habits changed before it.
    fn ends_after_change(&self, day: Day) -> bool {
        day.next() == self.end && self.change.is_some_and(|(on, _)| on <= day)
    }

    /// Line on what begins or ends with a day.
    fn notes_for_day(&self, day: Day) -> Option<String> {
        if let Some(promotion) = self.promotion.filter(|promotion| promotion.from == day) {
            let off = words::percent(1.0 - promotion.price_factor);
            return Some(format!(
                ">> {day}: a week of low prices on {} begins, {off} off",
                promotion.category
            ));
        }
        if let Some(promotion) = self.promotion.filter(|promotion| promotion.until == day && day < self.end) {
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
