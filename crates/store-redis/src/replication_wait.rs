//! Writes that wait for replicas or for the disk. `WAIT` and `WAITAOF` refer to the writes of their own connection, and block it. So
//! each server has a connection for such writes, and requests that arrive during one wait go out with the next. Nothing is sent
//! twice.

use super::command_class::CommandClass;
use super::dialer::{Dialer, RedisConnection, Request, into_result};
use super::failure::{Recovery, RedisFailure};
use super::pacer::ConnectionUse;
use super::reply;
use super::target::Address;
use redis::{Cmd, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Capacity of the queue, in requests.
const JOBS_QUEUED_MAX: usize = 1024;
/// Longest wait of a caller for a place in the queue.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest number of requests of one batch.
const BATCH: usize = 256;
/// Size at which a batch is sent, in bytes.
const BATCH_BYTES: usize = 4 << 20;

/// Confirmations that a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Durability {
    /// Number of replicas; 0 waits for the server's own disk.
    pub(super) replicas: usize,
    /// Longest wait for the confirmations.
    pub(super) timeout: Duration,
}

/// Handle of the task that owns the connection; the task ends when the handle is dropped.
pub(super) struct ReplicationWait {
    jobs: mpsc::Sender<ReplicationJob>,
}

struct ReplicationJob {
    request: Request,
    reply: oneshot::Sender<Result<Value, RedisFailure>>,
}

/// State of the task.
struct ReplicationTask {
    dialer: Arc<Dialer>,
    address: Address,
    durability: Durability,
    /// Connection; none before the first request and after a loss.
    connection: Option<RedisConnection>,
}

impl ReplicationWait {
    /// Starts the task for the server at `address`.
    pub(super) fn start(dialer: Arc<Dialer>, address: Address, durability: Durability) -> Self {
        let (jobs, receiver) = mpsc::channel(JOBS_QUEUED_MAX);
        #[expect(clippy::disallowed_methods, reason = "ends when the sender of its jobs is dropped")]
        tokio::spawn(ReplicationTask { dialer, address, durability, connection: None }.run(receiver));
        Self { jobs }
    }

    /// Sends a request once, and returns its reply after the confirmations.
    pub(super) async fn request(&self, request: Request) -> Result<Value, RedisFailure> {
        let (reply, into_result) = oneshot::channel();
        let sent = self.jobs.send_timeout(ReplicationJob { request, reply }, ENQUEUE_TIMEOUT).await;
        sent.map_err(|_| RedisFailure::Overloaded)?;
        into_result.await.unwrap_or(Err(RedisFailure::Overloaded))
    }
}

impl ReplicationTask {
    async fn run(mut self, mut receiver: mpsc::Receiver<ReplicationJob>) {
        loop {
            let idle = tokio::time::timeout(self.dialer.ping_interval, receiver.recv());
            let job = match idle.await {
                Ok(Some(job)) => job,
                Ok(None) => return,
                Err(_) => {
                    self.ping().await;
                    continue;
                }
            };
            // Requests that are queued already join the batch: one wait serves all of them, and batches grow with the load.
            let mut bytes = job.request.size();
            let mut requests = vec![job.request];
            let mut senders = vec![job.reply];
            while requests.len() < BATCH
                && bytes < BATCH_BYTES
                && let Ok(job) = receiver.try_recv()
            {
                bytes += job.request.size();
                requests.push(job.request);
                senders.push(job.reply);
            }
            let mut replies = self.serve(&requests).await;
            if let Some(Err(disconnected @ RedisFailure::Disconnected(_))) = replies.first() {
                // No connection: requests that queued up meanwhile fail with this attempt instead of one attempt each.
                let disconnected = disconnected.clone();
                while senders.len() < JOBS_QUEUED_MAX
                    && let Ok(job) = receiver.try_recv()
                {
                    senders.push(job.reply);
                    replies.push(Err(disconnected.clone()));
                }
            }
            for (sender, reply) in senders.into_iter().zip(replies) {
                // The caller may have been cancelled; then its reply is dropped.
                let _ = sender.send(reply);
            }
        }
    }

    /// Drops an idle connection whose server does not answer, so that the next write does not wait on it.
    async fn ping(&mut self) {
        if let Some(connection) = &self.connection {
            let answers = tokio::time::timeout(self.dialer.response_timeout, connection.answers()).await;
            if answers != Ok(true) {
                self.connection = None;
            }
        }
    }

    /// Returns the replies in the order of the requests.
    async fn serve(&mut self, requests: &[Request]) -> Vec<Result<Value, RedisFailure>> {
        match self.try_serve(requests).await {
            Ok(replies) => replies,
            Err(failure) => {
                // Replies that are still on the way would be taken for those of the next batch.
                self.connection = None;
                vec![Err(failure); requests.len()]
            }
        }
    }

    async fn try_serve(
        &mut self,
        requests: &[Request],
    ) -> Result<Vec<Result<Value, RedisFailure>>, RedisFailure> {
        let connection = match self.connection.take().filter(|connection| !connection.is_gone()) {
            Some(connection) => connection,
            None => {
                let connection = self.dialer.dial(&self.address, ConnectionUse::Waits).await?;
                connection.with_timeout(self.durability.timeout + self.dialer.response_timeout)
            }
        };
        let commands =
            requests.iter().map(|request| connection.command(request)).chain([self.durability.command()]);
        let mut replies = connection.pipeline(commands).await?;
        let confirmed = match into_result(replies.pop().unwrap_or_default()) {
            Ok(reached) => self.durability.check(&reached),
            // The writes were done, and nobody confirms them: the missing right is the same for each.
            Err(error) => Err(self.dialer.explained(RedisFailure::of_server(error), CommandClass::Wait)),
        };
        let results = requests.iter().zip(replies).map(|(request, reply)| {
            let reply = into_result(reply).map_err(RedisFailure::of_server)?;
            connection.observe_reply(request, &reply);
            confirmed.clone().map(|()| reply)
        });
        let results: Vec<_> = results.collect();
        // A server that lost its slots may own them again in another incarnation: a new connection reads it.
        let lost_slots = results
            .iter()
            .any(|reply| reply.as_ref().is_err_and(|failure| failure.recovery() == Recovery::RefreshSlots));
        self.connection = (!lost_slots).then_some(connection);
        Ok(results)
    }
}

impl Durability {
    /// Returns the command that waits for the confirmations.
    pub(super) fn command(self) -> Cmd {
        // At least 1, since 0 waits for ever.
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

    /// Checks the reply of the command against the required number; an error means that the durability is unknown.
    fn check(self, reached: &Value) -> Result<(), RedisFailure> {
        // `WAITAOF` returns two numbers: the server's own disk, and the replicas' disks.
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
    fn a_write_is_durable_when_enough_copies_confirm() {
        let timeout = Duration::from_millis(7);
        let list = |disk: i64| Value::Array(vec![Value::Int(disk), Value::Int(9)]);
        let rows = [
            (2, Value::Int(2), true, "WAIT"),
            (2, Value::Int(1), false, "WAIT"),
            (1, Value::Nil, false, "WAIT"),
            (0, list(1), true, "WAITAOF"),
            (0, list(0), false, "WAITAOF"),
        ];
        for (replicas, reply, there, command) in rows {
            let durability = Durability { replicas, timeout };
            assert_eq!(durability.check(&reply).is_ok(), there, "{durability:?} {reply:?}");
            let packed = String::from_utf8(durability.command().get_packed_command()).expect("a text");
            assert!(
                packed.contains(&format!("\r\n{command}\r\n")) && packed.ends_with("\r\n7\r\n"),
                "{packed}"
            );
        }
    }
}
