//! Demo on a real log: narrates the progress, the profiles of the busiest users on the way, and all profiles at the
//! end. Everything is read over gRPC, as any client would.

use super::facts::ProfileFacts;
use super::feed::EventFeed;
use super::narrator::Narrator;
use super::probe;
use super::training;
use crate::checked_log::{CheckedLog, CheckedRow};
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use portrait_client::text::segments;
use portrait_client::text::{self, Paint, chart, words};
use portrait_client::{self as client, RoleRouter};
use portrait_connect::files::Mapping;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, Item, Profile, TrainModelRequest, UpsertItemsRequest};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Users that are counted, at most; events of later ones are sent and not counted.
const USERS_MAX: usize = 1_000_000;
/// Profiles of the summary, at most: those of the busiest users.
const PROFILES_MAX: usize = 20_000;
/// Profiles of one batch read.
const READ_AT_ONCE: usize = 100;
/// Catalogue items of one request.
const ITEMS_AT_ONCE: usize = 1000;
/// Events before the first summary of the busiest users; each later one follows after twice as many.
const FIRST_SUMMARY: u64 = 10_000;
/// Events from one update of the progress bar to the next.
const PROGRESS_EVERY: u64 = 2_000;
/// Users of a summary on the way.
const FOLLOWED: usize = 3;
/// Rows of the tables at the end.
const LISTED: usize = 10;

/// Sends a log to the server at `url`, which trains from `users_min` users on.
///
/// # Errors
/// If the log cannot be read, the server cannot be reached, or an event is rejected.
pub(super) async fn run_against(
    url: &str,
    path: &Path,
    mapping: &Arc<Mapping>,
    users_min: usize,
    rules: &portrait_ingest::Config,
    narrator: &mut dyn Narrator,
) -> Result<()> {
    let channel = client::connect(url).await?;
    let (prober, probing) = probe::begin(channel.clone());
    let feed = EventFeed::open(channel.clone(), prober).await?;
    let bar = ProgressBar::hidden();
    let log = CheckedLog::open(path, mapping, rules, &bar)?;
    let mut replay = LogDemo::begin(channel.clone(), feed, narrator);
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    replay.narrator.line(&format!("a real log: {name}"));
    replay.rows(log, &bar).await?;
    let counts = replay.end().await?;
    let micros = probing.finish().await?;
    let seconds = counts.started.elapsed().as_secs_f64();
    // A log of a few rows may take no measurable time.
    let per_second = counts.events as f64 / seconds.max(0.001);
    let summary = summarise(&channel, &counts.busiest(PROFILES_MAX)).await?;
    summary.conclude(narrator);
    narrator.line(&format!(
        "\n{} events of {} in {seconds:.1} s, {} a second; {} unusable rows were skipped",
        words::count(counts.events),
        words::counted(counts.counts.len() as u64, "shopper"),
        words::count(per_second as u64),
        words::count(counts.unusable)
    ));
    narrator.line(&format!(
        "acknowledged to queryable, at full load: p50 {:.1} ms, p99 {:.1} ms",
        micros.value_at_quantile(0.5) as f64 / 1e3,
        micros.value_at_quantile(0.99) as f64 / 1e3
    ));
    print_segments(&channel, counts.counts.len(), users_min, narrator).await?;
    for profile in profiles(&channel, &counts.busiest(1)).await? {
        narrator.line(&format!("\n{}", text::card(&profile, Paint::of_stdout())));
    }
    Ok(())
}

/// Trains a model of all users, if they are enough, and prints its segments.
async fn print_segments(
    channel: &RoleRouter,
    users: usize,
    users_min: usize,
    narrator: &mut dyn Narrator,
) -> Result<()> {
    if users < users_min {
        let users = words::counted(users as u64, "shopper");
        narrator.line(&format!("\nno segments: {users}, and a model needs {users_min}"));
        return Ok(());
    }
    // A model that was trained on the way had fewer users.
    let request = TrainModelRequest { choose_segments: true, force: true, ..Default::default() };
    let outcome = training::train(channel, request, 0).await?;
    if !outcome.published {
        narrator.line(&format!("\nno segments: {}", outcome.refusal));
    } else if let Some(listed) = training::segments(channel).await? {
        narrator.line(&format!("\nthe segments of all users:\n{}", segments::table(&listed).trim_end()));
    }
    Ok(())
}

/// Log that is being sent.
struct LogDemo<'a> {
    narrator: &'a mut dyn Narrator,
    channel: RoleRouter,
    feed: EventFeed,
    items: Vec<Item>,
    next_summary_at: u64,
    counts: ReplayCounts,
}

/// Counts of what was sent.
struct ReplayCounts {
    started: Instant,
    events: u64,
    unusable: u64,
    /// Events of each user.
    counts: HashMap<String, u64>,
}

impl<'a> LogDemo<'a> {
    fn begin(channel: RoleRouter, feed: EventFeed, narrator: &'a mut dyn Narrator) -> Self {
        let counts = ReplayCounts { started: Instant::now(), events: 0, unusable: 0, counts: HashMap::new() };
        Self { narrator, channel, feed, items: Vec::new(), next_summary_at: FIRST_SUMMARY, counts }
    }

    /// Sends all rows; `bar` has the progress of reading them.
    async fn rows(&mut self, mut log: CheckedLog, bar: &ProgressBar) -> Result<()> {
        for row in log.by_ref() {
            match row? {
                CheckedRow::Event { event, .. } => {
                    self.counts.note(&event.user_id);
                    self.feed.send(event).await?;
                }
                CheckedRow::Item(item) => {
                    self.items.push(item);
                    if self.items.len() == ITEMS_AT_ONCE {
                        self.send_items().await?;
                    }
                }
            }
            if self.counts.events.is_multiple_of(PROGRESS_EVERY) {
                let events = words::count(self.counts.events);
                let total = bar.length().unwrap_or_default();
                self.narrator.progress(bar.position(), total, &format!("{events} events"));
            }
            // Doubling keeps the number of summaries logarithmic in the size of the log.
            if self.counts.events == self.next_summary_at {
                self.next_summary_at *= 2;
                self.summarize().await?;
            }
        }
        self.counts.unusable = log.rejected_rows();
        log.warn();
        self.send_items().await
    }

    /// Waits until all events are applied, and prints the profiles of the busiest users.
    async fn summarize(&mut self) -> Result<()> {
        self.feed.flush().await?;
        client::wait_until_applied(self.channel.clone()).await?;
        self.narrator.line(&format!("after {} events, the busiest users:", words::count(self.counts.events)));
        for profile in profiles(&self.channel, &self.counts.busiest(FOLLOWED)).await? {
            self.narrator.line(&format!("    {}", line(&profile.user_id, &ProfileFacts::of(&profile))));
        }
        Ok(())
    }

    async fn send_items(&mut self) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let mut ingest = IngestServiceClient::new(self.channel.clone());
        let response = ingest.upsert_items(UpsertItemsRequest { items }).await?.into_inner();
        if let Some(rejection) = response.rejected.first() {
            bail!("{} was rejected: {}", rejection.field, rejection.message);
        }
        Ok(())
    }

    async fn end(self) -> Result<ReplayCounts> {
        self.feed.close().await.context("the end of the log")?;
        client::wait_until_applied(self.channel).await?;
        Ok(self.counts)
    }
}

impl ReplayCounts {
    fn note(&mut self, user_id: &str) {
        self.events += 1;
        if let Some(count) = self.counts.get_mut(user_id) {
            *count += 1;
        // Beyond the bound only further users are left out; known ones are still counted.
        } else if self.counts.len() < USERS_MAX {
            self.counts.insert(user_id.to_owned(), 1);
        }
    }

    /// Users with most events, in descending order.
    fn busiest(&self, max: usize) -> Vec<String> {
        let mut counts: Vec<(&String, u64)> =
            self.counts.iter().map(|(user_id, count)| (user_id, *count)).collect();
        // Ties are broken by id, so that runs print the same users.
        counts.sort_by_key(|(user_id, count)| (Reverse(*count), *user_id));
        counts.into_iter().take(max).map(|(user_id, _)| user_id.clone()).collect()
    }
}

fn line(user_id: &str, facts: &ProfileFacts) -> String {
    let recent: Vec<String> = facts
        .weekly
        .iter()
        .take(2)
        .map(|(name, share)| format!("{name} {}", words::percent(*share)))
        .collect();
    let mut phrases = vec![words::counted(facts.actions, "action")];
    if facts.orders > 0 {
        phrases.push(format!("{}, {}", words::counted(facts.orders, "order"), words::money(facts.money)));
    }
    phrases.extend((!recent.is_empty()).then(|| format!("recently {}", recent.join(", "))));
    phrases.extend(facts.peak_hour().map(|hour| format!("mostly at {hour}:00")));
    format!("{user_id}: {}", phrases.join(" · "))
}

async fn profiles(channel: &RoleRouter, user_ids: &[String]) -> Result<Vec<Profile>> {
    if user_ids.is_empty() {
        return Ok(Vec::new());
    }
    let request = BatchGetProfilesRequest { user_ids: user_ids.to_vec(), ..Default::default() };
    Ok(QueryServiceClient::new(channel.clone()).batch_get_profiles(request).await?.into_inner().profiles)
}

/// Summary of the profiles of the busiest users.
#[derive(Default)]
struct LogSummary {
    profiles: u64,
    busiest: Vec<(String, ProfileFacts)>,
    orders: u64,
    money: f64,
    categories: BTreeMap<String, u64>,
    /// Number of actions by hour of the day.
    hours: Vec<f64>,
}

async fn summarise(channel: &RoleRouter, user_ids: &[String]) -> Result<LogSummary> {
    let mut summary = LogSummary { hours: vec![0.0; 24], ..LogSummary::default() };
    for user_ids in user_ids.chunks(READ_AT_ONCE) {
        for profile in profiles(channel, user_ids).await? {
            summary.take(&profile);
        }
    }
    Ok(summary)
}

impl LogSummary {
    fn take(&mut self, profile: &Profile) {
        let facts = ProfileFacts::of(profile);
        self.profiles += 1;
        self.orders += facts.orders;
        self.money += facts.money;
        if let Some(category) = &facts.quarterly {
            *self.categories.entry(category.clone()).or_default() += 1;
        }
        // Weighted by actions: a user with three of them says little about the hours of the log.
        self.hours.iter_mut().zip(&facts.hours).for_each(|(sum, share)| *sum += share * facts.actions as f64);
        if self.busiest.len() < LISTED {
            self.busiest.push((profile.user_id.clone(), facts));
        }
    }

    fn conclude(&self, narrator: &mut dyn Narrator) {
        narrator.line(&format!("\nprofiles of the {} busiest shoppers:", words::count(self.profiles)));
        narrator.line(&self.table().to_string());
        narrator.line(&format!("  orders {}, money {}", words::count(self.orders), words::money(self.money)));
        let mut categories: Vec<(&String, &u64)> = self.categories.iter().collect();
        categories.sort_by_key(|(name, count)| (Reverse(**count), *name));
        for (name, count) in categories.into_iter().take(LISTED) {
            let share = *count as f64 / self.profiles.max(1) as f64;
            let bar = chart::fit(&chart::bar(share, 24), 24);
            narrator.line(&format!(
                "  {} {bar} favourite of {}",
                chart::fit(name, 34),
                words::percent(share)
            ));
        }
        if let Some(hour) = chart::peak(&self.hours) {
            let columns: String = chart::columns(&self.hours).into_iter().collect();
            narrator.line(&format!("  hours  {columns}  most between {hour}:00 and {}:00", (hour + 1) % 24));
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header(["busiest users", "actions", "orders", "money", "favourite", "busiest hour"]);
        for (user_id, facts) in &self.busiest {
            table.add_row([
                chart::cut(user_id, 24),
                words::count(facts.actions),
                words::count(facts.orders),
                words::money(facts.money),
                chart::cut(facts.quarterly.as_deref().unwrap_or_default(), 34),
                facts.peak_hour().map_or_else(String::new, |hour| format!("{hour}:00")),
            ]);
        }
        for column in table.column_iter_mut().filter(|column| !matches!(column.index, 0 | 4)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
