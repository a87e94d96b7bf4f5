//! The demo on a real log: in go a file and its format, out goes the narration: how far it is, what the busiest shoppers'
//! profiles say on the way, and what all profiles say at the end. Everything is read over gRPC, like any client would.

use super::facts::Facts;
use super::feed::Feed;
use super::narrator::Narrator;
use super::probe;
use super::training;
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use portrait_client::text::segments;
use portrait_client::text::{self, Paint, chart, words};
use portrait_client::{self as client, Line};
use portrait_connect::files::{Format, LogReader, Row};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, Item, Profile, TrainModelRequest, UpsertItemsRequest};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

/// Shoppers that are counted at most; later ones are sent and not counted.
const SHOPPERS_MAX: usize = 1_000_000;
/// Profiles that the summary is made from at most: those of the busiest.
const PROFILES_MAX: usize = 20_000;
/// Profiles of one read.
const READ_AT_ONCE: usize = 100;
/// Items of one request.
const ITEMS_AT_ONCE: usize = 1000;
/// The busiest shoppers are looked at when so many events were sent, and then whenever it is twice as many.
const FIRST_LOOK: u64 = 10_000;
/// The bar moves every so many events.
const PROGRESS_EVERY: u64 = 2_000;
/// How many shoppers are followed and listed.
const FOLLOWED: usize = 3;
const LISTED: usize = 10;

/// Tells the server at `url` that log; it wants `least` shoppers for a model.
pub(super) async fn run_against(
    url: &str,
    path: &Path,
    format: Format,
    least: usize,
    narrator: &mut dyn Narrator,
) -> Result<()> {
    let channel = client::connect(url).await?;
    let (prober, probing) = probe::begin(channel.clone());
    let feed = Feed::open(channel.clone(), prober).await?;
    let reader = LogReader::open(path, format, format.default_event_id())?;
    let mut replay = Replay::begin(channel.clone(), feed, narrator);
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    replay.narrator.say(&format!("a real log: {name}"));
    replay.rows(reader).await?;
    let told = replay.end().await?;
    let micros = probing.finish().await?;
    let seconds = told.began.elapsed().as_secs_f64();
    let each_second = told.events as f64 / seconds.max(0.001);
    let summary = summarise(&channel, &told.busiest(PROFILES_MAX)).await?;
    summary.conclude(narrator);
    narrator.say(&format!(
        "\n{} events of {} in {seconds:.1} s, {} a second; {} rows are unusable and were left out",
        words::count(told.events),
        words::counted(told.counts.len() as u64, "shopper"),
        words::count(each_second as u64),
        words::count(told.unusable)
    ));
    narrator.say(&format!(
        "acknowledged to queryable, at full load: p50 {:.1} ms, p99 {:.1} ms",
        micros.value_at_quantile(0.5) as f64 / 1e3,
        micros.value_at_quantile(0.99) as f64 / 1e3
    ));
    say_segments(&channel, told.counts.len(), least, narrator).await?;
    for profile in profiles(&channel, &told.busiest(1)).await? {
        narrator.say(&format!("\n{}", text::card(&profile, Paint::of_stdout())));
    }
    Ok(())
}

/// Has a model learned of everybody, if they are enough, and says which segments there are.
async fn say_segments(
    channel: &Line,
    shoppers: usize,
    least: usize,
    narrator: &mut dyn Narrator,
) -> Result<()> {
    if shoppers < least {
        let shoppers = words::counted(shoppers as u64, "shopper");
        narrator.say(&format!("\nno segments: {shoppers}, and a model needs {least}"));
        return Ok(());
    }
    // A model that was learned on the way knew fewer of them.
    let request = TrainModelRequest { choose_segments: true, force: true, ..Default::default() };
    let outcome = training::train(channel, request, 0).await?;
    if !outcome.published {
        narrator.say(&format!("\nno segments: {}", outcome.refusal));
    } else if let Some(listed) = training::segments(channel).await? {
        narrator.say(&format!("\nthe segments of all shoppers:\n{}", segments::table(&listed).trim_end()));
    }
    Ok(())
}

/// A log on its way to the server.
struct Replay<'a> {
    narrator: &'a mut dyn Narrator,
    channel: Line,
    feed: Feed,
    items: Vec<Item>,
    next_look: u64,
    told: Told,
}

/// What was sent.
struct Told {
    began: Instant,
    events: u64,
    unusable: u64,
    /// Events of each shopper.
    counts: HashMap<String, u64>,
}

impl<'a> Replay<'a> {
    fn begin(channel: Line, feed: Feed, narrator: &'a mut dyn Narrator) -> Self {
        let told = Told { began: Instant::now(), events: 0, unusable: 0, counts: HashMap::new() };
        Self { narrator, channel, feed, items: Vec::new(), next_look: FIRST_LOOK, told }
    }

    async fn rows(&mut self, mut reader: LogReader) -> Result<()> {
        while let Some(row) = reader.next() {
            match row? {
                Row::Event(event) => {
                    self.told.note(&event.user_id);
                    self.feed.send(event).await?;
                }
                Row::Item(item) => {
                    self.items.push(item);
                    if self.items.len() == ITEMS_AT_ONCE {
                        self.send_items().await?;
                    }
                }
                Row::Rejected { .. } => self.told.unusable += 1,
            }
            if self.told.events.is_multiple_of(PROGRESS_EVERY) {
                let events = words::count(self.told.events);
                self.narrator.progress(
                    reader.bytes_read(),
                    reader.bytes_total(),
                    &format!("{events} events"),
                );
            }
            if self.told.events == self.next_look {
                self.next_look *= 2;
                self.look().await?;
            }
        }
        self.send_items().await
    }

    /// Waits until everything is in the profiles, and says what those of the busiest say.
    async fn look(&mut self) -> Result<()> {
        self.feed.flush().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        self.narrator.say(&format!("after {} events, the busiest shoppers:", words::count(self.told.events)));
        for profile in profiles(&self.channel, &self.told.busiest(FOLLOWED)).await? {
            self.narrator.say(&format!("    {}", line(&profile.user_id, &Facts::of(&profile))));
        }
        Ok(())
    }

    async fn send_items(&mut self) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let mut ingest = IngestServiceClient::new(self.channel.clone());
        let answer = ingest.upsert_items(UpsertItemsRequest { items }).await?.into_inner();
        if let Some(rejection) = answer.rejected.first() {
            bail!("{} was rejected: {}", rejection.field, rejection.message);
        }
        Ok(())
    }

    async fn end(self) -> Result<Told> {
        self.feed.close().await.context("the end of the log")?;
        client::wait_until_applied(self.channel).await?;
        Ok(self.told)
    }
}

impl Told {
    fn note(&mut self, user_id: &str) {
        self.events += 1;
        if let Some(count) = self.counts.get_mut(user_id) {
            *count += 1;
        } else if self.counts.len() < SHOPPERS_MAX {
            self.counts.insert(user_id.to_owned(), 1);
        }
    }

    /// The shoppers with most events, the busiest first.
    fn busiest(&self, most: usize) -> Vec<String> {
        let mut counts: Vec<(&String, u64)> =
            self.counts.iter().map(|(user_id, count)| (user_id, *count)).collect();
        counts.sort_by_key(|(user_id, count)| (Reverse(*count), *user_id));
        counts.into_iter().take(most).map(|(user_id, _)| user_id.clone()).collect()
    }
}

fn line(user_id: &str, facts: &Facts) -> String {
    let lately: Vec<String> = facts
        .lately
        .iter()
        .take(2)
        .map(|(name, share)| format!("{name} {}", words::percent(*share)))
        .collect();
    let mut phrases = vec![words::counted(facts.actions, "action")];
    if facts.orders > 0 {
        phrases.push(format!("{}, {}", words::counted(facts.orders, "order"), words::money(facts.money)));
    }
    phrases.extend((!lately.is_empty()).then(|| format!("lately {}", lately.join(", "))));
    phrases.extend(facts.peak_hour().map(|hour| format!("mostly at {hour}:00")));
    format!("{user_id}: {}", phrases.join(" · "))
}

async fn profiles(channel: &Line, user_ids: &[String]) -> Result<Vec<Profile>> {
    if user_ids.is_empty() {
        return Ok(Vec::new());
    }
    let request = BatchGetProfilesRequest { user_ids: user_ids.to_vec(), ..Default::default() };
    Ok(QueryServiceClient::new(channel.clone()).batch_get_profiles(request).await?.into_inner().profiles)
}

/// What the profiles of the busiest say.
#[derive(Default)]
struct Summary {
    profiles: u64,
    busiest: Vec<(String, Facts)>,
    orders: u64,
    money: f64,
    categories: BTreeMap<String, u64>,
    /// Actions by hour of the day.
    hours: Vec<f64>,
}

async fn summarise(channel: &Line, user_ids: &[String]) -> Result<Summary> {
    let mut summary = Summary { hours: vec![0.0; 24], ..Summary::default() };
    for user_ids in user_ids.chunks(READ_AT_ONCE) {
        for profile in profiles(channel, user_ids).await? {
            summary.take(&profile);
        }
    }
    Ok(summary)
}

impl Summary {
    fn take(&mut self, profile: &Profile) {
        let facts = Facts::of(profile);
        self.profiles += 1;
        self.orders += facts.orders;
        self.money += facts.money;
        if let Some(category) = &facts.lasting {
            *self.categories.entry(category.clone()).or_default() += 1;
        }
        self.hours.iter_mut().zip(&facts.hours).for_each(|(sum, share)| *sum += share * facts.actions as f64);
        if self.busiest.len() < LISTED {
            self.busiest.push((profile.user_id.clone(), facts));
        }
    }

    fn conclude(&self, narrator: &mut dyn Narrator) {
        narrator.say(&format!(
            "\nwhat the profiles of the {} busiest shoppers say:",
            words::count(self.profiles)
        ));
        narrator.say(&self.table().to_string());
        narrator.say(&format!("  orders {}, money {}", words::count(self.orders), words::money(self.money)));
        let mut categories: Vec<(&String, &u64)> = self.categories.iter().collect();
        categories.sort_by_key(|(name, count)| (Reverse(**count), *name));
        for (name, count) in categories.into_iter().take(LISTED) {
            let share = *count as f64 / self.profiles.max(1) as f64;
            let bar = chart::fit(&chart::bar(share, 24), 24);
            narrator.say(&format!(
                "  {} {bar} liked most by {}",
                chart::fit(name, 34),
                words::percent(share)
            ));
        }
        if let Some(hour) = chart::peak(&self.hours) {
            let columns: String = chart::columns(&self.hours).into_iter().collect();
            narrator.say(&format!("  hours  {columns}  most between {hour}:00 and {}:00", (hour + 1) % 24));
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header(["busiest shoppers", "actions", "orders", "money", "likes most", "busiest hour"]);
        for (user_id, facts) in &self.busiest {
            table.add_row([
                chart::cut(user_id, 24),
                words::count(facts.actions),
                words::count(facts.orders),
                words::money(facts.money),
                chart::cut(facts.lasting.as_deref().unwrap_or_default(), 34),
                facts.peak_hour().map_or_else(String::new, |hour| format!("{hour}:00")),
            ]);
        }
        for column in table.column_iter_mut().filter(|column| !matches!(column.index, 0 | 4)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
