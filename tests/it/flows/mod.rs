//! Call flows as data: what each of two production user agents does, in which order, and what each must have
//! sent when it is over. A flow runs over the simulated link, where every message is compared, and over real
//! sockets on a bad network, where only the end is.
//!
//! A message is written `INVITE`, `180 INVITE`, `200 PRACK` …; a `+` behind it says that it carries a session
//! description. Offers and answers are made by the production negotiation at either end; where a flow says
//! [`Step::Hear`] each end plays a tone by what it agreed to, and the other listens by what it did.

mod end;
mod net;
mod proxy;
mod rig;
mod sound;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sim::Random;
use sip::message::Method;
use sip::sdp::Direction;
use sip::transport::{Flow as Path, ListenerId};
use sip::ua::Reliable;

pub(crate) use net::Lossy;

use net::Net;
use rig::Rig;

pub(crate) use Do::*;
pub(crate) use Side::{A, B};
pub(crate) use Step::{Again, Await, Hear, Lose, On, Pass};

/// An end. `A` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            A => B,
            B => A,
        }
    }
}

/// What an end does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    /// Calls, with an offer.
    Call,
    /// Calls without one.
    CallLate,
    /// Says a provisional status without a description.
    Ring(u16),
    /// Says one with the answer, or the offer if none came.
    Early(u16),
    Accept,
    /// Refuses, cancels or hangs up.
    End(u16),
    /// Acknowledges what waits for it: with the answer to the offer that came, if one did.
    Word,
    /// Acknowledges a reliable response with an offer.
    WordOffer,
    /// Offers again: a re-INVITE, or an UPDATE in an early dialog.
    Offer(Direction),
    /// Sends a re-INVITE without an offer.
    AskOffer,
    /// Answers the offer that came, or makes the one that was asked for.
    Answer,
    Decline(u16),
    /// A request in the dialog, with a header.
    Ask(Method, &'static str, &'static str),
    /// A request outside any, with a header.
    Outside(Method, &'static str, &'static str),
    /// The final response to the request that came, with a header.
    Reply(u16, &'static str, &'static str),
}

/// One step of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    On(Side, Do),
    /// Until that end is told one of these (parted by `|`) since it last awaited.
    Await(Side, &'static str),
    /// Milliseconds.
    Pass(u64),
    /// The next so many messages that this end sends get lost.
    Lose(Side, usize),
    /// The end sends its latest message of this kind again, as a network would.
    Again(Side, &'static str),
    /// Whether what A says is heard by B, and the other way round. Whoever was told that its call is over
    /// neither speaks nor listens.
    Hear(bool, bool),
}

/// One flow of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// The section and its title.
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    /// What A and B send over a perfect link.
    pub(crate) a: &'static [&'static str],
    pub(crate) b: &'static [&'static str],
    /// What each is told last.
    pub(crate) end: [&'static str; 2],
    pub(crate) with: With,
}

/// How the ends are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With {
    pub(crate) reliable: Reliable,
    /// B says its provisional responses reliably where it may.
    pub(crate) reliably: bool,
    /// Offers are answered as they come, instead of by a step.
    pub(crate) answers: bool,
    /// Record-routing proxies between the ends; each asks for credentials or not.
    pub(crate) proxies: &'static [bool],
}

impl With {
    pub(crate) const PLAIN: Self = Self {
        reliable: Reliable::No,
        reliably: false,
        answers: false,
        proxies: &[],
    };
    pub(crate) const RELIABLE: Self = Self {
        reliable: Reliable::Supported,
        reliably: true,
        ..Self::PLAIN
    };
    pub(crate) const ANSWERING: Self = Self {
        answers: true,
        ..Self::PLAIN
    };
}

/// Plays a flow over the simulated link, and compares every message.
pub(crate) fn check(flow: &Flow) {
    let mut rig = Rig::new(flow, 1, Net::simulated(flow.with.proxies));
    rig.play();
    rig.assert_silent();
    assert_eq!(rig.sent(A), flow.a, "A of {}", rig.story());
    assert_eq!(rig.sent(B), flow.b, "B of {}", rig.story());
    rig.assert_ends();
}

/// Plays a flow over real sockets on a network that loses, and compares how it ends. Returns how many
/// datagrams were sent, and lost.
pub(crate) fn check_lossy(flow: &Flow, seed: u64, what: Lossy) -> (u32, u32) {
    // Another stream of luck for each flow, not the same few for all.
    let name = flow
        .name
        .bytes()
        .fold(0, |sum, b| Random::new(sum ^ u64::from(b)).next());
    let mut rig = Rig::new(flow, seed, Net::sockets(what, name ^ seed));
    rig.play();
    rig.assert_silent();
    rig.assert_ends();
    rig.net.losses()
}

/// The address an end has in the simulated network.
pub(crate) fn address(side: Side) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1 + side as u8), 5060))
}

/// The path of an end's messages to the other.
pub(crate) fn path(to: SocketAddr) -> Path {
    Path::udp(ListenerId(0), to)
}

/// Localhost.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
