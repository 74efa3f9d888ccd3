//! The journal: every call's story, tied together from messages, events, notes and packets; bounded.
//!
//! ```text
//!   message ─ masked ─ by SIP Call-ID ─▶ loose story ──Leg──▶ the call's story ──HungUp──▶ finished
//!                                            │ keep, too many        ▲                        │ keep, no room
//!                                            ▼                 events, notes, packets         ▼
//!                                         forgotten                                       forgotten
//! ```
//!
//! The law: pure, and bounded by [`TraceConfig`]. When there is no room, loose stories are forgotten
//! first, then the calls that ended first; a live call is never forgotten, but what comes when live
//! calls alone fill the room is left out and counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use media::capture::RawPacket;
use media::worker::Lane;
use sip::transport::{Flow, ListenerId};

use super::config::TraceConfig;
use super::redact;
use super::story::{Packet, Party, SipMessage, Story, Told};
use super::summary::{self, clip};
use super::words;
use crate::call::{CallId, LegId};
use crate::control::{Event, Note, Noted, PortFacts, What};

/// What the journal holds and has left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Stories kept.
    pub stories: usize,
    /// Bytes of messages and notes.
    pub bytes: usize,
    /// Bytes of packets.
    pub packet_bytes: usize,
    /// Entries that found no room.
    pub left_out: u64,
    /// Messages without a SIP Call-ID.
    pub nameless: u64,
    /// Stories forgotten before their time.
    pub forgotten: u64,
}

/// Every call's story.
#[derive(Debug)]
pub struct Journal {
    config: TraceConfig,
    /// Our end of each listener.
    listeners: HashMap<ListenerId, SocketAddr>,
    stories: BTreeMap<u64, Story>,
    next: u64,
    by_call: HashMap<CallId, u64>,
    by_sip: HashMap<Arc<str>, u64>,
    /// Stories that are no call's, the oldest first; some may have become a call's since.
    loose: VecDeque<u64>,
    /// Calls that ended, the first first.
    finished: VecDeque<u64>,
    /// When calls whose end nobody told were last looked for.
    swept: Now,
    counts: Counts,
}

impl Journal {
    /// An empty one. `listeners` are our addresses, as peers see them.
    pub fn new(config: TraceConfig, listeners: HashMap<ListenerId, SocketAddr>) -> Self {
        Self {
            config,
            listeners,
            stories: BTreeMap::new(),
            next: 0,
            by_call: HashMap::new(),
            by_sip: HashMap::new(),
            loose: VecDeque::new(),
            finished: VecDeque::new(),
            swept: Now::ZERO,
            counts: Counts::default(),
        }
    }

    /// What it holds.
    pub fn counts(&self) -> Counts {
        Counts {
            stories: self.stories.len(),
            ..self.counts
        }
    }

    /// A message came or went. What is kept of it, for whoever sends it further.
    pub fn message(&mut self, at: Now, sent: bool, flow: Flow, bytes: &[u8]) -> Option<SipMessage> {
        let Some(id) = summary::sip_call_id(bytes) else {
            self.counts.nameless += 1;
            return None;
        };
        let (sip_call_id, story) = match self.by_sip.get_key_value(id) {
            Some((id, story)) => (id.clone(), *story),
            None => {
                let id: Arc<str> = id.into();
                (id.clone(), self.begin_loose(at, id))
            }
        };
        let mut masked = bytes.to_vec();
        self.config.redaction.message(&mut masked);
        if self.stories.get(&story).is_some_and(|it| it.masks_keys) {
            redact::keys_of_info(&mut masked);
        }
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let local = self.listeners.get(&flow.listener).unwrap_or(&unspecified);
        let message = SipMessage {
            at,
            sent,
            transport: flow.transport,
            connection: flow.connection,
            local: facing(*local, flow.remote),
            remote: SocketAddr::new(flow.remote.ip().to_canonical(), flow.remote.port()),
            sip_call_id,
            bytes: Bytes::from(masked),
        };
        let leg = self
            .stories
            .get(&story)
            .and_then(|it| it.leg_of(&message.sip_call_id));
        self.put(story, at, leg, Told::Message(message.clone()));
        Some(message)
    }

    /// Something happened to a call, or to a request that becomes none.
    pub fn event(&mut self, event: &Event) {
        let story = match (event.call, &event.what) {
            (Some(call), _) => self.story_of(event.at, call),
            (
                None,
                What::Refused {
                    request: Some(it), ..
                },
            ) => {
                let key = summary::clip_id(&it.sip_call_id);
                match self.by_sip.get(key) {
                    Some(story) => *story,
                    None => self.begin_loose(event.at, key.into()),
                }
            }
            _ => return,
        };
        if let Some(text) = words::event(&event.what, &self.config.redaction) {
            self.put(story, event.at, None, Told::Step(text));
        }
        if let What::HungUp { .. } = event.what {
            if let Some(story) = self.stories.get_mut(&story) {
                story.ended = Some(event.at);
            }
            self.finished.push_back(story);
        }
    }

    /// Something that was noted for a trace.
    pub fn note(&mut self, note: Note) {
        let Note {
            at,
            call,
            leg,
            what,
        } = note;
        let story = self.story_of(at, call);
        if let Noted::Leg {
            sip_call_id,
            who,
            remote,
        } = &what
        {
            let id: Arc<str> = summary::clip_id(sip_call_id).into();
            let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
            self.tie(story, leg, &id);
            if let Some(story) = self.stories.get_mut(&story) {
                story.parties.push(Party {
                    leg,
                    who: clip(who, 60),
                    remote,
                    sip_call_id: id,
                });
            }
        }
        if let Noted::Opened(facts) | Noted::Changed(facts) = &what
            && let Some(story) = self.stories.get_mut(&story)
        {
            let before = story.facts.get(&leg).and_then(|it| it.local);
            let local = facts.local.or(before);
            story.facts.insert(leg, PortFacts { local, ..*facts });
        }
        if let Noted::Masks(masks) = &what
            && let Some(story) = self.stories.get_mut(&story)
        {
            story.masks_keys = *masks;
        }
        if let Some(text) = words::note(&what, &self.config.redaction) {
            self.put(story, at, Some(leg), Told::Media(text));
        }
    }

    /// A packet of a captured port; given back if it is a report, for whoever sends it further.
    pub fn packet(&mut self, call: CallId, leg: LegId, raw: &RawPacket) -> Option<Packet> {
        let number = *self.by_call.get(&call)?;
        let story = self.stories.get_mut(&number)?;
        story.packets_left_out += u64::from(raw.lost_before);
        let facts = story.facts.get(&leg).copied();
        let mut local = facts.and_then(|it| it.local)?;
        if raw.lane == Lane::Rtcp {
            local.set_port(local.port().wrapping_add(1));
        }
        let mut bytes: Box<[u8]> = raw.bytes().into();
        let keys = facts.and_then(|it| it.dtmf_payload_type);
        if self.config.redaction.masks_digits() || story.masks_keys {
            mask_key(&mut bytes, keys);
        }
        if story.masks_keys && raw.lane == Lane::Rtp {
            bytes = without_sound(&bytes, keys);
        }
        let packet = Packet {
            at: raw.at,
            leg,
            sent: raw.sent,
            rtcp: raw.lane == Lane::Rtcp,
            local: facing(local, raw.remote),
            remote: SocketAddr::new(raw.remote.ip().to_canonical(), raw.remote.port()),
            len: raw.len,
            bytes,
        };
        let report = packet.rtcp.then(|| packet.clone());
        self.counts.packet_bytes += packet.cost();
        let freed = story.keep_packet(packet, self.config.rtp.bytes_per_call);
        self.counts.packet_bytes = self.counts.packet_bytes.saturating_sub(freed);
        self.make_room_for_packets(number);
        report
    }

    /// Forgets what has been kept long enough.
    pub fn expire(&mut self, now: Now) {
        let keep = self.config.keep;
        if now.since(self.swept) > SWEEP_EVERY {
            self.sweep(now);
        }
        while let Some(&first) = self.finished.front() {
            let ended = self.stories.get(&first).and_then(|story| story.ended);
            if ended.is_some_and(|at| at + keep > now) {
                break;
            }
            self.finished.pop_front();
            self.forget(first);
        }
        while let Some(&first) = self.loose.front() {
            let story = self.stories.get(&first);
            if story.is_some_and(|it| it.call.is_none() && it.begun + keep > now) {
                break;
            }
            self.loose.pop_front();
            self.forget_loose(first);
        }
        self.give_back();
    }

    /// The room of tables that were far fuller once.
    fn give_back(&mut self) {
        let enough = KEPT.max(2 * self.stories.len());
        if self.by_sip.capacity() / 4 > enough {
            self.by_sip.shrink_to(enough);
        }
        if self.by_call.capacity() / 4 > enough {
            self.by_call.shrink_to(enough);
        }
    }

    /// Calls of which nothing was told for hours are over: their end was told to a full queue.
    fn sweep(&mut self, now: Now) {
        self.swept = now;
        for (number, story) in &mut self.stories {
            let told = story.entries.back().map_or(story.begun, |entry| entry.at);
            if story.call.is_some() && story.ended.is_none() && told + SILENT_MAX <= now {
                story.ended = Some(now);
                self.finished.push_back(*number);
            }
        }
    }

    /// A story by our call id, by a SIP Call-ID, or the `last` that began.
    pub fn find(&self, name: &str) -> Option<&Story> {
        let number = if name == "last" {
            let mut newest = self.stories.iter().rev();
            let told = |story: &Story| story.call.is_some() || is_refused_call(story);
            newest.find(|(_, story)| told(story)).map(|(it, _)| *it)
        } else if let Ok(call) = name.parse::<CallId>() {
            self.by_call.get(&call).copied()
        } else {
            self.by_sip.get(summary::clip_id(name)).copied()
        };
        self.stories.get(&number?)
    }

    /// What a SIP Call-ID's messages are known by outside: the call's id, else the SIP Call-ID.
    pub fn correlation(&self, sip_call_id: &str) -> String {
        let story = self.by_sip.get(sip_call_id);
        let call = story
            .and_then(|it| self.stories.get(it))
            .and_then(|it| it.call);
        call.map_or_else(|| sip_call_id.to_owned(), |call| call.to_string())
    }

    #[cfg(test)]
    pub(super) fn by_sip_len(&self) -> usize {
        self.by_sip.len()
    }

    /// Places that its tables have.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.by_sip.capacity() + self.by_call.capacity()
    }

    fn story_of(&mut self, at: Now, call: CallId) -> u64 {
        if let Some(&story) = self.by_call.get(&call) {
            return story;
        }
        let number = self.begin(at, Some(call));
        self.by_call.insert(call, number);
        number
    }

    fn begin(&mut self, at: Now, call: Option<CallId>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.stories.insert(number, Story::new(at, call));
        number
    }

    fn begin_loose(&mut self, at: Now, sip_call_id: Arc<str>) -> u64 {
        while self.loose.len() >= LOOSE_MAX {
            let Some(oldest) = self.loose.pop_front() else {
                break;
            };
            self.counts.forgotten += u64::from(self.forget_loose(oldest));
        }
        let number = self.begin(at, None);
        if let Some(story) = self.stories.get_mut(&number) {
            story.sip_call_ids.push(sip_call_id.clone());
        }
        self.by_sip.insert(sip_call_id, number);
        self.loose.push_back(number);
        number
    }

    /// The messages of that SIP Call-ID are the story's, those that came before too.
    fn tie(&mut self, number: u64, leg: LegId, id: &Arc<str>) {
        let before = self.by_sip.insert(id.clone(), number);
        let loose = before.filter(|before| {
            let story = self.stories.get(before);
            story.is_some_and(|story| story.call.is_none())
        });
        let loose = loose.and_then(|loose| self.stories.remove(&loose));
        if let Some(story) = self.stories.get_mut(&number) {
            if !story.sip_call_ids.contains(id) {
                story.sip_call_ids.push(id.clone());
            }
            if let Some(loose) = loose {
                let before = story.bytes + loose.bytes;
                story.absorb(loose, leg, &self.config);
                self.counts.bytes = (self.counts.bytes + story.bytes).saturating_sub(before);
            }
        }
    }

    fn put(&mut self, number: u64, at: Now, leg: Option<LegId>, what: Told) {
        if !self.make_room(number) {
            self.counts.left_out += 1;
            if let Some(story) = self.stories.get_mut(&number) {
                story.left_out += 1;
            }
            return;
        }
        if let Some(story) = self.stories.get_mut(&number) {
            let before = story.bytes;
            story.put(at, leg, what, &self.config);
            self.counts.bytes = (self.counts.bytes + story.bytes).saturating_sub(before);
        }
    }

    /// Whether there is room for one entry more, after others than that story were forgotten.
    fn make_room(&mut self, number: u64) -> bool {
        while self.counts.bytes > self.config.bytes {
            let loose = self.loose.front().is_some_and(|first| *first != number);
            let queue = if loose {
                &mut self.loose
            } else {
                &mut self.finished
            };
            let Some(oldest) = queue.pop_front().filter(|it| *it != number) else {
                return false;
            };
            let gone = if loose {
                self.forget_loose(oldest)
            } else {
                self.forget(oldest)
            };
            self.counts.forgotten += u64::from(gone);
        }
        true
    }

    /// Packets of the calls that ended first go first; then the oldest of the call itself.
    fn make_room_for_packets(&mut self, number: u64) {
        let mut finished = self.finished.iter().filter(|it| **it != number);
        while self.counts.packet_bytes > self.config.rtp.bytes {
            let victim = finished.next().copied();
            let own = victim.is_none();
            let Some(story) = self.stories.get_mut(&victim.unwrap_or(number)) else {
                continue;
            };
            let bytes = if own { story.packet_bytes / 2 } else { 0 };
            let before = story.packet_bytes;
            while story.packet_bytes > bytes {
                let Some(oldest) = story.packets.pop_front() else {
                    break;
                };
                story.packet_bytes = story.packet_bytes.saturating_sub(oldest.cost());
                story.packets_left_out += 1;
            }
            let freed = before - story.packet_bytes;
            self.counts.packet_bytes = self.counts.packet_bytes.saturating_sub(freed);
            if own {
                return;
            }
        }
    }

    /// Whether it was still loose.
    fn forget_loose(&mut self, number: u64) -> bool {
        let loose = self.stories.get(&number);
        loose.is_some_and(|story| story.call.is_none()) && self.forget(number)
    }

    fn forget(&mut self, number: u64) -> bool {
        let Some(story) = self.stories.remove(&number) else {
            return false;
        };
        for id in &story.sip_call_ids {
            if self.by_sip.get(id) == Some(&number) {
                self.by_sip.remove(id);
            }
        }
        if let Some(call) = story.call {
            self.by_call.remove(&call);
        }
        self.counts.bytes = self.counts.bytes.saturating_sub(story.bytes);
        self.counts.packet_bytes = self.counts.packet_bytes.saturating_sub(story.packet_bytes);
        true
    }
}

/// Whether somebody who wanted to call was turned away.
fn is_refused_call(story: &Story) -> bool {
    story.entries.iter().any(|entry| match &entry.what {
        Told::Message(message) => message.bytes.starts_with(b"INVITE "),
        _ => false,
    })
}

/// Our end, where it is known only as "every address": on the same machine it is the peer's.
fn facing(local: SocketAddr, remote: SocketAddr) -> SocketAddr {
    if local.ip().is_unspecified() && remote.ip().is_loopback() {
        return SocketAddr::new(remote.ip(), local.port());
    }
    local
}

/// An unassigned event (RFC 4733 §7) in place of the key.
fn mask_key(packet: &mut [u8], payload_type: Option<u8>) {
    let is_key = packet.get(1).map(|byte| byte & 0x7F) == payload_type && payload_type.is_some();
    let contributors = packet.first().map_or(0, |byte| usize::from(byte & 15));
    if is_key && let Some(event) = packet.get_mut(12 + 4 * contributors) {
        *event = 255;
    }
}

/// The packet with its header alone, unless it is one of a key: there may be tones in the sound.
fn without_sound(packet: &[u8], keys: Option<u8>) -> Box<[u8]> {
    let payload_type = packet.get(1).map(|byte| byte & 0x7F);
    let is_key = payload_type == keys && keys.is_some();
    let kept = if is_key { packet.len() } else { 12 };
    packet.get(..kept).unwrap_or(packet).into()
}

/// Between two looks for calls whose end nobody told.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Longer than any session timer (RFC 4028) lets a call be silent; the few whose peers refresh nothing
/// and talk on lose their trace.
const SILENT_MAX: Duration = Duration::from_secs(6 * 3_600);

/// Places that empty tables keep.
const KEPT: usize = 256;

/// Stories that are no call's: registrations, keep-alives, refused requests, junk.
const LOOSE_MAX: usize = 4_096;
