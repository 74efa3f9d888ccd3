//! Tandem as it is run: calls come by SIP from one trunk address, a dialplan puts them through to
//! another, and the two legs are relayed.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use lab::message::{self, Audio, Script, audio_port};
use lab::server::{Server, Setup};

use super::{CALLEE, CALLER, Peer};

/// A running Tandem, and both who call by it.
pub(crate) struct Tandem {
    server: Server,
    caller: UdpSocket,
    callee: UdpSocket,
    /// Whom new calls are for.
    number: &'static str,
    /// How each call is ended.
    byes: Vec<Vec<u8>>,
    sort: Sort,
}

/// What becomes of the calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    /// They are put through to somebody who speaks the same codec.
    Relayed,
    /// They are put through to somebody who speaks Opus.
    Transcoded,
    /// They wait in a queue that nobody serves, and hear music.
    Waiting,
    /// Every number is a conference.
    Rooms,
}

impl Sort {
    fn plan(self) -> &'static str {
        match self {
            Self::Relayed => PLAN,
            Self::Transcoded => TO_OPUS,
            Self::Waiting => WAITING,
            Self::Rooms => ROOMS,
        }
    }

    fn has_callees(self) -> bool {
        matches!(self, Self::Relayed | Self::Transcoded)
    }

    /// What the callee takes at that port.
    fn callee(self, port: u16) -> Audio {
        match self {
            Self::Transcoded => Audio::opus(port),
            _ => Audio::pcmu(port),
        }
    }
}

impl Tandem {
    /// Starts it with one media thread, and another for every 4,000 calls more.
    pub(crate) fn of(calls: u32, sort: Sort) -> Self {
        Self::with(calls, sort, "")
    }

    /// The same, with `more` at the end of its configuration.
    pub(crate) fn with(calls: u32, sort: Sort, more: &str) -> Self {
        let server = Server::tandem(&Setup {
            ip: "127.0.10.5",
            config: &(CONFIG.replace("CALLS", &(calls + 10).to_string()) + more),
            plan: sort.plan(),
            workers: calls / 4_000 + 1,
        });
        let open = |ip: [u8; 4], port| {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::from(ip), port)).unwrap();
            let timeout = Some(Duration::from_secs(2));
            socket.set_read_timeout(timeout).unwrap();
            socket
        };
        Self {
            server,
            caller: open(CALLER, 5_062),
            callee: open(CALLEE, 5_070),
            number: "3000",
            byes: Vec::new(),
            sort,
        }
    }

    /// Call `n` of an end of ours to a number where nobody else is called; where it is to send.
    pub(crate) fn enter(
        &mut self,
        n: u32,
        number: &str,
        end: SocketAddr,
    ) -> Result<SocketAddr, String> {
        let server: SocketAddr = "127.0.10.5:5060".parse().unwrap();
        let me = self.caller.local_addr().unwrap();
        let script = Script::new(me, server, number, Audio::pcmu(end.port()));
        let (mut out, mut bye) = (Vec::new(), Vec::new());
        script.invite.write(n, b"", &mut out);
        self.caller.send_to(&out, server).unwrap();
        let (port, tag) = self.answered(n)?;
        script.ack.write(n, &tag, &mut out);
        self.caller.send_to(&out, server).unwrap();
        script.bye.write(n, &tag, &mut bye);
        self.byes.push(bye);
        Ok(SocketAddr::new(server.ip(), port))
    }

    /// The callee answers the INVITE that comes to it; where Tandem wants its sound.
    fn answer(&self, end: SocketAddr) -> Result<u16, String> {
        let (mut request, mut out) = (vec![0; 4_096], Vec::new());
        let me = self.callee.local_addr().unwrap();
        loop {
            let told = self.callee.recv_from(&mut request);
            let (length, from) = told.map_err(|error| format!("no INVITE came: {error}"))?;
            let request = &request[..length];
            if !request.starts_with(b"INVITE") {
                continue;
            }
            let audio = self.sort.callee(end.port());
            message::answer(request, me, audio, &mut out);
            self.callee.send_to(&out, from).unwrap();
            return audio_port(request).ok_or_else(|| "an INVITE without audio".to_owned());
        }
    }

    /// The caller's 200: where Tandem wants its sound, and the call's tag.
    fn answered(&self, n: u32) -> Result<(u16, Vec<u8>), String> {
        let mut response = vec![0; 4_096];
        loop {
            let length = self.caller.recv(&mut response);
            let length = length.map_err(|error| format!("no 200 came: {error}"))?;
            let response = &response[..length];
            let Some(seen) = message::Seen::of(response).filter(|seen| seen.call == n) else {
                continue;
            };
            match (seen.status, audio_port(response)) {
                (200, Some(port)) => return Ok((port, seen.tag.to_vec())),
                (300.., _) => return Err(String::from_utf8_lossy(response).into_owned()),
                _ => {}
            }
        }
    }
}

impl Peer for Tandem {
    fn server(&self) -> &Server {
        &self.server
    }

    fn call(&mut self, n: u32, ends: [SocketAddr; 2]) -> Result<[SocketAddr; 2], String> {
        let server: SocketAddr = "127.0.10.5:5060".parse().unwrap();
        let me = self.caller.local_addr().unwrap();
        let script = Script::new(me, server, self.number, Audio::pcmu(ends[0].port()));
        let (mut out, mut bye) = (Vec::new(), Vec::new());
        script.invite.write(n, b"", &mut out);
        self.caller.send_to(&out, server).unwrap();
        let for_callee = self.answer(ends[1])?;
        let (for_caller, tag) = self.answered(n)?;
        script.ack.write(n, &tag, &mut out);
        self.caller.send_to(&out, server).unwrap();
        script.bye.write(n, &tag, &mut bye);
        self.byes.push(bye);
        Ok([for_caller, for_callee].map(|port| SocketAddr::new(server.ip(), port)))
    }

    fn address(&self) -> SocketAddr {
        "127.0.10.5:0".parse().unwrap()
    }

    fn record(&mut self) {
        self.number = "3001";
    }

    fn end(&mut self) {
        for bye in self.byes.drain(..) {
            let _ = self.caller.send_to(&bye, "127.0.10.5:5060");
            if !self.sort.has_callees() {
                continue;
            }
            // The callee's BYE is answered too, so that nothing is sent again.
            let (mut request, mut out) = (vec![0; 4_096], Vec::new());
            while let Ok((length, from)) = self.callee.recv_from(&mut request) {
                if request.starts_with(b"BYE") {
                    let me = self.callee.local_addr().unwrap();
                    message::answer(&request[..length], me, Audio::pcmu(9), &mut out);
                    let _ = self.callee.send_to(&out, from);
                    break;
                }
            }
        }
        self.server.settle();
    }
}

const CONFIG: &str = r#"
api_key = "load-0123456789-load"
[http]
listen = "127.0.10.5:8080"
[log]
filter = "warn"
[sip]
udp = ["127.0.10.5:5060"]
tcp = []
tls = []
[rtp]
port_min = 20000
port_max = 59999
[limits]
calls = CALLS
[trunks.load]
addresses = ["127.0.10.1"]
send_to = ["127.0.10.2:5070"]
codecs = ["pcmu"]
[trunks.opus]
addresses = ["127.0.10.2"]
send_to = ["127.0.10.2:5070"]
codecs = ["opus"]
"#;

const TO_OPUS: &str = r#"dialplan version=1
entry did="3000" flow="through"
flow "through" {
  dial "4000" trunk="opus"
}
"#;

const WAITING: &str = r#"dialplan version=1
queue "all" max-len=10000
entry did="5000" flow="wait"
flow "wait" {
  queue "all"
}
"#;

const ROOMS: &str = r#"dialplan version=1
entry pattern="*" flow="room"
flow "room" {
  conference "{to}" max=5000
}
"#;

/// 3000 is put through, 3001 too and recorded.
const PLAN: &str = r#"dialplan version=1
entry did="3000" flow="through"
entry did="3001" flow="recorded"
flow "through" {
  dial "4000" trunk="load"
}
flow "recorded" {
  answer
  record start
  dial "4000" trunk="load"
}
"#;
