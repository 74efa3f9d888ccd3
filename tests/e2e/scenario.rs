//! Every scenario by name.

mod acme;
mod attackers;
mod codecs;
mod corners;
mod kamailio;
mod keys;
mod load;
mod measures;
mod ops;
mod packets;
mod phones;
mod race;
mod recordings;
mod relays;
mod reloads;
mod rooms;
mod seeing;
mod smoke;
mod srtp;
mod transfers;
mod trunks;

use anyhow::Result;

use crate::lab::Lab;

/// Which runs have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Every run, also `make test`.
    Smoke,
    /// `make e2e`.
    Phones,
    /// `make e2e`; takes both cores.
    Load,
    /// By its name alone: it takes minutes.
    Long,
}

/// One scenario: `run` gives what it measured, or why it failed.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    /// Whether its agents are at browsers, by WebRTC and SIP over WebSocket.
    pub(crate) browsers: bool,
    pub(crate) run: fn(&Lab) -> Result<String>,
}

const fn phones(
    name: &'static str,
    what: &'static str,
    run: fn(&Lab) -> Result<String>,
) -> Scenario {
    Scenario {
        name,
        what,
        group: Group::Phones,
        browsers: false,
        run,
    }
}

/// The same with browsers in the place of the agents' SIP phones.
const fn browsers(
    name: &'static str,
    what: &'static str,
    run: fn(&Lab) -> Result<String>,
) -> Scenario {
    Scenario {
        browsers: true,
        ..phones(name, what, run)
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "measures",
        what: "the measures find known faults",
        group: Group::Smoke,
        browsers: false,
        run: measures::measures,
    },
    Scenario {
        name: "whole-path-udp",
        what: "greeting, key, music, agent over UDP, both voices, end, record and recording",
        group: Group::Smoke,
        browsers: false,
        run: smoke::udp,
    },
    phones(
        "caller-ends",
        "the same, held to the promised times",
        phones::udp_caller_ends,
    ),
    phones(
        "agent-ends",
        "the same, the agent hangs up",
        phones::udp_agent_ends,
    ),
    phones(
        "whole-path-tcp",
        "the same over TCP, the agent hangs up",
        phones::tcp,
    ),
    phones(
        "whole-path-tls",
        "the same over TLS, the agent hangs up",
        phones::tls,
    ),
    browsers(
        "browser-whole-path",
        "the whole path with the agent in Chromium, over WS; the caller hangs up",
        phones::udp_caller_ends,
    ),
    browsers(
        "browser-agent-ends",
        "the same, the agent hangs up",
        phones::udp_agent_ends,
    ),
    browsers(
        "browser-tls",
        "the same over WSS, the agent hangs up",
        phones::tls,
    ),
    browsers(
        "browser-caller-ipv6",
        "the caller comes over IPv6, the agent is in Chromium",
        phones::ipv6,
    ),
    browsers(
        "browser-late-offer",
        "the caller's INVITE has no SDP, the agent is in Chromium",
        phones::late_offer,
    ),
    browsers(
        "browser-hold-resume",
        "the agent in Chromium holds and resumes",
        phones::hold,
    ),
    browsers(
        "browser-key-to-agent",
        "the caller's key reaches the agent in Chromium",
        corners::key_to_agent,
    ),
    browsers(
        "browser-blind-transfer",
        "an agent in Chromium hands the caller to another there",
        phones::blind_transfer,
    ),
    browsers(
        "browser-attended-transfer",
        "an agent in Chromium asks another there and joins him with the caller",
        transfers::attended,
    ),
    browsers(
        "browser-caller-refers",
        "the caller hands one agent in Chromium to another",
        transfers::caller_refers,
    ),
    browsers(
        "browser-transfer-refused",
        "the caller hands an agent in Chromium to a phone that is busy",
        transfers::target_refuses,
    ),
    browsers(
        "browser-after-486",
        "the first agent is busy, the next is in Chromium",
        phones::busy,
    ),
    browsers(
        "browser-after-ringing",
        "the first agent does not answer, the next is in Chromium",
        phones::no_answer,
    ),
    browsers(
        "browser-forked",
        "an agent with two browsers",
        phones::forked,
    ),
    browsers(
        "browser-drain",
        "SIGTERM in a call with Chromium",
        ops::drain,
    ),
    browsers(
        "browser-crash",
        "SIGKILL in a recorded call with Chromium",
        ops::crash,
    ),
    browsers(
        "browser-recording",
        "paused and masked over the API, the agent is in Chromium",
        recordings::paused_and_masked,
    ),
    phones(
        "sipvicious",
        "svmap, svwar and svcrack find no server, no user, no password; fail2ban sees the guesses",
        attackers::sipvicious,
    ),
    phones(
        "scanned",
        "a scanner where nobody may be hears nothing at all",
        attackers::scanned,
    ),
    phones(
        "sipsak",
        "pings, registrations and mangled requests of nobody",
        attackers::sipsak,
    ),
    phones(
        "linphone",
        "linphone is the agent's phone",
        phones::linphone,
    ),
    phones(
        "srtp-baresip-tls",
        "the agent's leg is SRTP and required, keys over TLS; hold and resume",
        srtp::baresip_tls,
    ),
    phones(
        "srtp-baresip-optional",
        "the same where both sides leave the choice: RTP/AVP with keys",
        srtp::baresip_optional,
    ),
    phones(
        "srtp-baresip-udp",
        "the same, required, keys in clear as configured",
        srtp::baresip_udp,
    ),
    phones(
        "srtp-linphone",
        "linphone takes nothing but SRTP",
        srtp::linphone,
    ),
    phones("caller-ipv6", "the caller comes over IPv6", phones::ipv6),
    phones(
        "codecs-baresip-opus",
        "the caller speaks G.711, the agent's baresip Opus",
        codecs::baresip_opus,
    ),
    phones(
        "rooms-three",
        "a carrier's caller and two baresips, one with Opus, hear each other in a conference",
        rooms::three,
    ),
    phones(
        "codecs-baresip-g722",
        "the same with G.722",
        codecs::baresip_g722,
    ),
    phones(
        "codecs-linphone-opus",
        "the same with Opus and linphone",
        codecs::linphone_opus,
    ),
    phones(
        "codecs-linphone-g722",
        "the same with G.722 and linphone",
        codecs::linphone_g722,
    ),
    phones(
        "keys-to-opus",
        "a key by RFC 4733, INFO and in band reaches an agent's baresip with Opus",
        keys::keys_to_opus,
    ),
    phones(
        "keys-to-g722",
        "the same to one with G.722",
        keys::keys_to_g722,
    ),
    phones(
        "packets-of-30-ms",
        "a caller of 20 ms and a linphone that asks for 30, and the other way round, hear each other",
        packets::asked_for_30,
    ),
    phones(
        "packets-of-60-ms",
        "the same with 60 ms",
        packets::asked_for_60,
    ),
    phones(
        "packets-sent-in-30-ms",
        "callers and phones that send 30 and 40 ms, G.711, G.722 and Opus, to those who want 20",
        packets::sent_in_30,
    ),
    phones(
        "packets-sent-in-60-ms",
        "the same with 60 ms",
        packets::sent_in_60,
    ),
    phones(
        "keys-from-opus",
        "an agent's baresip with Opus presses a key: an event, INFO or tones, as the caller's side has it",
        keys::keys_from_opus,
    ),
    phones(
        "keys-from-g722",
        "the same from one with G.722",
        keys::keys_from_g722,
    ),
    phones(
        "keys-by-info",
        "an agent's linphone with Opus presses a key by INFO: an event, INFO or tones, as the caller's side has it",
        keys::keys_by_info,
    ),
    phones(
        "keys-by-tones",
        "the same from one with G.722 that plays the key's tones",
        keys::keys_by_tones,
    ),
    phones(
        "late-offer",
        "the caller's INVITE has no SDP",
        phones::late_offer,
    ),
    phones(
        "early-media",
        "a callee is heard before it answers",
        phones::early_media,
    ),
    phones(
        "hold-resume",
        "the agent holds and resumes by re-INVITE",
        phones::hold,
    ),
    phones(
        "blind-transfer",
        "the agent hands the caller on by REFER",
        phones::blind_transfer,
    ),
    phones("next-after-486", "the first agent is busy", phones::busy),
    phones(
        "next-after-408",
        "the first agent's phone times out",
        phones::timed_out,
    ),
    phones(
        "next-after-503",
        "the first agent's phone is out of order",
        phones::unavailable,
    ),
    phones(
        "next-after-ringing",
        "the first agent does not answer",
        phones::no_answer,
    ),
    phones(
        "key-by-info",
        "the caller presses 2 by INFO",
        phones::key_by_info,
    ),
    phones(
        "key-in-band",
        "the caller presses 2 in the audio",
        phones::key_in_band,
    ),
    phones("forked", "an agent with two phones", phones::forked),
    phones(
        "key-to-agent",
        "the caller's key reaches the agent",
        corners::key_to_agent,
    ),
    phones(
        "abandon",
        "the caller gives up while an agent rings",
        corners::abandon,
    ),
    phones(
        "caller-holds",
        "the caller holds and resumes",
        corners::caller_holds,
    ),
    phones(
        "transfer-fails",
        "the agent hands the caller to nobody",
        corners::transfer_fails,
    ),
    phones(
        "caller-refers",
        "the caller hands the agent on by REFER",
        transfers::caller_refers,
    ),
    phones(
        "transfer-refused",
        "the caller hands the agent to a phone that is busy",
        transfers::target_refuses,
    ),
    phones(
        "attended-transfer",
        "an agent asks a second phone and joins it with the caller behind the trunk",
        transfers::attended,
    ),
    phones(
        "kamailio-front-udp",
        "Kamailio before the server: hold, refresh by UPDATE, transfer",
        kamailio::front_udp,
    ),
    phones(
        "kamailio-front-tcp",
        "the same over TCP, refreshed by re-INVITE",
        kamailio::front_tcp,
    ),
    phones(
        "kamailio-behind-udp",
        "Kamailio as the carrier: hold, refresh by UPDATE, transfer",
        kamailio::behind_udp,
    ),
    phones(
        "kamailio-behind-tcp",
        "the same over TCP, refreshed by re-INVITE",
        kamailio::behind_tcp,
    ),
    phones(
        "trunk-by-name",
        "a carrier's name is looked up: past a silent host and one out of service, heard at the third",
        trunks::failover,
    ),
    phones(
        "race",
        "500 calls a second over one trunk's cap: as many as it says reach the carrier, and many more without",
        race::caps,
    ),
    phones(
        "seeing",
        "a transferred, recorded call: trace, capture and a Homer's copy, read by tshark",
        seeing::seeing,
    ),
    phones(
        "seeing-secrets",
        "no view of a registration has its proof",
        seeing::secrets,
    ),
    phones("drain", "SIGTERM in a call", ops::drain),
    phones("crash", "SIGKILL in a recorded call", ops::crash),
    phones(
        "recording-killed-wav",
        "SIGKILL in a recorded call: ffmpeg plays what is left of the WAV",
        recordings::killed_wav,
    ),
    phones(
        "recording-killed-opus",
        "the same of Ogg/Opus",
        recordings::killed_opus,
    ),
    phones(
        "recording-sealed",
        "an encrypted recording opens with its key alone, also after SIGKILL",
        recordings::sealed,
    ),
    phones(
        "recording-disk-full",
        "the disk is full in mid-call: the call is unharmed, the hole is marked and told",
        recordings::disk_full,
    ),
    phones(
        "recording-masked",
        "paused and masked over the API: a hole, and no key anywhere",
        recordings::paused_and_masked,
    ),
    phones(
        "recording-consent",
        "who consents is recorded, who does not is not",
        recordings::consent,
    ),
    Scenario {
        name: "recording-five-minutes",
        what: "five minutes are recorded to 20 ms",
        group: Group::Long,
        browsers: false,
        run: recordings::five_minutes,
    },
    phones(
        "service",
        "as a service: an account of its own, ready, watched, stopping",
        ops::service,
    ),
    phones(
        "bad-configuration",
        "mistakes are told",
        ops::bad_configuration,
    ),
    phones(
        "address-in-use",
        "an address that is taken",
        ops::address_in_use,
    ),
    phones(
        "coturn",
        "TURN credentials of the API at coturn, over UDP and TCP, and what is refused",
        relays::coturn,
    ),
    phones(
        "acme",
        "a certificate by ACME: in use, renewed, kept over a restart",
        acme::acme,
    ),
    phones(
        "certificate-swap",
        "the certificate changes a hundred times under open connections",
        reloads::certificates,
    ),
    Scenario {
        name: "reloads",
        what: "1,000 reloads under 200 calls, a tenth of them mistaken",
        group: Group::Load,
        browsers: false,
        run: reloads::configuration,
    },
    Scenario {
        name: "load",
        what: "200 calls at 20 a second, and nothing left of them",
        group: Group::Load,
        browsers: false,
        run: load::calls,
    },
];
