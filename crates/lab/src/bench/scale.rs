//! Figures of a shop of growing size: throughput, memory, start, training and answers of one server process at each number of users. A
//! target is a ratio to the smallest size of the same run, so that it holds on any machine.

mod load;
mod numbers;
mod run;
mod server;
mod skew;

use self::load::{Kind, ScaleLoad, Users};
use self::numbers::{BaseRates, SizeNumbers};
use self::run::MEASURED_EVENTS;
pub(super) use self::run::{ScaleRun, Size};
use self::server::ServerProcess;
use super::bare::{self, AppendTiming};
use super::env::FreshStore;
use super::figure::Figure;
use super::predictions::{at_constant_rate, quantile_ms};
use anyhow::{Result, bail};
use portrait_client::{self as client, RoleRouter};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{GetProfileRequest, ModelManifest, RecommendRequest, TrainModelRequest};
use std::time::{Duration, Instant};

/// Metric that counts the profiles of all commits.
const PROFILES_WRITTEN: &str = "portrait_feature_commit_profiles_sum";
/// Measured throughputs of one kind; the median counts.
const TURNS: usize = 3;

/// Measures every size, then the load of few users on all others.
pub(super) async fn measure(run: &ScaleRun<'_>, figures: &mut Vec<Figure>) -> Result<()> {
    let mut smallest = None;
    for size in run.sizes {
        let users = Users { count: size.0, items: run.items.min(size.0 / 5).max(1_000) };
        let numbers = measure_size(run, users).await?;
        let base: &mut BaseRates = smallest.get_or_insert_with(|| numbers.rates());
        let shop = format!("{} users, {} items, {}", users.count, users.items, run.env.describe());
        figures.extend(numbers.throughput(&shop, users.count, *base));
        figures.extend(numbers.figures(&shop));
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
    let written_before = server.metric(PROFILES_WRITTEN).await?;
    let mut rates = Vec::new();
    for _ in 0..TURNS {
        rates.push(load.timed(&router, Kind::Known, MEASURED_EVENTS).await?);
    }
    numbers.known_users_per_second = median(rates);
    let written = server.metric(PROFILES_WRITTEN).await? - written_before;
    numbers.profiles_an_event = written / (TURNS * MEASURED_EVENTS) as f64;
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

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
