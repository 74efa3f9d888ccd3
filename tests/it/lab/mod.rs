//! A bench for one control shard: the production machines under a configuration and a dialplan as an
//! operator writes them, peers that are a few lines of SIP, and media ports: without sound, or with it
//! and a tone of each peer.

mod names;
mod plane;
pub(crate) mod sound;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use rtrb::Consumer;
use sip::auth::{self, Credentials};
use sip::message::{Builder, Message, Method, Name};
use sip::transport::{Flow, ListenerId, Transport};
use sip::ua::UserAgentConfig;
use tandem::call::{CallId, Cdr, LegId, Listening};
use tandem::config::Config;
use tandem::control::{
    Control, Event, Gate, Listener, Output, OverloadConfig, OverloadCounts, Reconfiguration, Setup,
    WallClock, What,
};
use tandem::dialplan::{Facts, Plan, Speech};
use tandem::io::voice::{Hearing, Leg as VoiceLeg, VoiceId};
use tandem::trunk::{
    AbuseConfig, Alarm, Digests, Emergency, EndpointConfig, Question, Registrar, RegistrarConfig,
    TrunkConfig, Trunks, TrunksConfig, UsageRow,
};

use media::tap::TapFrame;
use media::worker::MediaPlane;
use names::Names;
use plane::Quiet;
use sound::Sound;

/// Where the shard listens, for datagrams.
pub(crate) const SERVER: &str = "192.0.2.1:5060";

/// One shard, its clock, and what it has said.
pub(crate) struct Lab {
    pub(crate) control: Control,
    pub(crate) now: Now,
    pub(crate) events: Vec<What>,
    pub(crate) records: Vec<Cdr>,
    pub(crate) usage: Vec<UsageRow>,
    /// What the system was asked to drop unread.
    pub(crate) gates: Vec<Gate>,
    /// Recordings by their files, and whether each is over.
    pub(crate) recordings: Vec<(String, CallId, Consumer<TapFrame>, bool)>,
    sent: Vec<(SocketAddr, Bytes)>,
    seen: HashSet<String>,
    acks: Vec<(SocketAddr, String)>,
    serial: u32,
    sound: Option<Sound>,
    /// The legs that voice threads would listen to; here they do so within each tick.
    voices: Vec<VoiceLeg>,
    names: Option<Names>,
    /// Questions to DNS that nobody has answered.
    asked: Vec<Question>,
}

impl Lab {
    /// A shard with the trunks, endpoints and emergency numbers of `toml`, and one dialplan file.
    pub(crate) fn new(toml: &str, plan: &str) -> Self {
        Self::with_media(toml, plan, Box::new(Quiet::default()))
    }

    /// The same with production media workers, and ears at peers.
    pub(crate) fn sounding(toml: &str, plan: &str) -> Self {
        Self::sounding_on(1, toml, plan)
    }

    /// The same with several media workers.
    pub(crate) fn sounding_on(workers: u8, toml: &str, plan: &str) -> Self {
        let sound = Sound::new(workers);
        let mut lab = Self::with_media(toml, plan, sound.plane());
        lab.sound = Some(sound);
        lab
    }

    /// Has questions to DNS answered, in real time, by the server at that address, from now on.
    pub(crate) fn resolving(mut self, server: SocketAddr) -> Self {
        self.names = Some(Names::new(server));
        self.drain();
        self
    }

    fn with_media(toml: &str, plan: &str, media: Box<dyn MediaPlane + Send>) -> Self {
        let config = Config::from_parts(toml.parse().unwrap(), []).unwrap();
        let trunks = TrunkConfig::read_all(config.trunks.clone(), REALM).unwrap();
        let endpoints = EndpointConfig::read_all(config.endpoints.clone(), REALM).unwrap();
        let emergency = Emergency::read(config.emergency.clone(), &trunks).unwrap();
        let mut registrar = Registrar::new(RegistrarConfig::default());
        registrar.configure(&endpoints);
        let mut known = Trunks::new(TrunksConfig {
            trunks,
            endpoints,
            realm: REALM.to_owned(),
            digests: Digests::Md5,
            nonce_secret: [7; 32],
            nonce_life: Duration::from_secs(86_400),
        });
        known.set_emergency(emergency);
        known.set_returns_max(config.limits.returns);
        let server: SocketAddr = SERVER.parse().unwrap();
        let heard = sip::ua::Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertised_host: server.ip().to_string(),
            advertised_port: server.port(),
        };
        let setup = Setup {
            abuse: AbuseConfig::default(),
            shard: 0,
            seed: 7,
            user_agent: UserAgentConfig::new(vec![heard], "Tandem"),
            listeners: vec![Listener {
                id: ListenerId(0),
                transport: Transport::Udp,
                v6: false,
                bound: server,
                media: None,
            }],
            trunks: known,
            registrar,
            plan: compile(plan),
            agents: Vec::new(),
            media_keys: sip::sdp::KeySeed::new([7; 32]),
            media,
            wall: WallClock::new(Now::ZERO, NOON.parse().unwrap()),
            codecs: sip::sdp::Codec::ALL.to_vec(),
            inband_dtmf: false,
            calls_max: usize::try_from(config.limits.calls).unwrap(),
            transfers_max: 16,
            recording: Default::default(),
        };
        let mut control = Control::new(Now::ZERO, setup);
        control.set_overload(OverloadConfig::read(config.overload).unwrap());
        Self {
            control,
            now: Now::ZERO,
            events: Vec::new(),
            records: Vec::new(),
            usage: Vec::new(),
            gates: Vec::new(),
            recordings: Vec::new(),
            sent: Vec::new(),
            seen: HashSet::new(),
            acks: Vec::new(),
            serial: 0,
            sound: None,
            voices: Vec::new(),
            names: None,
            asked: Vec::new(),
        }
    }

    /// Another configuration and plan come into force, as by a reload.
    pub(crate) fn reload(&mut self, toml: &str, plan: &str) {
        let config = Config::from_parts(toml.parse().unwrap(), []).unwrap();
        let trunks = TrunkConfig::read_all(config.trunks.clone(), REALM).unwrap();
        let new = Reconfiguration {
            plan: compile(plan),
            endpoints: EndpointConfig::read_all(config.endpoints.clone(), REALM).unwrap(),
            agents: Vec::new(),
            codes: Default::default(),
            logins: Vec::new(),
            emergency: Emergency::read(config.emergency.clone(), &trunks).unwrap(),
            overload: OverloadConfig::read(config.overload).unwrap(),
            abuse: AbuseConfig::default(),
            trunks,
        };
        self.control.reconfigure(self.now, new).unwrap();
        self.drain();
    }

    /// Bytes from `remote` reach the shard.
    pub(crate) fn receive(&mut self, remote: &str, bytes: impl Into<Bytes>) {
        self.control.receive(self.now, flow(remote), bytes.into());
        self.drain();
    }

    /// Bytes from `remote` are read; they wait until [`Lab::work`].
    pub(crate) fn offer(&mut self, remote: &str, bytes: impl Into<Bytes>) {
        self.control.offer(self.now, flow(remote), bytes.into());
        self.drain();
    }

    /// Serves one message that waits; whether a call began, `None` if nothing waits.
    pub(crate) fn work(&mut self) -> Option<bool> {
        let before = self.control.holds().0;
        let (flow, bytes) = self.control.next(self.now)?;
        self.control.receive(self.now, flow, bytes);
        self.drain();
        Some(self.control.holds().0 > before)
    }

    /// Whether something waits to be served.
    pub(crate) fn has_waiting(&self) -> bool {
        self.control.has_waiting()
    }

    /// What overload control has done.
    pub(crate) fn counts(&mut self) -> OverloadCounts {
        self.control.overload_counts()
    }

    /// Fires what is due now.
    pub(crate) fn tick(&mut self) {
        self.control.look_after_load(self.now);
        if self.control.deadline().is_some_and(|due| due <= self.now) {
            self.control.handle_timeout(self.now);
        }
        self.drain();
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let sound = self.sound.as_ref().and_then(Sound::deadline);
            let due = [self.control.deadline(), sound].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            if let Some(sound) = &mut self.sound {
                sound.run(self.now);
            }
            self.run_voices();
            if self.control.deadline().is_some_and(|due| due <= self.now) {
                self.control.handle_timeout(self.now);
            }
            self.control.poll_media(self.now);
            self.drain();
        }
        self.now = end;
        if let Some(sound) = &mut self.sound {
            sound.run(end);
        }
        self.control.poll_media(self.now);
        self.drain();
    }

    /// Voices that set out in a tick are back before the next one.
    fn run_voices(&mut self) {
        let mut told = Vec::new();
        self.voices.retain_mut(|leg| {
            leg.drain(|id, spurt| told.push((id, spurt)));
            !leg.is_over()
        });
        for (VoiceId(call, leg), spurt) in told {
            self.control
                .talked(self.now, CallId(call), LegId(leg), spurt);
        }
    }

    /// What was sent to `remote` since it was last asked for.
    pub(crate) fn take(&mut self, remote: &str) -> Vec<Message> {
        let remote: SocketAddr = remote.parse().unwrap();
        let (theirs, others) = self.sent.drain(..).partition(|(to, _)| *to == remote);
        let theirs: Vec<(SocketAddr, Bytes)> = theirs;
        self.sent = others;
        theirs
            .into_iter()
            .map(|(_, bytes)| Message::parse(bytes).unwrap())
            .collect()
    }

    /// Whether `remote` got a request of that method that nobody took yet; it stays.
    pub(crate) fn has_sent(&self, remote: &str, method: Method) -> bool {
        let remote: SocketAddr = remote.parse().unwrap();
        self.sent.iter().any(|(to, bytes)| {
            let message = (*to == remote).then(|| Message::parse(bytes.clone()).unwrap());
            message.is_some_and(|it| it.method() == Some(method))
        })
    }

    /// The INVITE that `remote` got, if it got one; everything else to it is dropped.
    pub(crate) fn invited(&mut self, remote: &str) -> Option<Message> {
        let mut got = self.take(remote).into_iter();
        got.find(|message| message.method() == Some(Method::Invite))
    }

    /// The last final status that `remote` got.
    pub(crate) fn status(&mut self, remote: &str) -> Option<u16> {
        let got = self.take(remote);
        got.iter()
            .filter_map(Message::status)
            .rfind(|status| *status >= 200)
    }

    /// An INVITE of a trunk at `remote`, without what `lines` add (`|` between them).
    pub(crate) fn invite(&mut self, remote: &str, to: &str, lines: &str) -> Message {
        self.serial += 1;
        let invite = invite_text(remote, to, lines, self.serial);
        self.receive(remote, invite.clone());
        Message::parse(invite.into()).unwrap()
    }

    /// The same where the lines may make it no message at all.
    pub(crate) fn invite_bytes(&mut self, remote: &str, lines: &str) {
        self.serial += 1;
        let text = invite_text(remote, "+4930123456", lines, self.serial);
        self.receive(remote, text);
    }

    /// An INVITE of an endpoint, which proves itself; what came of it is to be asked for.
    pub(crate) fn invite_as(&mut self, endpoint: &str, remote: &str, to: &str, lines: &str) {
        let lines = format!("From: <sip:{endpoint}@{SERVER}>;tag=e|{lines}");
        let first = self.invite(remote, to, &lines);
        let proof = self.proof(&first, remote, endpoint);
        self.acknowledge(remote, &first);
        self.invite(remote, to, &format!("{lines}|{proof}"));
    }

    /// An endpoint registers.
    pub(crate) fn register(&mut self, endpoint: &str, remote: &str) {
        let text = |serial: u32, more: &str| {
            format!(
                "REGISTER sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKr{serial}\r\n\
                 From: <sip:{endpoint}@{SERVER}>;tag=r\r\nTo: <sip:{endpoint}@{SERVER}>\r\n\
                 Call-ID: r-{endpoint}\r\nCSeq: {serial} REGISTER\r\nMax-Forwards: 70\r\n\
                 Contact: <sip:{endpoint}@{remote}>;expires=3600\r\n{more}Content-Length: 0\r\n\r\n"
            )
        };
        self.serial += 2;
        let first = text(self.serial - 1, "");
        self.receive(remote, first.clone());
        let proof = self.proof(&Message::parse(first.into()).unwrap(), remote, endpoint);
        let second = text(self.serial, &format!("{proof}\r\n"));
        self.receive(remote, second);
        assert_eq!(
            self.status(remote),
            Some(200),
            "{endpoint} is not registered"
        );
    }

    /// The Authorization line that answers the challenge to `request`.
    fn proof(&mut self, request: &Message, remote: &str, user: &str) -> String {
        let got = self.take(remote);
        let refused = got.iter().find(|it| it.status() == Some(401)).unwrap();
        let values = refused.headers(Name::WwwAuthenticate);
        let challenges: Vec<auth::Challenge> = values
            .map(|value| auth::Challenge::parse(value).unwrap())
            .collect();
        let method = request.method_str().unwrap();
        let exchange = (method, request.request_uri().unwrap(), &b""[..]);
        let credentials = Credentials::password(user, PASSWORD);
        let value = auth::answer(&challenges, &credentials, exchange, "c0ffee", 1).unwrap();
        format!("Authorization: {value}")
    }

    /// Acknowledges the refusal of an INVITE.
    pub(crate) fn acknowledge(&mut self, remote: &str, invite: &Message) {
        let via = invite.header(Name::Via).unwrap();
        let uri = invite.request_uri().unwrap();
        let call_id = invite.header(Name::CallId).unwrap();
        let from = invite.header(Name::From).unwrap();
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: {via}\r\nFrom: {from}\r\nTo: <{uri}>;tag=x\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        self.receive(remote, ack);
    }

    /// A peer answers an INVITE of ours: with 200 and audio, or with a refusal and what it adds.
    pub(crate) fn reply(&mut self, remote: &str, invite: &Message, status: u16, lines: &str) {
        let mut reply = Builder::response(invite, status, "said").to_tag("far");
        for line in lines.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            reply = reply.header(name, value.trim());
        }
        if status < 300 {
            let contact = format!("<sip:far@{remote}>");
            let sdp = sdp(remote);
            reply = reply
                .header(Name::Contact, &contact)
                .body("application/sdp", sdp.into());
        }
        let bytes = reply.build().unwrap().bytes().clone();
        self.receive(remote, bytes);
    }

    /// A peer takes a request of ours, with nothing more to say.
    pub(crate) fn takes(&mut self, remote: &str, request: &Message) {
        let reply = Builder::response(request, 200, "OK").build().unwrap();
        self.receive(remote, reply.bytes().clone());
    }

    /// A request of a caller within the dialog of its INVITE, which we answered so.
    pub(crate) fn request(&mut self, remote: &str, answer: &Message, method: &str) {
        self.serial += 1;
        let header = |name| answer.header(name).unwrap();
        let uri = answer.contact().unwrap().unwrap().uri;
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKq{serial}\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {serial} {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            serial = self.serial + 100,
            from = header(Name::From),
            to = header(Name::To),
            call_id = header(Name::CallId),
        );
        self.receive(remote, text);
    }

    /// A request of a peer within the dialog of an INVITE of ours that it answered.
    pub(crate) fn within(&mut self, remote: &str, invite: &Message, method: &str, lines: &str) {
        self.serial += 1;
        let (to, from) = (
            invite.header(Name::From).unwrap(),
            invite.header(Name::To).unwrap(),
        );
        let (call_id, serial) = (invite.header(Name::CallId).unwrap(), self.serial);
        let lines = lines.replace('|', "\r\n");
        let gap = if lines.is_empty() { "" } else { "\r\n" };
        let text = format!(
            "{method} sip:tandem@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKw{serial}\r\n\
             From: {from};tag=far\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {serial} {method}\r\n\
             Contact: <sip:far@{remote}>\r\nMax-Forwards: 70\r\n{lines}{gap}Content-Length: 0\r\n\r\n"
        );
        self.receive(remote, text);
    }

    /// The call's troubles and refusals, as one text.
    pub(crate) fn troubles(&self) -> String {
        let told = self.events.iter().filter_map(|event| match event {
            What::Trouble(why) | What::Refused { why, .. } => Some(why.to_string()),
            _ => None,
        });
        told.collect::<Vec<_>>().join("\n")
    }

    /// The alarms of limits.
    pub(crate) fn alarms(&self) -> Vec<&Alarm> {
        let told = self.events.iter().filter_map(|event| match event {
            What::LimitNear(alarm) => Some(alarm),
            _ => None,
        });
        told.collect()
    }

    /// Keeps what is sent, INVITEs once; acknowledges a 200 to an INVITE as a caller does.
    fn carry(&mut self, remote: SocketAddr, bytes: Bytes) {
        let message = Message::parse(bytes.clone()).unwrap();
        let via = message.header(Name::Via).unwrap().to_owned();
        if message.method() == Some(Method::Invite) && !self.seen.insert(via.clone()) {
            return;
        }
        let cseq = message.cseq().unwrap();
        if message.status() == Some(200) && cseq.method == Method::Invite {
            let to = message.contact().unwrap().unwrap().uri;
            let header = |name| message.header(name).unwrap();
            let (from, call_id) = (header(Name::From), header(Name::CallId));
            self.acks.push((remote, format!(
                "ACK {to} SIP/2.0\r\nVia: {via}ack\r\nFrom: {from}\r\nTo: {}\r\n\
                 Call-ID: {call_id}\r\nCSeq: {} ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                header(Name::To), cseq.number
            )));
        }
        if let Some(sound) = &mut self.sound {
            sound.told(remote, message.body());
        }
        self.sent.push((remote, bytes));
    }

    fn drain(&mut self) {
        loop {
            self.control.poll_media(self.now);
            let mut quiet = true;
            if let Some(sound) = &self.sound {
                sound.set_now(self.now);
            }
            while let Some(output) = self.control.poll_output() {
                quiet = false;
                match output {
                    Output::Resolve(question) => self.asked.push(question),
                    Output::Transmit { flow, bytes } | Output::Rebuff { flow, bytes } => {
                        self.carry(flow.remote, bytes)
                    }
                    Output::Cdr(record) => self.records.push(*record),
                    Output::Event(Event { what, .. }) => self.events.push(what),
                    Output::Usage(row) => self.usage.push(row),
                    Output::Gate(gate) => self.gates.push(gate),
                    Output::LoadClips { call, request } if self.sound.is_some() => {
                        let clips = sound::clips(&request.items);
                        let (leg, play) = (request.leg, request.play);
                        self.control.clips_loaded(self.now, call, leg, play, clips);
                    }
                    Output::Record {
                        call, file, frames, ..
                    } => {
                        self.recordings.push((file, call, frames, false));
                    }
                    Output::Listen { call, listening } if self.sound.is_some() => {
                        let Listening {
                            leg,
                            wanted,
                            patience,
                            end,
                        } = *listening;
                        self.voices.push(VoiceLeg::new(Hearing {
                            id: VoiceId(call.0, leg.0),
                            wanted,
                            patience,
                            tap: end.tap,
                            back: Some(end.back),
                            listener: None,
                        }));
                    }
                    Output::RecordEnded { call } => {
                        let of = self.recordings.iter_mut().filter(|it| it.1 == call);
                        of.for_each(|it| it.3 = true);
                    }
                    _ => {}
                }
            }
            for (remote, ack) in std::mem::take(&mut self.acks) {
                quiet = false;
                self.control
                    .receive(self.now, flow(&remote.to_string()), ack.into());
            }
            quiet &= !self.answer_names();
            if quiet {
                return;
            }
        }
    }
}

/// An INVITE as text. A From among `lines` stands for the usual one, a Max-Forwards too.
pub(crate) fn invite_text(remote: &str, to: &str, lines: &str, serial: u32) -> String {
    let has = |name: &str| lines.split('|').any(|line| line.starts_with(name));
    let from = format!("From: <sip:+15550000001@{remote}>;tag=t{serial}\r\n");
    let from = if has("From:") { "" } else { &from };
    let hops = if has("Max-Forwards:") {
        ""
    } else {
        "Max-Forwards: 70\r\n"
    };
    let set: Vec<&str> = lines.split('|').filter(|line| !line.is_empty()).collect();
    let lines = set.join("\r\n");
    let gap = if lines.is_empty() { "" } else { "\r\n" };
    let body = sdp(remote);
    format!(
        "INVITE sip:{to}@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKi{serial}\r\n\
         {from}To: <sip:{to}@{SERVER}>\r\nCall-ID: near-{serial}-{remote}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:near@{remote}>\r\n{hops}{lines}{gap}Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn sdp(remote: &str) -> String {
    let remote: SocketAddr = remote.parse().unwrap();
    let ip = remote.ip();
    format!(
        "v=0\r\no=near 1 1 IN IP4 {ip}\r\ns=near\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}

fn flow(remote: &str) -> Flow {
    Flow::udp(ListenerId(0), remote.parse().unwrap())
}

fn compile(text: &str) -> Arc<Plan> {
    let facts = Facts {
        speech: Speech::Voices(Default::default()),
        ..Facts::default()
    };
    let file = (PathBuf::from("lab.kdl"), text.to_owned());
    match Plan::compile(&[file], &facts) {
        Ok(plan) => Arc::new(plan),
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

/// Every endpoint's password.
pub(crate) const PASSWORD: &str = "secret";
const REALM: &str = "tandem";
/// When every bench begins.
const NOON: &str = "2026-11-20T12:00:00Z";
