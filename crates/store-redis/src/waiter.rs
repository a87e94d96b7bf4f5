//! Writes that count only when copies have them. Redis waits for what the asking connection wrote, and takes nothing else
//! from that connection meanwhile: so each server has a connection for this, and what arrives during one wait goes out with
//! the next. In come requests; out go their replies when enough copies are there, or trouble. Nothing is sent twice.

use super::dialer::{Dialer, Live, Request, answered};
use super::reply;
use super::target::Address;
use super::trouble::{Remedy, Trouble};
use redis::{Cmd, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for their turn.
const JOBS_WAITING: usize = 1024;
/// How long a caller waits for room among them.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);
/// Requests that one wait serves at most, and about how large they may be together.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    /// How many replicas have to have it; 0 waits for the server's own disk.
    pub(super) replicas: usize,
    /// How long they may take.
    pub(super) timeout: Duration,
}

/// The way to the task that has the connection; the task ends with it.
pub(super) struct Waiter {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Value, Trouble>>,
}

/// The task's own.
struct Task {
    dialer: Arc<Dialer>,
    address: Address,
    copies: Copies,
    /// None before the first request and after a loss.
    live: Option<Live>,
}

impl Waiter {
    /// A connection to `address` that waits for `copies`.
    pub(super) fn start(dialer: Arc<Dialer>, address: Address, copies: Copies) -> Self {
        let (jobs, receiver) = mpsc::channel(JOBS_WAITING);
        #[expect(clippy::disallowed_methods, reason = "ends when the sender of its jobs is dropped")]
        tokio::spawn(Task { dialer, address, copies, live: None }.run(receiver));
        Self { jobs }
    }

    /// Asks, once, and answers when the copies are there.
    pub(super) async fn ask(&self, request: Request) -> Result<Value, Trouble> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send_timeout(Job { request, answer }, QUEUE_PATIENCE).await;
        sent.map_err(|_| Trouble::Overloaded)?;
        answered.await.unwrap_or(Err(Trouble::Overloaded))
    }
}

impl Task {
    async fn run(mut self, mut receiver: mpsc::Receiver<Job>) {
        while let Some(job) = receiver.recv().await {
            let mut bytes = job.request.size();
            let (mut requests, mut answers) = (vec![job.request], vec![job.answer]);
            while requests.len() < BATCH
                && bytes < BATCH_BYTES
                && let Ok(job) = receiver.try_recv()
            {
                bytes += job.request.size();
                requests.push(job.request);
                answers.push(job.answer);
            }
            let mut replies = self.serve(&requests).await;
            if let Some(Err(away @ Trouble::Away(_))) = replies.first() {
                // There is no connection: those who came meanwhile need not find that out in turn.
                let away = away.clone();
                while answers.len() < JOBS_WAITING
                    && let Ok(job) = receiver.try_recv()
                {
                    answers.push(job.answer);
                    replies.push(Err(away.clone()));
                }
            }
            for (answer, reply) in answers.into_iter().zip(replies) {
                // The asker may be gone; then nobody needs it.
                let _ = answer.send(reply);
            }
        }
    }

    /// The replies, in the order of the requests.
    async fn serve(&mut self, requests: &[Request]) -> Vec<Result<Value, Trouble>> {
        match self.try_serve(requests).await {
            Ok(replies) => replies,
            Err(trouble) => {
                self.live = None;
                vec![Err(trouble); requests.len()]
            }
        }
    }

    async fn try_serve(&mut self, requests: &[Request]) -> Result<Vec<Result<Value, Trouble>>, Trouble> {
        let live = match self.live.take().filter(|live| !live.is_gone()) {
            Some(live) => live,
            None => {
                let live = self.dialer.dial(&self.address).await?;
                live.with_patience(self.copies.timeout + self.dialer.response_timeout)
            }
        };
        let commands = requests.iter().map(|request| live.command(request)).chain([self.copies.command()]);
        let mut replies = live.pipeline(commands).await?;
        let reached = self.copies.check(&replies.pop().unwrap_or_default());
        let judged = requests.iter().zip(replies).map(|(request, reply)| {
            let reply = answered(reply).map_err(Trouble::of_server)?;
            live.hear(request, &reply);
            reached.clone().map(|()| reply)
        });
        let judged: Vec<_> = judged.collect();
        // A server that lost its slots may get them back in another life: the next connection asks for it.
        let elsewhere = |reply: &Result<Value, Trouble>| {
            reply.as_ref().is_err_and(|trouble| trouble.remedy() == Remedy::LookAgain)
        };
        self.live = Some(live).filter(|_| !judged.iter().any(elsewhere));
        Ok(judged)
    }
}

impl Copies {
    /// The command that waits for them.
    fn command(self) -> Cmd {
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        if self.replicas == 0 {
            let mut wait = redis::cmd("WAITAOF");
            wait.arg(1).arg(0).arg(timeout_ms);
            wait
        } else {
            let mut wait = redis::cmd("WAIT");
            wait.arg(self.replicas).arg(timeout_ms);
            wait
        }
    }

    /// Whether they are there, by the command's answer; an error says that nobody knows.
    fn check(self, reached: &Value) -> Result<(), Trouble> {
        // Waiting for the disk answers with two numbers: its own, and the replicas'.
        let number = match reached {
            Value::Array(numbers) => numbers.first().unwrap_or(&Value::Nil),
            number => number,
        };
        let reached = reply::number::<i64>(number, "WAIT").unwrap_or_default();
        let wanted = i64::try_from(self.replicas.max(1)).unwrap_or(i64::MAX);
        if reached >= wanted {
            return Ok(());
        }
        Err(Trouble::NotReached { reached, wanted, timeout_ms: self.timeout.as_millis() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_there_when_as_many_say_so() {
        let timeout = Duration::from_millis(7);
        let list = |disk: i64| Value::Array(vec![Value::Int(disk), Value::Int(9)]);
        let rows = [
            (2, Value::Int(2), true, "WAIT"),
            (2, Value::Int(1), false, "WAIT"),
            (1, Value::Nil, false, "WAIT"),
            (0, list(1), true, "WAITAOF"),
            (0, list(0), false, "WAITAOF"),
        ];
        for (replicas, answer, there, command) in rows {
            let copies = Copies { replicas, timeout };
            assert_eq!(copies.check(&answer).is_ok(), there, "{copies:?} {answer:?}");
            let packed = String::from_utf8(copies.command().get_packed_command()).expect("a text");
            assert!(
                packed.contains(&format!("\r\n{command}\r\n")) && packed.ends_with("\r\n7\r\n"),
                "{packed}"
            );
        }
    }
}
