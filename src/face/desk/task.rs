//! One desk as a face: the machine, with the answers to what it asks and the news of the centre beside it.

use std::sync::Arc;

use bytes::Bytes;
use clock::Now;
use tokio_util::sync::CancellationToken;

use super::asks::Asks;
use super::hub::{Hub, News, Seat};
use super::machine::{self, Desk, Told};
use crate::access::Access;
use crate::api;
use crate::config::Turn;
use crate::face::Parked;
use crate::face::task::{Face, Out};
use crate::io::clock::SystemClock;
use crate::store::Store;

/// What the tasks of all desks share.
#[derive(Clone, Debug)]
pub struct Desks {
    /// Who tells them what happens.
    pub hub: Hub,
    /// The way to control.
    pub control: api::Control,
    /// The database.
    pub store: Store,
    /// Calls whose page has gone.
    pub parked: Arc<Parked>,
    /// The clock of the server.
    pub clock: SystemClock,
    /// What makes and reads tokens.
    pub access: Access,
    /// The relays that browsers are told of.
    pub turn: Option<Turn>,
}

/// Who is on a connection, as far as the connection says it.
#[derive(Clone, Debug)]
pub(in crate::face) struct Caller {
    pub(in crate::face) transport: sip::transport::Transport,
    /// What the server is called, in the addresses of its users.
    pub(in crate::face) host: String,
}

/// A desk, attended: its questions are put, and the centre's news brought.
pub(in crate::face) struct Attended {
    desk: Desk,
    asks: Asks,
    parked: Arc<Parked>,
    hub: Hub,
    /// Once the machine wants the news.
    seat: Option<Seat>,
}

/// What comes to a desk from beside its page and its line.
pub(in crate::face) struct Beside(Came);

enum Came {
    Answer(Told),
    News(News),
}

impl Attended {
    pub(in crate::face) fn new(desks: Desks, caller: Caller) -> Self {
        Self {
            desk: Desk::new(desks.clock.now()),
            parked: desks.parked.clone(),
            hub: desks.hub.clone(),
            asks: Asks::new(desks, caller),
            seat: None,
        }
    }
}

impl Face for Attended {
    type Beside = Beside;

    fn text(&mut self, now: Now, text: &str) {
        self.desk.text(now, text);
    }

    fn sip(&mut self, now: Now, bytes: Bytes) {
        self.desk.sip(now, bytes);
    }

    fn timeout(&mut self, now: Now) {
        self.desk.timeout(now);
    }

    fn deadline(&self) -> Option<Now> {
        self.desk.deadline()
    }

    fn poll_output(&mut self) -> Option<Out> {
        while let Some(out) = self.desk.poll_output() {
            match out {
                machine::Out::Say(text) => return Some(Out::Say(text)),
                machine::Out::Transmit(bytes) => return Some(Out::Transmit(bytes)),
                machine::Out::Ask(ask) => self.asks.begin(ask),
                machine::Out::Close => return Some(Out::Close),
            }
        }
        if self.seat.is_none()
            && let Some((agent, endpoint)) = self.desk.watches()
        {
            self.seat = Some(self.hub.sit(agent, endpoint));
            self.asks.enter(&self.desk);
        }
        None
    }

    fn seat(&self) -> Option<&CancellationToken> {
        self.asks.seat.as_ref().map(|seat| &seat.leave)
    }

    fn displaced(&mut self) {
        self.desk.displaced();
    }

    fn gone(&mut self, now: Now) {
        if let Some((user, session, left)) = self.desk.gone(now) {
            self.parked.leave(now, (&user, &session), left);
            if let Some(seat) = &self.asks.seat {
                self.parked.rise((&user, &session), seat);
            }
        }
    }

    async fn beside(&mut self) -> Beside {
        tokio::select! {
            told = self.asks.answer() => Beside(Came::Answer(told)),
            news = next_news(&mut self.seat) => Beside(Came::News(news)),
        }
    }

    fn take(&mut self, now: Now, beside: Beside) {
        match beside.0 {
            Came::Answer(told) => self.desk.told(now, told),
            Came::News(news) => self.desk.news(now, &news),
        }
    }
}

/// What happens next at the centre; nothing before the desk has its seat.
async fn next_news(seat: &mut Option<Seat>) -> News {
    let next = async {
        let seat = seat.as_mut()?;
        tokio::select! {
            news = seat.news.recv() => news,
            changed = seat.queues.changed() => {
                changed.ok()?;
                Some(News::Queues(seat.queues.borrow_and_update().clone()))
            }
        }
    };
    match next.await {
        Some(news) => news,
        None => std::future::pending().await,
    }
}
