//! Connection of the proxy: requests and replies pass one whole value at a time, so that each reply is matched with its request. The
//! fault of a request applies to it and to nothing before it.

use super::fault::{FaultMoment, ProxyFault, ProxyFaults};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Wire {
    client: TcpStream,
    server: TcpStream,
    faults: Arc<ProxyFaults>,
    /// Number of times that connections were forgotten before this one.
    forgotten_before: u64,
    /// Bytes of the client that are not forwarded yet.
    requested: BytesMut,
    /// Bytes of the server that are not forwarded yet.
    replied: BytesMut,
    /// Requests without a reply, each with the fault of its reply.
    open: VecDeque<Option<ProxyFault>>,
}

/// Forwards between `client` and the server on `port`, until one of them or a fault ends the connection.
pub(super) async fn pass(client: TcpStream, port: u16, faults: Arc<ProxyFaults>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    // Each value is a packet of its own.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (requested, replied, open) = (BytesMut::new(), BytesMut::new(), VecDeque::new());
    let forgotten_before = faults.forgotten();
    let mut wire = Wire { client, server, faults, forgotten_before, requested, replied, open };
    while wire.step().await.is_some() {}
}

impl Wire {
    /// Forwards received bytes; none at the end of the connection.
    async fn step(&mut self) -> Option<()> {
        if self.faults.forgotten() > self.forgotten_before {
            return self.until_the_client_is_gone().await;
        }
        tokio::select! {
            read = self.client.read_buf(&mut self.requested) => {
                read.ok().filter(|count| *count > 0)?;
                if self.faults.forgotten() == self.forgotten_before { self.requests().await } else { Some(()) }
            }
            read = self.server.read_buf(&mut self.replied) => {
                read.ok().filter(|count| *count > 0)?;
                if self.faults.forgotten() == self.forgotten_before { self.replies().await } else { Some(()) }
            }
        }
    }

    async fn requests(&mut self) -> Option<()> {
        while let Some(request) = next_value(&mut self.requested) {
            let fault = match self.faults.take(&request) {
                Some(ProxyFault::Hold(_, FaultMoment::Sent, reached)) => {
                    let _ = reached.send(());
                    return self.until_the_client_is_gone().await;
                }
                fault => fault,
            };
            self.server.write_all(&request).await.ok()?;
            if !is_answered_by_push(&request) {
                self.open.push_back(fault);
            }
        }
        Some(())
    }

    async fn replies(&mut self) -> Option<()> {
        while let Some(reply) = next_value(&mut self.replied) {
            let pushed = reply.starts_with(b">");
            match if pushed { None } else { self.open.pop_front().flatten() } {
                None => self.client.write_all(&reply).await.ok()?,
                Some(ProxyFault::LoseReply(_)) => return None,
                Some(ProxyFault::Hold(_, _, reached)) => {
                    let _ = reached.send(());
                    return self.until_the_client_is_gone().await;
                }
            }
        }
        Some(())
    }

    async fn until_the_client_is_gone(&mut self) -> Option<()> {
        loop {
            self.requested.clear();
            self.client.read_buf(&mut self.requested).await.ok().filter(|count| *count > 0)?;
        }
    }
}

/// Returns whether the reply comes as a push message.
fn is_answered_by_push(request: &[u8]) -> bool {
    // The name of the command is short and comes first.
    let start = &request[..request.len().min(40)];
    start.windows(9).any(|word| word.eq_ignore_ascii_case(b"SUBSCRIBE"))
}

/// Takes the first value out of `bytes`, if it is complete.
fn next_value(bytes: &mut BytesMut) -> Option<BytesMut> {
    let end = end_of_value(bytes, 0)?;
    Some(bytes.split_to(end))
}

/// Returns the end of the RESP3 value that begins at `start`, if it is complete.
fn end_of_value(bytes: &[u8], start: usize) -> Option<usize> {
    let line_end = start + bytes.get(start..)?.windows(2).position(|end| end == b"\r\n")?;
    let after = line_end + 2;
    // A negative length means nil.
    let length = || {
        let digits = std::str::from_utf8(&bytes[start + 1..line_end]).ok()?;
        Some(usize::try_from(digits.parse::<i64>().ok()?).ok())
    };
    let values = |count: usize| (0..count).try_fold(after, |at, _| end_of_value(bytes, at));
    match bytes[start] {
        b'$' | b'!' | b'=' => {
            length()?.map_or(Some(after), |length| Some(after + length + 2).filter(|end| *end <= bytes.len()))
        }
        b'*' | b'~' | b'>' => values(length()?.unwrap_or(0)),
        b'%' => values(2 * length()?.unwrap_or(0)),
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_wherever_they_are_cut() {
        let values: [&[u8]; 9] = [
            b"+OK\r\n",
            b":12\r\n",
            b"_\r\n",
            b"$-1\r\n",
            b"$4\r\na\r\nb\r\n",
            b"*0\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n",
            b">2\r\n+message\r\n$0\r\n\r\n",
        ];
        for value in values {
            for length in 0..value.len() {
                assert_eq!(next_value(&mut BytesMut::from(&value[..length])), None, "{value:?} {length}");
            }
            let mut both = BytesMut::from(&[value, b":5\r\n"].concat()[..]);
            assert_eq!(next_value(&mut both).as_deref(), Some(value));
            assert_eq!(next_value(&mut both).as_deref(), Some(&b":5\r\n"[..]));
        }
    }
}
