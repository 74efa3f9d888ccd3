//! Browsers behind the same media thread, in pairs: they check, shake hands and speak, while a stranger sprays the
//! port that they share.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{Latch, PortPlan, Security};
use media::rtp::{Header, RtpTime, Sequence, write_header};
use media::srtp::{Protector, Unprotector};
use media::worker::{MediaPlane, PortCommand, WebPeer};
use tandem::io::media::Workers;
use webrtc_lite::peer::Peer;
use webrtc_lite::{Credentials, Identity, Kind};

/// All of them, secured.
pub(crate) struct Browsers {
    all: Vec<Browser>,
    epoch: Instant,
}

struct Browser {
    socket: UdpSocket,
    to: SocketAddr,
    peer: Peer,
    guards: Option<(Protector, Unprotector)>,
    header: Header,
    heard: u64,
    sent: u64,
}

impl Browsers {
    /// Opens so many ports, of bridges from `first` on, and waits until all are secured.
    pub(crate) fn join(workers: &mut Workers, count: u32, first: u32) -> Self {
        let epoch = Instant::now();
        let made = rcgen::generate_simple_self_signed(["browser".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.der().to_vec(), made.signing_key.serialize_der());
        let identity = Identity::new(certificate, key, epoch).unwrap();
        let all = (0..count).map(|n| Browser::open(workers, &identity, (n, first + n / 2)));
        let mut browsers = Self {
            all: all.collect(),
            epoch,
        };
        while browsers.all.iter().any(|it| it.guards.is_none()) {
            assert!(epoch.elapsed() < Duration::from_secs(60), "not all secured");
            while workers.poll_event().is_some() {}
            let now = browsers.now();
            for browser in browsers.all.iter_mut().filter(|it| it.guards.is_none()) {
                browser.shake(now);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        browsers
    }

    fn now(&self) -> Now {
        Now::from_nanos(self.epoch.elapsed().as_nanos() as u64)
    }

    /// Speaks until it is told to stop: packets sent by all, and heard.
    pub(crate) fn talk(mut self, stop: Arc<AtomicBool>) -> JoinHandle<(u64, u64)> {
        let stranger = UdpSocket::bind("127.0.11.4:0").unwrap();
        std::thread::spawn(move || {
            let mut due = Instant::now();
            for round in 0_u32.. {
                if stop.load(Relaxed) {
                    break;
                }
                for (n, browser) in (0..).zip(&mut self.all) {
                    browser.hear();
                    browser.speak();
                    if (round + n) % 50 == 0 {
                        browser.check();
                    }
                    for junk in STRANGE {
                        let _ = stranger.send_to(junk, browser.to);
                    }
                }
                due += Duration::from_millis(20);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let sums = self.all.iter().map(|it| (it.sent, it.heard));
            sums.fold((0, 0), |(sent, heard), it| (sent + it.0, heard + it.1))
        })
    }
}

impl Browser {
    fn open(workers: &mut Workers, identity: &Identity, (n, bridge): (u32, u32)) -> Self {
        let (reserved, end) = workers.reserve_web(None).unwrap();
        let (port, bridge) = (reserved.port, BridgeId(bridge));
        let mut plan = PortPlan::new(port, reserved.rtp, Codec::Pcmu, n.into());
        plan.rtcp_mux = true;
        plan.latch = Latch::Proven;
        plan.security = Security::Awaited;
        let open = PortCommand::Open(Box::new(plan));
        for command in [open, PortCommand::Bridge { port, bridge }] {
            workers.command(0, command).unwrap();
        }
        let ufrag = format!("page{n}");
        let fingerprint = identity.fingerprint().to_string();
        let told = WebPeer {
            ufrag: ufrag.clone(),
            password: String::new(),
            fingerprint,
            renamed: None,
        };
        workers.meet(0, port, told).unwrap();
        let own = Credentials {
            ufrag,
            password: String::new(),
        };
        let theirs = Credentials {
            ufrag: end.ufrag,
            password: end.password,
        };
        let socket = UdpSocket::bind("127.0.11.5:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            to: reserved.rtp,
            peer: Peer::new(Now::ZERO, identity.clone(), own, theirs).unwrap(),
            guards: None,
            header: Header {
                marker: false,
                payload_type: 0,
                sequence: Sequence(1),
                time: RtpTime(1),
                ssrc: n,
            },
            heard: 0,
            sent: 0,
        }
    }

    fn check(&mut self) {
        let check = self.peer.check(true);
        let _ = self.socket.send_to(&check, self.to);
    }

    fn shake(&mut self, now: Now) {
        if self.peer.answers() == 0 {
            self.check();
        }
        let mut bytes = [0; 2_000];
        while let Ok(len) = self.socket.recv(&mut bytes) {
            self.peer.receive(now, &bytes[..len]);
        }
        if self.peer.answers() > 0 {
            for packet in self.peer.says(now) {
                let _ = self.socket.send_to(&packet, self.to);
            }
        }
        if let Some(keys) = self.peer.take_keys() {
            self.guards = Protector::new(keys.send).zip(Unprotector::new(keys.receive));
        }
    }

    fn hear(&mut self) {
        let mut bytes = [0; 2_000];
        while let Ok(len) = self.socket.recv(&mut bytes) {
            let is_sound = Kind::of(bytes[0]) == Kind::Media && !(192..224).contains(&bytes[1]);
            if let (true, Some((_, guard))) = (is_sound, &mut self.guards) {
                self.heard += u64::from(guard.rtp(&mut bytes[..len]).is_ok());
            }
        }
    }

    fn speak(&mut self) {
        let Some((guard, _)) = &mut self.guards else {
            return;
        };
        let mut packet = [0x7F; 300];
        write_header(&self.header, &mut packet).unwrap();
        self.header.sequence = self.header.sequence.plus(1);
        self.header.time = self.header.time.plus(160);
        let len = guard.rtp(&mut packet, 172).unwrap();
        self.sent += u64::from(self.socket.send_to(&packet[..len], self.to).is_ok());
    }
}

/// A check, a hello, sound and nothing, of nobody.
const STRANGE: [&[u8]; 4] = [
    b"\0\x01\0\0\x21\x12\xA4\x42stranger....",
    b"\x16\xFE\xFD\0\0\0\0\0\0\0\0\0\x01\x01",
    b"\x80\0\0\x01\0\0\0\xA0junkstrange",
    b"GET / HTTP/1.1\r\n\r\n",
];
