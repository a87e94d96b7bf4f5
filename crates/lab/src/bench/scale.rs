//! Figures of a shop of growing size: throughput, memory, start, training and answers of one server process at each number of users. A
//! target is a ratio to the smallest size of the same run, so that it holds on any machine.

mod load;
mod server;
mod skew;

use self::load::{Kind, ScaleLoad, Users};
use self::server::ServerProcess;
use super::bare::{self, AppendTiming};
use super::env::{BenchEnv, FreshStore};
use super::figure::Figure;
use super::predictions::{at_constant_rate, quantile_ms};
use anyhow::{Result, bail};
use indicatif::ProgressBar;
use portrait_client::{self as client, RoleRouter};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{GetProfileRequest, ModelManifest, RecommendRequest, TrainModelRequest};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Events of one measured throughput.
const MEASURED_EVENTS: usize = 100_000;
/// Measured throughputs of one kind; the median counts.
const TURNS: usize = 3;

/// Number of users, written with a suffix, as 10k or 1M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1_000),
            None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1_000_000)),
        };
        let count: usize = digits.parse().map_err(|_| "write a number of users, as 10k or 1M".to_owned())?;
        if count.saturating_mul(unit) < 1_000 {
            return Err("at least 1k users are needed for a model".to_owned());
        }
        Ok(Self(count.saturating_mul(unit)))
    }
}

/// Settings of a run.
pub(super) struct ScaleRun<'a> {
    pub(super) env: &'a BenchEnv,
    /// Numbers of users, ascending.
    pub(super) sizes: &'a [Size],
    /// Number of items of the largest shop; a smaller one has at most a fifth as many as users.
    pub(super) items: usize,
    /// Seconds of each latency.
    pub(super) seconds: u64,
    pub(super) bar: &'a ProgressBar,
}

/// Numbers of one size.
#[derive(Debug, Default)]
struct SizeNumbers {
    new_users_per_second: f64,
    known_users_per_second: f64,
    bare_per_second: f64,
    bytes_a_user: f64,
    resident_mb: f64,
    ready_s: f64,
    training_s: f64,
    training_peak_mb: f64,
    model_mb: f64,
    sweep_per_second: f64,
    recommend_ms: [f64; 2],
    profile_ms: [f64; 2],
}

/// Measures every size, then the load of few users on all others.
pub(super) async fn measure(run: &ScaleRun<'_>, figures: &mut Vec<Figure>) -> Result<()> {
    let mut smallest = None;
    for size in run.sizes {
        let users = Users { count: size.0, items: run.items.min(size.0 / 5).max(1_000) };
        let numbers = measure_size(run, users).await?;
        let base = smallest.get_or_insert((numbers.new_users_per_second, numbers.known_users_per_second));
        push_figures(run, users, &numbers, *base, figures);
    }
    skew::measure(run, figures).await
}

async fn measure_size(run: &ScaleRun<'_>, users: Users) -> Result<SizeNumbers> {
    let describe = |what: &str| run.bar.set_message(format!("{} users: {what}", users.count));
    let mut numbers = SizeNumbers::default();
    let store = run.env.new_store().await?;
    let mut server = ServerProcess::start(&store).await?;
    let router = client::connect(server.grpc_url()).await?;

    describe("new users");
    let mut load = ScaleLoad::new(users);
    // The last users of the shop: throughput at this size, not the mean over all smaller ones.
    let measured = (TURNS * MEASURED_EVENTS).min(users.count);
    load.send(&router, Kind::New, users.count - measured).await?;
    let mut rates = Vec::new();
    for _ in 0..TURNS {
        rates.push(load.timed(&router, Kind::New, measured / TURNS).await?);
    }
    numbers.new_users_per_second = median(rates);
    describe("known users");
    let mut rates = Vec::new();
    for _ in 0..TURNS {
        rates.push(load.timed(&router, Kind::Known, MEASURED_EVENTS).await?);
    }
    numbers.known_users_per_second = median(rates);
    // Enough history for a model: four events a user, as a shop's log of a month has.
    describe("histories");
    load.send(&router, Kind::Known, 3 * users.count).await?;
    numbers.resident_mb = server.resident_mb()?;
    numbers.bytes_a_user = stored_bytes(&store)? as f64 / users.count as f64;

    describe("restart after kill -9");
    numbers.ready_s = server.restart_after_kill(&store).await?.as_secs_f64();
    let router = client::connect(server.grpc_url()).await?;

    describe("training");
    let manifest = train(&router, &mut server, &mut numbers).await?;
    describe("sweep");
    let started = Instant::now();
    client::wait_until_swept(router.clone(), manifest.version).await?;
    numbers.sweep_per_second = users.count as f64 / started.elapsed().as_secs_f64();

    describe("answers");
    answers(&router, users, run.seconds, &mut numbers).await?;
    server.stop().await?;
    describe("bare store loop");
    let bare_users = load::distinct(users.count.min(1_000_000), users.items);
    numbers.bare_per_second = bare::measure(&bare_users, run.env, AppendTiming::During).await?;
    Ok(numbers)
}

/// Trains a model, and asks for a recommendation right after it.
async fn train(
    router: &RoleRouter,
    server: &mut ServerProcess,
    numbers: &mut SizeNumbers,
) -> Result<ModelManifest> {
    server.reset_peak()?;
    let started = Instant::now();
    let outcome = client::train(router.clone(), TrainModelRequest::default(), |_, _| {}).await?;
    numbers.training_s = started.elapsed().as_secs_f64();
    numbers.training_peak_mb = server.peak_mb()?;
    let version = outcome.version;
    if !outcome.published || outcome.nodes.iter().any(|node| node.serving_version != version) {
        bail!("the model is not served: {} {:?}", outcome.refusal, outcome.nodes);
    }
    let request = RecommendRequest { user_id: "user-1".to_owned(), count: 20, ..Default::default() };
    let items = QueryServiceClient::new(router.clone()).recommend(request).await?.into_inner().items;
    if items.is_empty() {
        bail!("no item is recommended right after the training");
    }
    let manifest = outcome.manifest.unwrap_or_default();
    numbers.model_mb = manifest.parts.iter().map(|part| part.size).sum::<u64>() as f64 / 1e6;
    Ok(manifest)
}

async fn answers(router: &RoleRouter, users: Users, seconds: u64, numbers: &mut SizeNumbers) -> Result<()> {
    let query = QueryServiceClient::new(router.clone());
    let duration = Duration::from_secs(seconds);
    // A stride that is coprime with the sizes visits users all over the shop.
    let user_id = |index: usize| format!("user-{}", index * 7_919 % users.count);
    let profile = at_constant_rate(duration, async |index| {
        let request = GetProfileRequest { user_id: user_id(index), ..Default::default() };
        query.clone().get_profile(request).await?;
        Ok(())
    });
    let profile = profile.await?;
    let recommend = at_constant_rate(duration, async |index| {
        let request = RecommendRequest { user_id: user_id(index), count: 20, ..Default::default() };
        query.clone().recommend(request).await?;
        Ok(())
    });
    let recommend = recommend.await?;
    numbers.profile_ms = [quantile_ms(&profile, 0.5), quantile_ms(&profile, 0.99)];
    numbers.recommend_ms = [quantile_ms(&recommend, 0.5), quantile_ms(&recommend, 0.99)];
    Ok(())
}

/// Bytes of a store: memory of its server, or files of its folder.
fn stored_bytes(store: &FreshStore) -> Result<u64> {
    match store.server() {
        Some(server) => Ok(server.memory()?.used),
        None => store.folder_bytes(),
    }
}

fn push_figures(
    run: &ScaleRun<'_>,
    users: Users,
    numbers: &SizeNumbers,
    (new_base, known_base): (f64, f64),
    figures: &mut Vec<Figure>,
) {
    let shop = format!("{} users, {} items, {}", users.count, users.items, run.env.describe());
    // A cliff is a ratio to the smallest size of the run; beyond a million users the store may use the disk more.
    let floor = if users.count > 1_000_000 { 0.7 } else { 0.85 };
    let target = if users.count > 1_000_000 { ">= 0.7 of the smallest" } else { ">= 0.85 of the smallest" };
    for (kind, rate, base) in [
        ("new", numbers.new_users_per_second, new_base),
        ("known", numbers.known_users_per_second, known_base),
    ] {
        figures.push(Figure {
            path: format!("events of {kind} users, {shop}"),
            measured: format!("{rate:.0} events/s"),
            baseline: format!("bare store loop {:.0}/s", numbers.bare_per_second),
            ratio: Some(rate / base),
            values: [("events_per_second", rate), ("bare_events_per_second", numbers.bare_per_second)].into(),
            target,
            met: rate / base >= floor,
        });
    }
    let row = |path: &str, measured: String, value: (&'static str, f64), target, met| Figure {
        path: format!("{path}, {shop}"),
        measured,
        baseline: String::new(),
        ratio: None,
        values: [value].into(),
        target,
        met,
    };
    let resident = numbers.resident_mb;
    let [profile_p50, profile_p99] = numbers.profile_ms;
    let [p50, p99] = numbers.recommend_ms;
    let n = numbers;
    figures.extend([
        row(
            "store",
            format!("{:.0} bytes a user", n.bytes_a_user),
            ("bytes_a_user", n.bytes_a_user),
            "reported only",
            true,
        ),
        row(
            "resident memory",
            format!("{resident:.0} MB"),
            ("resident_mb", resident),
            "<= cache + 300 MB",
            resident <= server::CACHE_MB + 300.0,
        ),
        row(
            "ready after kill -9",
            format!("{:.1} s", n.ready_s),
            ("ready_s", n.ready_s),
            "<= 3 s",
            n.ready_s <= 3.0,
        ),
        row(
            "training",
            format!("{:.1} s, peak {:.0} MB", n.training_s, n.training_peak_mb),
            ("training_s", n.training_s),
            "reported only",
            true,
        ),
        row("model", format!("{:.1} MB", n.model_mb), ("model_mb", n.model_mb), "reported only", true),
        row(
            "sweep",
            format!("{:.0} profiles/s", n.sweep_per_second),
            ("profiles_per_second", n.sweep_per_second),
            "reported only",
            true,
        ),
        row(
            "`GetProfile`, 200 calls/s",
            format!("p50 {profile_p50:.1} ms, p99 {profile_p99:.1} ms"),
            ("p99_ms", profile_p99),
            "p99 <= 10 ms",
            profile_p99 <= 10.0,
        ),
        row(
            "`Recommend`, 200 calls/s",
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
            ("p99_ms", p99),
            "p99 <= 10 ms",
            p99 <= 10.0,
        ),
    ]);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_a_suffix() {
        for (text, users) in [("10k", 10_000), ("1M", 1_000_000), ("2500000", 2_500_000)] {
            assert_eq!(text.parse(), Ok(Size(users)), "{text}");
        }
        for text in ["", "k", "1.5M", "-1k", "12"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
