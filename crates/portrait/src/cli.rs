//! Command line: parses the arguments and runs one command. Exit codes: 0 on success, 1 on failure, 2 for invalid arguments, 3 if
//! an import left out rows, 4 if the command did its work and a part of the deployment has not followed, 141 if the reader of its
//! output was gone.

use crate::closed_pipe::{self, EXIT_CLOSED};
use crate::incomplete::exit_code;
use crate::{
    card, doctor, erase, import, lab, next_action, probe, recommend, score, segments, serve, similar, sizing,
    token, train, watch,
};
use clap::{Parser, Subcommand};
use portrait_client::explained;
use portrait_client::text::printable;
use portrait_runtime::telemetry::console;
use rustix::fs::Mode;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use tonic::Status;

/// Variable of the key `log.format`.
const FORMAT_VARIABLE: &str = "PORTRAIT__LOG__FORMAT";

/// Live user profiles: events in over gRPC, current profiles and their changes out.
#[derive(Debug, Parser)]
#[command(name = "portrait", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: all roles in one process, or one role.
    Serve(serve::ServeArgs),
    /// Send a shop's event log to a server.
    Import(import::ImportArgs),
    /// Show a user's profile as a card.
    Profile(card::ProfileArgs),
    /// Erase a user, or show the progress of an erasure.
    Erase(erase::EraseArgs),
    /// Show the segments of the served model, or explain a user's segment.
    Segments(segments::SegmentsArgs),
    /// Recommend items to a user, with reasons.
    Recommend(recommend::RecommendArgs),
    /// Predict a user's next action.
    Next(next_action::NextActionArgs),
    /// Score a user's propensity to buy or risk of a bad order, with reasons.
    Score(score::ScoreArgs),
    /// Find users similar to a user.
    Similar(similar::SimilarArgs),
    /// Train a model now, with progress.
    Train(train::TrainArgs),
    /// Compare recommendations from live and from stale profiles on a log.
    Eval(lab::EvalArgs),
    /// Write the training examples that scores would learn from a log.
    Examples(lab::ExamplesArgs),
    /// Replay the drift checks over a log.
    Drift(lab::DriftArgs),
    /// Print changes of profiles as they happen.
    Watch(watch::WatchArgs),
    /// Run a simulated shop through a server in this process and show its profiles.
    Demo(lab::DemoArgs),
    /// Check configuration, store, servers, partitions and models, with remedies.
    Doctor(doctor::DoctorArgs),
    /// Compute the memory, disk, servers and workers that a deployment needs.
    Sizing(sizing::SizingArgs),
    /// Write one event and read it back, to check a deployment end to end.
    Probe(probe::ProbeArgs),
    /// Create a token for a caller, with its entry in the tokens file.
    Token(token::TokenArgs),
    /// Benchmark the server on this machine.
    Bench(lab::BenchArgs),
}

/// Parses the arguments of this process and runs their command.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refused(&error));
    // Stores, reports and rejected rows have data of users: no file is for other users of the machine.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    closed_pipe::notice();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    // Nothing is used after a panic but its message.
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(arguments.command))));
    // Blocking work without a result, such as an abandoned training, must not delay the exit.
    runtime.shutdown_background();
    match outcome {
        _ if closed_pipe::is_noticed() => ExitCode::from(EXIT_CLOSED),
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(panic) => resume_unwind(panic),
    }
}

/// Ends the process for invalid arguments, or after the help. The arguments of a server whose log is JSON are refused as JSON: they are
/// the only word of a container that does not start.
fn refused(error: &clap::Error) -> ! {
    let is_server = std::env::args().nth(1).is_some_and(|command| command == "serve");
    let is_json = std::env::var(FORMAT_VARIABLE).is_ok_and(|format| format == "json");
    if error.use_stderr() && is_server && is_json {
        let text = error.to_string();
        let line =
            console::json_line(tracing::Level::ERROR, "stopped by an error", &[("error", text.trim())]);
        let _ = writeln!(std::io::stderr(), "{line}");
        std::process::exit(error.exit_code());
    }
    error.exit()
}

async fn run(command: Command) -> anyhow::Result<()> {
    // Boxed where a whole server or store is below: the compiler limits the depth of one future.
    match command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Import(args) => Box::pin(import::run(args)).await,
        Command::Profile(args) => card::run(args).await,
        Command::Erase(args) => erase::run(args).await,
        Command::Segments(args) => segments::run(args).await,
        Command::Recommend(args) => recommend::run(args).await,
        Command::Next(args) => next_action::run(args).await,
        Command::Score(args) => score::run(args).await,
        Command::Similar(args) => similar::run(args).await,
        Command::Train(args) => train::run(args).await,
        Command::Eval(args) => lab::eval(args).await,
        Command::Examples(args) => lab::examples(args).await,
        Command::Drift(args) => Box::pin(lab::drift(args)).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Demo(args) => Box::pin(lab::demo(args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(args)).await,
        Command::Sizing(args) => sizing::run(&args),
        Command::Probe(args) => probe::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Bench(args) => Box::pin(lab::bench(args)).await,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let text = described(error);
    let line = if console::is_json() {
        console::json_line(tracing::Level::ERROR, "stopped by an error", &[("error", &text)])
    } else {
        format!("error: {}", printable(&text))
    };
    // The exit code tells of the failure also if the text cannot be printed.
    let _ = writeln!(std::io::stderr(), "{line}");
    exit_code(error)
}

/// Returns an error and its causes as one line; a status is told in words, not by its code.
fn described(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<Status>() {
        Some(status) => explained(status),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_status_among_the_causes_is_told_in_words() {
        let status = Status::permission_denied("the token has not the role admin");
        let failed: Result<(), Status> = Err(status);
        let error = failed.context("log.csv").context("import").expect_err("it failed");
        let text = described(&error);
        assert!(
            text.starts_with("import: log.csv: the token has not the role admin: pass a token"),
            "{text}"
        );
        assert!(!text.contains("code:") && !text.contains("status:"), "{text}");
        assert_eq!(described(&anyhow::anyhow!("a cause").context("a command")), "a command: a cause");
    }
}
