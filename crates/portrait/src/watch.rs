//! `portrait watch`: prints changes of profiles as they happen, one line each, and resumes after disconnects. Lines go to standard
//! output, notices about the connection to standard error. With a resume file it also resumes after a restart: at least once,
//! without gaps.

mod lines;
mod resume;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lines::Printer;
use portrait_client::text::printable;
use portrait_client::{ServerArgs, Subscription, follow};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart};
use resume::ResumeFile;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Maximum number of handled responses that are not saved in the resume file.
const RESPONSES_UNSAVED_MAX: u32 = 256;

/// Arguments of `portrait watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Only this user; can be repeated, up to 1000 times.
    #[arg(long = "user", value_name = "ID")]
    pub users: Vec<String>,
    /// Start position, if nothing is resumed.
    #[arg(long, value_enum, default_value_t = WatchFromArg::Now)]
    pub from: WatchFromArg,
    /// Print a summary of the profile with each change.
    #[arg(long)]
    pub profile: bool,
    /// Only changes of the segment, with the segments' names.
    #[arg(long)]
    pub segments: bool,
    /// Only changes into or out of this segment, such as s7; can be repeated.
    #[arg(long = "segment", value_name = "ID")]
    pub segment_ids: Vec<String>,
    /// Print each change as a JSON object.
    #[arg(long)]
    pub json: bool,
    /// Save the position in this file and resume from it at the next start; it has precedence over --from.
    #[arg(long, value_name = "PATH")]
    pub resume_file: Option<PathBuf>,
}

/// Start position of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchFromArg {
    /// The next change after the start.
    Now,
    /// The oldest retained change.
    Earliest,
    /// All profiles first, then the changes since.
    Snapshot,
}

/// Prints changes until it is interrupted or standard output is closed.
///
/// # Errors
/// If the server cannot be reached at the start or refuses the request, or the output or the resume file cannot be written.
pub async fn run(args: WatchArgs) -> Result<()> {
    let resume = args.resume_file.map(ResumeFile::open).transpose()?;
    let request = WatchProfileChangesRequest {
        resume_token: resume.as_ref().map(|file| file.token().to_vec()).unwrap_or_default(),
        start: start(args.from).into(),
        user_ids: args.users,
        segment_ids: args.segment_ids,
        segment_changes_only: args.segments,
        // Names of segments come from the profiles.
        include_profile: args.profile || args.segments,
        ..Default::default()
    };
    let mut session =
        Session { printer: Printer::new(args.json), output: std::io::stdout(), resume, unsaved: 0 };
    let subscription = Subscription { server: args.server, request };
    let mut notice = |text: &str| eprintln!("{}", printable(text));
    let mut handle = |response: &WatchProfileChangesResponse| session.handle(response);
    let result = tokio::select! {
        result = follow(subscription, &mut handle, &mut notice) => result,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for an interruption"),
    };
    // Saved also after an error or an interruption: everything printed so far is handled.
    session.save()?;
    match result {
        // `portrait watch | head` closes the pipe when head is done; that is no error.
        Err(error)
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        result => result,
    }
}

const fn start(from: WatchFromArg) -> WatchStart {
    match from {
        WatchFromArg::Now => WatchStart::Now,
        WatchFromArg::Earliest => WatchStart::Earliest,
        WatchFromArg::Snapshot => WatchStart::Snapshot,
    }
}

/// Output and resume file of a subscription.
struct Session<W> {
    printer: Printer,
    output: W,
    resume: Option<ResumeFile>,
    unsaved: u32,
}

impl<W: Write> Session<W> {
    /// Prints a response and then notes its token, so that the saved position never skips an unprinted change.
    fn handle(&mut self, response: &WatchProfileChangesResponse) -> Result<()> {
        if let Some(line) = self.printer.line(response) {
            writeln!(self.output, "{line}")?;
        }
        let Some(resume) = &mut self.resume else { return Ok(()) };
        resume.note(&response.resume_token);
        self.unsaved += 1;
        // Each save syncs to disk, so it is done in groups, and when the stream is idle (progress).
        if self.unsaved >= RESPONSES_UNSAVED_MAX || matches!(response.kind, Some(Kind::Progress(_))) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.unsaved = 0;
        match &mut self.resume {
            // Flushed first: buffered lines are not printed yet, and the saved position must not be ahead of them.
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
    fn only_printed_changes_are_saved() {
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
