//! A face's own end: a WebSocket of text messages, bounded in size, patience and silence (RFC 6455).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::io::websocket;

/// A WebSocket whose handshake was taken. What it does not send on is its user's to bound.
#[derive(Debug)]
pub(super) struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    pings: Interval,
    heard: Instant,
}

/// Nothing more comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Why we end a connection, as its peer is told (RFC 6455 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// We go down, or the way to control has ended.
    Away,
    /// He was told why, in words of his protocol.
    Done,
    /// What he sent is no text.
    NoText,
    /// It breaks the protocol, as the code says.
    Breach(CloseCode),
    /// He has been silent, or has not read.
    Silent,
}

impl From<Farewell> for CloseCode {
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::Away => Self::Away,
            Farewell::Done => Self::Normal,
            Farewell::NoText => Self::Unsupported,
            Farewell::Breach(code) => code,
            Farewell::Silent => Self::Policy,
        }
    }
}

impl Socket {
    /// The connection, as soon as the handshake has been answered.
    pub(super) async fn open(stream: OnUpgrade) -> Result<Self, Gone> {
        let upgraded = timeout(OPEN_PATIENCE, stream).await.map_err(|_| Gone)?;
        let io = TokioIo::new(upgraded.map_err(|_| Gone)?);
        let stream =
            WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket::config())).await;
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stream,
            pings,
            heard: Instant::now(),
        })
    }

    /// The next message, which is text; pings and their answers are seen to meanwhile. May be dropped and asked
    /// again.
    pub(super) async fn next(&mut self) -> Result<Utf8Bytes, Option<Farewell>> {
        match self.receive().await? {
            Message::Text(text) => Ok(text),
            _ => Err(Some(Farewell::NoText)),
        }
    }

    /// The next message, text or binary.
    async fn receive(&mut self) -> Result<Message, Option<Farewell>> {
        loop {
            let next = tokio::select! {
                next = self.stream.next() => next,
                _ = self.pings.tick() => {
                    if self.heard.elapsed() > PING_EVERY * PINGS_LOST {
                        return Err(Some(Farewell::Silent));
                    }
                    self.send(Message::Ping(Default::default())).await.map_err(|_| None)?;
                    continue;
                }
            };
            self.heard = Instant::now();
            match next {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(message),
                // A ping is answered by the next read, as is a close.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(websocket::breach(&error).map(Farewell::Breach)),
                None => return Err(None),
            }
        }
    }

    /// Sends one message; [`Gone`] if it is not taken in time.
    pub(super) async fn say(&mut self, text: String) -> Result<(), Gone> {
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(WRITE_PATIENCE, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// Says why, and ends.
    pub(super) async fn close(mut self, why: Farewell) {
        let frame = CloseFrame {
            code: why.into(),
            reason: Utf8Bytes::default(),
        };
        let last = async {
            self.stream.send(Message::Close(Some(frame))).await?;
            // A socket closed with something unread in it takes back what it has sent.
            for _ in 0..LINGER_READS {
                if self.stream.next().await.is_none() {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        // The peer may be gone already.
        let _ = timeout(LINGER, last).await;
    }
}

/// From the answer to the handshake to the socket.
const OPEN_PATIENCE: Duration = Duration::from_secs(4);
/// How long one write may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// A page cannot ping, so we do; one that is silent for three of them is lost.
const PING_EVERY: Duration = Duration::from_secs(25);
const PINGS_LOST: u32 = 3;
/// How long our last word waits to be read, and how much of theirs is thrown away meanwhile.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_READS: usize = 64;

#[cfg(test)]
mod tests;
