//! A server's media plane on loopback, browsers and a telephone around it, who each say a tone and keep all they hear.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{Latch, PortPlan, Remote, Security};
use media::worker::{IpFamily, MediaPlane, PortCommand, PortEvent, Reserved, WebEnd, WebPeer};
use webrtc_lite::peer::Peer;
use webrtc_lite::{Credentials, Identity, Kind};

use crate::io::clock::SystemClock;
use crate::io::media::talk::{Frame, PTIME, Talker, share_of};
use crate::io::media::{MediaAddress, WebConfig, Workers};
use crate::io::web;

/// A packet of sound that somebody heard.
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) sequence: u16,
    pub(super) samples: Frame,
}

/// Who says a tone and keeps what he hears.
pub(super) struct Voice {
    pub(super) socket: UdpSocket,
    pub(super) to: SocketAddr,
    pub(super) talker: Talker,
    pub(super) heard: Vec<Heard>,
    /// Whatever came that was not to be understood.
    pub(super) odd: u32,
    pub(super) speaks: bool,
}

pub(super) struct Browser {
    pub(super) voice: Voice,
    pub(super) peer: Peer,
    pub(super) reserved: Reserved,
    pub(super) end: WebEnd,
    pub(super) identity: Identity,
    /// Whether it asks for its way before it speaks, and now and then after.
    pub(super) checks: bool,
    checked: Option<Instant>,
}

pub(super) struct Scene {
    pub(super) workers: Workers,
    pub(super) clock: SystemClock,
    pub(super) host: u8,
    pub(super) browsers: Vec<Browser>,
    pub(super) telephones: Vec<(Reserved, Voice)>,
    pub(super) events: Vec<PortEvent>,
}

impl Voice {
    fn new(host: u8, to: SocketAddr, hz: f32) -> Self {
        Self {
            socket: socket(host),
            to,
            talker: Talker::new(hz, u32::from(host)),
            heard: Vec::new(),
            odd: 0,
            speaks: true,
        }
    }

    pub(super) fn speak(&mut self) {
        let packet = self.talker.packet();
        let _ = self.socket.send_to(&packet, self.to);
    }

    fn hear(&mut self, packet: &mut [u8]) {
        match self.talker.open(packet) {
            Ok(Some((sequence, samples))) => self.heard.push(Heard {
                at: now(),
                sequence,
                samples,
            }),
            Ok(None) => {}
            Err(_) => self.odd += 1,
        }
    }

    /// How much of what it heard has a tone at the level that it left with, in percent.
    pub(super) fn hears(&self, hz: f32) -> usize {
        share_of(self.heard.iter().map(|heard| &heard.samples), hz, 1.0)
    }

    /// The longest time between two packets that it heard.
    pub(super) fn longest_gap(&self) -> Duration {
        let gaps = self.heard.windows(2).map(|two| two[1].at - two[0].at);
        gaps.max().unwrap_or(Duration::MAX)
    }

    /// Packets that were sent between the first and the last that it heard, and did not come.
    pub(super) fn lost(&self) -> usize {
        let steps = self.heard.windows(2);
        let steps = steps.map(|two| usize::from(two[1].sequence.wrapping_sub(two[0].sequence)) - 1);
        steps.sum()
    }
}

impl Browser {
    /// What a page has to do now: answers taken, hands shaken, its way asked for.
    fn step(&mut self, clock: SystemClock) {
        let mut bytes = [0; 2_000];
        while let Ok((len, _)) = self.voice.socket.recv_from(&mut bytes) {
            let bytes = &mut bytes[..len];
            match Kind::of(bytes[0]) {
                Kind::Media if self.voice.talker.guards.is_some() => self.voice.hear(bytes),
                Kind::Media | Kind::Other => self.voice.odd += 1,
                Kind::Stun | Kind::Dtls => self.peer.receive(clock.now(), bytes),
            }
        }
        let again = self.checked.is_none_or(|at| at.elapsed() > CHECK_EVERY);
        if self.checks && again {
            self.checked = Some(now());
            self.check();
        }
        if self.peer.answers() > 0 {
            for packet in self.peer.says(clock.now()) {
                let _ = self.voice.socket.send_to(&packet, self.voice.to);
            }
        }
        self.voice.talker.take_keys(&mut self.peer);
    }

    pub(super) fn check(&mut self) {
        let check = self.peer.check(true);
        let _ = self.voice.socket.send_to(&check, self.voice.to);
    }

    /// It is seen elsewhere from now on, and does not know.
    pub(super) fn is_moved(&mut self, host: u8) -> UdpSocket {
        self.checks = false;
        std::mem::replace(&mut self.voice.socket, socket(host))
    }

    /// Its network becomes another: it goes on from there.
    pub(super) fn walks(&mut self, host: u8) -> UdpSocket {
        self.checked = None;
        std::mem::replace(&mut self.voice.socket, socket(host))
    }
}

/// What a page answers by.
fn password(n: usize) -> String {
    format!("what-page-{n}-proves-itself-by")
}

impl Scene {
    pub(super) fn new(host: u8) -> Self {
        let mut config = super::super::config(host);
        config.worker.ports_max = 16;
        config.realtime = true;
        let address = Ipv4Addr::new(127, 0, 8, host).into();
        config.web = Some(WebConfig {
            port: 0,
            addresses: vec![MediaAddress {
                bind: address,
                advertised: address,
            }],
        });
        Self {
            workers: Workers::start(&config, Now::ZERO).unwrap(),
            clock: SystemClock::reading(Now::ZERO),
            host,
            browsers: Vec::new(),
            telephones: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A browser whose port is open in bridge `bridge`; nobody knows it yet.
    pub(super) fn browser(&mut self, hz: f32, bridge: u32) -> usize {
        let n = self.browser_ahead(hz);
        self.open_late(n, bridge);
        n
    }

    /// Opens the port of a browser.
    pub(super) fn open_late(&mut self, n: usize, bridge: u32) {
        let reserved = self.browsers[n].reserved;
        let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, 99);
        plan.rtcp_mux = true;
        plan.latch = Latch::Proven;
        plan.security = Security::Awaited;
        self.open(&reserved, plan, bridge);
    }

    /// A browser whose port is not open yet.
    pub(super) fn browser_ahead(&mut self, hz: f32) -> usize {
        let (reserved, end) = self.workers.reserve_web(None).unwrap();
        let identity = web::identity(self.clock).unwrap();
        let n = self.browsers.len();
        let own = Credentials {
            ufrag: format!("page{n}"),
            password: password(n),
        };
        let theirs = Credentials {
            ufrag: end.ufrag.clone(),
            password: end.password.clone(),
        };
        let to = end.candidates[0];
        self.browsers.push(Browser {
            voice: Voice::new(self.host, to, hz),
            peer: Peer::new(self.clock.now(), identity.clone(), own, theirs).unwrap(),
            reserved,
            end,
            identity,
            checks: true,
            checked: None,
        });
        n
    }

    /// Its SDP comes.
    pub(super) fn meet(&mut self, n: usize) {
        let print = self.browsers[n].identity.fingerprint().to_string();
        self.meet_as(n, print);
    }

    pub(super) fn meet_as(&mut self, n: usize, fingerprint: String) {
        let at = self.browsers[n].reserved;
        let ufrag = format!("page{n}");
        let peer = WebPeer {
            ufrag,
            password: password(n),
            fingerprint,
            renamed: None,
        };
        self.workers.meet(at.worker, at.port, peer).unwrap();
    }

    /// A telephone in bridge `bridge`.
    pub(super) fn telephone(&mut self, hz: f32, bridge: u32) -> usize {
        let reserved = self.workers.reserve_beside(0, IpFamily::V4).unwrap();
        let voice = Voice::new(self.host, reserved.rtp, hz);
        let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, 7);
        plan.remote = Some(Remote::of(voice.socket.local_addr().unwrap(), false));
        self.open(&reserved, plan, bridge);
        self.telephones.push((reserved, voice));
        self.telephones.len() - 1
    }

    fn open(&mut self, reserved: &Reserved, plan: PortPlan, bridge: u32) {
        let (worker, port) = (reserved.worker, reserved.port);
        let open = PortCommand::Open(Box::new(plan));
        let bridge = BridgeId(bridge);
        for command in [open, PortCommand::Bridge { port, bridge }] {
            self.workers.command(worker, command).unwrap();
        }
    }

    /// Lets everybody live and speak for so long.
    pub(super) fn talk(&mut self, span: Duration) {
        let (began, mut due) = (now(), now());
        while began.elapsed() < span {
            let speaks = now() >= due;
            due += if speaks { PTIME } else { Duration::ZERO };
            for browser in &mut self.browsers {
                browser.step(self.clock);
                if speaks && browser.voice.speaks && browser.voice.talker.guards.is_some() {
                    browser.voice.speak();
                }
            }
            for (_, voice) in &mut self.telephones {
                let mut bytes = [0; 2_000];
                while let Ok((len, _)) = voice.socket.recv_from(&mut bytes) {
                    voice.hear(&mut bytes[..len]);
                }
                if speaks && voice.speaks {
                    voice.speak();
                }
            }
            while let Some((_, event)) = self.workers.poll_event() {
                self.events.push(event);
            }
            rest();
        }
    }

    /// The same until something is so; fails after 10 s.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Duration {
        let began = now();
        while !is_so(self) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{what}: not in 10 s"
            );
            self.talk(Duration::from_millis(5));
        }
        began.elapsed()
    }

    /// Until a browser and a telephone hear each other.
    pub(super) fn until_heard(&mut self) -> Duration {
        self.forget();
        self.until("both heard", |scene| {
            let browsers = scene.browsers.iter().map(|it| &it.voice);
            let telephones = scene.telephones.iter().map(|(_, voice)| voice);
            browsers
                .chain(telephones)
                .all(|voice| voice.heard.len() > 3)
        })
    }

    /// What was heard so far is of no account.
    pub(super) fn forget(&mut self) {
        let browsers = self.browsers.iter_mut().map(|it| &mut it.voice);
        let telephones = self.telephones.iter_mut().map(|(_, voice)| voice);
        for voice in browsers.chain(telephones) {
            voice.heard.clear();
        }
    }

    /// Closes all ports: each says so, and nothing is left.
    pub(super) fn close(&mut self) {
        let all = self.browsers.iter().map(|it| it.reserved);
        let all: Vec<Reserved> = all.chain(self.telephones.iter().map(|it| it.0)).collect();
        for at in &all {
            let command = PortCommand::Close { port: at.port };
            self.workers.command(at.worker, command).unwrap();
        }
        let count = all.len();
        let closed = |event: &&PortEvent| matches!(event, PortEvent::Closed { .. });
        self.until("all closed", |scene| {
            scene.events.iter().filter(closed).count() == count
        });
        assert_eq!(self.workers.bound(), 0);
        self.until("all sessions gone", |scene| {
            scene.workers.web_counts().sessions == 0
        });
    }
}

pub(super) fn socket(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 9, host), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

pub(super) fn now() -> Instant {
    Instant::now()
}

fn rest() {
    std::thread::sleep(Duration::from_millis(1));
}

pub(super) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(1).collect()
}

/// As browsers do, about.
const CHECK_EVERY: Duration = Duration::from_millis(500);
