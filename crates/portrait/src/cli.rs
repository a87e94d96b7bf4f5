//! The command line. In come arguments, out goes one command's run and an exit code: 0 if all went well, 1 if not, 2 if the
//! arguments make no sense.

use crate::{
    card, doctor, erase, import, lab, next_action, probe, recommend, score, segments, serve, similar, token,
    train, watch,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Live shopper profiles: events in over gRPC, current profiles and their changes out.
#[derive(Debug, Parser)]
#[command(name = "portrait", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: every role in one process, or one role.
    Serve(serve::ServeArgs),
    /// Send a shop's event log to a server.
    Import(import::ImportArgs),
    /// Show one shopper's profile as a card.
    Profile(card::ProfileArgs),
    /// Erase a shopper, or say how far an erasure is.
    Erase(erase::EraseArgs),
    /// Show the segments of the served model, or why a shopper is in one.
    Segments(segments::SegmentsArgs),
    /// Show what a shopper may want next, and why.
    Recommend(recommend::RecommendArgs),
    /// Show what a shopper does next.
    Next(next_action::NextActionArgs),
    /// Show how likely a purchase or a bad order is of a shopper, and why.
    Score(score::ScoreArgs),
    /// Show who shops as a shopper does.
    Similar(similar::SimilarArgs),
    /// Train a model now, and tell how far it is.
    Train(train::TrainArgs),
    /// Compare recommendations from live and from stale profiles on a log.
    Eval(lab::EvalArgs),
    /// Write what scores would be learned from, of a log.
    Examples(lab::ExamplesArgs),
    /// Say what would have been noticed of drift while a log was made.
    Drift(lab::DriftArgs),
    /// Print changes of profiles as they happen.
    Watch(watch::WatchArgs),
    /// Run a whole shop through a server in this process and show what its profiles say.
    Demo(lab::DemoArgs),
    /// Look at store, servers, partitions and models, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Write one event and read it back, and say whether a deployment does its work.
    Probe(probe::ProbeArgs),
    /// Make a token for a caller, and the entry that lets it in.
    Token(token::TokenArgs),
    /// Measure the server on this machine.
    Bench(lab::BenchArgs),
}

/// Parses the arguments of this process and runs their command.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(run(arguments.command));
    // What still computes, as a training that was abandoned, is waited for by nobody.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Profile(args) => card::run(args).await,
        Command::Erase(args) => erase::run(args).await,
        Command::Segments(args) => segments::run(args).await,
        Command::Recommend(args) => recommend::run(args).await,
        Command::Next(args) => next_action::run(args).await,
        Command::Score(args) => score::run(args).await,
        Command::Similar(args) => similar::run(args).await,
        Command::Train(args) => train::run(args).await,
        Command::Eval(args) => lab::eval(args).await,
        Command::Examples(args) => lab::cases(args).await,
        Command::Drift(args) => lab::drift(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Demo(args) => lab::demo(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Probe(args) => probe::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Bench(args) => lab::bench(args).await,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
