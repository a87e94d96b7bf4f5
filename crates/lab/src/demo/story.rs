//! Demo on a simulated shop: sends all events, reads the profiles, and checks that each contains exactly what was
//! sent for its user.

use super::facts::ProfileFacts;
use super::feed::EventFeed;
use super::learning::LearningNarration;
use super::memberships::BySegment;
use super::narration::{Narration, NarrationResult, Scenario};
use super::narrator::Narrator;
use super::personas::{self, Persona};
use super::planted::PlantedTypes;
use super::probe;
use super::sent_counts::SentCounts;
use super::summary::{ACTIONS_MIN, DemoSummary, MatchRate};
use super::watcher::ChangeWatcher;
use crate::simulate::{Day, ShopSimulator, SimulateConfig, UserTruth};
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use portrait_client::text::{self, Paint, words};
use portrait_client::{self as client, RoleRouter};
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, Profile};
use portrait_runtime::SharedClock;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Profiles of one batch read.
const READ_AT_ONCE: usize = 100;
/// Users whose changes are timed on delivery.
const SAMPLE: usize = 50;

/// Input of a demo run.
#[derive(Clone, Copy, Debug)]
pub struct DemoScript {
    /// Seed of the simulated shop.
    pub seed: u64,
    /// Size of the simulated shop.
    pub shop: SimulateConfig,
    /// Users below which the server trains no model.
    pub users_min: usize,
}

/// Figures of a demo run.
#[derive(Clone, Copy, Debug)]
pub struct DemoReport {
    /// Number of events sent and acknowledged.
    pub events: u64,
    /// Number of profiles, one for each user.
    pub profiles: u64,
    /// Number of changes delivered to the subscriber.
    pub changes: u64,
    /// Time from the first event until the last one is applied, without the time for models.
    pub elapsed: Duration,
    /// Time for trainings and the sweeps after them.
    pub learned_for: Duration,
    /// Time from acknowledgement to a read with the event, in microseconds: median and 99th percentile.
    pub queryable_micros: (u64, u64),
    /// Time from acceptance to delivery to a subscriber, in microseconds: median and 99th percentile.
    pub delivered_micros: (u64, u64),
    /// Users with unchanged habits whose category over 90 days is the planted one.
    pub favourite: MatchRate,
    /// Users with unchanged habits whose busiest hour is a planted one.
    pub rhythm: MatchRate,
    /// Users with new habits whose category over a week is the new one.
    pub changed: MatchRate,
    /// Version of the newest model; 0 if there were too few users.
    pub model: u64,
    /// Number of segment changes delivered.
    pub segment_changes: u64,
    /// Users whose planted type is the most frequent one of their segment.
    pub purity: MatchRate,
    /// Adjusted Rand index of planted types and segments.
    pub agreement: f64,
}

/// Runs a script against the server at `url`.
///
/// # Errors
/// If the server cannot be reached or rejects anything, or a profile does not contain exactly what was sent.
pub async fn run_against(
    url: &str,
    script: &DemoScript,
    clock: SharedClock,
    narrator: &mut dyn Narrator,
) -> Result<DemoReport> {
    let channel = client::connect(url).await?;
    let shop = ShopSimulator::new(script.seed, script.shop);
    let truths = shop.truths().to_vec();
    let scenario = scenario(&shop, &truths);
    let personas = scenario.personas.clone();
    let end = scenario.end;
    introduce(script, &scenario, narrator);
    // Evenly over the list, which has the late arrivals at its end.
    let step = (truths.len() / SAMPLE).max(1);
    let sample = truths.iter().step_by(step).take(SAMPLE).map(|truth| truth.user_id.clone()).collect();
    // A connection of its own, as a subscribing application would have.
    let mut watcher = ChangeWatcher::begin(client::connect(url).await?, sample, clock).await?;
    let (prober, probing) = probe::begin(channel.clone());
    let feed = EventFeed::open(channel.clone(), prober).await?;
    let learning =
        LearningNarration::begin(channel.clone(), client::connect(url).await?, script.users_min).await?;
    let started = Instant::now();
    let mut narration = Narration::begin(channel.clone(), feed, scenario, learning, narrator);
    for event in shop {
        narration.narrate(event).await?;
    }
    let NarrationResult { sent, newest, events, mut learning, learned_for } = narration.end().await?;
    let elapsed = started.elapsed().saturating_sub(learned_for);
    // Visits of the last day may end after midnight: decay is evaluated at the newest event then.
    let reader = ProfileReader { channel, read_at: newest.max(end.midnight()), last_day: end };
    let read = reader.read_all(&sent, &truths).await?;
    watcher.caught_up(&read.versions).await?;
    learning.wait_until_consistent(&read.segments).await?;
    let report = DemoReport {
        events,
        profiles: read.versions.len() as u64,
        changes: watcher.changes(),
        elapsed,
        learned_for,
        queryable_micros: quantiles(&probing.finish().await?),
        delivered_micros: quantiles(&watcher.delivered_micros()),
        favourite: read.summary.favourite(),
        rhythm: read.summary.rhythm(),
        changed: read.summary.changed(),
        model: learning.version(),
        segment_changes: learning.changes(),
        purity: read.planted.purity(),
        agreement: read.planted.agreement(),
    };
    conclude_profiles(&report, &read.summary, narrator);
    if report.model > 0 {
        conclude_segments(&report, &read.planted, &learning, narrator);
    }
    conclude_run(&report, narrator);
    for persona in personas.iter().take(2) {
        let profile = reader.read_one(&persona.truth.user_id).await?;
        narrator.line(&format!("\n{}", text::card(&profile, Paint::of_stdout())));
    }
    Ok(report)
}

/// Day of the first training: three quarters of the days before the promotion have passed.
fn first_model(shop: &ShopSimulator) -> Day {
    Day::numbered((shop.end().number() / 4).saturating_sub(1))
}

/// Number of users who have arrived by the first training: a server with this minimum trains none by itself before.
pub(super) fn users_by_first_model(shop: &ShopSimulator) -> usize {
    let evening = first_model(shop);
    shop.truths().iter().filter(|truth| truth.arrives_on <= evening).count()
}

fn scenario(shop: &ShopSimulator, truths: &[UserTruth]) -> Scenario {
    let promotion = shop.promotion().copied();
    let personas = personas::choose(truths, promotion.as_ref());
    let changes = truths.iter().filter_map(|truth| truth.change);
    let change = changes.clone().map(|change| change.on).min().map(|on| (on, changes.count()));
    // Personas first: the explained move is that of a user known from the narration.
    let mut changing: Vec<String> = personas
        .iter()
        .map(|persona| &persona.truth)
        .filter(|truth| truth.change.is_some())
        .map(|truth| truth.user_id.clone())
        .collect();
    for truth in truths {
        if truth.change.is_some() && !changing.contains(&truth.user_id) {
            changing.push(truth.user_id.clone());
        }
    }
    Scenario { promotion, change, end: shop.end(), personas, first_model: first_model(shop), changing }
}

fn introduce(script: &DemoScript, scenario: &Scenario, narrator: &mut dyn Narrator) {
    let SimulateConfig { users, days, items, .. } = script.shop;
    let users = words::counted(users.into(), "shopper");
    let items = words::counted(items.into(), "item");
    narrator.line(&format!("a simulated shop: {users}, {items}, {days} days (seed {})", script.seed));
    if !scenario.personas.is_empty() {
        narrator.line("followed on the way, by their profiles over gRPC:");
    }
    for introduction in scenario.personas.iter().map(Persona::introduction) {
        narrator.line(&format!("    {introduction}"));
    }
}

/// Connection and time to read profiles with.
struct ProfileReader {
    channel: RoleRouter,
    read_at: Timestamp,
    last_day: Day,
}

/// Content of all profiles.
#[derive(Default)]
struct ReadResults {
    versions: BTreeMap<String, u64>,
    segments: BySegment,
    summary: DemoSummary,
    planted: PlantedTypes,
}

impl ProfileReader {
    /// Reads every profile and compares it with what was sent.
    async fn read_all(&self, sent: &SentCounts, truths: &[UserTruth]) -> Result<ReadResults> {
        let truths: HashMap<&str, &UserTruth> =
            truths.iter().map(|truth| (truth.user_id.as_str(), truth)).collect();
        let user_ids: Vec<String> = sent.user_ids().cloned().collect();
        let mut read = ReadResults::default();
        let mut exact = 0;
        for user_ids in user_ids.chunks(READ_AT_ONCE) {
            let profiles = self.read_batch(user_ids).await?;
            // All profiles are read before the check fails, so that the message has the full count.
            exact += sent.exact(&profiles);
            for profile in profiles {
                let truth = truths.get(profile.user_id.as_str());
                read.take(profile, truth.copied(), self.last_day);
            }
        }
        if exact != sent.user_count() {
            bail!("{exact} of {} profiles contain exactly what was sent", sent.user_count());
        }
        Ok(read)
    }

    async fn read_one(&self, user_id: &str) -> Result<Profile> {
        match self.read_batch(&[user_id.to_owned()]).await?.pop() {
            Some(profile) => Ok(profile),
            None => bail!("there is no profile of {user_id}"),
        }
    }

    async fn read_batch(&self, user_ids: &[String]) -> Result<Vec<Profile>> {
        let read_at = Some(time::to_wire(self.read_at));
        let request = BatchGetProfilesRequest { user_ids: user_ids.to_vec(), read_at, ..Default::default() };
        let response = QueryServiceClient::new(self.channel.clone()).batch_get_profiles(request).await?;
        Ok(response.into_inner().profiles)
    }
}

impl ReadResults {
    fn take(&mut self, profile: Profile, truth: Option<&UserTruth>, last_day: Day) {
        if let Some(truth) = truth {
            self.summary.take(truth, &ProfileFacts::of(&profile), last_day);
        }
        if let Some(membership) = profile.segment {
            if let Some(truth) = truth {
                self.planted.take(&membership.segment_id, truth.user_type_on(last_day));
            }
            self.segments.insert(profile.user_id.clone(), membership.segment_id);
        }
        self.versions.insert(profile.user_id, profile.version);
    }
}

fn quantiles(micros: &Histogram<u64>) -> (u64, u64) {
    (micros.value_at_quantile(0.5), micros.value_at_quantile(0.99))
}

fn share(share: MatchRate) -> String {
    format!("{} of {} ({})", share.hits, share.of, words::percent(share.ratio()))
}

fn conclude_profiles(report: &DemoReport, summary: &DemoSummary, narrator: &mut dyn Narrator) {
    narrator.line(&format!(
        "\nprofiles by planted type (shoppers with {ACTIONS_MIN} actions or more, habits unchanged):"
    ));
    narrator.line(&summary.table().to_string());
    narrator.line(&format!("  the category liked most is the planted one:   {}", share(report.favourite)));
    narrator.line(&format!("  the busiest hour is a planted one:            {}", share(report.rhythm)));
    narrator.line(&format!("  new habits show in the last week's category:  {}", share(report.changed)));
}

fn conclude_segments(
    report: &DemoReport,
    planted: &PlantedTypes,
    learning: &LearningNarration,
    narrator: &mut dyn Narrator,
) {
    narrator.line(&format!(
        "\nsegments of model {} by planted type (all shoppers, with their current habits):",
        report.model
    ));
    narrator.line(&planted.table(|segment_id| learning.name(segment_id)).to_string());
    narrator.line(&format!("  of the most frequent type of their segment:    {}", share(report.purity)));
    narrator.line(&format!(
        "  adjusted Rand index of types and segments:    {:.2} (1: the same, 0: chance)",
        report.agreement
    ));
}

fn conclude_run(report: &DemoReport, narrator: &mut dyn Narrator) {
    let format_ms =
        |(p50, p99): (u64, u64)| format!("p50 {:.1} ms, p99 {:.1} ms", p50 as f64 / 1e3, p99 as f64 / 1e3);
    let per_second = report.events as f64 / report.elapsed.as_secs_f64().max(0.001);
    let models = match report.model {
        0 => String::new(),
        _ => format!("; models took {:.1} s more", report.learned_for.as_secs_f64()),
    };
    narrator.line(&format!(
        "\n{} events in {:.1} s, {} a second, each on disk before it was acknowledged{models}",
        words::count(report.events),
        report.elapsed.as_secs_f64(),
        words::count(per_second as u64)
    ));
    narrator.line(&format!(
        "{} profiles, each made from exactly the records that were sent (count and fingerprint)",
        words::count(report.profiles)
    ));
    narrator.line(&format!(
        "{} changes delivered to a subscriber, the newest of every shopper among them",
        words::count(report.changes)
    ));
    if report.model > 0 {
        narrator.line(&format!(
            "{} segment changes delivered to another; they agree with every profile",
            words::count(report.segment_changes)
        ));
    }
    narrator
        .line(&format!("acknowledged to queryable, at full load: {}", format_ms(report.queryable_micros)));
    narrator
        .line(&format!("accepted to delivered, at full load:     {}", format_ms(report.delivered_micros)));
}
