//! Legs that say what was prepared, in any codec, and count what they hear by its numbers.
//!
//! An open loop ([`pace`]), without marks in the sound: what is transcoded or played carries none.

use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use crate::pace::pace;
use crate::talk::{stamped, take_stamped};

/// What a leg says, over and over: a payload each 20 ms.
pub struct Voice {
    /// The RTP payload type.
    pub payload_type: u8,
    /// What the timestamp gains in 20 ms.
    pub step: u32,
    /// At least one payload, of 1,400 bytes at most.
    pub payloads: Vec<Vec<u8>>,
}

struct Leg {
    socket: UdpSocket,
    voice: Option<Rc<Voice>>,
    frame: u32,
    /// The newest number of what it hears, and when that came.
    newest: Option<(u16, u64)>,
}

/// What a run came to, of all legs.
#[derive(Default)]
pub struct Heard {
    /// Packets sent.
    pub sent: u64,
    /// Packets that came.
    pub heard: u64,
    /// Bytes of sound in those.
    pub bytes: u64,
    /// Numbers left out among them.
    pub lost: u64,
    /// Legs that heard nothing.
    pub deaf: usize,
    /// The longest time between two packets to a leg, ns.
    pub gap_ns: u64,
    /// How late legs were served, µs.
    pub late_us: Vec<u32>,
    /// Of a processor, what the legs took.
    pub busy: f64,
}

/// All legs.
#[derive(Default)]
pub struct Streams {
    legs: Vec<Leg>,
}

impl Streams {
    /// Adds a leg that is bound already, with where it sends; one without a voice only listens.
    pub fn join(&mut self, socket: UdpSocket, to: SocketAddr, voice: Option<&Rc<Voice>>) {
        socket.connect(to).unwrap();
        socket.set_nonblocking(true).unwrap();
        stamped(&socket);
        self.legs.push(Leg {
            socket,
            voice: voice.cloned(),
            frame: 0,
            newest: None,
        });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.legs.len()
    }

    /// Speaks and listens for so long.
    pub fn run(&mut self, lasts: Duration) -> Heard {
        let mut heard = Heard::default();
        for leg in &mut self.legs {
            leg.newest = None;
        }
        let legs = self.legs.len();
        let kept = pace(legs, lasts, |turn, _| {
            let leg = &mut self.legs[(turn % legs as u64) as usize];
            leg.hear(&mut heard);
            heard.sent += u64::from(leg.say());
        });
        (heard.late_us, heard.busy) = (kept.late_us, kept.busy);
        heard.deaf = self.legs.iter().filter(|it| it.newest.is_none()).count();
        heard
    }
}

impl Leg {
    /// Sends the next packet, if it speaks at all.
    fn say(&mut self) -> bool {
        let Some(voice) = &self.voice else {
            return false;
        };
        self.frame += 1;
        let payload = &voice.payloads[self.frame as usize % voice.payloads.len()];
        let mut packet = [0; 1_500];
        packet[0] = 0x80;
        packet[1] = voice.payload_type;
        packet[2..4].copy_from_slice(&(self.frame as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&self.frame.wrapping_mul(voice.step).to_be_bytes());
        packet[8..12].copy_from_slice(b"lega");
        packet[12..12 + payload.len()].copy_from_slice(payload);
        let _ = self.socket.send(&packet[..12 + payload.len()]);
        true
    }

    fn hear(&mut self, heard: &mut Heard) {
        let mut bytes = [0; 1_500];
        while let Some((length, came)) = take_stamped(&self.socket, &mut bytes) {
            // RTCP has these types (RFC 5761 §4).
            if length <= 12 || (192..=223).contains(&bytes[1]) {
                continue;
            }
            heard.heard += 1;
            heard.bytes += length as u64 - 12;
            let number = u16::from_be_bytes([bytes[2], bytes[3]]);
            if let Some((newest, before)) = self.newest {
                heard.lost += u64::from(number.wrapping_sub(newest).wrapping_sub(1).min(1_000));
                heard.gap_ns = heard.gap_ns.max(came.saturating_sub(before));
            }
            self.newest = Some((number, came));
        }
    }
}
