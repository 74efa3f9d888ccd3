//! What goes wrong within a call, as values that explain themselves.

use std::net::IpAddr;

use media::worker::Loss;
use sip::sdp::{Codec, OfferError, SessionDescription, WebFault};

use super::{Label, NoTransfer};
use crate::explain::{Explanation, printable};

/// Something that the caller may notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A description of media that no agreement came of.
    Media(Box<Description>),
    /// A 200 or an ACK came without the answer to our offer.
    NoAnswerInIt {
        /// Which message.
        message: &'static str,
    },
    /// The callee, or the carrier, refused.
    Callee {
        /// Who was rung.
        who: Label,
        /// By this status; 408 and 503 also stand for silence and a broken flow.
        status: u16,
        /// Whether a response came at all.
        answered: bool,
    },
    /// Somebody wants to hand the call on, and may not.
    Transfer {
        /// Why.
        why: NoTransfer,
        /// What was asked for.
        target: String,
    },
    /// A codec that is relayed and never decoded was to be agreed on, or is, where it must be decoded.
    OnlyRelayed {
        /// Whose.
        who: Label,
        /// Which.
        codec: Option<Codec>,
    },
    /// A browser's media could not be had, or broke.
    WebLost {
        /// Whose.
        who: Label,
        /// Why.
        why: Loss,
    },
    /// Two diallings at once.
    AlreadyDialling,
    /// The media worker refused a command.
    Worker(String),
    /// A leg or port did not confirm its end in time.
    NeverEnded,
    /// A sound that was to be heard could not be had.
    Sound(String),
    /// Anything else, in a sentence.
    Other(String),
}

/// A description of media that no agreement came of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Whose it was.
    pub who: Label,
    /// Why.
    pub error: OfferError,
    /// The codecs of the description, as their names or payload types.
    pub theirs: Vec<String>,
    /// The codecs that the leg takes.
    pub ours: Vec<Codec>,
}

impl Trouble {
    /// The trouble with `body`, the description that `who` sent.
    pub(super) fn media(who: &Label, error: &OfferError, body: &[u8], ours: &[Codec]) -> Self {
        Self::Media(Box::new(Description {
            who: who.clone(),
            error: error.clone(),
            theirs: codecs_of(body),
            ours: ours.to_vec(),
        }))
    }

    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Media(it) => match it.error {
                OfferError::NoCommonCodec(_) => "media-no-common-codec",
                OfferError::Profile(_) => "media-profile",
                OfferError::Web(_) => "media-webrtc",
                OfferError::Unsecured => "media-srtp-required",
                OfferError::Downgrade => "media-srtp-downgrade",
                OfferError::NoUsableKey(_) => "media-srtp-key",
                OfferError::KeysInClear => "media-srtp-clear",
                OfferError::NoAudio | OfferError::Rejected => "media-no-audio",
                OfferError::NamedAddress(_) => "media-named-address",
                OfferError::AddressFamily(_) => "media-address-family",
                OfferError::NoAddress | OfferError::Multicast(_) | OfferError::NoRtcpPort => {
                    "media-bad-address"
                }
                _ => "media-description",
            },
            Self::OnlyRelayed { .. } => "media-relay-only",
            Self::NoAnswerInIt { .. } => "media-no-answer",
            Self::Callee {
                answered: false, ..
            } => "callee-silent",
            Self::Callee { status, .. } => match status {
                401 | 407 => "callee-wants-credentials",
                403 => "callee-forbids",
                404 | 410 | 484 | 485 | 604 => "callee-no-such-number",
                415 | 488 | 606 => "callee-media",
                486 | 600 => "callee-busy",
                408 | 480 | 487 => "callee-no-answer",
                503 => "callee-congested",
                _ => "callee-refused",
            },
            Self::Transfer { why, .. } => why.id(),
            Self::WebLost { .. } => "media-web-lost",
            Self::AlreadyDialling => "call-already-dialling",
            Self::Worker(_) => "media-worker",
            Self::NeverEnded => "call-never-ended",
            Self::Sound(_) => "prompt-unavailable",
            Self::Other(_) => "call-trouble",
        }
    }

    /// What was expected, what was found, and the fix.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::Media(it) => media(it),
            Self::NoAnswerInIt { message } => (
                "an answer to our offer".to_owned(),
                format!("a {message} without one"),
                "have the peer answer the offer that our message carried (RFC 3264 §5)".to_owned(),
            ),
            Self::Callee {
                who,
                status,
                answered,
            } => callee(who, *status, *answered),
            Self::Transfer { why, target } => return why.explanation(target),
            Self::OnlyRelayed { who, codec } => only_relayed(who, *codec),
            Self::WebLost { who, why } => web_lost(who, *why),
            Self::AlreadyDialling => (
                "one dialling at a time".to_owned(),
                "a second".to_owned(),
                "let the first end, or be cancelled, before the next step dials".to_owned(),
            ),
            Self::Worker(why) => (
                "a media worker that takes the command".to_owned(),
                why.clone(),
                "report it: the worker's tables are sized so that this is a bug".to_owned(),
            ),
            Self::NeverEnded => (
                "the end of every leg and port".to_owned(),
                "one that did not confirm it in time".to_owned(),
                "look whether the peer answers BYE, and at tandem_media_ticks_late_total"
                    .to_owned(),
            ),
            Self::Sound(why) => (
                "the sound".to_owned(),
                why.clone(),
                "put the file into the prompts folder, or see [speech]".to_owned(),
            ),
            Self::Other(why) => (
                "the call to go on".to_owned(),
                why.clone(),
                "see the call's events around this one".to_owned(),
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

/// What wants, has and mends: the parts of an [`Explanation`].
type Parts = (String, String, String);

fn media(it: &Description) -> Parts {
    let Description {
        who,
        error,
        theirs,
        ours,
    } = it;
    let list: Vec<&str> = ours.iter().map(|codec| codec.encoding()).collect();
    let (ours_list, theirs_list) = (list.join(", "), theirs.join(", "));
    match error {
        OfferError::NoCommonCodec(_) => {
            let missing = Codec::ALL.iter().find(|codec| {
                let theirs_too = |name: &String| name.eq_ignore_ascii_case(codec.encoding());
                !codec.is_only_relayed() && !ours.contains(codec) && theirs.iter().any(theirs_too)
            });
            let fix = match missing {
                Some(codec) => format!("add \"{}\" to {}", codec.name(), codecs_key(who)),
                None => format!("let the peer offer {}", all_codecs()),
            };
            (format!("one of our codecs ({ours_list})"), theirs_list, fix)
        }
        OfferError::Profile(_)
        | OfferError::Unsecured
        | OfferError::Downgrade
        | OfferError::NoUsableKey(_)
        | OfferError::KeysInClear => srtp(who, error),
        OfferError::Web(fault) => web(fault),
        OfferError::AddressFamily(ip) => family(*ip),
        OfferError::NamedAddress(name) => (
            "a numeric address in c=".to_owned(),
            printable(name),
            "have the peer write its address, not its name".to_owned(),
        ),
        OfferError::NoAudio | OfferError::Rejected => (
            "an audio stream with a port".to_owned(),
            "none".to_owned(),
            "have the peer offer audio; fax and video alone are not taken".to_owned(),
        ),
        other => (
            "a session description that can be answered".to_owned(),
            other.to_string(),
            "correct the peer's SDP".to_owned(),
        ),
    }
}

/// What a browser's description lacks.
fn web(fault: &WebFault) -> Parts {
    let said = fault.to_string();
    let (want, have) = said.rsplit_once(", have ").unwrap_or((&said, "none"));
    let fix = match fault {
        WebFault::Transport(_) => {
            "have the client use WebRTC: over WebSocket nothing less protected is spoken"
        }
        WebFault::NoMux => "have the client set rtcpMuxPolicy to \"require\", as browsers do",
        WebFault::BothLite => "have the peer be a full ICE agent: this server is ice-lite",
        WebFault::Setup(_) => {
            "have the peer offer a=setup:actpass and answer a=setup:active, as browsers do"
        }
        WebFault::NoNames | WebFault::NoFingerprint | WebFault::Fingerprint(_) => {
            "send the browser's SDP unchanged: something on its way takes lines out"
        }
    };
    let want = want.strip_prefix("want ").unwrap_or(want);
    (want.to_owned(), have.to_owned(), fix.to_owned())
}

fn web_lost(who: &Label, why: Loss) -> Parts {
    let fix = match why {
        Loss::NoCheck => {
            "let UDP to webrtc.port through, and have webrtc.address name where browsers reach it"
        }
        Loss::NoHandshake | Loss::Handshake | Loss::Closed => {
            "look in the browser (chrome://webrtc-internals) why its transport failed"
        }
        Loss::NoConsent => "look at the browser's network: it slept, moved, or was closed",
        Loss::Stranger => {
            "send the browser's SDP unchanged; if it was, somebody stood between it and this server"
        }
    };
    let expected = format!("the media of {}", printable(&who.address));
    (expected, why.to_string(), fix.to_owned())
}

fn only_relayed(who: &Label, codec: Option<Codec>) -> Parts {
    let name = codec.map_or("G729 or AMR-WB", Codec::encoding);
    (
        "a codec that Tandem decodes, for a prompt, a recording, or another codec on the other side"
            .to_owned(),
        format!("{name}, which it relays and never decodes"),
        format!(
            "let the peer offer PCMA too, add \"pcma\" to {}, or dial before anything is played, to \
             somebody who takes {name}",
            codecs_key(who)
        ),
    )
}

/// What is wrong with keys, or with their want.
fn srtp(who: &Label, error: &OfferError) -> Parts {
    let key = srtp_key(who);
    let (expected, found, fix) = match error {
        OfferError::Profile(profile) if profile.starts_with("UDP/") => (
            "audio over RTP/AVP or RTP/SAVP".to_owned(),
            printable(profile),
            "add a [webrtc] section, for browsers; else turn SRTP off at the peer, or from DTLS to keys in \
             signalling (SDES)"
                .to_owned(),
        ),
        OfferError::Profile(profile) => (
            "audio over RTP/AVP".to_owned(),
            printable(profile),
            format!(
                "turn SRTP off, or to optional, at the peer, or set {key} = \"optional\" (over TLS, or \
                 with {key}_keys_in_clear = true)"
            ),
        ),
        OfferError::Unsecured => (
            format!("SRTP: {key} requires it"),
            "plain RTP".to_owned(),
            format!(
                "have the peer offer RTP/SAVP with a=crypto, or set {key} = \"optional\", which takes both"
            ),
        ),
        OfferError::Downgrade => (
            "the call to stay encrypted".to_owned(),
            "a new offer, or its answer, in clear".to_owned(),
            "have the peer offer a=crypto in each re-INVITE, as in its first".to_owned(),
        ),
        OfferError::KeysInClear => (
            format!("signalling over TLS: {key} requires keys, which stand in SDP"),
            "signalling in clear".to_owned(),
            format!("let the peer call over TLS, or set {key}_keys_in_clear = true"),
        ),
        other => (
            "a key in a=crypto for one of AEAD_AES_256_GCM, AEAD_AES_128_GCM, \
             AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32"
                .to_owned(),
            match other {
                OfferError::NoUsableKey(faults) if !faults.is_empty() => {
                    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    faults.join(", ")
                }
                _ => "none".to_owned(),
            },
            "switch one of them on at the peer, without MKI and without session parameters"
                .to_owned(),
        ),
    };
    (expected, found, fix)
}

/// The key that says whether the leg is encrypted.
fn srtp_key(who: &Label) -> String {
    match (&who.trunk, &who.endpoint) {
        (Some(trunk), _) => format!("trunks.{trunk}.srtp"),
        (None, Some(endpoint)) => format!("endpoints.{endpoint}.srtp"),
        (None, None) => "srtp of the trunk or endpoint".to_owned(),
    }
}

fn family(have: IpAddr) -> Parts {
    let (want, v) = if have.is_ipv6() {
        ("IPv4", 6)
    } else {
        ("IPv6", 4)
    };
    (
        format!("an {want} media address, as the call came over {want}"),
        format!("{have} (IPv{v})"),
        format!("have the peer name its {want} address in c=, or call over IPv{v}"),
    )
}

/// The key whose codecs the leg takes.
fn codecs_key(who: &Label) -> String {
    match (&who.trunk, &who.endpoint) {
        (Some(trunk), _) => format!("trunks.{trunk}.codecs"),
        (None, Some(endpoint)) => format!("endpoints.{endpoint}.codecs"),
        (None, None) => "the codecs of the trunk or endpoint".to_owned(),
    }
}

fn all_codecs() -> String {
    let decoded = Codec::ALL.iter().filter(|codec| !codec.is_only_relayed());
    let mut names: Vec<&str> = decoded.map(|codec| codec.encoding()).collect();
    names.dedup();
    names.join(" or ")
}

fn callee(who: &Label, status: u16, answered: bool) -> Parts {
    let name = match (&who.trunk, &who.endpoint) {
        (Some(trunk), _) => format!("trunk {trunk}"),
        (None, Some(endpoint)) => format!("endpoint {endpoint}"),
        (None, None) => printable(&who.address),
    };
    let number = printable(&who.address);
    let trunk = who.trunk.as_deref();
    let found = match (answered, status) {
        (false, 408) => "nothing".to_owned(),
        (false, _) => "a connection that failed".to_owned(),
        (true, _) => format!("{status} for {number}"),
    };
    let fix = match (trunk, answered, status) {
        (Some(trunk), false, 408) => format!(
            "check that trunks.{trunk}.send_to names the carrier's SIP address, port and \
             transport, and that firewalls let both ways through"
        ),
        (Some(trunk), false, _) => format!(
            "check that something listens at trunks.{trunk}.send_to, and over TLS that its \
             certificate names trunks.{trunk}.tls_name and sip.trust believes it"
        ),
        (None, false, _) => {
            "check that the phone is on and reachable where it registered".to_owned()
        }
        (Some(trunk), true, 401 | 407) => {
            format!("set trunks.{trunk}.user and trunks.{trunk}.password, or correct them")
        }
        (Some(trunk), true, 403) => format!(
            "ask the carrier whether it knows this server's address and allows the caller's number; \
             see trunks.{trunk}.normalize and caller-id"
        ),
        (Some(trunk), true, 404 | 410 | 484 | 485 | 604) => {
            format!("write the number as the carrier wants it: trunks.{trunk}.normalize.send")
        }
        (Some(trunk), true, 415 | 488 | 606) => {
            format!("set trunks.{trunk}.codecs to what the carrier takes")
        }
        (Some(trunk), true, 503) => {
            format!("wait, or add a second address to trunks.{trunk}.send_to")
        }
        (_, true, 486 | 600) => "call again later, or give the step an `on busy`".to_owned(),
        (_, true, 408 | 480 | 487) => {
            "ring longer (timeout=), or give the step an `on no-answer`".to_owned()
        }
        _ => "ask the callee's side why it refuses".to_owned(),
    };
    (format!("{name} to take the call"), found, fix)
}

/// The names of the audio codecs that a description has, as written; payload types without a name
/// stand for themselves. At most 16.
fn codecs_of(body: &[u8]) -> Vec<String> {
    let Ok(session) = SessionDescription::parse(body) else {
        return Vec::new();
    };
    let Some(audio) = session.media.iter().find(|it| it.kind == "audio") else {
        return Vec::new();
    };
    let named = |format: &String| {
        let maps = audio.attributes.iter().filter(|it| it.name == "rtpmap");
        let mut maps = maps.filter_map(|it| it.value.as_deref()?.split_once(' '));
        let own = maps.find(|(number, _)| number == format);
        let name = own.and_then(|(_, map)| map.split('/').next());
        printable(name.unwrap_or(match format.as_str() {
            "0" => "PCMU",
            "3" => "GSM",
            "8" => "PCMA",
            "9" => "G722",
            "18" => "G729",
            other => other,
        }))
    };
    let events = |name: &String| !name.eq_ignore_ascii_case("telephone-event") && name != "CN";
    audio
        .formats
        .iter()
        .map(named)
        .filter(events)
        .take(16)
        .collect()
}
