//! One connection of a wire: requests go to the server and answers come back, one whole value at a time, so that it is known which
//! answer belongs to which request. What harm is due to a request is done to it here, and to nothing before it.

use super::fault::{ProxyFault, ProxyFaults, FaultMoment};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Wire {
    client: TcpStream,
    server: TcpStream,
    harms: Arc<ProxyFaults>,
    /// What the client sent, as far as it is not passed on.
    requested: BytesMut,
    /// What the server sent, as far as it is not passed on.
    answered: BytesMut,
    /// The requests that have no answer yet, each with the harm that is due to its answer.
    open: VecDeque<Option<ProxyFault>>,
}

/// Passes everything on between `client` and the server on `port`, until one of them ends it or harm does.
pub(super) async fn pass(client: TcpStream, port: u16, harms: Arc<ProxyFaults>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    // Each value is passed on alone.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (asked, answered, open) = (BytesMut::new(), BytesMut::new(), VecDeque::new());
    let mut wire = Wire { client, server, harms, requested: asked, answered, open };
    while wire.step().await.is_some() {}
}

impl Wire {
    /// Passes on what came; nothing if that was the end.
    async fn step(&mut self) -> Option<()> {
        tokio::select! {
            read = self.client.read_buf(&mut self.requested) => {
                read.ok().filter(|count| *count > 0)?;
                self.requests().await
            }
            read = self.server.read_buf(&mut self.answered) => {
                read.ok().filter(|count| *count > 0)?;
                self.replies().await
            }
        }
    }

    async fn requests(&mut self) -> Option<()> {
        while let Some(request) = next_value(&mut self.requested) {
            let harm = match self.harms.take(&request) {
                Some(ProxyFault::Hold(_, FaultMoment::Sent, reached)) => {
                    let _ = reached.send(());
                    return self.until_the_client_is_gone().await;
                }
                harm => harm,
            };
            self.server.write_all(&request).await.ok()?;
            if !is_answered_unasked(&request) {
                self.open.push_back(harm);
            }
        }
        Some(())
    }

    async fn replies(&mut self) -> Option<()> {
        while let Some(answer) = next_value(&mut self.answered) {
            let unasked = answer.starts_with(b">");
            match if unasked { None } else { self.open.pop_front().flatten() } {
                None => self.client.write_all(&answer).await.ok()?,
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

/// Whether the answer comes as what a server says unasked does.
fn is_answered_unasked(request: &[u8]) -> bool {
    // Words are short and come first.
    let start = &request[..request.len().min(40)];
    start.windows(9).any(|word| word.eq_ignore_ascii_case(b"SUBSCRIBE"))
}

/// Takes the first value out of `bytes`, if all of it is there.
fn next_value(bytes: &mut BytesMut) -> Option<BytesMut> {
    let end = end_of_value(bytes, 0)?;
    Some(bytes.split_to(end))
}

/// Where the value of RESP3 ends that begins at `start`, if all of it is there.
fn end_of_value(bytes: &[u8], start: usize) -> Option<usize> {
    let line_end = start + bytes.get(start..)?.windows(2).position(|end| end == b"\r\n")?;
    let after = line_end + 2;
    // Absent ones are told by a length below zero.
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
    fn values_are_told_apart_wherever_they_are_cut() {
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
