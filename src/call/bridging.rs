//! Bridging and hold: who hears whom, and what the one who waits hears.

use std::net::SocketAddr;

use bytes::Bytes;
use media::codec::{Coding, Encoder, opus};
use media::port::{Keys, PortId, PortPlan, PortUpdate, Remote, Security};
use media::srtp::{MasterKey, Suite};
use media::worker::PortCommand;
use sip::sdp::{Agreed, CryptoKey, CryptoSuite, OpusTerms, StreamKeys};

use super::action::Prompt;
use super::command::SipCommand;
use super::digits::Dtmf;
use super::leg::{Leg, LegState, PortState};
use super::machine::Call;
use super::sound::Purpose;
use super::{LegId, Trouble};

impl Call {
    /// Bridges the caller and `leg`.
    pub(super) fn join(&mut self, leg: LegId) {
        let bridge = self.bridge;
        for leg in [self.caller, leg] {
            if let Some(port) = self.open_port_of(leg) {
                self.port(PortCommand::Bridge { port, bridge });
                self.say_muted(leg);
            }
        }
    }

    /// The port of a leg that rings follows what one of its forks said.
    pub(super) fn update_port_to(&mut self, leg: LegId, agreed: Option<&Agreed>) {
        if let Some(it) = self.legs.get(&leg) {
            let update = it.port_update_to(agreed);
            self.port(PortCommand::Update(Box::new(update)));
            self.meet(leg, agreed);
        }
    }

    /// Takes `leg` out of the bridge.
    pub(super) fn part(&mut self, leg: LegId) {
        if let Some(port) = self.open_port_of(leg) {
            self.port(PortCommand::Unbridge { port });
        }
    }

    pub(super) fn open_port_of(&self, leg: LegId) -> Option<PortId> {
        let port = &self.legs.get(&leg)?.port;
        (port.state == PortState::Open).then_some(port.id)
    }

    /// The leg at the other side of the bridge.
    pub(super) fn other(&self, leg: LegId) -> Option<LegId> {
        let partner = self.partner?;
        if leg == self.caller {
            Some(partner)
        } else {
            (leg == partner).then_some(self.caller)
        }
    }

    /// What the leg that `beside` is bridged with speaks.
    pub fn spoken_beside(&self, beside: LegId) -> Option<sip::sdp::Codec> {
        let leg = self.legs.get(&self.other(beside)?)?;
        leg.agreed().map(|it| it.codec)
    }

    /// The peer re-offers: hold, resume, a new address, or (without a body) asks for our offer.
    /// Before it answers, each fork of our INVITE has exchanges of its own.
    pub(super) fn on_offered(&mut self, (leg, fork): (LegId, u32), body: Option<Bytes>) {
        self.give_way(leg);
        let followed = self
            .ringing_of(leg)
            .is_some_and(|ringing| ringing.follows(leg, fork));
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let rings = matches!(it.state, LegState::Outgoing { .. });
        let negotiation = it.with_fork(fork);
        let Some(offer) = body else {
            return match negotiation.offer() {
                Ok(offer) => self.sip(leg, SipCommand::AnswerOffer(Some(offer))),
                Err(error) => self.sip(leg, SipCommand::RefuseOffer(error.status())),
            };
        };
        let answered = negotiation.answer(&offer);
        let agreed = negotiation.agreed().cloned();
        match answered {
            Ok(answer) => {
                self.sip(leg, SipCommand::AnswerOffer(Some(answer)));
                if rings {
                    if followed {
                        self.update_port_to(leg, agreed.as_ref());
                    }
                    return;
                }
                self.update_port(leg);
                self.follow_hold(leg);
            }
            Err(error) => {
                let (label, ours) = (&it.label, &it.negotiation.local().codecs);
                let trouble = Trouble::media(label, &error, &offer, ours);
                self.trouble(trouble);
                self.sip(leg, SipCommand::RefuseOffer(error.status()));
            }
        }
    }

    /// Plays hold music to the one who was put on hold, and stops it on resume.
    pub(super) fn follow_hold(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let holds = it.agreed().is_some_and(|agreed| agreed.peer_holds);
        if holds == it.held_by_peer {
            return;
        }
        it.held_by_peer = holds;
        let Some(other) = self.other(leg) else { return };
        if holds {
            let music = vec![Prompt::Music("default".to_owned())];
            self.start_playing(other, Purpose::Hold, music, true);
        } else {
            self.stop_purpose(other, Purpose::Hold);
        }
    }
}

impl Leg {
    /// What the worker needs to open the port.
    pub(super) fn port_plan(&self) -> PortPlan {
        let (id, local, random) = (self.port.id, self.port.local, self.port.random);
        self.awaiting(PortPlan {
            keys_elsewhere: self.keys.mode() == Dtmf::Info,
            ..port_plan(id, local, random, self.agreed())
        })
    }

    /// What the worker needs to follow what was agreed last.
    pub(super) fn port_update(&self) -> PortUpdate {
        self.port_update_to(self.agreed())
    }

    /// The same for what was agreed with one of the forks that ring.
    pub(super) fn port_update_to(&self, agreed: Option<&Agreed>) -> PortUpdate {
        PortUpdate {
            keys_elsewhere: self.keys.mode() == Dtmf::Info,
            ..port_update(self.port.id, agreed)
        }
    }
}

/// What a worker needs to open a port by what its leg has agreed on, which may be nothing yet.
///
/// `random` gives SSRC, first sequence number and first timestamp.
pub fn port_plan(
    port: PortId,
    local: SocketAddr,
    random: u64,
    agreed: Option<&Agreed>,
) -> PortPlan {
    let update = port_update(port, agreed);
    PortPlan {
        codec: update.codec,
        coding: update.coding,
        remote: update.remote,
        payload_type: update.payload_type,
        dtmf_payload_type: update.dtmf_payload_type,
        dtmf_clock_rate: update.dtmf_clock_rate,
        cn_payload_type: update.cn_payload_type,
        send: update.send,
        receive: update.receive,
        rtcp_mux: update.rtcp_mux,
        security: update.security,
        ptime_ms: update.ptime_ms,
        // G.711 costs nothing to make in vain.
        ..PortPlan::new(port, local, media::Codec::Pcmu, random)
    }
}

/// What a worker needs to follow an agreement. Without one the port stays deaf and silent.
pub fn port_update(port: PortId, agreed: Option<&Agreed>) -> PortUpdate {
    let Some(agreed) = agreed else {
        return PortUpdate {
            port,
            remote: None,
            codec: media::Codec::Pcmu,
            coding: Coding::new(media::Codec::Pcmu),
            payload_type: 0,
            dtmf_payload_type: None,
            dtmf_clock_rate: 8_000,
            keys_elsewhere: false,
            cn_payload_type: None,
            send: true,
            receive: true,
            rtcp_mux: false,
            security: Security::Plain,
            ptime_ms: 20,
        };
    };
    PortUpdate {
        port,
        // Whoever proves where it is, is there and nowhere else.
        remote: agreed.web.is_none().then_some(Remote {
            rtp: agreed.remote_rtp,
            rtcp: agreed.remote_rtcp,
        }),
        coding: coding(agreed),
        codec: media_codec(agreed.codec),
        payload_type: agreed.payload_type,
        dtmf_payload_type: agreed.dtmf_payload_type,
        dtmf_clock_rate: agreed.dtmf_clock_rate_hz,
        keys_elsewhere: false,
        cn_payload_type: agreed.cn,
        send: agreed.send,
        receive: agreed.receive,
        rtcp_mux: agreed.rtcp_mux,
        security: match agreed.web {
            Some(_) => Security::Awaited,
            None => security(agreed.keys.as_ref()),
        },
        ptime_ms: agreed.ptime_ms,
    }
}

/// What the port decodes and encodes with, as the peer asked for it.
fn coding(agreed: &Agreed) -> Coding {
    let codec = media_codec(agreed.codec);
    let encoder = match codec {
        media::Codec::Opus => Encoder::opus(opus_settings(&agreed.opus)),
        other => Encoder::new(other),
    };
    Coding::with(codec, encoder, agreed.ptime_ms).repeating(agreed.redundant)
}

/// What a peer that plays only so much is sent: 12 kbit/s are plenty for what 8 kHz hold.
fn opus_settings(terms: &OpusTerms) -> opus::Settings {
    let usual = opus::Settings::default();
    let enough = match terms.max_playback_rate {
        ..=8_000 => 12_000,
        8_001..=16_000 => 20_000,
        _ => usual.bitrate,
    };
    opus::Settings {
        bitrate: enough.min(terms.max_average_bitrate.unwrap_or(enough)),
        ceiling: terms.max_average_bitrate.unwrap_or(usual.ceiling),
        dtx: terms.dtx,
        fec: terms.in_band_fec,
        cbr: terms.cbr,
        ..usual
    }
}

/// What a worker needs to secure the stream. Keys that cannot be used make it deaf, never plain.
fn security(keys: Option<&StreamKeys>) -> Security {
    let Some(keys) = keys else {
        return Security::Plain;
    };
    let key = |key: &CryptoKey| {
        let suite = match key.suite() {
            CryptoSuite::AeadAes256Gcm => Suite::AeadAes256Gcm,
            CryptoSuite::AeadAes128Gcm => Suite::AeadAes128Gcm,
            CryptoSuite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
            CryptoSuite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_32,
        };
        MasterKey::new(suite, key.as_bytes())
    };
    let both = key(&keys.send).zip(key(&keys.receive));
    let both = both.and_then(|(send, receive)| Keys::new(send, receive));
    both.map_or(Security::Awaited, Security::Srtp)
}

/// The worker's name of a negotiated codec.
pub(super) fn media_codec(codec: sip::sdp::Codec) -> media::Codec {
    match codec {
        sip::sdp::Codec::Pcmu => media::Codec::Pcmu,
        sip::sdp::Codec::Pcma => media::Codec::Pcma,
        sip::sdp::Codec::G722 => media::Codec::G722,
        sip::sdp::Codec::Opus => media::Codec::Opus,
        sip::sdp::Codec::L16 => media::Codec::L16,
        sip::sdp::Codec::L16Wide => media::Codec::L16Wide,
        sip::sdp::Codec::G729 => media::Codec::G729,
        sip::sdp::Codec::AmrWb => media::Codec::AmrWb,
    }
}
