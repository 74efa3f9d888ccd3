//! The task of a face: its socket, its pipe and its clock around a pure machine.
//!
//! ```text
//!             text ─▶ ┌──────┐ ─▶ Say
//!   SIP of control ─▶ │ Face │ ─▶ Transmit      drained after each input; then sleeps until `deadline`
//!         deadline ─▶ │      │ ─▶ Close
//!           beside ─▶ └──────┘
//! ```

use bytes::Bytes;
use clock::Now;
use tokio_util::sync::CancellationToken;

use super::socket::{Farewell, Gone, Socket};
use crate::io::clock::SystemClock;
use crate::io::net::Pipe;

/// A JSON protocol spoken as SIP: pure, drained like every machine.
pub(super) trait Face: Send {
    /// What comes to it from elsewhere than its client, control and the clock.
    type Beside: Send;
    /// Takes one message of the client's.
    fn text(&mut self, now: Now, text: &str);
    /// Takes one SIP message of control's.
    fn sip(&mut self, now: Now, bytes: Bytes);
    /// Acts on what is due.
    fn timeout(&mut self, now: Now);
    /// When [`Face::timeout`] is next due.
    fn deadline(&self) -> Option<Now>;
    /// The next thing to do.
    fn poll_output(&mut self) -> Option<Out>;
    /// Cancelled when somebody else has come as the same.
    fn seat(&self) -> Option<&CancellationToken>;
    /// Tells the client that somebody else has come in its place, and ends.
    fn displaced(&mut self);
    /// The socket is gone: what its calls need to be taken up again is left where others find it.
    fn gone(&mut self, now: Now);
    /// The next that comes from elsewhere; given up without loss when something else comes first.
    fn beside(&mut self) -> impl Future<Output = Self::Beside> + Send {
        std::future::pending()
    }
    /// Takes what came from elsewhere.
    fn take(&mut self, now: Now, beside: Self::Beside);
}

/// What a face wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Tell the client.
    Say(String),
    /// Tell control.
    Transmit(Bytes),
    /// End the connection, now that the client has been told why.
    Close,
}

/// Lives as long as the client's connection, or the pipe's.
pub(super) async fn run(
    mut socket: Socket,
    mut pipe: Pipe,
    mut face: impl Face,
    clock: SystemClock,
    stop: CancellationToken,
) {
    let why = converse(&mut socket, &mut pipe, &mut face, clock, &stop).await;
    let now = clock.now();
    face.gone(now);
    // What it takes back at the last: its registration, where it says so.
    while let Some(out) = face.poll_output() {
        if let Out::Transmit(bytes) = out {
            let _ = pipe.to_control.try_send(bytes);
        }
    }
    drop(pipe);
    if let Some(why) = why {
        socket.close(why).await;
    }
}

/// Until either side ends; what the client is to be told then, if it still hears.
async fn converse(
    socket: &mut Socket,
    pipe: &mut Pipe,
    face: &mut impl Face,
    clock: SystemClock,
    stop: &CancellationToken,
) -> Option<Farewell> {
    loop {
        while let Some(out) = face.poll_output() {
            match out {
                Out::Say(text) => match socket.say(text).await {
                    Ok(()) => {}
                    Err(Gone) => return None,
                },
                Out::Transmit(bytes) => {
                    if pipe.to_control.send(bytes).await.is_err() {
                        return Some(Farewell::Away);
                    }
                }
                Out::Close => return Some(Farewell::Done),
            }
        }
        let seat = face.seat().cloned();
        let displaced = async {
            match seat {
                Some(seat) => seat.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let due = face.deadline().map(|at| at.since(clock.now()));
        let sleep = tokio::time::sleep(due.unwrap_or_default());
        tokio::select! {
            text = socket.next() => match text {
                Ok(text) => face.text(clock.now(), &text),
                Err(why) => return why,
            },
            bytes = pipe.from_control.recv() => match bytes {
                Some(bytes) => face.sip(clock.now(), bytes),
                None => return Some(Farewell::Away),
            },
            beside = face.beside() => face.take(clock.now(), beside),
            () = sleep, if due.is_some() => face.timeout(clock.now()),
            () = displaced => face.displaced(),
            () = stop.cancelled() => return Some(Farewell::Away),
        }
    }
}
