//! Members of conferences: each sends 20 ms of PCMU at its planned moment and listens to its room.
//!
//! An open loop ([`pace`]). Who speaks hums, and once in a while
//! says a loud packet: the moment at which its first loud sample reaches another member's ear, less the
//! moment at which it left, is what the way from mouth to ear takes beyond the packet's own 20 ms. Who
//! does not speak sends the faint hiss of a line. A listener who is told at most so often what comes
//! loses nothing: packets are stamped by the system.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::pace::pace;
use crate::talk::{stamped, take_stamped};

/// One member, ours and the server's end.
struct Member {
    socket: UdpSocket,
    packet: [u8; PACKET],
    frame: u32,
    room: usize,
    speaks: bool,
    /// The newest number of what it hears, and when that came.
    newest: Option<(u16, u64)>,
    /// When it last heard something loud.
    loud_at: u64,
}

/// What a run came to, of all members.
#[derive(Default)]
pub struct Sung {
    /// Packets sent.
    pub sent: u64,
    /// Packets that came.
    pub heard: u64,
    /// Numbers left out among them.
    pub lost: u64,
    /// The longest time between two packets to a member, ns.
    pub gap_ns: u64,
    /// From mouth to ear beyond packetisation, µs.
    pub took_us: Vec<u32>,
    /// Loud packets said, times those who should have heard them.
    pub said: u64,
    /// How late packets were sent, µs.
    pub late_us: Vec<u32>,
    /// Of a processor, what the members took.
    pub busy: f64,
}

/// All members of all rooms.
#[derive(Default)]
pub struct Chorus {
    members: Vec<Member>,
    /// Of each room: its speakers, whose turn it is, and when the last loud packet left.
    rooms: Vec<Room>,
}

#[derive(Default)]
struct Room {
    members: usize,
    speakers: Vec<usize>,
    said_at: u64,
    said_by: usize,
}

impl Chorus {
    /// How many there are.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A member joins a room; speakers of a room speak in turn.
    pub fn join(&mut self, room: usize, speaks: bool, socket: UdpSocket, to: SocketAddr) {
        socket.connect(to).unwrap();
        socket.set_nonblocking(true).unwrap();
        stamped(&socket);
        let number = self.members.len();
        if self.rooms.len() <= room {
            self.rooms.resize_with(room + 1, Room::default);
        }
        self.rooms[room].members += 1;
        if speaks {
            self.rooms[room].speakers.push(number);
        }
        let mut packet = [0; PACKET];
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&(number as u32).wrapping_mul(0x9E37_79B9).to_be_bytes());
        self.members.push(Member {
            socket,
            packet,
            frame: 0,
            room,
            speaks,
            newest: None,
            loud_at: 0,
        });
    }

    /// Everybody speaks or listens for so long; what counts is what comes after `warm`, when `begins` is
    /// called. The streams go on from one to the other: a pause would be a jump of every packet's transit.
    pub fn run(&mut self, warm: Duration, lasts: Duration, begins: impl FnOnce()) -> Sung {
        let members = self.members.len();
        let first = warm.as_millis() as u64 / 20 * members as u64;
        let (order, mut begins) = (shuffled(members), Some(begins));
        let mut sung = Sung::default();
        let kept = pace(members, warm + lasts, |turn, now| {
            if let Some(begins) = begins.take_if(|_| turn >= first) {
                begins();
                sung = Sung::default();
                for member in &mut self.members {
                    (member.newest, member.loud_at) = (None, 0);
                }
            }
            let at = order[turn as usize % members];
            self.hear(at, &mut sung);
            self.say(at, now, &mut sung);
        });
        std::thread::sleep(LAST);
        for at in 0..members {
            self.hear(at, &mut sung);
        }
        (sung.late_us, sung.busy) = (kept.late_us, kept.busy);
        sung
    }

    fn say(&mut self, at: usize, now: u64, sung: &mut Sung) {
        let member = &mut self.members[at];
        let room = &mut self.rooms[member.room];
        member.frame += 1;
        let turn = room
            .speakers
            .get(member.frame as usize / TURN % room.speakers.len().max(1));
        let loud = turn == Some(&at) && (member.frame as usize).is_multiple_of(TURN);
        let codes: [u8; 2] = match (loud, member.speaks) {
            (true, _) => LOUD,
            (_, true) => HUM,
            (_, false) => HISS,
        };
        let (header, payload) = member.packet.split_at_mut(12);
        header[2..4].copy_from_slice(&(member.frame as u16).to_be_bytes());
        header[4..8].copy_from_slice(&(member.frame * 160).to_be_bytes());
        // 500 Hz: eight samples of each sign.
        for (n, sample) in payload.iter_mut().enumerate() {
            *sample = codes[n / 8 % 2];
        }
        if loud {
            (room.said_at, room.said_by) = (now, at);
            sung.said += room.members as u64 - 1;
        }
        let _ = member.socket.send(&member.packet);
        sung.sent += 1;
    }

    fn hear(&mut self, at: usize, sung: &mut Sung) {
        let member = &mut self.members[at];
        let room = &self.rooms[member.room];
        let mut bytes = [0; 1_500];
        while let Some((len, came)) = take_stamped(&member.socket, &mut bytes) {
            let Some(packet) = bytes.get(..len).filter(|it| len > 12 && it[1] & 0x7F == 0) else {
                continue;
            };
            sung.heard += 1;
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            if let Some((newest, before)) = member.newest {
                sung.lost += u64::from(number.wrapping_sub(newest).wrapping_sub(1).min(1_000));
                sung.gap_ns = sung.gap_ns.max(came.saturating_sub(before));
            }
            member.newest = Some((number, came));
            let Some(first) = packet[12..]
                .iter()
                .position(|code| code & 0x7F < LOUD_BELOW)
            else {
                continue;
            };
            let ear = came + first as u64 * 125_000;
            let fresh = ear > member.loud_at + REST_NS;
            member.loud_at = ear;
            if fresh && room.said_by != at && ear > room.said_at {
                let took = (ear - room.said_at) / 1_000;
                sung.took_us.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
    }
}

/// Whose turn to send it is: members of a room send at moments that have nothing to do with each other.
fn shuffled(members: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for left in (1..members).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(left, (state % (left as u64 + 1)) as usize);
    }
    order
}

/// A header and 20 ms of PCMU.
const PACKET: usize = 172;
/// A packet's frames from one loud packet of a room to the next: half a second.
const TURN: usize = 25;
/// PCMU of ±31,100, ±1,500 and ±8.
const LOUD: [u8; 2] = [0x80, 0x00];
const HUM: [u8; 2] = [0xB0, 0x30];
const HISS: [u8; 2] = [0xFE, 0x7E];
/// Codes of more than ±20,000, which no hum of three reaches.
const LOUD_BELOW: u8 = 0x0B;
/// Between two loud packets of a room it is quiet for longer.
const REST_NS: u64 = 200_000_000;
const LAST: Duration = Duration::from_millis(100);
