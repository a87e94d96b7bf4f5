//! The whole demo on a simulated shop: in go a server's address, a script and a narrator; out come the figures of the run. The
//! story is told, the profiles are read, and each must hold exactly what was sent of its shopper.

use super::cast::{self, Role};
use super::facts::Facts;
use super::feed::Feed;
use super::learning::Learning;
use super::memberships::BySegment;
use super::narrator::Narrator;
use super::planted::Planted;
use super::probe;
use super::summary::{ACTIONS_MIN, Share, Summary};
use super::tally::Tally;
use super::telling::{Plot, Telling, Told};
use super::watcher::Watcher;
use crate::simulate::{Day, Shop, ShopperTruth, SimulateConfig};
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use portrait_client::text::{self, Paint, words};
use portrait_client::{self as client, Line};
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, Profile};
use portrait_runtime::SharedClock;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Profiles of one read.
const READ_AT_ONCE: usize = 100;
/// Of so many shoppers it is measured how soon changes are delivered.
const SAMPLE: usize = 50;

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Which shop.
    pub seed: u64,
    /// How large it is.
    pub shop: SimulateConfig,
    /// How many shoppers the server wants to have seen before it learns a model.
    pub least: usize,
}

/// The figures of a run.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Events that were sent and acknowledged.
    pub events: u64,
    /// Profiles that there are, one for each shopper.
    pub profiles: u64,
    /// Changes that the subscriber got.
    pub changes: u64,
    /// From the first event to the last one's being in its profile, without the time for models.
    pub elapsed: Duration,
    /// How long models were learned, and everybody was looked at for them.
    pub learned_for: Duration,
    /// From acknowledged to queryable, in microseconds: half of the events, and 99 in 100.
    pub queryable_micros: (u64, u64),
    /// From accepted to delivered to a subscriber, in microseconds: half of the changes, and 99 in 100.
    pub delivered_micros: (u64, u64),
    /// Steady shoppers whose category of 90 days is the planted one.
    pub favourite: Share,
    /// Steady shoppers whose busiest hour is one of the planted ones.
    pub rhythm: Share,
    /// Shoppers with new habits whose category of the last week is the new one.
    pub changed: Share,
    /// The version of the newest model; 0 if there were too few shoppers for one.
    pub model: u64,
    /// Changes of a shopper's segment that the subscriber to those got.
    pub segment_changes: u64,
    /// Shoppers of the type that most of their segment are planted as.
    pub purity: Share,
    /// Adjusted Rand index of planted types and segments.
    pub agreement: f64,
}

/// Tells the server at `url` that script.
///
/// # Errors
/// If the server cannot be reached, refuses anything, or a profile does not hold exactly what was sent.
pub async fn run_against(
    url: &str,
    script: &Script,
    clock: SharedClock,
    narrator: &mut dyn Narrator,
) -> Result<Outcome> {
    let channel = client::connect(url).await?;
    let shop = Shop::new(script.seed, script.shop);
    let truths = shop.truths().to_vec();
    let plot = plot(&shop, &truths);
    let (roles, ends) = (plot.roles.clone(), plot.ends);
    introduce(script, &plot, narrator);
    let step = (truths.len() / SAMPLE).max(1);
    let sample = truths.iter().step_by(step).take(SAMPLE).map(|truth| truth.user_id.clone()).collect();
    // A connection of its own, as a recommendation engine would have.
    let mut watcher = Watcher::begin(client::connect(url).await?, sample, clock).await?;
    let (prober, probing) = probe::begin(channel.clone());
    let feed = Feed::open(channel.clone(), prober).await?;
    let learning = Learning::begin(channel.clone(), client::connect(url).await?, script.least).await?;
    let began = Instant::now();
    let mut telling = Telling::begin(channel.clone(), feed, plot, learning, narrator);
    for happening in shop {
        telling.tell(happening).await?;
    }
    let Told { tally, newest, events, mut learning, learned_for } = telling.end().await?;
    let elapsed = began.elapsed().saturating_sub(learned_for);
    let reading = Reading { channel, read_at: newest.max(ends.begins()), last_day: ends };
    let read = reading.all(&tally, &truths).await?;
    watcher.caught_up(&read.versions).await?;
    learning.agree(&read.segments).await?;
    let outcome = Outcome {
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
    conclude_profiles(&outcome, &read.summary, narrator);
    if outcome.model > 0 {
        conclude_segments(&outcome, &read.planted, &learning, narrator);
    }
    conclude_run(&outcome, narrator);
    for role in roles.iter().take(2) {
        narrator
            .say(&format!("\n{}", text::card(&reading.one(&role.truth.user_id).await?, Paint::of_stdout())));
    }
    Ok(outcome)
}

/// The evening on which the first model is learned: three quarters of the days before low prices have passed.
fn first_model(shop: &Shop) -> Day {
    Day::numbered((shop.ends().number() / 4).saturating_sub(1))
}

/// How many shoppers have come when the first model is learned: a server that wants so many learns none by itself before.
pub(super) fn come_by_first_model(shop: &Shop) -> usize {
    let evening = first_model(shop);
    shop.truths().iter().filter(|truth| truth.arrives_on <= evening).count()
}

fn plot(shop: &Shop, truths: &[ShopperTruth]) -> Plot {
    let changing = truths.iter().filter_map(|truth| truth.change);
    let change = changing.clone().map(|change| change.on).min().map(|on| (on, changing.count()));
    let promotion = shop.promotion().copied();
    let roles = cast::chosen(truths, promotion.as_ref());
    let followed = roles.iter().map(|role| &role.truth).filter(|truth| truth.change.is_some());
    let mut changing: Vec<String> = followed.map(|truth| truth.user_id.clone()).collect();
    let others = truths.iter().filter(|truth| truth.change.is_some() && !changing.contains(&truth.user_id));
    let others: Vec<String> = others.map(|truth| truth.user_id.clone()).collect();
    changing.extend(others);
    Plot { promotion, change, ends: shop.ends(), roles, first_model: first_model(shop), changing }
}

fn introduce(script: &Script, plot: &Plot, narrator: &mut dyn Narrator) {
    let SimulateConfig { shoppers, days, items, .. } = script.shop;
    let (shoppers, items) =
        (words::counted(shoppers.into(), "shopper"), words::counted(items.into(), "item"));
    narrator.say(&format!("a simulated shop: {shoppers}, {items}, {days} days (seed {})", script.seed));
    if !plot.roles.is_empty() {
        narrator.say("followed on the way, as their profiles say over gRPC:");
    }
    for introduction in plot.roles.iter().map(Role::introduction) {
        narrator.say(&format!("    {introduction}"));
    }
}

/// Where and as of when profiles are read.
struct Reading {
    channel: Line,
    read_at: Timestamp,
    last_day: Day,
}

/// What was read.
#[derive(Default)]
struct Read {
    versions: BTreeMap<String, u64>,
    segments: BySegment,
    summary: Summary,
    planted: Planted,
}

impl Reading {
    /// Reads every profile, and holds each against what was sent.
    async fn all(&self, tally: &Tally, truths: &[ShopperTruth]) -> Result<Read> {
        let truths: HashMap<&str, &ShopperTruth> =
            truths.iter().map(|truth| (truth.user_id.as_str(), truth)).collect();
        let user_ids: Vec<String> = tally.user_ids().cloned().collect();
        let mut read = Read::default();
        let mut exact = 0;
        for user_ids in user_ids.chunks(READ_AT_ONCE) {
            let profiles = self.some(user_ids).await?;
            exact += tally.exact(&profiles);
            for profile in profiles {
                let truth = truths.get(profile.user_id.as_str());
                read.take(profile, truth.copied(), self.last_day);
            }
        }
        if exact != tally.shoppers() {
            bail!("{exact} of {} profiles hold exactly what was sent", tally.shoppers());
        }
        Ok(read)
    }

    async fn one(&self, user_id: &str) -> Result<Profile> {
        match self.some(&[user_id.to_owned()]).await?.pop() {
            Some(profile) => Ok(profile),
            None => bail!("there is no profile of {user_id}"),
        }
    }

    async fn some(&self, user_ids: &[String]) -> Result<Vec<Profile>> {
        let read_at = Some(time::to_wire(self.read_at));
        let request = BatchGetProfilesRequest { user_ids: user_ids.to_vec(), read_at, ..Default::default() };
        let response = QueryServiceClient::new(self.channel.clone()).batch_get_profiles(request).await?;
        Ok(response.into_inner().profiles)
    }
}

impl Read {
    fn take(&mut self, profile: Profile, truth: Option<&ShopperTruth>, last_day: Day) {
        if let Some(truth) = truth {
            self.summary.take(truth, &Facts::of(&profile), last_day);
        }
        if let Some(membership) = profile.segment {
            if let Some(truth) = truth {
                self.planted.take(&membership.segment_id, truth.shopper_type_on(last_day));
            }
            self.segments.insert(profile.user_id.clone(), membership.segment_id);
        }
        self.versions.insert(profile.user_id, profile.version);
    }
}

fn quantiles(micros: &Histogram<u64>) -> (u64, u64) {
    (micros.value_at_quantile(0.5), micros.value_at_quantile(0.99))
}

fn share(share: Share) -> String {
    format!("{} of {} ({})", share.found, share.of, words::percent(share.ratio()))
}

fn conclude_profiles(outcome: &Outcome, summary: &Summary, narrator: &mut dyn Narrator) {
    narrator.say(&format!("\nwhat the profiles say, by what was planted (shoppers with {ACTIONS_MIN} actions or more, habits unchanged):"));
    narrator.say(&summary.table().to_string());
    narrator.say(&format!("  the category liked most is the planted one:   {}", share(outcome.favourite)));
    narrator.say(&format!("  the busiest hour is a planted one:            {}", share(outcome.rhythm)));
    narrator.say(&format!("  new habits show in the last week's category:  {}", share(outcome.changed)));
}

fn conclude_segments(outcome: &Outcome, planted: &Planted, learning: &Learning, narrator: &mut dyn Narrator) {
    narrator.say(&format!(
        "\nthe segments of model {}, by what was planted (all shoppers, with the habits they have now):",
        outcome.model
    ));
    narrator.say(&planted.table(|segment_id| learning.name(segment_id)).to_string());
    narrator.say(&format!("  of the type that most of their segment are:   {}", share(outcome.purity)));
    narrator.say(&format!(
        "  adjusted Rand index of types and segments:    {:.2} (1: the same, 0: chance)",
        outcome.agreement
    ));
}

fn conclude_run(outcome: &Outcome, narrator: &mut dyn Narrator) {
    let millis = |(half, most): (u64, u64)| {
        format!("p50 {:.1} ms, p99 {:.1} ms", half as f64 / 1e3, most as f64 / 1e3)
    };
    let each_second = outcome.events as f64 / outcome.elapsed.as_secs_f64().max(0.001);
    let models = match outcome.model {
        0 => String::new(),
        _ => format!("; models took {:.1} s more", outcome.learned_for.as_secs_f64()),
    };
    narrator.say(&format!(
        "\n{} events in {:.1} s, {} a second, each on disk before it was acknowledged{models}",
        words::count(outcome.events),
        outcome.elapsed.as_secs_f64(),
        words::count(each_second as u64)
    ));
    narrator.say(&format!(
        "{} profiles, each made from exactly the records that were sent (count and fingerprint)",
        words::count(outcome.profiles)
    ));
    narrator.say(&format!(
        "{} changes delivered to a subscriber, the newest of every shopper among them",
        words::count(outcome.changes)
    ));
    if outcome.model > 0 {
        narrator.say(&format!(
            "{} segment changes delivered to another; what they say of every shopper is what the profile says",
            words::count(outcome.segment_changes)
        ));
    }
    narrator.say(&format!("acknowledged to queryable, at full load: {}", millis(outcome.queryable_micros)));
    narrator.say(&format!("accepted to delivered, at full load:     {}", millis(outcome.delivered_micros)));
}
