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
    Audio { protocol: String },
    /// A stream that we do not take: kept in its place with port 0.
    Dead {
        kind: String,
        protocol: String,
        formats: Vec<String>,
    },
}

impl Slot {
    fn dead(media: &Media) -> Self {
        Self::Dead {
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.clone(),
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
        let ours = theirs_key.and_then(|theirs| self.answer_key(theirs));
        agreed.keys = ours.as_ref().map(|(_, keys)| keys.clone());
        let stream = Stream {
            formats: answer_formats(&agreed),
            direction: Direction::from_halves(agreed.send, agreed.receive),
            rtcp_mux: remote.rtcp_mux,
            keys: ours.into_iter().map(|(line, _)| line).collect(),
            modes: agreed.modes,
        };
        self.slots = slots(&theirs, Some((index, &remote.protocol)));
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

    /// The stream that is ours already if it can still be used, else the first audio that can; else the
    /// reason that says most.
    fn choose(&self, theirs: &SessionDescription) -> Result<(usize, Remote), OfferError> {
        let ours = self.audio_slot();
        let usable = |(index, media): (usize, &Media)| -> Option<Result<_, OfferError>> {
            if media.kind != "audio" || media.port == 0 {
                return None;
            }
            let remote = Remote::read(theirs, media).and_then(|remote| {
                self.check_family(&remote)?;
                self.their_key(&remote)?;
                self.pick_codec(&remote).map(|_| remote)
            });
            Some(remote.map(|remote| (index, remote)))
        };
        let mut first_error = None;
        let mut first = None;
        for (index, media) in theirs.media.iter().enumerate() {
            match usable((index, media)) {
                Some(Ok(found)) if ours == Some(index) => return Ok(found),
                Some(Ok(found)) if first.is_none() => first = Some(found),
                Some(Err(error)) if first_error.is_none() => first_error = Some(error),
                _ => {}
            }
        }
        first.ok_or_else(|| first_error.unwrap_or(OfferError::NoAudio))
    }

    fn check_family(&self, remote: &Remote) -> Result<(), OfferError> {
        let theirs = remote.rtp.ip();
        if theirs.is_ipv4() == self.local.address.is_ipv4() {
            Ok(())
        } else {
            Err(OfferError::AddressFamily(theirs))
        }
    }

    /// The codec of the answer and the payload type that they gave it.
    fn pick_codec(&self, remote: &Remote) -> Result<(Codec, u8), OfferError> {
        let theirs = || {
            remote
                .formats
                .iter()
                .filter_map(|format| match format.meaning {
                    Meaning::Codec(Codec::AmrWb) if self.clashes(remote) => None,
                    Meaning::Codec(codec) => Some((codec, format.payload_type)),
                    _ => None,
                })
        };
        let found = match self.local.order {
            CodecOrder::Ours => self
                .local
                .codecs
                .iter()
                .find_map(|&ours| theirs().find(|&(codec, _)| codec == ours)),
            CodecOrder::Offerer => theirs().find(|(codec, _)| self.local.codecs.contains(codec)),
        };
        found.ok_or_else(|| {
            let numbers = remote.formats.iter().map(|format| format.payload_type);
            OfferError::NoCommonCodec(numbers.take(16).collect())
        })
    }

    /// Whether AMR-WB is held to other modes by them than by whom it is relayed to (RFC 4867 §8.3.1).
    fn clashes(&self, remote: &Remote) -> bool {
        let both = self.local.modes.zip(remote.modes);
        both.is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Everything but who may use which payload type is symmetrical between offer and answer.
    fn agree(
        &self,
        remote: &Remote,
        (codec, payload_type): (Codec, u8),
        ours: Direction,
    ) -> Agreed {
        let flow = ours.meet(remote.direction);
        let clock = codec.clock_rate_hz();
        let dtmf_clock_rate_hz = match codec {
            Codec::Opus if remote.telephone_event(clock).is_none() => EVENT_CLOCK_HZ,
            _ => clock,
        };
        let dtmf = remote
            .telephone_event(dtmf_clock_rate_hz)
            .filter(|_| self.local.dtmf);
        Agreed {
            remote_rtp: remote.rtp,
            remote_rtcp: remote.rtcp,
            rtcp_mux: remote.rtcp_mux,
            codec,
            payload_type,
            opus: remote.opus,
            modes: remote.modes.or(self.local.modes),
            dtmf_payload_type: dtmf,
            dtmf_clock_rate_hz,
            dtmf_receive_type: dtmf,
            cn: remote
                .comfort_noise(clock)
                .filter(|_| self.local.comfort_noise),
            redundant: remote
                .redundant(clock, payload_type)
                .filter(|_| self.local.redundancy),
            send: flow.sends(),
            receive: flow.receives(),
            ptime_ms: self.packet_time(remote),
            peer_holds: remote.holds(),
            keys: None,
        }
    }

    /// The packet time that they ask for, cut to whole steps of 10 ms within both limits.
    fn packet_time(&self, remote: &Remote) -> u16 {
        let own = self.local.ptime_ms.max(PTIME_STEP_MS);
        let most = self
            .local
            .maxptime_ms
            .min(remote.maxptime_ms.unwrap_or(u16::MAX));
        let wanted = remote.ptime_ms.unwrap_or(own).min(most);
        (wanted / PTIME_STEP_MS * PTIME_STEP_MS).max(PTIME_STEP_MS)
    }

    fn read_answer(&self, answer: &[u8]) -> Result<Agreed, OfferError> {
        let theirs = SessionDescription::parse(answer)?;
        let Some(index) = self.audio_slot() else {
            return Err(OfferError::NoOffer);
        };
        if theirs.media.len() != self.slots.len() {
            return Err(OfferError::Mismatch("another number of m= lines"));
        }
        let Some(media) = theirs
            .media
            .get(index)
            .filter(|media| media.kind == "audio")
        else {
            return Err(OfferError::Mismatch("audio is not in its place"));
        };
        if media.port == 0 {
            return Err(OfferError::Rejected);
        }
        let remote = Remote::read(&theirs, media)?;
        self.check_family(&remote)?;
        let offered = self.our_stream();
        if remote.rtcp_mux && !offered.rtcp_mux {
            return Err(OfferError::Mismatch("rtcp-mux was not offered"));
        }
        let in_offer = |format: &&Format| matches!(format.meaning, Meaning::Codec(codec) if self.local.codecs.contains(&codec));
        let Some(first) = remote.formats.iter().find(in_offer) else {
            return Err(self
                .pick_codec(&remote)
                .err()
                .unwrap_or(OfferError::Rejected));
        };
        let Meaning::Codec(codec) = first.meaning else {
            return Err(OfferError::Rejected);
        };
        if codec == Codec::AmrWb && self.clashes(&remote) {
            return Err(OfferError::Mismatch("another mode-set than was offered"));
        }
        let keys = self.answered_keys(&remote)?;
        let mut agreed = self.agree(&remote, (codec, first.payload_type), offered.direction);
        agreed.keys = keys;
        agreed.peer_holds = remote.holds() && offered.direction.sends();
        let clock = agreed.dtmf_clock_rate_hz;
        let ours = offered.formats.iter().find_map(|format| {
            (format.meaning
                == Meaning::TelephoneEvent {
                    clock_rate_hz: clock,
                })
            .then_some(format.payload_type)
        });
        agreed.dtmf_receive_type = agreed.dtmf_payload_type.and(ours);
        Ok(agreed)
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
        let audio = Slot::Audio {
            protocol: self.offered_protocol().to_owned(),
        };
        let free = |slot: &&mut Slot| matches!(slot, Slot::Dead { kind, .. } if kind == "audio");
        match self.slots.iter_mut().find(free) {
            Some(slot) => *slot = audio,
            None => self.slots.push(audio),
        }
    }

    /// The telephone-event number of our offers on one clock: the one in use, so that a re-offer moves
    /// nothing, else the usual one unless a codec has it.
    fn our_dtmf_type(&self, clock_rate_hz: u32, formats: &[Format]) -> u8 {
        let usual = match clock_rate_hz {
            48_000 => DTMF_TYPE_48K,
            16_000 => DTMF_TYPE_16K,
            _ => DTMF_TYPE,
        };
        let in_use = self
            .agreed
            .as_ref()
            .filter(|agreed| agreed.dtmf_clock_rate_hz == clock_rate_hz)
            .and_then(|agreed| agreed.dtmf_receive_type);
        let cn = self.agreed.as_ref().and_then(|agreed| agreed.cn);
        let free = |&number: &u8| {
            Some(number) != cn && !formats.iter().any(|format| format.payload_type == number)
        };
        let unused = || [usual, 100, 102, 103, 104].into_iter().find(free);
        in_use.or_else(unused).unwrap_or(usual)
    }

    /// Of each clock the codec that stands first may be repeated. The number in use stays.
    fn offer_redundancy(&self, formats: &mut Vec<Format>) {
        let agreed = self.agreed.as_ref();
        for (clock_rate_hz, usual) in REDUNDANT_TYPES {
            let of = formats.iter().find_map(|format| match format.meaning {
                Meaning::Codec(codec) if codec.clock_rate_hz() == clock_rate_hz => {
                    Some(format.payload_type)
                }
                _ => None,
            });
            let in_use = agreed
                .filter(|it| Some(it.payload_type) == of)
                .and_then(|it| it.redundant);
            let payload_type = in_use.unwrap_or(usual);
            let free = !formats.iter().any(|it| it.payload_type == payload_type);
            if let Some(of) = of.filter(|_| free) {
                formats.push(Format {
                    payload_type,
                    meaning: Meaning::Redundant { clock_rate_hz, of },
                });
            }
        }
    }

    /// What our offer says: all our codecs, the agreed one first and by its number (RFC 3264 §8.3.2).
    fn our_stream(&self) -> Stream {
        let agreed = self.agreed.as_ref();
        let mut formats = Vec::new();
        if let Some(agreed) = agreed.filter(|agreed| self.local.codecs.contains(&agreed.codec)) {
            formats.push(Format {
                payload_type: agreed.payload_type,
                meaning: Meaning::Codec(agreed.codec),
            });
        }
        for &codec in &self.local.codecs {
            let (payload_type, meaning) = (codec.payload_type(), Meaning::Codec(codec));
            let taken =
                |known: &Format| known.meaning == meaning || known.payload_type == payload_type;
            if !formats.iter().any(taken) {
                formats.push(Format {
                    payload_type,
                    meaning,
                });
            }
        }
        let mut clocks: Vec<u32> = Vec::new();
        for codec in &self.local.codecs {
            if !clocks.contains(&codec.clock_rate_hz()) {
                clocks.push(codec.clock_rate_hz());
            }
        }
        // Of other clocks there is no comfort noise: their codecs have their own.
        if self.local.comfort_noise && clocks.contains(&CN_CLOCK_HZ) {
            formats.push(Format {
                payload_type: agreed.and_then(|agreed| agreed.cn).unwrap_or(CN_TYPE),
                meaning: Meaning::ComfortNoise {
                    clock_rate_hz: CN_CLOCK_HZ,
                },
            });
        }
        // Many a telephone has its events on the usual clock alone, whatever the codec's.
        if self.local.codecs.contains(&Codec::Opus) && !clocks.contains(&EVENT_CLOCK_HZ) {
            clocks.push(EVENT_CLOCK_HZ);
        }
        for &clock_rate_hz in clocks.iter().filter(|_| self.local.dtmf) {
            formats.push(Format {
                payload_type: self.our_dtmf_type(clock_rate_hz, &formats),
                meaning: Meaning::TelephoneEvent { clock_rate_hz },
            });
        }
        if self.local.redundancy {
            self.offer_redundancy(&mut formats);
        }
        Stream {
            formats,
            direction: self.local.direction,
            rtcp_mux: self.local.rtcp_mux || agreed.is_some_and(|agreed| agreed.rtcp_mux),
            keys: self.our_keys(),
            modes: self.local.modes,
        }
    }
}

/// Our usual numbers for telephone-events; others choose their own.
const DTMF_TYPE: u8 = 101;
const DTMF_TYPE_48K: u8 = 110;
const DTMF_TYPE_16K: u8 = 113;
/// The usual clock of telephone-events.
const EVENT_CLOCK_HZ: u32 = 8_000;
/// Our usual numbers for redundant packets, by clock: of Opus the one that browsers have.
const REDUNDANT_TYPES: [(u32, u8); 3] = [(8_000, 121), (16_000, 122), (48_000, 63)];
/// Packet times are whole frames of the slowest codecs.
const PTIME_STEP_MS: u16 = 10;
/// Comfort noise at 8 kHz (RFC 3551 §6).
const CN_TYPE: u8 = 13;
const CN_CLOCK_HZ: u32 = 8_000;

/// The first stream of audio in an offer, if it can be read.
fn described(offer: &[u8]) -> Option<Remote> {
    let theirs = SessionDescription::parse(offer).ok()?;
    let mut audio = theirs
        .media
        .iter()
        .filter(|it| it.kind == "audio" && it.port != 0);
    audio.find_map(|media| Remote::read(&theirs, media).ok())
}

/// What an answer lists: the one codec, and what goes with it, by the offerer's numbers.
fn answer_formats(agreed: &Agreed) -> Vec<Format> {
    let clock_rate_hz = agreed.codec.clock_rate_hz();
    let events = Meaning::TelephoneEvent {
        clock_rate_hz: agreed.dtmf_clock_rate_hz,
    };
    let with = |payload_type, meaning| Format {
        payload_type,
        meaning,
    };
    let codec = with(agreed.payload_type, Meaning::Codec(agreed.codec));
    let cn = agreed
        .cn
        .map(|number| with(number, Meaning::ComfortNoise { clock_rate_hz }));
    let dtmf = agreed.dtmf_payload_type.map(|number| with(number, events));
    let of = agreed.payload_type;
    let redundant = agreed
        .redundant
        .map(|number| with(number, Meaning::Redundant { clock_rate_hz, of }));
    let all = [Some(codec), cn, dtmf, redundant];
    all.into_iter().flatten().collect()
}

/// Their `m=` lines as the session's, with the chosen one ours.
fn slots(theirs: &SessionDescription, chosen: Option<(usize, &str)>) -> Vec<Slot> {
    let slot = |(index, media): (usize, &Media)| match chosen {
        Some((ours, protocol)) if ours == index => Slot::Audio {
            protocol: protocol.to_owned(),
        },
        _ => Slot::dead(media),
    };
    theirs.media.iter().enumerate().map(slot).collect()
}
