//! `portrait watch`: prints changes of profiles as they happen, one line each, and goes on where it was after a cut. In come an
//! address and what to watch, out go lines on standard output; notices about the connection go to standard error. With a
//! resume file it also goes on where it was after its own end: at least once, never with a gap.

mod lines;
mod resume;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lines::Printer;
use portrait_client::{Subscription, ServerArgs, follow};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart};
use resume::ResumeFile;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Answers that may be handled before the resume file is written again.
const RESPONSES_UNSAVED_MAX: u32 = 256;

/// The arguments of `portrait watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Only this shopper; may be given again, up to 1000 times.
    #[arg(long = "user", value_name = "ID")]
    pub users: Vec<String>,
    /// Where to begin, if nothing is resumed.
    #[arg(long, value_enum, default_value_t = WatchFromArg::Now)]
    pub from: WatchFromArg,
    /// Say what the profile says, too.
    #[arg(long)]
    pub profile: bool,
    /// Only changes from one segment to another, with the segments' names.
    #[arg(long)]
    pub segments: bool,
    /// Only changes into or out of this segment, as s7; may be given again.
    #[arg(long = "segment", value_name = "ID")]
    pub segment_ids: Vec<String>,
    /// Print each change as a JSON object.
    #[arg(long)]
    pub json: bool,
    /// Remember in this file what was printed, and go on after it the next time; then --from does not matter.
    #[arg(long, value_name = "PATH")]
    pub resume_file: Option<PathBuf>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchFromArg {
    /// With the next change.
    Now,
    /// With the oldest change that the server still has.
    Earliest,
    /// With every profile, and then the changes since.
    Snapshot,
}

/// Prints changes until it is interrupted, or until nobody reads them any more.
///
/// # Errors
/// If the server cannot be reached at the beginning, refuses the request, or the lines or the resume file cannot be written.
pub async fn run(args: WatchArgs) -> Result<()> {
    let resume = args.resume_file.map(ResumeFile::open).transpose()?;
    let request = WatchProfileChangesRequest {
        resume_token: resume.as_ref().map(|file| file.token().to_vec()).unwrap_or_default(),
        start: start(args.from).into(),
        user_ids: args.users,
        segment_ids: args.segment_ids,
        segment_changes_only: args.segments,
        include_profile: args.profile || args.segments,
        ..Default::default()
    };
    let mut session =
        Session { printer: Printer::new(args.json), output: std::io::stdout(), resume, unsaved: 0 };
    let subscription = Subscription { server: args.server, request };
    let mut notice = |text: &str| eprintln!("{text}");
    let mut handle = |answer: &WatchProfileChangesResponse| session.handle(answer);
    let ended = tokio::select! {
        ended = follow(subscription, &mut handle, &mut notice) => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for an interruption"),
    };
    session.save()?;
    match ended {
        // `portrait watch | head` ends when head has enough: that is no fault.
        Err(error)
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        ended => ended,
    }
}

const fn start(from: WatchFromArg) -> WatchStart {
    match from {
        WatchFromArg::Now => WatchStart::Now,
        WatchFromArg::Earliest => WatchStart::Earliest,
        WatchFromArg::Snapshot => WatchStart::Snapshot,
    }
}

/// What is printed to, and what is remembered of it.
struct Session<W> {
    printer: Printer,
    output: W,
    resume: Option<ResumeFile>,
    unsaved: u32,
}

impl<W: Write> Session<W> {
    /// Prints first and remembers then: what is remembered was printed.
    fn handle(&mut self, answer: &WatchProfileChangesResponse) -> Result<()> {
        if let Some(line) = self.printer.line(answer) {
            writeln!(self.output, "{line}")?;
        }
        let Some(resume) = &mut self.resume else { return Ok(()) };
        resume.note(&answer.resume_token);
        self.unsaved += 1;
        if self.unsaved >= RESPONSES_UNSAVED_MAX || matches!(answer.kind, Some(Kind::Progress(_))) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.unsaved = 0;
        match &mut self.resume {
            // Lines that are still in a buffer are not printed yet, and must not be remembered as if they were.
            Some(resume) => self.output.flush().map_err(Into::into).and_then(|()| resume.save()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_proto::v1::{ProfileChange, Progress};

    fn change(token: u8) -> WatchProfileChangesResponse {
        let change =
            ProfileChange { user_id: "lena".to_owned(), version: u64::from(token), ..Default::default() };
        WatchProfileChangesResponse { kind: Some(Kind::Change(change)), resume_token: vec![token] }
    }

    #[test]
    fn what_is_remembered_was_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let resume = Some(ResumeFile::open(path.clone()).expect("a new file"));
        let mut session = Session { printer: Printer::new(false), output: Vec::new(), resume, unsaved: 0 };
        for token in 1..=3 {
            session.handle(&change(token)).expect("printed");
        }
        assert!(!path.exists(), "changes alone are saved in groups");
        let progress = Some(Kind::Progress(Progress::default()));
        session
            .handle(&WatchProfileChangesResponse { kind: progress, resume_token: vec![4] })
            .expect("printed");
        assert_eq!(ResumeFile::open(path.clone()).expect("it was saved").token(), [4]);
        session.handle(&change(5)).expect("printed");
        session.save().expect("saved");
        assert_eq!(ResumeFile::open(path).expect("it was saved").token(), [5]);
        assert_eq!(String::from_utf8(session.output).expect("text").lines().count(), 4);
    }
}
