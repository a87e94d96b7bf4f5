//! Benchmarks of `portrait bench`: measurements of a server on this machine, each beside its bound from the same run.
//! Prints a table and writes JSON. Nothing here is part of serving.

mod bare;
mod drift;
mod env;
mod figure;
mod freshness;
mod identity;
mod load;
mod memory;
mod models;
mod pairs;
mod predictions;
mod pressure;
mod reads;
mod redis;
mod scale;
mod sweep;
mod throughput;
mod traces;

use self::bare::AppendTiming;
use self::env::BenchEnv;
use self::figure::{Figure, table};
use self::memory::UsersOf;
use self::redis::Persistence;
use self::scale::{ScaleRun, Size};
use self::throughput::{ThroughputBaseline, ThroughputLoad, ThroughputTarget};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_connect::files::MappingArgs;
use portrait_proto::v1::Event;
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `portrait bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Store to measure. `redis` starts servers of its own: `redis-server` and `redis-benchmark` must be installed.
    #[arg(long, value_enum, default_value_t = BackendArg::Embedded)]
    store: BackendArg,
    /// Measure this part only; may be repeated [default: all parts].
    #[arg(long = "only", value_enum, value_name = "PART")]
    only: Vec<BenchPart>,
    /// Events of the first load, each of a different user.
    #[arg(long, default_value_t = 300_000)]
    distinct: usize,
    /// Real log for the second load [default: the users of the simulated shop].
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Mapping of the log.
    #[command(flatten)]
    mapping: MappingArgs,
    /// Events to read from the log, at most.
    #[arg(long, default_value_t = 800_000)]
    log_events: usize,
    /// Partitions of the stores on Redis; one process handles as many as in its own store.
    #[arg(long, default_value_t = 16)]
    partitions: u16,
    /// Logs whose memory per user in Redis is measured, as rees46=october.csv.gz [default: the second load].
    #[arg(long, value_name = "FORMAT=FILE")]
    users_of: Vec<UsersOf>,
    /// Numbers of users of the part `scale`, ascending.
    #[arg(long, value_delimiter = ',', default_value = "10k,100k,1M")]
    sizes: Vec<Size>,
    /// Items of the largest shop of the part `scale`.
    #[arg(long, default_value_t = 200_000)]
    items: usize,
    /// Users to sweep for a new model while events come in.
    #[arg(long, default_value_t = 200_000)]
    sweep_users: usize,
    /// Seconds to measure each latency figure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Directory of the stores while measuring; its disk is part of what is measured.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    scratch: PathBuf,
    /// File to write the figures to, as JSON.
    #[arg(long, value_name = "FILE", default_value = "bench-results.json")]
    json: PathBuf,
}

/// Store that is measured, as the flag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    /// Embedded store in the measuring process.
    Embedded,
    /// Redis, used by one process with all roles.
    Redis,
}

/// Part of the benchmarks that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BenchPart {
    /// Events per second, and freshness at half of that load.
    Throughput,
    /// Latency and throughput of `GetProfile`.
    Reads,
    /// Latency of `Recommend`, `PredictNextAction` and `Score`.
    Predictions,
    /// Time from the activation of a model until every node serves it.
    Models,
    /// Freshness while all profiles are swept for a new model.
    Sweep,
    /// Cost of tracing a share of the requests.
    Tracing,
    /// Latency of `GetProfile` under slow and abusive clients.
    Pressure,
    /// Share of users who keep their segment over trainings.
    Identity,
    /// Days until planted drift is detected.
    Drift,
    /// Memory per user in Redis.
    Memory,
    /// A shop of growing size, in a server process of its own; only if selected, since it takes minutes.
    Scale,
}

/// Loads, arguments and results of one run.
struct Bench {
    args: BenchArgs,
    /// Events of as many different users.
    distinct: Vec<Event>,
    /// Events of returning users.
    repeated: Vec<Event>,
    /// Name of the second load in the table.
    name: String,
    bar: ProgressBar,
    figures: Vec<Figure>,
}

/// Runs the selected benchmarks, prints the table and writes the JSON.
///
/// # Errors
/// If a server cannot be started, a request fails, or the file cannot be written.
pub async fn run(args: BenchArgs) -> Result<()> {
    let distinct = load::distinct_users(args.distinct);
    // Loads are in memory before the first server starts, so that no part pays for generating them.
    let (name, repeated) = load::repeated_users(args.log.as_deref(), &args.mapping, args.log_events)?;
    let mut bench = Bench { args, distinct, repeated, name, bar: bar(), figures: Vec::new() };
    let measured = match bench.args.store {
        BackendArg::Embedded => bench.embedded().await,
        BackendArg::Redis => bench.redis().await,
    };
    bench.bar.finish_and_clear();
    // Figures that were measured before a part failed took minutes: they are shown all the same.
    println!("{}", table(&bench.figures));
    let json = serde_json::to_string_pretty(&bench.figures)?;
    let path = &bench.args.json;
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    measured
}

impl Bench {
    async fn embedded(&mut self) -> Result<()> {
        let env = BenchEnv::embedded(&self.args.scratch);
        let seconds = self.args.seconds;
        self.scale(&env).await?;
        if self.selected(BenchPart::Throughput, "throughput, every event of a different user") {
            let target = ">= 0.5 of the bare store loop, goal 1.0";
            self.distinct(&env, AppendTiming::During, 0.5, target).await?;

            self.print(format!("throughput, {}", self.name));
            let rate = ThroughputTarget::EventsPerSecond(100_000.0);
            let baseline = ThroughputBaseline::Bare(AppendTiming::During);
            let half = self.repeated(&env, baseline, rate, ">= 100,000 events/s").await? / 2.0;

            // Freshness at full load would measure the queue in front of the bottleneck.
            self.print("freshness at half of that load");
            freshness::measure(half, &self.repeated, seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Reads, "reads beside a bare echo") {
            reads::measure(&self.repeated, seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Predictions, "model predictions") {
            predictions::measure(seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Models, "from the activation of a model to every node") {
            models::measure(&self.repeated, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Sweep, "events during the sweep for a new model") {
            sweep::measure(self.args.sweep_users, seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Tracing, "events with one request in a hundred traced") {
            traces::measure(seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Pressure, "reads under slow and abusive clients") {
            pressure::measure(seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Identity, "segments kept over trainings") {
            identity::measure(&self.repeated, &mut self.figures)?;
        }
        if self.selected(BenchPart::Drift, "days until drift is detected") {
            drift::measure(&mut self.figures)?;
        }
        Ok(())
    }

    async fn redis(&mut self) -> Result<()> {
        let seconds = self.args.seconds;
        // Both levels of durability: the bound without a disk shows what fsync costs.
        for persistence in [Persistence::Memory, Persistence::Disk] {
            let env = BenchEnv::redis(&self.args.scratch, persistence, self.args.partitions);
            let title = format!("{}: throughput, every event of a different user", env.describe());
            // Freshness depends on the measured throughput: one flag selects both.
            if !self.selected(BenchPart::Throughput, title) {
                break;
            }
            let target = ">= 0.4 of the bare worker loop, goal 0.8";
            self.distinct(&env, AppendTiming::Before, 0.4, target).await?;

            self.print(format!("{}: throughput, {}", env.describe(), self.name));
            let share = ThroughputTarget::Share(0.45);
            let half = self.repeated(&env, ThroughputBaseline::Xadd, share, ">= 0.45 of XADD").await? / 2.0;

            self.print(format!("{}: freshness at half of that load", env.describe()));
            freshness::measure(half, &self.repeated, seconds, &env, &mut self.figures).await?;
        }
        // Reads and memory do not depend on the disk.
        let env = BenchEnv::redis(&self.args.scratch, Persistence::Memory, self.args.partitions);
        self.scale(&env).await?;
        if self.selected(BenchPart::Reads, "reads beside a bare echo") {
            reads::measure(&self.repeated, seconds, &env, &mut self.figures).await?;
        }
        if self.selected(BenchPart::Memory, format!("memory of {}", self.name)) {
            for log in self.args.users_of.clone() {
                let (name, events) = log.read()?;
                self.print(format!("memory of {name}"));
                memory::measure(&name, &events, log.target(), &env, &mut self.figures).await?;
            }
            if self.args.users_of.is_empty() {
                memory::measure(&self.name, &self.repeated, None, &env, &mut self.figures).await?;
            }
        }
        Ok(())
    }

    /// Measures a shop of growing size, if that part is named.
    async fn scale(&mut self, env: &BenchEnv) -> Result<()> {
        if !self.args.only.contains(&BenchPart::Scale) {
            return Ok(());
        }
        let BenchArgs { sizes, items, seconds, .. } = &self.args;
        let run = ScaleRun { env, sizes, items: *items, seconds: *seconds, bar: &self.bar };
        scale::measure(&run, &mut self.figures).await
    }

    /// Returns whether `part` is selected; if so, shows `title` in the progress bar.
    fn selected(&self, part: BenchPart, title: impl Into<Cow<'static, str>>) -> bool {
        let selected = self.args.only.is_empty() || self.args.only.contains(&part);
        if selected {
            self.print(title);
        }
        selected
    }

    /// Sets the text of the progress bar.
    fn print(&self, text: impl Into<Cow<'static, str>>) {
        self.bar.set_message(text);
    }

    /// Measures throughput with every event of a different user.
    async fn distinct(
        &mut self,
        env: &BenchEnv,
        appends: AppendTiming,
        share: f64,
        target_text: &'static str,
    ) -> Result<()> {
        let load = ThroughputLoad {
            name: "every event of a different user",
            events: &self.distinct,
            env,
            baseline: ThroughputBaseline::Bare(appends),
            target: ThroughputTarget::Share(share),
            target_text,
        };
        throughput::measure(load, &mut self.figures).await?;
        Ok(())
    }

    /// Measures throughput with returning users, in events per second.
    async fn repeated(
        &mut self,
        env: &BenchEnv,
        baseline: ThroughputBaseline,
        target: ThroughputTarget,
        target_text: &'static str,
    ) -> Result<f64> {
        let events = &self.repeated;
        let load = ThroughputLoad { name: &self.name, events, env, baseline, target, target_text };
        Ok(throughput::measure(load, &mut self.figures).await?.events_per_second)
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    // Some parts take minutes without a message: a moving spinner shows that the run is alive.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
