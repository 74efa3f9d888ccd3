//! The two ends of a rehearsed call: a caller that does exactly what the question says and nothing
//! of its own accord, and a callee that answers as it is told to.

use bytes::Bytes;
use clock::Now;
use sip::auth::{Challenge, Credentials, Secret, answer};
use sip::message::{Builder, Message, Method, Name};
use sip::sdp::{Codec, KeySeed, LocalMedia, Negotiation, Srtp};
use sip::transport::{Flow, ListenerId};
use sip::ua::{Ending, Event, Listener, Output, UserAgent, UserAgentConfig};

use super::Probe;
use crate::trunk::Trunks;

/// The caller.
pub(super) struct Caller<'a> {
    probe: &'a Probe,
    uri: String,
    trunks: &'a Trunks,
    /// The user that he gives if he is asked to prove himself; nobody's if he cannot.
    user: Option<String>,
    cseq: u32,
    answered_challenge: bool,
    /// The final status that came.
    pub(super) status: Option<u16>,
    /// Whether he was asked for credentials and has none.
    pub(super) cannot_prove: bool,
}

impl<'a> Caller<'a> {
    pub(super) fn new(probe: &'a Probe, trunks: &'a Trunks, host: &str) -> Self {
        let name = probe.user.clone().unwrap_or_else(|| probe.from.clone());
        let known = trunks.endpoint(&name).is_some() || trunks.inbound_user(&name).is_some();
        let tries = known || probe.user.is_some() || probe.register;
        let uri = match probe.register {
            true => format!("sip:{host}"),
            false => format!("sip:{}@{host}", sip::message::escape_user(&probe.to)),
        };
        Self {
            probe,
            uri,
            trunks,
            user: tries.then_some(name),
            cseq: 1,
            answered_challenge: false,
            status: None,
            cannot_prove: false,
        }
    }

    /// His request; `None` if what the question says cannot be written.
    pub(super) fn request(&self, proof: Option<&str>) -> Option<Bytes> {
        let probe = self.probe;
        let (method, name) = match probe.register {
            true => (Method::Register, "REGISTER"),
            false => (Method::Invite, "INVITE"),
        };
        let at = probe.source;
        let own = format!("<sip:{}@{at}>", sip::message::escape_user(&probe.from));
        let to = match probe.register {
            true => own.clone(),
            false => format!("<{}>", self.uri),
        };
        let own_header = |name: &str| {
            let mut headers = probe.headers.iter();
            headers.any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let transport = probe.transport.to_string().to_uppercase();
        let via = format!(
            "SIP/2.0/{transport} {at};branch=z9hG4bKrehearsed{}",
            self.cseq
        );
        let mut request = Builder::request(method, &self.uri)
            .header("Via", &via)
            .header("From", &format!("{own};tag=rehearsal"))
            .header("To", &to)
            .header("Call-ID", CALL_ID)
            .header("CSeq", &format!("{} {name}", self.cseq))
            .header("Contact", &own);
        if !own_header("Max-Forwards") {
            request = request.header("Max-Forwards", "70");
        }
        for (name, value) in &probe.headers {
            request = request.header(name, value);
        }
        if let Some(proof) = proof {
            request = request.header("Authorization", proof);
        }
        let offer = (!probe.register).then(|| probe.offer());
        let request = match offer {
            Some(offer) => request.body("application/sdp", offer.into()),
            None => request,
        };
        Some(request.build().ok()?.bytes().clone())
    }

    /// Takes what came; what he sends in return.
    pub(super) fn receive(&mut self, bytes: Bytes) -> Option<Bytes> {
        let message = Message::parse(bytes).ok()?;
        let status = message.status()?;
        let invite = message.cseq().ok()?.method_str == "INVITE";
        match status {
            100..=199 => None,
            401 if !self.answered_challenge => self.prove(&message),
            _ => {
                self.status.get_or_insert(status);
                (200..=299).contains(&status).then_some(())?;
                invite.then(|| self.ack(&message))?
            }
        }
    }

    fn prove(&mut self, challenge: &Message) -> Option<Bytes> {
        let Some(user) = &self.user else {
            self.cannot_prove = true;
            self.status = challenge.status();
            return None;
        };
        let challenges = challenge.headers(Name::WwwAuthenticate);
        let challenges: Vec<Challenge> = challenges
            .filter_map(|it| Challenge::parse(it).ok())
            .collect();
        let method = if self.probe.register {
            "REGISTER"
        } else {
            "INVITE"
        };
        let offer = self.probe.offer();
        let body: &[u8] = if self.probe.register {
            b""
        } else {
            offer.as_bytes()
        };
        let by = self.credentials(user, &challenges);
        let proof = answer(&challenges, &by, (method, &self.uri, body), "rehearsal", 1);
        self.answered_challenge = true;
        self.cseq += 1;
        match proof {
            Some(proof) => self.request(Some(&proof)),
            None => {
                self.status = challenge.status();
                None
            }
        }
    }

    /// The password of the question, else the one that is right.
    fn credentials(&self, user: &str, challenges: &[Challenge]) -> Credentials {
        let algorithms = challenges.iter().filter_map(|it| it.algorithm);
        let secrets = self.trunks.secret_of(user);
        let mut hashes = algorithms.filter_map(|algorithm| secrets?.hash(algorithm));
        let secret = match (&self.probe.password, hashes.next()) {
            (Some(password), _) => Secret::Password(password.clone()),
            (None, Some(hash)) => Secret::Ha1(hash),
            (None, None) => Secret::Password(String::new()),
        };
        Credentials {
            user: user.to_owned(),
            secret,
            realm: None,
            scope: Default::default(),
        }
    }

    fn ack(&self, response: &Message) -> Option<Bytes> {
        let contact = response.contact().ok()??.uri.to_string();
        let at = self.probe.source;
        let transport = self.probe.transport.to_string().to_uppercase();
        let ack = Builder::request(Method::Ack, &contact)
            .header(
                "Via",
                &format!("SIP/2.0/{transport} {at};branch=z9hG4bKack"),
            )
            .copy(response, Name::From)
            .copy(response, Name::To)
            .header("Call-ID", CALL_ID)
            .header("CSeq", &format!("{} ACK", self.cseq))
            .header("Max-Forwards", "70");
        Some(ack.build().ok()?.bytes().clone())
    }
}

/// What a rehearsed callee does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalleeDoes {
    /// Takes the call.
    Answers,
    /// Refuses by that status.
    Refuses(u16),
    /// Says nothing.
    Nothing,
}

/// Whoever is rung.
pub(super) struct Callee {
    ua: UserAgent,
    does: CalleeDoes,
    codecs: Vec<Codec>,
}

impl Callee {
    pub(super) fn new(does: CalleeDoes, to: Flow) -> Self {
        let listener = Listener {
            id: ListenerId(0),
            transport: to.transport,
            advertised_host: match to.remote.ip() {
                std::net::IpAddr::V4(ip) => ip.to_string(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            },
            advertised_port: to.remote.port(),
        };
        Self {
            ua: UserAgent::new(UserAgentConfig::new(vec![listener], "callee"), 2),
            does,
            codecs: Codec::ALL.to_vec(),
        }
    }

    /// Takes what was sent to him; what he sends in return.
    pub(super) fn receive(&mut self, now: Now, flow: Flow, bytes: Bytes) -> Vec<Bytes> {
        if self.does == CalleeDoes::Nothing {
            return Vec::new();
        }
        let flow = Flow {
            listener: ListenerId(0),
            ..flow
        };
        self.ua.receive(now, flow, bytes, true);
        let mut out = Vec::new();
        while let Some(output) = self.ua.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => out.push(bytes),
                Output::Event(Event::Invited { session, offer, .. }) => match self.does {
                    CalleeDoes::Answers => {
                        let mut media =
                            LocalMedia::new(flow.remote.ip(), 40_000, self.codecs.clone());
                        media.srtp = Srtp::Optional(KeySeed::new([2; 32]));
                        let answer = offer.map(|offer| Negotiation::new(media, 1).answer(&offer));
                        let answer = answer.and_then(Result::ok);
                        self.ua.accept(now, session, answer, &[]);
                    }
                    CalleeDoes::Refuses(status) => {
                        let ending = Ending {
                            status,
                            ..Ending::default()
                        };
                        self.ua.end(now, session, ending);
                    }
                    CalleeDoes::Nothing => {}
                },
                Output::Event(_) => {}
            }
        }
        out
    }
}

/// The Call-ID of every rehearsal.
const CALL_ID: &str = "rehearsal";
