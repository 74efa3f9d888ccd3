//! The server under attack: a control shard with a trunk, a roaming endpoint and three flows, and the
//! words that are said to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use sip::auth::{self, Credentials, Scope};
use sip::message::{Message, Name};
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use sip::ua::UserAgentConfig;
use tandem::access::Access;
use tandem::call::Cdr;
use tandem::config::{Secret, Section};
use tandem::control::{Control, Event, Listener, Output, Setup, WallClock};
use tandem::dialplan::{Facts, Plan, Speech};
use tandem::trunk::{
    AbuseConfig, Digests, EndpointConfig, Registrar, RegistrarConfig, TrunkConfig, Trunks,
    TrunksConfig,
};

use super::plane::Plane;

pub(super) const REALM: &str = "tandem";
/// The carrier that calls us and that we call.
pub(super) const CARRIER: &str = "203.0.113.7:5060";
/// Where nobody is known, if there are no roaming endpoints.
pub(super) const STRANGER: &str = "198.51.100.66:5060";
/// Where an endpoint may be.
pub(super) const ROAMING: &str = "100.64.0.9:5060";

/// Answers, and waits.
pub(super) const ANSWERED: &str = "+15550000001";
/// Calls out by the carrier.
pub(super) const OUT: &str = "+15550000002";
/// Rings the endpoint ann.
pub(super) const RINGS: &str = "+15550000003";

const FLOWS: &str = r#"
dialplan version=1 tz="UTC"
entry did="+15550000001" flow="answered"
entry did="+15550000002" flow="out"
entry did="+15550000003" flow="rings"
flow "answered" { answer; gather digits=4 timeout="30m" into="x"; }
flow "out" { dial "+15559999999" trunk="carrier" timeout="60s"; hangup; }
flow "rings" { dial "ann" timeout="60s"; hangup; }
"#;

/// What a target is made of.
pub(super) struct Made {
    pub(super) abuse: AbuseConfig,
    pub(super) carrier: TrunkConfig,
    /// Whether ann may be anywhere, or nobody anywhere.
    pub(super) roaming: bool,
    pub(super) decoys: bool,
    /// Times that one request is sent with credentials.
    pub(super) proofs: u8,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            abuse: AbuseConfig::default(),
            carrier: carrier(),
            roaming: true,
            decoys: true,
            proofs: 2,
        }
    }
}

/// A section of a configuration file.
fn section(text: &str) -> Section {
    Section::from_toml(text.parse().unwrap())
}

pub(super) fn carrier() -> TrunkConfig {
    let text = format!(
        "[carrier]\naddresses = [\"203.0.113.0/24\"]\nsend_to = [\"{CARRIER}\"]\n\
         user = \"us\"\npassword = \"sesame\"\n"
    );
    TrunkConfig::read_all(section(&text), REALM)
        .unwrap()
        .remove(0)
}

/// Scope that answers whoever asks: the defence switched off.
pub(super) fn answers_anybody(mut trunk: TrunkConfig) -> TrunkConfig {
    let credentials = trunk.credentials.as_mut().unwrap();
    credentials.scope = Scope {
        peers: vec![("0.0.0.0".parse().unwrap(), 0)],
        least: None,
    };
    trunk
}

/// What makes its tokens.
pub(super) fn access() -> Access {
    let secret = Secret::new("a secret that only the server knows".to_owned());
    Access::new(&secret, &Default::default())
}

/// An endpoint whose password is its name twice.
pub(super) fn endpoint(name: &str) -> EndpointConfig {
    let text = format!("[{name}]\npassword = \"{name}-{name}\"\ncontacts = 3\n");
    EndpointConfig::read_all(section(&text), REALM)
        .unwrap()
        .remove(0)
}

/// The server, and what it said that nobody has looked at yet.
pub(super) struct Server {
    pub(super) control: Control,
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
    /// The connections that the server has closed, and the calls that are over.
    pub(super) closed: Vec<Flow>,
    pub(super) records: Vec<Cdr>,
    said: Vec<(Flow, Message)>,
    /// Bytes that came, and that were sent, over all.
    pub(super) bytes: (u64, u64),
    next: u64,
}

impl Server {
    pub(super) fn new(made: Made) -> Self {
        let ways = [(0, Transport::Udp), (1, Transport::Tcp)];
        let faces = ways.map(|(id, transport)| sip::ua::Listener {
            id: ListenerId(id),
            transport,
            advertised_host: "192.0.2.1".to_owned(),
            advertised_port: 5060,
        });
        let listeners = ways.map(|(id, transport)| Listener {
            id: ListenerId(id),
            transport,
            v6: false,
            bound: "192.0.2.1:5060".parse().unwrap(),
            media: None,
        });
        let mut user_agent = UserAgentConfig::new(faces.to_vec(), "Tandem");
        user_agent.limits.proofs = made.proofs;
        let endpoints = match made.roaming {
            true => vec![endpoint("ann"), endpoint("bob")],
            false => Vec::new(),
        };
        let mut registrar = Registrar::new(RegistrarConfig::default());
        registrar.configure(&endpoints);
        let facts = Facts {
            speech: Speech::Voices(Default::default()),
            ..Facts::default()
        };
        let file = (PathBuf::from("attacks.kdl"), FLOWS.to_owned());
        let plan = Plan::compile(&[file], &facts).map_err(|it| format!("{it:?}"));
        let trunks = Trunks::new(TrunksConfig {
            trunks: vec![made.carrier],
            endpoints,
            realm: REALM.to_owned(),
            digests: Digests::Md5,
            nonce_secret: [7; 32],
            nonce_life: Duration::from_secs(300),
        });
        let mut trunks = if made.decoys {
            trunks
        } else {
            trunks.without_decoys()
        };
        trunks.set_access(access(), 2);
        let setup = Setup {
            abuse: made.abuse,
            shard: 0,
            seed: 1,
            user_agent,
            listeners: listeners.to_vec(),
            trunks,
            registrar,
            plan: Arc::new(plan.unwrap()),
            agents: Vec::new(),
            media_keys: sip::sdp::KeySeed::new([7; 32]),
            media: Box::new(Plane::default()),
            wall: WallClock::new(Now::ZERO, jiff::Timestamp::UNIX_EPOCH),
            codecs: sip::sdp::Codec::ALL.to_vec(),
            inband_dtmf: false,
            calls_max: 1_000,
            transfers_max: 8,
            recording: Default::default(),
        };
        let mut server = Self {
            control: Control::new(Now::ZERO, setup),
            now: Now::ZERO,
            events: Vec::new(),
            closed: Vec::new(),
            records: Vec::new(),
            said: Vec::new(),
            bytes: (0, 0),
            next: 0,
        };
        server.pass(1_000);
        server
    }

    /// A number that was not used before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Feeds one message, and returns what the server says to it at once.
    pub(super) fn send(&mut self, flow: Flow, text: &str) -> Vec<(Flow, Message)> {
        self.bytes.0 += text.len() as u64;
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.control.receive(self.now, flow, bytes);
        self.take();
        std::mem::take(&mut self.said)
    }

    /// Lets time pass, and returns what is said meanwhile.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<(Flow, Message)> {
        let end = self.now + Duration::from_millis(ms);
        self.take();
        while let Some(at) = self.control.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.control.handle_timeout(self.now);
            self.take();
        }
        self.now = end;
        std::mem::take(&mut self.said)
    }

    fn take(&mut self) {
        self.control.poll_media(self.now);
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Transmit { flow, bytes } | Output::Rebuff { flow, bytes } => {
                    self.bytes.1 += bytes.len() as u64;
                    self.said.push((flow, Message::parse(bytes).unwrap()));
                }
                Output::Event(event) => self.events.push(event),
                Output::Close { flow } => self.closed.push(flow),
                Output::Cdr(record) => self.records.push(*record),
                _ => {}
            }
        }
    }

    /// Registers ann or bob from `flow`.
    pub(super) fn register(&mut self, flow: Flow, name: &str) {
        let n = self.fresh();
        let bare = Words::of("REGISTER", flow, n).user(name).to(name);
        let asked = self.send(flow, &bare.text());
        let proof = proof(&asked[0].1, name, &format!("{name}-{name}"), &bare);
        let n = self.fresh();
        let again = Words { n, ..bare }.line(&proof);
        let said = self.send(flow, &again.text());
        assert_eq!(statuses(&said), [200], "{}", again.text());
    }

    /// An INVITE of the carrier to `number`, from another of its addresses; returns its words and the
    /// first answers.
    pub(super) fn call(&mut self, number: &str) -> (Words, Vec<(Flow, Message)>) {
        let n = self.fresh();
        let words = Words::of("INVITE", udp("203.0.113.200:5060"), n)
            .to(number)
            .sdp();
        let said = self.send(words.flow, &words.text());
        (words, said)
    }

    /// A call that was answered, and its caller's words with our tag; its ACK is still to be sent.
    pub(super) fn answered(&mut self) -> Words {
        let (words, said) = self.call(ANSWERED);
        let ok = said.iter().find(|(_, it)| it.status() == Some(200));
        let tag = ok.unwrap().1.to().unwrap().tag().unwrap().to_owned();
        Words {
            method: "ACK".to_owned(),
            tags: (words.tags.0.clone(), tag),
            body: String::new(),
            lines: Vec::new(),
            ..words
        }
    }

    /// A call that stands, and its caller's words with our tag.
    pub(super) fn standing(&mut self) -> Words {
        let within = self.answered();
        self.send(within.flow, &within.text());
        within
    }
}

/// A datagram's way.
pub(super) fn udp(remote: &str) -> Flow {
    Flow::udp(ListenerId(0), remote.parse().unwrap())
}

/// A connection's.
pub(super) fn tcp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        remote: remote.parse().unwrap(),
        connection: Some(ConnectionId(9)),
        peer: None,
    }
}

/// A request as it is written.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) method: String,
    pub(super) flow: Flow,
    pub(super) n: u64,
    pub(super) call: String,
    pub(super) user: String,
    pub(super) to: String,
    pub(super) tags: (String, String),
    pub(super) lines: Vec<String>,
    pub(super) body: String,
}

impl Words {
    pub(super) fn of(method: &str, flow: Flow, n: u64) -> Self {
        Self {
            method: method.to_owned(),
            flow,
            n,
            call: format!("call-{n}"),
            user: "mallory".to_owned(),
            to: ANSWERED.to_owned(),
            tags: (format!("f{n}"), String::new()),
            lines: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn user(mut self, user: &str) -> Self {
        self.user = user.to_owned();
        self
    }

    pub(super) fn to(mut self, to: &str) -> Self {
        self.to = to.to_owned();
        self
    }

    pub(super) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub(super) fn sdp(mut self) -> Self {
        self.body = sdp(self.flow, 8);
        self.line("Content-Type: application/sdp")
    }

    pub(super) fn uri(&self) -> String {
        match self.method.as_str() {
            "REGISTER" => "sip:192.0.2.1".to_owned(),
            _ => format!("sip:{}@192.0.2.1", self.to),
        }
    }

    pub(super) fn text(&self) -> String {
        let Self {
            method,
            flow,
            n,
            call,
            user,
            to,
            tags,
            lines,
            body,
        } = self;
        let remote = flow.remote;
        let transport = flow.transport.via_name();
        let to_tag = match tags.1.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {remote};branch=z9hG4bK{n};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@example.org>;tag={}\r\n\
             To: <sip:{to}@192.0.2.1>{to_tag}\r\nCall-ID: {call}\r\nCSeq: {n} {method}\r\n\
             Contact: <sip:{user}@{remote}>\r\n{more}Content-Length: {}\r\n\r\n{body}",
            self.uri(),
            tags.0,
            body.len(),
        )
    }
}

/// An offer or answer of one codec.
pub(super) fn sdp(flow: Flow, payload: u8) -> String {
    let ip = flow.remote.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {payload}\r\n"
    )
}

/// The response that a peer gives to a request of ours.
pub(super) fn response(
    request: &Message,
    status: u16,
    tag: &str,
    more: &str,
    body: &str,
) -> String {
    let header = |name| request.header(name).unwrap();
    let to = header(Name::To);
    let to = match to.contains("tag=") || tag.is_empty() {
        true => to.to_owned(),
        false => format!("{to};tag={tag}"),
    };
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "SIP/2.0 {status} Said\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         {more}{kind}Content-Length: {}\r\n\r\n{body}",
        header(Name::Via),
        header(Name::From),
        header(Name::CallId),
        header(Name::CSeq),
        body.len(),
    )
}

/// The Authorization line that answers a challenge.
pub(super) fn proof(challenge: &Message, user: &str, password: &str, words: &Words) -> String {
    let value = challenge.header(Name::WwwAuthenticate).unwrap();
    let asked = [auth::Challenge::parse(value).unwrap()];
    let credentials = Credentials::password(user, password);
    let uri = words.uri();
    let exchange = (words.method.as_str(), uri.as_str(), words.body.as_bytes());
    let value = auth::answer(&asked, &credentials, exchange, "c0ffee", 1).unwrap();
    format!("Authorization: {value}")
}

/// The statuses of the responses among what was said.
pub(super) fn statuses(said: &[(Flow, Message)]) -> Vec<u16> {
    said.iter().filter_map(|(_, it)| it.status()).collect()
}

/// The requests of that method among what was said, with where they went.
pub(super) fn requests(said: &[(Flow, Message)], method: &str) -> Vec<(Flow, Message)> {
    let of = |it: &&(Flow, Message)| it.1.method_str() == Some(method);
    said.iter().filter(of).cloned().collect()
}

/// Whether anything that was said proves who we are.
pub(super) fn leaks(said: &[(Flow, Message)]) -> bool {
    said.iter().any(|(_, it)| {
        it.header(Name::Authorization).is_some() || it.header(Name::ProxyAuthorization).is_some()
    })
}
