//! The talkers: all legs of all calls, each with a packet every 20 ms at its planned moment, and what
//! each hears of the other.
//!
//! A packet carries whose it is, its number and when it left; the system stamps it when it arrives, so
//! that a listener who sleeps meanwhile ([`pace`](crate::pace)) hides nothing.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use crate::pace::{SAMPLES_MAX, nanos_now, pace};

/// One end of a call: ours, and the server's that it talks to.
pub struct Leg {
    socket: UdpSocket,
    /// The RTP header's changing part and the payload, prebuilt.
    packet: [u8; PACKET],
    frame: u32,
    /// The newest number heard of the other leg, and when it came.
    newest: Option<(u32, u64)>,
}

/// What was heard in a run, of all legs.
#[derive(Default)]
pub struct Heard {
    /// Packets sent.
    pub sent: u64,
    /// Packets heard of the other leg, each once and in order.
    pub heard: u64,
    /// Numbers that did not come, or came twice or late.
    pub lost: i64,
    /// Packets that begin as a stranger's do: [`STRANGE`].
    pub injected: u64,
    /// Packets that are neither the other leg's nor a stranger's: the server's own.
    pub foreign: u64,
    /// The longest time between two packets of a leg, ns.
    pub gap_ns: u64,
    /// From a packet's leaving to its arrival, ns.
    pub took_ns: Vec<u32>,
    /// How late packets were sent, µs.
    pub late_us: Vec<u32>,
    /// Of a processor, what the talkers took.
    pub busy: f64,
}

/// All legs: those of call n are 2n and 2n + 1.
#[derive(Default)]
pub struct Talk {
    legs: Vec<Leg>,
}

impl Talk {
    /// Calls that talk.
    pub fn calls(&self) -> usize {
        self.legs.len() / 2
    }

    /// Adds a call's two ends, bound already, each with where it sends.
    pub fn join(&mut self, ends: [(UdpSocket, SocketAddr); 2]) {
        for (socket, to) in ends {
            socket.connect(to).unwrap();
            socket.set_nonblocking(true).unwrap();
            stamped(&socket);
            let number = self.legs.len() as u32;
            self.legs.push(Leg {
                socket,
                packet: packet(number),
                frame: 0,
                newest: None,
            });
        }
    }

    /// Lets all go, to begin anew.
    pub fn clear(&mut self) {
        self.legs.clear();
    }

    /// Talks for so long.
    pub fn run(&mut self, lasts: Duration) -> Heard {
        let legs = self.legs.len();
        let mut heard = Heard::default();
        for leg in &mut self.legs {
            leg.newest = None;
        }
        let kept = pace(legs, lasts, |turn, now| {
            // First one leg of every call, then the other.
            let at = (turn % legs as u64) as usize;
            let leg = if at < legs / 2 {
                2 * at
            } else {
                2 * (at - legs / 2) + 1
            };
            self.hear(leg, &mut heard);
            self.legs[leg].say(now);
            heard.sent += 1;
        });
        std::thread::sleep(LAST);
        for leg in 0..legs {
            self.hear(leg, &mut heard);
        }
        (heard.late_us, heard.busy) = (kept.late_us, kept.busy);
        heard.lost = heard.sent as i64 - heard.heard as i64;
        heard
    }

    /// Takes what has come to a leg.
    fn hear(&mut self, at: usize, heard: &mut Heard) {
        let leg = &mut self.legs[at];
        while let Some((said, came)) = leg.take() {
            let (frame, left) = match said {
                Said::Talker { leg, frame, left } if leg == at as u32 ^ 1 => (frame, left),
                Said::Stranger => {
                    heard.injected += 1;
                    continue;
                }
                _ => {
                    heard.foreign += 1;
                    continue;
                }
            };
            match leg.newest {
                Some((newest, _)) if frame <= newest => continue,
                Some((_, before)) => heard.gap_ns = heard.gap_ns.max(came.saturating_sub(before)),
                None => {}
            }
            leg.newest = Some((frame, came));
            heard.heard += 1;
            if heard.took_ns.len() < SAMPLES_MAX {
                let took = came.saturating_sub(left);
                heard.took_ns.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
    }
}

impl Leg {
    fn say(&mut self, now: u64) {
        self.frame += 1;
        self.packet[2..4].copy_from_slice(&(self.frame as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&(self.frame * 160).to_be_bytes());
        self.packet[20..24].copy_from_slice(&self.frame.to_be_bytes());
        self.packet[24..32].copy_from_slice(&now.to_be_bytes());
        let _ = self.socket.send(&self.packet);
    }

    /// A packet and when it came.
    fn take(&self) -> Option<(Said, u64)> {
        let mut bytes = [0; 1_500];
        let (length, came) = take_stamped(&self.socket, &mut bytes)?;
        Some((said(&bytes[..length]), came))
    }
}

/// Has the system stamp what comes to a socket.
pub(crate) fn stamped(socket: &UdpSocket) {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true).unwrap();
}

/// A packet's length and when it came, if there is one.
pub(crate) fn take_stamped(socket: &UdpSocket, bytes: &mut [u8; 1_500]) -> Option<(usize, u64)> {
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags).ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|it| match it {
        ControlMessageOwned::ScmTimestampns(at) => {
            Some(at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64)
        }
        _ => None,
    });
    Some((message.bytes, stamp.unwrap_or_else(nanos_now)))
}

/// Whose a packet is.
enum Said {
    Talker {
        leg: u32,
        /// Its number.
        frame: u32,
        /// When it left, ns.
        left: u64,
    },
    Stranger,
    Other,
}

fn said(bytes: &[u8]) -> Said {
    let payload = bytes.get(12..).unwrap_or_default();
    if payload.starts_with(&STRANGE) {
        return Said::Stranger;
    }
    talker(payload).unwrap_or(Said::Other)
}

fn talker(payload: &[u8]) -> Option<Said> {
    let body = payload.strip_prefix(&MAGIC)?;
    let number = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
    Some(Said::Talker {
        leg: number(0)?,
        frame: number(4)?,
        left: u64::from_be_bytes(body.get(8..16)?.try_into().ok()?),
    })
}

fn packet(leg: u32) -> [u8; PACKET] {
    let mut packet = [0x55; PACKET];
    packet[..8].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0]);
    packet[8..12].copy_from_slice(&leg.wrapping_mul(0x9E37_79B9).to_be_bytes());
    packet[12..16].copy_from_slice(&MAGIC);
    packet[16..20].copy_from_slice(&leg.to_be_bytes());
    packet
}

/// A header and 20 ms of PCMU.
const PACKET: usize = 172;
/// How the payload of a stranger begins: the loudest of PCMU, of both signs.
pub const STRANGE: [u8; 4] = [0x80, 0x00, 0x80, 0x00];
const MAGIC: [u8; 4] = *b"talk";
/// The last packets find their way.
const LAST: Duration = Duration::from_millis(100);
