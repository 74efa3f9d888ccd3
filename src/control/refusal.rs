//! Why the shard refuses or cannot do something: its own reasons, and those of the machines below it.

use std::net::{IpAddr, SocketAddr};

use media::worker::{IpFamily, NoPort};
use sip::auth::DenyReason;
use sip::transport::Transport;
use sip::ua::Busy;

use super::Signalling;
use super::trouble::CarrierTrouble;
use crate::access;
use crate::call;
use crate::center::Left;
use crate::dialplan::NoEntry;
use crate::explain::{Explanation, nearest, printable};
use crate::trunk;

/// Every reason that the shard has, whoever found it.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Admission's.
    Trunk(Box<trunk::Refusal>),
    /// No entry takes the number.
    NoEntry(Box<NoEntry>),
    /// A call's own trouble.
    Call(Box<call::Trouble>),
    /// The server is going down.
    Draining,
    /// `limits.calls`.
    TooManyCalls {
        /// The limit.
        limit: usize,
    },
    /// `abuse.unacknowledged` or `abuse.unproven_invites`.
    Unacknowledged {
        /// Whose INVITEs.
        source: IpAddr,
        /// How many answered ones wait for their ACK.
        waiting: usize,
    },
    /// No media port for the call.
    NoMedia {
        /// What ran out.
        why: NoPort,
        /// Of which family.
        family: IpFamily,
    },
    /// Credentials came and did not prove anything.
    Credentials {
        /// Whom they named.
        user: String,
        /// What was wrong.
        why: DenyReason,
        /// The key of the user's password, if there is such a user.
        key: Option<String>,
        /// The user that is nearest to the name, if there is none of it.
        near: Option<String>,
    },
    /// A token came and did not prove anything.
    Token(access::Denied),
    /// Whoever was in the call is nobody any more.
    EndpointEnded {
        /// Who he was.
        endpoint: String,
    },
    /// The registrar's.
    Register {
        /// The status.
        status: u16,
        /// What it said.
        why: &'static str,
    },
    /// The SIP machine turned the request away.
    Signalling(Signalling),
    /// A stream that cannot be cut into messages.
    Unframeable {
        /// From where.
        source: SocketAddr,
        /// What is wrong.
        why: String,
    },
    /// The endpoint is nowhere to be rung.
    NotRegistered {
        /// Which.
        endpoint: String,
    },
    /// There is no endpoint of that name.
    NoSuchEndpoint {
        /// The name.
        endpoint: String,
        /// The nearest that exists.
        near: Option<String>,
    },
    /// No socket of ours reaches the address.
    NoListener {
        /// Whom it is for.
        what: String,
        /// The address.
        to: SocketAddr,
        /// The transport.
        transport: Transport,
    },
    /// No listener of ours hears the caller.
    NotHeard {
        /// What he speaks.
        transport: Transport,
        /// Where he sends to, if that is known.
        to: Option<SocketAddr>,
        /// Whether he speaks IPv6.
        v6: bool,
        /// What is missing.
        why: NotHeard,
        /// Our listeners, for people.
        listeners: String,
    },
    /// There is no trunk of that name.
    NoSuchTrunk {
        /// The name.
        trunk: String,
        /// The nearest that exists.
        near: Option<String>,
    },
    /// The source belongs to another trunk than the one asked about.
    OtherTrunk {
        /// The trunk asked about.
        wanted: String,
        /// The source.
        source: SocketAddr,
        /// Whose it is.
        owner: String,
        /// By which entry.
        entry: trunk::Source,
    },
    /// Neither an endpoint nor a number for a trunk.
    NotDialable {
        /// The text.
        uri: String,
        /// Why it cannot be read, if it cannot.
        fault: Option<String>,
    },
    /// A trunk's targets.
    Carrier(Box<CarrierTrouble>),
    /// The SIP machine sent no INVITE.
    NoInvite(Busy),
    /// The media worker has fallen far behind.
    MediaBehind,
    /// The disk has no room for a recording.
    RecordingDiskFull {
        /// Its file below the folder of recordings.
        file: String,
    },
    /// The call left a queue without an agent.
    Queue {
        /// Which queue.
        queue: String,
        /// Why.
        why: Left,
        /// The agents and what keeps each, when it left.
        agents: Vec<String>,
    },
    /// The flow ended the call before an answer.
    Flow {
        /// The cause it gave.
        cause: call::Cause,
        /// Flow and step.
        step: String,
    },
}

/// Why no listener hears a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeard {
    /// None has his transport and family.
    NoSuchListener,
    /// None is at that address and port.
    OtherPort,
    /// Those that there are listen on loopback.
    LoopbackOnly,
}

impl From<CarrierTrouble> for Refusal {
    fn from(trouble: CarrierTrouble) -> Self {
        Self::Carrier(Box::new(trouble))
    }
}

impl From<trunk::Refusal> for Refusal {
    fn from(refusal: trunk::Refusal) -> Self {
        Self::Trunk(Box::new(refusal))
    }
}

impl Refusal {
    /// A refusal because there is no endpoint of that name among `names`.
    pub(super) fn no_such_endpoint<'n>(
        endpoint: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        Self::NoSuchEndpoint {
            endpoint: endpoint.to_owned(),
            near: nearest(endpoint, names).map(str::to_owned),
        }
    }

    /// A refusal because there is no trunk of that name among `names`.
    pub(super) fn no_such_trunk<'n>(trunk: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        Self::NoSuchTrunk {
            trunk: trunk.to_owned(),
            near: nearest(trunk, names).map(str::to_owned),
        }
    }

    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Trunk(refusal) => refusal.id(),
            Self::NoEntry(missing) => missing.id(),
            Self::Call(trouble) => trouble.id(),
            Self::Draining => "draining",
            Self::TooManyCalls { .. } => "calls-max",
            Self::Unacknowledged { .. } => "invites-unacknowledged",
            Self::NoMedia { why, .. } => match why {
                NoPort::NoAddress => "media-no-family",
                NoPort::System => "media-no-socket",
                NoPort::NoWeb => "media-no-web",
                _ => "media-ports-exhausted",
            },
            Self::Credentials { why, key, .. } => match why {
                DenyReason::OtherRealm => "digest-other-realm",
                DenyReason::Unsupported => "digest-algorithm",
                DenyReason::ForeignNonce | DenyReason::ExpiredNonce => "digest-old-nonce",
                DenyReason::Replayed => "digest-replayed",
                DenyReason::OtherTarget => "digest-other-target",
                DenyReason::WrongProof if key.is_some() => "digest-wrong-password",
                DenyReason::WrongProof => "digest-unknown-user",
            },
            Self::Token(denied) => denied.id(),
            Self::EndpointEnded { .. } => "endpoint-ended",
            Self::Register { status: 423, .. } => "register-too-brief",
            Self::Register { status: 403, .. } => "register-too-many-contacts",
            Self::Register { .. } => "register-malformed",
            Self::Signalling(signalling) => signalling.id(),
            Self::Unframeable { .. } => "stream-unframeable",
            Self::NotRegistered { .. } => "endpoint-not-registered",
            Self::NoSuchEndpoint { .. } => "no-such-endpoint",
            Self::NoListener { .. } => "no-listener",
            Self::NotHeard { why, .. } => match why {
                NotHeard::NoSuchListener => "listener-none",
                NotHeard::OtherPort => "listener-other-port",
                NotHeard::LoopbackOnly => "listener-loopback-only",
            },
            Self::NoSuchTrunk { .. } => "no-such-trunk",
            Self::OtherTrunk { .. } => "trunk-other",
            Self::NotDialable { .. } => "not-dialable",
            Self::Carrier(trouble) => trouble.id(),
            Self::NoInvite(_) => "invite-not-sent",
            Self::MediaBehind => "media-behind",
            Self::RecordingDiskFull { .. } => "recording-disk-full",
            Self::Queue { why, .. } => match why {
                Left::NoAgents => "queue-no-agents",
                Left::Full => "queue-full",
                Left::NoSuchQueue | Left::Gone => "queue-closed",
                Left::MaxWait => "queue-max-wait",
            },
            Self::Flow { .. } => "flow-hangs-up",
        }
    }

    /// What was expected, what was found, and the fix.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::Trunk(refusal) => return refusal.explanation(),
            Self::NoEntry(missing) => return missing.explanation(),
            Self::Call(trouble) => return trouble.explanation(),
            Self::Carrier(trouble) => return trouble.explanation(),
            Self::Token(denied) => return denied.explanation(),
            _ => self.parts(),
        };
        Explanation::new(self.id(), parts)
    }

    fn parts(&self) -> Parts {
        match self {
            Self::Credentials {
                user,
                why,
                key,
                near,
            } => credentials(user, *why, key.as_deref(), near.as_deref()),
            Self::EndpointEnded { endpoint } => parts(
                "an endpoint that exists until its call is over",
                &format!("{}, which was removed or has ended", printable(endpoint)),
                "end a credential when its calls are over, or make another that ends later",
            ),
            Self::Register { status, why } => register(*status, why),
            Self::Signalling(signalling) => signalling.parts(),
            Self::NotRegistered { .. }
            | Self::NoSuchEndpoint { .. }
            | Self::NoListener { .. }
            | Self::NotDialable { .. } => self.unreachable(),
            Self::NotHeard { .. } => self.not_heard(),
            Self::NoSuchTrunk { trunk, near } => {
                let name = printable(trunk);
                let fix = match near {
                    Some(near) => format!("write {near}, or add [trunks.{name}]"),
                    None => format!("add [trunks.{name}]"),
                };
                parts("a configured trunk", &name, &fix)
            }
            Self::OtherTrunk {
                wanted,
                source,
                owner,
                entry,
            } => (
                format!("a source of trunk {wanted}"),
                format!("{source}, which is trunk {owner}'s by {entry}"),
                format!(
                    "add \"{}\" to trunks.{wanted}.addresses: the narrowest entry names the owner",
                    source.ip().to_canonical()
                ),
            ),
            Self::Queue { queue, why, agents } => queue_left(queue, *why, agents),
            Self::Flow { cause, step } => (
                "a step that answers".to_owned(),
                format!("the flow ended at {step} with {cause}"),
                "let the flow `answer`, `queue` or `dial` at that time for that caller".to_owned(),
            ),
            Self::Unframeable { source, why } => parts(
                "SIP messages with a Content-Length on the stream",
                &format!("{source}: {why}"),
                "correct the peer; look whether it speaks TLS to a TCP port, or HTTP",
            ),
            _ => self.shortage(),
        }
    }

    /// What ran out.
    fn shortage(&self) -> Parts {
        match self {
            Self::Draining => parts(
                "a server that takes calls",
                "one that drains",
                "send calls to another server until this one is back",
            ),
            Self::TooManyCalls { limit } => parts(
                &format!("at most {limit} calls at once"),
                "one more",
                "raise limits.calls, or add a server",
            ),
            Self::Unacknowledged { source, waiting } => parts(
                "an ACK for each INVITE that was answered, and few INVITEs before the first",
                &format!("one more from {source}, {waiting} answered ones without ACK"),
                "look why its ACKs do not arrive; else raise abuse.unacknowledged, or \
                 abuse.unproven_invites if it never acknowledged anything",
            ),
            Self::NoMedia { why, family } => no_media(*why, *family),
            Self::RecordingDiskFull { file } => parts(
                "room on the disk of recordings",
                &format!("none: {file} has a hole from now on, the call goes on"),
                "free some room: the recording goes on by itself; see docs/recording.md",
            ),
            Self::NoInvite(why) => parts(
                "an INVITE to be sent",
                &why.to_string(),
                match why {
                    Busy::Full => "add a server: the tables of transactions and dialogs are full",
                    _ => "look at the address, the caller's number and the headers of the step",
                },
            ),
            _ => parts(
                "a media worker that keeps up",
                "one whose ring is full",
                "raise rtp.workers, or add a server; see tandem_media_ticks_late_total",
            ),
        }
    }

    /// Why no listener hears a caller.
    fn not_heard(&self) -> Parts {
        let Self::NotHeard {
            transport,
            to,
            v6,
            why,
            listeners,
        } = self
        else {
            return Parts::default();
        };
        let key = key_of(*transport);
        let any = if *v6 { "[::]" } else { "0.0.0.0" };
        let family = if *v6 { "IPv6" } else { "IPv4" };
        let port = to.map_or(transport.default_port(), |to| to.port());
        let expected = match (why, to) {
            (NotHeard::OtherPort, Some(to)) => format!("a {transport} listener at {to}"),
            (NotHeard::LoopbackOnly, _) => {
                format!("a {transport} listener that other machines reach")
            }
            _ => format!("a {transport} listener for {family}"),
        };
        let fix = match why {
            NotHeard::LoopbackOnly => {
                format!(
                    "set sip.{key} = [\"{any}:{port}\"], and sip.advertised and \
                     rtp.advertised to the public address"
                )
            }
            NotHeard::OtherPort => format!(
                "add \"{any}:{port}\" to sip.{key}, or have the caller send to a port of ours"
            ),
            NotHeard::NoSuchListener => format!("add \"{any}:{port}\" to sip.{key}"),
        };
        (expected, listeners.clone(), fix)
    }

    /// Why nobody can be rung.
    fn unreachable(&self) -> Parts {
        match self {
            Self::NotRegistered { endpoint } => parts(
                &format!("a phone registered as {endpoint}"),
                "none",
                &format!(
                    "have the phone register, or set endpoints.{endpoint}.contact if it never does"
                ),
            ),
            Self::NoSuchEndpoint { endpoint, near } => {
                let name = printable(endpoint);
                let fix = match near {
                    Some(near) => format!("write {near}, or add [endpoints.{name}]"),
                    None => format!("add [endpoints.{name}]"),
                };
                parts("the name of an endpoint", &format!("\"{name}\""), &fix)
            }
            Self::NoListener {
                what,
                to,
                transport,
            } => {
                let any = if to.is_ipv6() { "[::]" } else { "0.0.0.0" };
                let (key, port) = (key_of(*transport), transport.default_port());
                parts(
                    &format!("a listener that reaches {what} at {to} ({transport})"),
                    "none of that transport and family",
                    &format!("add \"{any}:{port}\" to sip.{key}"),
                )
            }
            Self::NotDialable { uri, fault } => (
                "an endpoint of ours, or a number where the call came by a trunk".to_owned(),
                match fault {
                    Some(fault) => format!("\"{}\" ({fault})", printable(uri)),
                    None => format!("\"{}\"", printable(uri)),
                },
                "dial an endpoint by its name, or name the trunk by trunk=".to_owned(),
            ),
            _ => Parts::default(),
        }
    }
}

/// What wants, has and mends: the parts of an [`Explanation`].
pub(super) type Parts = (String, String, String);

pub(super) fn parts(expected: &str, found: &str, fix: &str) -> Parts {
    (expected.to_owned(), found.to_owned(), fix.to_owned())
}

fn credentials(user: &str, why: DenyReason, key: Option<&str>, near: Option<&str>) -> Parts {
    let user = printable(user);
    match (why, key) {
        (DenyReason::WrongProof, Some(key)) => parts(
            &format!("the password of {user}"),
            "another, or one hashed for another user or realm",
            &format!("correct the phone's password or {key}; ha1 hashes hold for sip.realm alone"),
        ),
        (DenyReason::WrongProof, None) => {
            let fix = match near {
                Some(near) => format!("set the phone's authentication name to {near}"),
                None => {
                    format!("add [endpoints.{user}], or correct the phone's authentication name")
                }
            };
            parts(
                "the name of an endpoint as digest user name",
                &format!("\"{user}\""),
                &fix,
            )
        }
        (DenyReason::OtherRealm, _) => parts(
            "credentials for our realm",
            "another realm's",
            "set the phone's realm to sip.realm, or leave it empty",
        ),
        (DenyReason::Unsupported, _) => parts(
            "the algorithm and quality of protection that were offered",
            "others",
            &format!("set endpoints.{user}.digest to what the phone speaks"),
        ),
        (DenyReason::ForeignNonce | DenyReason::ExpiredNonce, _) => parts(
            "a nonce of ours, given to that address a short time ago",
            "another",
            "nothing: the phone tries again by itself; else look for a NAT that changes its address",
        ),
        (DenyReason::Replayed, _) => parts(
            "a nonce count not used before",
            "a repeated one",
            "have the phone count nc up, or ask for a new nonce",
        ),
        (DenyReason::OtherTarget, _) => parts(
            "a proof for this request",
            "one made for another",
            "look for a proxy that changes the Request-URI on the way",
        ),
    }
}

fn register(status: u16, why: &str) -> Parts {
    let fix = match status {
        423 => "have the phone register for at least the Min-Expires of our 423",
        403 => "raise endpoints.NAME.contacts, or remove old phones",
        500 => "have the phone count CSeq up for each REGISTER of one Call-ID",
        _ => "correct the phone's Contact and Expires",
    };
    parts("a REGISTER as RFC 3261 §10 writes it", why, fix)
}

fn no_media(why: NoPort, family: IpFamily) -> Parts {
    let fix = match (why, family) {
        (NoPort::NoAddress, IpFamily::V6) => "add an IPv6 address to rtp.bind",
        (NoPort::NoAddress, IpFamily::V4) => "add an IPv4 address to rtp.bind",
        (NoPort::NoWeb, _) => "add a [webrtc] section",
        (NoPort::System, _) => "raise the limit of open files (LimitNOFILE)",
        (NoPort::WorkerFull | NoPort::NoWorker, _) => "raise rtp.workers, or add a server",
        (NoPort::RangeExhausted, _) => "widen rtp.port_min to rtp.port_max: four ports a call",
    };
    parts("a port for the call's audio", &why.to_string(), fix)
}

fn queue_left(queue: &str, why: Left, agents: &[String]) -> Parts {
    let who = match agents {
        [] => "no agent".to_owned(),
        some => some.join(", "),
    };
    let name = printable(queue);
    match why {
        Left::NoAgents => (
            format!("an agent on duty for queue {name}"),
            who,
            "have an agent's phone register and the agent be available".to_owned(),
        ),
        Left::Full => (
            format!("room in queue {name}"),
            "as many waiting as it takes".to_owned(),
            format!("raise max-len of queue {name}, or add agents"),
        ),
        Left::MaxWait => (
            format!("an agent of queue {name} within its max-wait"),
            who,
            format!("add agents, or raise max-wait of queue {name}"),
        ),
        Left::NoSuchQueue | Left::Gone => (
            format!("queue {name}"),
            "a queue that the dialplan in force does not have".to_owned(),
            format!("declare `queue \"{name}\"` again"),
        ),
    }
}

/// The key of the listeners of a transport.
pub(super) const fn key_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp | Transport::Ws => "tcp",
        Transport::Tls | Transport::Wss => "tls",
    }
}
