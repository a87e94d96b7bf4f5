//! Writes that count only when copies have them. Redis waits for what the asking connection wrote, and takes nothing else
//! from that connection meanwhile: so each server has a connection for this, and what arrives during one wait goes out with
//! the next. In come requests; out go their replies when enough copies are there, or trouble. Nothing is sent twice.

use super::dialer::{Dialer, RedisConnection, Request, answered};
use super::reply;
use super::target::Address;
use super::failure::{Recovery, RedisFailure};
use redis::{Cmd, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for their turn.
const JOBS_QUEUED_MAX: usize = 1024;
/// How long a caller waits for room among them.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests that one wait serves at most, and about how large they may be together.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Durability {
    /// How many replicas have to have it; 0 waits for the server's own disk.
    pub(super) replicas: usize,
    /// How long they may take.
    pub(super) timeout: Duration,
}

/// The way to the task that has the connection; the task ends with it.
pub(super) struct ReplicationWait {
    jobs: mpsc::Sender<ReplicationJob>,
}

struct ReplicationJob {
    request: Request,
    reply: oneshot::Sender<Result<Value, RedisFailure>>,
}

/// The task's own.
struct ReplicationTask {
    dialer: Arc<Dialer>,
    address: Address,
    durability: Durability,
    /// None before the first request and after a loss.
    connection: Option<RedisConnection>,
}

impl ReplicationWait {
    /// A connection to `address` that waits for `copies`.
    pub(super) fn start(dialer: Arc<Dialer>, address: Address, copies: Durability) -> Self {
        let (jobs, receiver) = mpsc::channel(JOBS_QUEUED_MAX);
        #[expect(clippy::disallowed_methods, reason = "ends when the sender of its jobs is dropped")]
        tokio::spawn(ReplicationTask { dialer, address, durability: copies, connection: None }.run(receiver));
        Self { jobs }
    }

    /// Asks, once, and answers when the copies are there.
    pub(super) async fn request(&self, request: Request) -> Result<Value, RedisFailure> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send_timeout(ReplicationJob { request, reply: answer }, ENQUEUE_TIMEOUT).await;
        sent.map_err(|_| RedisFailure::Overloaded)?;
        answered.await.unwrap_or(Err(RedisFailure::Overloaded))
    }
}

impl ReplicationTask {
    async fn run(mut self, mut receiver: mpsc::Receiver<ReplicationJob>) {
        while let Some(job) = receiver.recv().await {
            let mut bytes = job.request.size();
            let (mut requests, mut answers) = (vec![job.request], vec![job.reply]);
            while requests.len() < BATCH
                && bytes < BATCH_BYTES
                && let Ok(job) = receiver.try_recv()
            {
                bytes += job.request.size();
                requests.push(job.request);
                answers.push(job.reply);
            }
            let mut replies = self.serve(&requests).await;
            if let Some(Err(away @ RedisFailure::Disconnected(_))) = replies.first() {
                // There is no connection: those who came meanwhile need not find that out in turn.
                let away = away.clone();
                while answers.len() < JOBS_QUEUED_MAX
                    && let Ok(job) = receiver.try_recv()
                {
                    answers.push(job.reply);
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
    async fn serve(&mut self, requests: &[Request]) -> Vec<Result<Value, RedisFailure>> {
        match self.try_serve(requests).await {
            Ok(replies) => replies,
            Err(trouble) => {
                self.connection = None;
                vec![Err(trouble); requests.len()]
            }
        }
    }

    async fn try_serve(&mut self, requests: &[Request]) -> Result<Vec<Result<Value, RedisFailure>>, RedisFailure> {
        let live = match self.connection.take().filter(|live| !live.is_gone()) {
            Some(live) => live,
            None => {
                let live = self.dialer.dial(&self.address).await?;
                live.with_timeout(self.durability.timeout + self.dialer.response_timeout)
            }
        };
        let commands = requests.iter().map(|request| live.command(request)).chain([self.durability.command()]);
        let mut replies = live.pipeline(commands).await?;
        let reached = self.durability.check(&replies.pop().unwrap_or_default());
        let judged = requests.iter().zip(replies).map(|(request, reply)| {
            let reply = answered(reply).map_err(RedisFailure::of_server)?;
            live.observe_reply(request, &reply);
            reached.clone().map(|()| reply)
        });
        let judged: Vec<_> = judged.collect();
        // A server that lost its slots may get them back in another life: the next connection asks for it.
        let elsewhere = |reply: &Result<Value, RedisFailure>| {
            reply.as_ref().is_err_and(|trouble| trouble.recovery() == Recovery::RefreshSlots)
        };
        self.connection = Some(live).filter(|_| !judged.iter().any(elsewhere));
        Ok(judged)
    }
}

impl Durability {
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
    fn check(self, reached: &Value) -> Result<(), RedisFailure> {
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
        Err(RedisFailure::TooFewCopies { reached, wanted, timeout_ms: self.timeout.as_millis() })
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
            let copies = Durability { replicas, timeout };
            assert_eq!(copies.check(&answer).is_ok(), there, "{copies:?} {answer:?}");
            let packed = String::from_utf8(copies.command().get_packed_command()).expect("a text");
            assert!(
                packed.contains(&format!("\r\n{command}\r\n")) && packed.ends_with("\r\n7\r\n"),
                "{packed}"
            );
        }
    }
}
