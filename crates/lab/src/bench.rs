//! `portrait bench`: measures a server on this machine, each figure beside what bounds it, in one run. In comes how much to
//! do, out go a table and JSON. Nothing here is part of serving.

mod answers;
mod bare;
mod drift;
mod figure;
mod following;
mod freshness;
mod ground;
mod identity;
mod load;
mod memory;
mod models;
mod pairs;
mod pressure;
mod reads;
mod redis;
mod sweep;
mod throughput;

use self::bare::Appends;
use self::figure::{Figure, table};
use self::ground::Ground;
use self::memory::UsersOf;
use self::redis::Kept;
use self::throughput::{Beside, Load, Target};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_connect::files::Format;
use portrait_proto::v1::Event;
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// The arguments of `portrait bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which store is measured. `redis` starts servers of its own: `redis-server` and `redis-benchmark` must be installed.
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    store: Kind,
    /// Measure only this; may be given again [default: everything].
    #[arg(long = "only", value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// How many events, each of another shopper.
    #[arg(long, default_value_t = 300_000)]
    distinct: usize,
    /// A real log for the second load; without one, the simulated shop's shoppers are used.
    #[arg(long, value_name = "FILE", requires = "format")]
    log: Option<PathBuf>,
    /// The log's format.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How many events of the log at most.
    #[arg(long, default_value_t = 800_000)]
    log_events: usize,
    /// How many partitions the stores on Redis have: one process is well off with as many as it takes on its own disk.
    #[arg(long, default_value_t = 16)]
    partitions: u16,
    /// Logs whose shoppers' memory in Redis is measured, as rees46=october.csv.gz; without one, those of the second load.
    #[arg(long, value_name = "FORMAT=FILE")]
    users_of: Vec<UsersOf>,
    /// How many shoppers are looked at for a new model while events come in.
    #[arg(long, default_value_t = 200_000)]
    sweep_shoppers: usize,
    /// Seconds for each latency figure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where to keep the stores while measuring; the disk is part of what is measured [default: beside the binary's data].
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    scratch: PathBuf,
    /// Where the figures go as JSON.
    #[arg(long, value_name = "FILE", default_value = "bench-results.json")]
    json: PathBuf,
}

/// Which store is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The one in the process.
    Embedded,
    /// Redis, by one process that has every role.
    Redis,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Events a second, and freshness at half of that.
    Throughput,
    /// `GetProfile`.
    Reads,
    /// `Recommend`, `PredictNextAction` and `Score`.
    Answers,
    /// From a model's activation to every node.
    Models,
    /// Events while everybody is looked at for a new model.
    Sweep,
    /// Events while calls are followed.
    Following,
    /// `GetProfile` while others wear the server down.
    Pressure,
    /// Who keeps the segment.
    Identity,
    /// How soon drift is noticed.
    Drift,
    /// What shoppers take in Redis.
    Memory,
}

/// What is measured with, once for all figures.
struct Bench {
    args: BenchArgs,
    /// Events of as many shoppers.
    distinct: Vec<Event>,
    /// Events of shoppers who come again, and what those are called.
    repeated: Vec<Event>,
    name: String,
    bar: ProgressBar,
    figures: Vec<Figure>,
}

/// Measures everything and prints it.
pub async fn run(args: BenchArgs) -> Result<()> {
    let distinct = load::distinct_users(args.distinct);
    let (name, repeated) = load::repeated_users(args.log.as_deref().zip(args.format), args.log_events)?;
    let mut bench = Bench { args, distinct, repeated, name, bar: bar(), figures: Vec::new() };
    match bench.args.store {
        Kind::Embedded => bench.embedded().await?,
        Kind::Redis => bench.redis().await?,
    }
    bench.bar.finish_and_clear();
    println!("{}", table(&bench.figures));
    let (json, path) = (serde_json::to_string_pretty(&bench.figures)?, &bench.args.json);
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

impl Bench {
    async fn embedded(&mut self) -> Result<()> {
        let ground = Ground::embedded(&self.args.scratch);
        let seconds = self.args.seconds;
        if self.next(Part::Throughput, "throughput, every event another shopper's") {
            self.distinct(&ground, Appends::Meanwhile, 0.5, ">= 0.5 of the bare store loop, goal 1.0")
                .await?;

            self.say(format!("throughput, {}", self.name));
            let rate = Target::EventsPerSecond(100_000.0);
            let beside = Beside::Bare(Appends::Meanwhile);
            let half = self.repeated(&ground, beside, rate, ">= 100,000 events/s").await? / 2.0;

            self.say("freshness at half of that");
            freshness::measure(half, &self.repeated, seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Reads, "reads beside a bare echo") {
            reads::measure(&self.repeated, seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Answers, "what models say of shoppers") {
            answers::measure(seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Models, "from a model's activation to every node") {
            models::measure(&self.repeated, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Sweep, "events while everybody is looked at for a new model") {
            sweep::measure(self.args.sweep_shoppers, seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Following, "events while one request in a hundred is followed") {
            following::measure(seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Pressure, "reads while others wear the server down") {
            pressure::measure(seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Identity, "who keeps the segment") {
            identity::measure(&self.repeated, &mut self.figures)?;
        }
        if self.next(Part::Drift, "how soon drift is noticed") {
            drift::measure(&mut self.figures)?;
        }
        Ok(())
    }

    async fn redis(&mut self) -> Result<()> {
        let seconds = self.args.seconds;
        for kept in [Kept::Memory, Kept::Disk] {
            let ground = Ground::redis(&self.args.scratch, kept, self.args.partitions);
            let what = format!("{}: throughput, every event another shopper's", ground.told());
            if !self.next(Part::Throughput, what) {
                break;
            }
            let told = ">= 0.4 of the bare worker loop, goal 0.8";
            self.distinct(&ground, Appends::Before, 0.4, told).await?;

            self.say(format!("{}: throughput, {}", ground.told(), self.name));
            let share = Target::Share(0.45);
            let half = self.repeated(&ground, Beside::Xadd, share, ">= 0.45 of XADD").await? / 2.0;

            self.say(format!("{}: freshness at half of that", ground.told()));
            freshness::measure(half, &self.repeated, seconds, &ground, &mut self.figures).await?;
        }
        let ground = Ground::redis(&self.args.scratch, Kept::Memory, self.args.partitions);
        if self.next(Part::Reads, "reads beside a bare echo") {
            reads::measure(&self.repeated, seconds, &ground, &mut self.figures).await?;
        }
        if self.next(Part::Memory, format!("memory of {}", self.name)) {
            for log in self.args.users_of.clone() {
                let (name, events) = log.read()?;
                self.say(format!("memory of {name}"));
                memory::measure(&name, &events, log.target(), &ground, &mut self.figures).await?;
            }
            if self.args.users_of.is_empty() {
                memory::measure(&self.name, &self.repeated, None, &ground, &mut self.figures).await?;
            }
        }
        Ok(())
    }

    /// Whether this is to be measured now, and if so, what people see.
    fn next(&self, part: Part, what: impl Into<Cow<'static, str>>) -> bool {
        let wanted = self.args.only.is_empty() || self.args.only.contains(&part);
        if wanted {
            self.say(what);
        }
        wanted
    }

    /// What is measured from now on.
    fn say(&self, what: impl Into<Cow<'static, str>>) {
        self.bar.set_message(what);
    }

    /// Throughput with every event another shopper's.
    async fn distinct(
        &mut self,
        ground: &Ground,
        appends: Appends,
        share: f64,
        told: &'static str,
    ) -> Result<()> {
        let name = "every event another shopper's";
        let (beside, target) = (Beside::Bare(appends), Target::Share(share));
        let load = Load { name, events: &self.distinct, ground, beside, target, told };
        throughput::measure(load, &mut self.figures).await?;
        Ok(())
    }

    /// Throughput with shoppers who come again, in events a second.
    async fn repeated(
        &mut self,
        ground: &Ground,
        beside: Beside,
        target: Target,
        told: &'static str,
    ) -> Result<f64> {
        let load = Load { name: &self.name, events: &self.repeated, ground, beside, target, told };
        Ok(throughput::measure(load, &mut self.figures).await?.events_per_second)
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
