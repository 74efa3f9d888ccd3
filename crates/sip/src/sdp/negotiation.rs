//! The offer/answer machine of one leg (RFC 3264): one audio stream, everything else kept in its
//! place and rejected.
//!
//! ```text
//!                offer()                       take_answer()
//!   ┌────────┐ ───────────▶ ┌───────────────┐ ──────────────▶ ┌────────┐
//!   │ settled │              │ awaits answer │                 │ settled │  take_answer() again: the
//!   └────────┘ ◀─────────── └───────────────┘                 └────────┘  answer of another fork, or
//!     │    ▲     abandon(), or an answer that cannot be used                 the one of the 183 repeated
//!     └────┘ answer(): their offer in, our answer out
//! ```
//!
//! A failed step changes nothing that was agreed. The answer names one codec: the port then needs
//! one decoder, and no second exchange to find out which (§10.2).

mod agreeing;
mod ours;
mod write;

use std::fmt;

use bytes::Bytes;

use super::codec::{Codec, Direction};
use super::crypto::Crypto;
use super::description::{Address, Media, SessionDescription};
use super::modes::ModeSet;
use super::offer_error::OfferError;
use super::remote::{Format, Meaning, Remote};
use super::terms::{Agreed, CodecOrder, LocalMedia};
use super::web::{self, Part};
use ours::answer_formats;

/// The offer/answer machine of one leg. Plain data: it can be written down and restored.
#[derive(Clone, Debug)]
pub struct Negotiation {
    pub(super) local: LocalMedia,
    session_id: u64,
    /// The last description that we sent; its version steps by one with each change (RFC 3264 §8).
    sent: Option<Sent>,
    /// The session's `m=` lines as last exchanged; one of them is our stream.
    slots: Vec<Slot>,
    turn: Turn,
    pub(super) agreed: Option<Agreed>,
    /// The keys of our last offer, by their tags.
    pub(super) offered: Vec<Crypto>,
    /// Steps with each port: a key is never used for two streams.
    pub(super) generation: u32,
    /// Whether the stream's line is in a group of all that go through one port (RFC 8843).
    is_bundled: bool,
    /// Our direction when we last agreed: where [`Negotiation::abandon`] goes back to.
    settled_direction: Direction,
}

#[derive(Clone)]
struct Sent {
    version: u64,
    text: Bytes,
}

/// Its text may hold keys.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sent(version {})", self.version)
    }
}

/// Whose description was the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing has been exchanged, or they offered last.
    Settled,
    /// We offered and wait.
    AwaitsAnswer,
    /// We offered last and were answered; another fork may answer the same offer.
    Answered,
}

/// One `m=` line of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    /// Our stream, over this transport.
    Audio {
        protocol: String,
        /// What it is called.
        mid: Option<String>,
    },
    /// A stream that we do not take: kept in its place with port 0.
    Dead {
        kind: String,
        protocol: String,
        formats: Vec<String>,
        mid: Option<String>,
    },
}

impl Slot {
    fn dead(media: &Media) -> Self {
        Self::Dead {
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.clone(),
            mid: web::mid(media),
        }
    }
}

/// Our `m=` section before it is printed.
struct Stream {
    formats: Vec<Format>,
    direction: Direction,
    rtcp_mux: bool,
    keys: Vec<Crypto>,
    modes: Option<ModeSet>,
    /// Our part in the handshake that makes keys, where one does.
    setup: &'static str,
}

impl Negotiation {
    /// A leg that has exchanged nothing. `session_id` should be random; 62 bits of it are used.
    pub fn new(local: LocalMedia, session_id: u64) -> Self {
        Self {
            settled_direction: local.direction,
            local,
            session_id: session_id >> 2,
            sent: None,
            slots: Vec::new(),
            turn: Turn::Settled,
            agreed: None,
            offered: Vec::new(),
            generation: 0,
            is_bundled: true,
        }
    }

    /// Our end of the stream, as configured.
    pub const fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// What the last finished exchange agreed on.
    pub const fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Whether an offer of ours waits for its answer.
    pub fn awaits_answer(&self) -> bool {
        self.turn == Turn::AwaitsAnswer
    }

    /// Sets the direction that the next offer asks for: `SendOnly` or `Inactive` holds them, `SendRecv` resumes.
    pub const fn set_direction(&mut self, direction: Direction) {
        self.local.direction = direction;
    }

    /// Sets the RTP port that the next description names: the stream moves (RFC 3264 §8.3.1).
    pub const fn set_port(&mut self, port: u16) {
        self.local.port = port;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Lets the next description have keys of its own: the stream stays where it is.
    pub const fn renew_keys(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Sets the codecs of the exchanges to come, best first.
    pub fn set_codecs(&mut self, codecs: Vec<Codec>) {
        self.local.codecs = codecs;
    }

    /// Holds AMR-WB to these modes in the exchanges to come: those of the other side of its relay.
    pub const fn set_modes(&mut self, modes: Option<ModeSet>) {
        self.local.modes = modes;
    }

    /// Puts `codec` first in the exchanges to come, if it is one of ours: what the other side of a
    /// bridge speaks needs no transcoding.
    pub fn prefer(&mut self, codec: Codec) {
        let codecs = &mut self.local.codecs;
        if let Some(at) = codecs.iter().position(|&known| known == codec)
            && let Some(front) = codecs.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }

    /// Those of our codecs that an offer has, in its order; none of an offer that cannot be read.
    pub fn common(&self, offer: &[u8]) -> Vec<Codec> {
        let formats = described(offer).map(|remote| remote.formats);
        let formats = formats.unwrap_or_default();
        let codec = |format: &Format| match format.meaning {
            Meaning::Codec(codec) if self.local.codecs.contains(&codec) => Some(codec),
            _ => None,
        };
        formats.iter().filter_map(codec).collect()
    }

    /// Whether what an offer has for us goes over WebRTC's transport, so that it must be answered by
    /// [`LocalMedia::web`].
    pub fn wants_web(offer: &[u8]) -> bool {
        // What has neither is not read twice.
        let may = |word: &[u8]| memchr::memmem::find(offer, word).is_some();
        let may = may(b"UDP/TLS/") || may(b"fingerprint");
        may && described(offer).is_some_and(|remote| remote.web.is_some())
    }

    /// The modes that an offer holds AMR-WB to.
    pub fn modes_of(offer: &[u8]) -> Option<ModeSet> {
        described(offer)?.modes
    }

    /// Takes their offer and returns our answer, which names `codec` if both have it, whoever's order
    /// decides else.
    ///
    /// # Errors
    /// As [`Negotiation::answer`].
    pub fn answer_preferring(&mut self, offer: &[u8], codec: Codec) -> Result<Bytes, OfferError> {
        let order = std::mem::replace(&mut self.local.order, CodecOrder::Ours);
        self.prefer(codec);
        let answer = self.answer(offer);
        self.local.order = order;
        answer
    }

    /// Makes our offer: the first, a change, or (unchanged) a refresh with the same version.
    ///
    /// # Errors
    /// [`OfferError::Glare`] while an earlier one is not answered.
    pub fn offer(&mut self) -> Result<Bytes, OfferError> {
        if self.turn == Turn::AwaitsAnswer {
            return Err(OfferError::Glare);
        }
        self.may_tell_keys()?;
        self.ensure_audio_slot();
        let stream = self.our_stream();
        self.offered.clone_from(&stream.keys);
        self.turn = Turn::AwaitsAnswer;
        Ok(self.print(&stream))
    }

    /// Takes their offer and returns our answer.
    ///
    /// # Errors
    /// [`OfferError`] with the status that refuses it; what was agreed before still holds.
    pub fn answer(&mut self, offer: &[u8]) -> Result<Bytes, OfferError> {
        if self.turn == Turn::AwaitsAnswer {
            return Err(OfferError::Glare);
        }
        let theirs = SessionDescription::parse(offer)?;
        let (index, remote) = match self.choose(&theirs) {
            Ok(chosen) => chosen,
            Err(OfferError::NoAudio) if self.stream_removed(&theirs) => {
                return Ok(self.answer_removal(&theirs));
            }
            Err(error) => return Err(error),
        };
        let accepted = self.pick_codec(&remote)?;
        let theirs_key = self.their_key(&remote)?;
        let mut agreed = self.agree(&remote, accepted, self.local.direction);
        if self.is_restart(&agreed) {
            self.rename();
        }
        let ours = theirs_key.and_then(|theirs| self.answer_key(theirs));
        agreed.keys = ours.as_ref().map(|(_, keys)| keys.clone());
        let stream = Stream {
            formats: answer_formats(&agreed),
            direction: Direction::from_halves(agreed.send, agreed.receive),
            rtcp_mux: remote.rtcp_mux,
            keys: ours.into_iter().map(|(line, _)| line).collect(),
            modes: agreed.modes,
            setup: "passive",
        };
        self.slots = slots(&theirs, Some((index, &remote)));
        self.is_bundled = remote.is_bundled;
        self.settle(agreed, Turn::Settled);
        Ok(self.print(&stream))
    }

    /// Takes their answer to our offer. It may come more than once: repeated in the 200 after a 183,
    /// or from another fork; the last one holds.
    ///
    /// # Errors
    /// [`OfferError`] if it does not fit the offer or rejects our stream; what was agreed before the
    /// offer holds again.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<(), OfferError> {
        if self.turn == Turn::Settled {
            return Err(OfferError::NoOffer);
        }
        match self.read_answer(answer) {
            Ok(agreed) => {
                self.settle(agreed, Turn::Answered);
                Ok(())
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Gives up our offer, which was refused or never answered: back to what was agreed.
    pub const fn abandon(&mut self) {
        if matches!(self.turn, Turn::AwaitsAnswer) {
            self.turn = Turn::Settled;
            self.local.direction = self.settled_direction;
        }
    }

    fn settle(&mut self, agreed: Agreed, turn: Turn) {
        self.agreed = Some(agreed);
        self.turn = turn;
        self.settled_direction = self.local.direction;
    }

    /// Whether a later offer takes our stream away by port 0, which is legal (RFC 3264 §8.2).
    fn stream_removed(&self, theirs: &SessionDescription) -> bool {
        self.agreed.is_some()
            && theirs
                .media
                .iter()
                .any(|media| media.kind == "audio" && media.port == 0)
    }

    fn answer_removal(&mut self, theirs: &SessionDescription) -> Bytes {
        self.slots = slots(theirs, None);
        if let Some(agreed) = &mut self.agreed {
            agreed.send = false;
            agreed.receive = false;
            agreed.peer_holds = true;
        }
        self.turn = Turn::Settled;
        let nothing = Stream {
            formats: Vec::new(),
            direction: Direction::Inactive,
            rtcp_mux: false,
            keys: Vec::new(),
            modes: None,
            setup: "passive",
        };
        self.print(&nothing)
    }

    fn audio_slot(&self) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| matches!(slot, Slot::Audio { .. }))
    }

    /// A line for our stream: the one in use, a rejected one that can live again, else a new one.
    fn ensure_audio_slot(&mut self) {
        if self.audio_slot().is_some() {
            return;
        }
        let protocol = self.offered_protocol().to_owned();
        for slot in &mut self.slots {
            if let Slot::Dead { kind, mid, .. } = slot
                && kind == "audio"
            {
                let mid = mid.take();
                *slot = Slot::Audio { protocol, mid };
                return;
            }
        }
        // A number of its own among lines that are counted from 0, as browsers do.
        let mid = Some(self.slots.len().to_string());
        self.slots.push(Slot::Audio { protocol, mid });
    }

    /// Whether they gave themselves other names than before: then so must we (RFC 8839 §4.4.3).
    fn is_restart(&self, anew: &Agreed) -> bool {
        let before = self.agreed.as_ref().and_then(|agreed| agreed.web.as_ref());
        let both = before.zip(anew.web.as_ref());
        both.is_some_and(|(old, new)| (&old.ufrag, &old.password) != (&new.ufrag, &new.password))
    }

    fn rename(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if let Some(web) = &mut self.local.web {
            web.rename(self.generation);
        }
    }
}

/// The usual clock of telephone-events.
const EVENT_CLOCK_HZ: u32 = 8_000;

/// The first stream of audio in an offer, if it can be read.
fn described(offer: &[u8]) -> Option<Remote> {
    let theirs = SessionDescription::parse(offer).ok()?;
    let mut audio = theirs
        .media
        .iter()
        .filter(|it| it.kind == "audio" && it.port != 0);
    audio.find_map(|media| Remote::read(&theirs, media, Part::Offer).ok())
}

/// Their `m=` lines as the session's, with the chosen one ours.
fn slots(theirs: &SessionDescription, chosen: Option<(usize, &Remote)>) -> Vec<Slot> {
    let slot = |(index, media): (usize, &Media)| match chosen {
        Some((ours, remote)) if ours == index => Slot::Audio {
            protocol: remote.protocol.clone(),
            mid: remote.mid.clone(),
        },
        _ => Slot::dead(media),
    };
    theirs.media.iter().enumerate().map(slot).collect()
}
