//! Their description and ours, come to an agreement: which stream, which codec, what goes with it.

use super::super::codec::{Codec, Direction};
use super::super::description::{Media, SessionDescription};
use super::super::offer_error::OfferError;
use super::super::remote::{Format, Meaning, Remote};
use super::super::terms::{Agreed, CodecOrder};
use super::super::web::{Part, WebFault};
use super::{EVENT_CLOCK_HZ, Negotiation};

impl Negotiation {
    /// The stream that is ours already if it can still be used, else the first audio that can; else the
    /// reason that says most.
    pub(super) fn choose(
        &self,
        theirs: &SessionDescription,
    ) -> Result<(usize, Remote), OfferError> {
        let ours = self.audio_slot();
        let usable = |(index, media): (usize, &Media)| -> Option<Result<_, OfferError>> {
            if media.kind != "audio" || media.port == 0 {
                return None;
            }
            let remote = self.read(theirs, media, Part::Offer).and_then(|remote| {
                self.their_key(&remote)?;
                self.pick_codec(&remote).map(|_| remote)
            });
            Some(remote.map(|remote| (index, remote)))
        };
        let mut first_error = None;
        let mut first = None;
        for (index, media) in theirs.media.iter().enumerate() {
            match usable((index, media)) {
                Some(Ok(found)) if ours == Some(index) => return Ok(found),
                Some(Ok(found)) if first.is_none() => first = Some(found),
                Some(Err(error)) if first_error.is_none() => first_error = Some(error),
                _ => {}
            }
        }
        first.ok_or_else(|| first_error.unwrap_or(OfferError::NoAudio))
    }

    /// What they say of a stream, if it is over a transport that we have for it.
    pub(super) fn read(
        &self,
        theirs: &SessionDescription,
        media: &Media,
        part: Part,
    ) -> Result<Remote, OfferError> {
        let is_web = self.local.web.is_some();
        let remote = Remote::read(theirs, media, part).map_err(|error| match error {
            OfferError::Profile(have) if is_web => OfferError::Web(WebFault::other(&have)),
            error => error,
        })?;
        let address = remote.rtp.ip();
        match &remote.web {
            Some(Ok(_)) if is_web => Ok(remote),
            Some(Err(fault)) if is_web => Err(OfferError::Web(fault.clone())),
            None if is_web => Err(OfferError::Web(WebFault::other(&remote.protocol))),
            // What a fingerprint protects must never be answered in clear.
            Some(_) if !remote.savp => Err(OfferError::Profile(remote.protocol)),
            _ if address.is_ipv4() != self.local.address.is_ipv4() => {
                Err(OfferError::AddressFamily(address))
            }
            _ => Ok(remote),
        }
    }

    /// The codec of the answer and the payload type that they gave it.
    pub(super) fn pick_codec(&self, remote: &Remote) -> Result<(Codec, u8), OfferError> {
        let theirs = || {
            remote
                .formats
                .iter()
                .filter_map(|format| match format.meaning {
                    Meaning::Codec(Codec::AmrWb) if self.clashes(remote) => None,
                    Meaning::Codec(codec) => Some((codec, format.payload_type)),
                    _ => None,
                })
        };
        let found = match self.local.order {
            CodecOrder::Ours => self
                .local
                .codecs
                .iter()
                .find_map(|&ours| theirs().find(|&(codec, _)| codec == ours)),
            CodecOrder::Offerer => theirs().find(|(codec, _)| self.local.codecs.contains(codec)),
        };
        found.ok_or_else(|| {
            let numbers = remote.formats.iter().map(|format| format.payload_type);
            OfferError::NoCommonCodec(numbers.take(16).collect())
        })
    }

    /// Whether AMR-WB is held to other modes by them than by whom it is relayed to (RFC 4867 §8.3.1).
    pub(super) fn clashes(&self, remote: &Remote) -> bool {
        let both = self.local.modes.zip(remote.modes);
        both.is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Everything but who may use which payload type is symmetrical between offer and answer.
    pub(super) fn agree(
        &self,
        remote: &Remote,
        (codec, payload_type): (Codec, u8),
        ours: Direction,
    ) -> Agreed {
        let flow = ours.meet(remote.direction);
        let clock = codec.clock_rate_hz();
        let dtmf_clock_rate_hz = match codec {
            Codec::Opus if remote.telephone_event(clock).is_none() => EVENT_CLOCK_HZ,
            _ => clock,
        };
        let dtmf = remote
            .telephone_event(dtmf_clock_rate_hz)
            .filter(|_| self.local.dtmf);
        Agreed {
            remote_rtp: remote.rtp,
            remote_rtcp: remote.rtcp,
            rtcp_mux: remote.rtcp_mux,
            codec,
            payload_type,
            opus: remote.opus,
            modes: remote.modes.or(self.local.modes),
            dtmf_payload_type: dtmf,
            dtmf_clock_rate_hz,
            dtmf_receive_type: dtmf,
            cn: remote
                .comfort_noise(clock)
                .filter(|_| self.local.comfort_noise),
            redundant: remote
                .redundant(clock, payload_type)
                .filter(|_| self.local.redundancy),
            send: flow.sends(),
            receive: flow.receives(),
            ptime_ms: self.packet_time(remote),
            peer_holds: remote.holds(),
            keys: None,
            web: remote.web.clone().and_then(Result::ok),
        }
    }

    /// What their answer to our last offer agrees on.
    pub(super) fn read_answer(&self, answer: &[u8]) -> Result<Agreed, OfferError> {
        let theirs = SessionDescription::parse(answer)?;
        let Some(index) = self.audio_slot() else {
            return Err(OfferError::NoOffer);
        };
        if theirs.media.len() != self.slots.len() {
            return Err(OfferError::Mismatch("another number of m= lines"));
        }
        let Some(media) = theirs
            .media
            .get(index)
            .filter(|media| media.kind == "audio")
        else {
            return Err(OfferError::Mismatch("audio is not in its place"));
        };
        if media.port == 0 {
            return Err(OfferError::Rejected);
        }
        let remote = self.read(&theirs, media, Part::Answer)?;
        let offered = self.our_stream();
        if remote.rtcp_mux && !offered.rtcp_mux {
            return Err(OfferError::Mismatch("rtcp-mux was not offered"));
        }
        let in_offer = |format: &&Format| matches!(format.meaning, Meaning::Codec(codec) if self.local.codecs.contains(&codec));
        let Some(first) = remote.formats.iter().find(in_offer) else {
            return Err(self
                .pick_codec(&remote)
                .err()
                .unwrap_or(OfferError::Rejected));
        };
        let Meaning::Codec(codec) = first.meaning else {
            return Err(OfferError::Rejected);
        };
        if codec == Codec::AmrWb && self.clashes(&remote) {
            return Err(OfferError::Mismatch("another mode-set than was offered"));
        }
        let keys = self.answered_keys(&remote)?;
        let mut agreed = self.agree(&remote, (codec, first.payload_type), offered.direction);
        agreed.keys = keys;
        agreed.peer_holds = remote.holds() && offered.direction.sends();
        let clock = agreed.dtmf_clock_rate_hz;
        let ours = offered.formats.iter().find_map(|format| {
            (format.meaning
                == Meaning::TelephoneEvent {
                    clock_rate_hz: clock,
                })
            .then_some(format.payload_type)
        });
        agreed.dtmf_receive_type = agreed.dtmf_payload_type.and(ours);
        Ok(agreed)
    }

    /// The packet time that they ask for, cut to whole steps of 10 ms within both limits.
    fn packet_time(&self, remote: &Remote) -> u16 {
        let own = self.local.ptime_ms.max(PTIME_STEP_MS);
        let most = self
            .local
            .maxptime_ms
            .min(remote.maxptime_ms.unwrap_or(u16::MAX));
        let wanted = remote.ptime_ms.unwrap_or(own).min(most);
        (wanted / PTIME_STEP_MS * PTIME_STEP_MS).max(PTIME_STEP_MS)
    }
}

/// Packet times are whole frames of the slowest codecs.
const PTIME_STEP_MS: u16 = 10;
