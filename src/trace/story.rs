//! One call as a trace knows it: its messages, steps, media and packets, bounded.
//!
//! A story that outgrows its bounds keeps its beginning and its latest: how a call was set up and how
//! it went wrong, not the hour between.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use clock::Now;
use sip::transport::{ConnectionId, Transport};

use super::config::TraceConfig;
use crate::call::{CallId, Few, LegId};
use crate::control::PortFacts;

/// One call, or a request that became none.
#[derive(Clone, Debug)]
pub struct Story {
    /// Our name for it; `None` for a request that became no call.
    pub call: Option<CallId>,
    /// When its first entry was.
    pub begun: Now,
    /// When the call ended.
    pub ended: Option<Now>,
    /// Who takes part, as their legs were made.
    pub parties: Vec<Party>,
    /// What happened, in order of time.
    pub entries: VecDeque<Entry>,
    /// Entries that the bounds left out, between the first half and the latest.
    pub left_out: u64,
    /// Packets of sound, in order of time.
    pub packets: VecDeque<Packet>,
    /// Packets that bounds left out or a full ring dropped.
    pub packets_left_out: u64,
    /// Packets of which this copy has none.
    packets_before: usize,
    /// Its SIP Call-IDs.
    pub(super) sip_call_ids: Vec<Arc<str>>,
    /// What each leg's port was agreed to do.
    pub(super) facts: Few<LegId, PortFacts>,
    /// Whether its keys are told to nobody just now.
    pub(super) masks_keys: bool,
    pub(super) number: u32,
    pub(super) bytes: usize,
    pub(super) packet_bytes: usize,
}

/// Somebody who takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The leg.
    pub leg: LegId,
    /// Endpoint, trunk or address.
    pub who: String,
    /// Where messages come from and go.
    pub remote: SocketAddr,
    /// The leg's SIP Call-ID.
    pub sip_call_id: Arc<str>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Now,
    /// Its number within the story, in the order in which it was told; later ones are greater.
    pub number: u32,
    /// Whose leg, if one's.
    pub leg: Option<LegId>,
    /// What.
    pub what: Told,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Told {
    /// A SIP message went over the wire.
    Message(SipMessage),
    /// The dialplan, the queue or the call went on.
    Step(String),
    /// Something of the sound.
    Media(String),
}

/// A SIP message, secrets masked.
#[derive(Clone, Debug, PartialEq)]
pub struct SipMessage {
    /// When.
    pub at: Now,
    /// Whether we sent it.
    pub sent: bool,
    /// How it travelled.
    pub transport: Transport,
    /// The connection, where there is one.
    pub connection: Option<ConnectionId>,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Which call's.
    pub sip_call_id: Arc<str>,
    /// The message, of its wire length.
    pub bytes: Bytes,
}

/// A packet of sound or its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When.
    pub at: Now,
    /// Of which leg.
    pub leg: LegId,
    /// Whether we sent it.
    pub sent: bool,
    /// Whether it came or went by RTCP's port.
    pub rtcp: bool,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Its length on the wire.
    pub len: u16,
    /// What was kept of it.
    pub bytes: Box<[u8]>,
}

impl Story {
    pub(super) fn new(begun: Now, call: Option<CallId>) -> Self {
        Self {
            call,
            begun,
            ended: None,
            parties: Vec::new(),
            entries: VecDeque::new(),
            left_out: 0,
            packets: VecDeque::new(),
            packets_left_out: 0,
            packets_before: 0,
            sip_call_ids: Vec::new(),
            facts: Few::new(),
            masks_keys: false,
            number: 0,
            bytes: 0,
            packet_bytes: 0,
        }
    }

    /// Its SIP Call-IDs, the caller's first.
    pub fn sip_call_ids(&self) -> impl Iterator<Item = &str> {
        self.sip_call_ids.iter().map(|id| &**id)
    }

    /// A copy that leaves the packets out, but for their count.
    #[must_use]
    pub fn without_packets(&self) -> Self {
        Self {
            call: self.call,
            begun: self.begun,
            ended: self.ended,
            parties: self.parties.clone(),
            entries: self.entries.clone(),
            left_out: self.left_out,
            packets: VecDeque::new(),
            packets_left_out: self.packets_left_out,
            packets_before: self.packet_count(),
            sip_call_ids: self.sip_call_ids.clone(),
            facts: Few::new(),
            masks_keys: self.masks_keys,
            number: self.number,
            bytes: self.bytes,
            packet_bytes: 0,
        }
    }

    /// Packets kept, also of a copy that left them out.
    pub fn packet_count(&self) -> usize {
        self.packets.len() + self.packets_before
    }

    /// How it is called in a capture or by a Homer: the call's id, else the SIP Call-ID.
    pub fn name(&self) -> String {
        let sip = || {
            self.sip_call_ids
                .first()
                .map(|id| id.to_string())
                .unwrap_or_default()
        };
        self.call.map_or_else(sip, |call| call.to_string())
    }

    /// Puts an entry where its time belongs. Told things come late at times: a second at most, and the
    /// messages of a leg that was tied to its call late.
    pub(super) fn put(&mut self, at: Now, leg: Option<LegId>, what: Told, bounds: &TraceConfig) {
        self.place(at, leg, what, |earlier| earlier <= at, bounds);
    }

    /// Puts an entry behind the last that `is_before` says it of.
    fn place(
        &mut self,
        at: Now,
        leg: Option<LegId>,
        what: Told,
        is_before: impl Fn(Now) -> bool,
        bounds: &TraceConfig,
    ) {
        self.bytes += cost(&what);
        let place = self
            .entries
            .iter()
            .rposition(|earlier| is_before(earlier.at))
            .map_or(0, |place| place + 1);
        let number = self.number;
        self.number = self.number.wrapping_add(1);
        self.begun = self.begun.min(at);
        let entry = Entry {
            at,
            number,
            leg,
            what,
        };
        self.entries.insert(place, entry);
        while self.entries.len() > bounds.entries_per_call
            || (self.bytes > bounds.bytes_per_call && self.entries.len() > ENTRIES_MIN)
        {
            let Some(left) = self.entries.remove(self.entries.len() / 2) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(cost(&left.what));
            self.left_out += 1;
        }
    }

    /// Takes over what was told of a SIP Call-ID before it was known to be this call's.
    pub(super) fn absorb(&mut self, loose: Self, leg: LegId, bounds: &TraceConfig) {
        // The message that began the call stands before what it led to at the same moment.
        for entry in loose.entries.into_iter().rev() {
            let at = entry.at;
            self.place(at, Some(leg), entry.what, |earlier| earlier < at, bounds);
        }
        self.left_out += loose.left_out;
    }

    /// The leg of a SIP Call-ID.
    pub(super) fn leg_of(&self, sip_call_id: &str) -> Option<LegId> {
        let party = self
            .parties
            .iter()
            .find(|it| &*it.sip_call_id == sip_call_id);
        party.map(|party| party.leg)
    }

    /// Keeps a packet; the oldest go when they are too many. The bytes that this freed.
    pub(super) fn keep_packet(&mut self, packet: Packet, bytes_max: usize) -> usize {
        self.packet_bytes += packet.cost();
        let place = self
            .packets
            .iter()
            .rposition(|earlier| earlier.at <= packet.at)
            .map_or(0, |place| place + 1);
        self.packets.insert(place, packet);
        let mut freed = 0;
        while self.packet_bytes > bytes_max {
            let Some(oldest) = self.packets.pop_front() else {
                break;
            };
            self.packet_bytes = self.packet_bytes.saturating_sub(oldest.cost());
            freed += oldest.cost();
            self.packets_left_out += 1;
        }
        freed
    }
}

impl Packet {
    /// Bytes of memory, about.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + 16
    }
}

/// Bytes of memory, about.
fn cost(what: &Told) -> usize {
    let inner = match what {
        Told::Message(message) => message.bytes.len(),
        Told::Step(text) | Told::Media(text) => text.len(),
    };
    size_of::<Entry>() + inner + 32
}

/// Entries that stay however long they are: a message has 64 kB at most.
const ENTRIES_MIN: usize = 4;
