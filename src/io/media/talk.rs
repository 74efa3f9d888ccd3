//! For tests that are heard: one end of a stream of G.711 A-law, which says a tone and opens what comes, in the
//! clear or with a browser's keys.

use std::time::Duration;

use media::codec::{Decoder, Encoder};
use media::dsp::{Tone, ToneMeter};
use media::rtp::{Header, Packet, RtpTime, Sequence, write_header};
use media::srtp::{Protector, SrtpError, Unprotector};
use media::{Codec, FRAME};
use webrtc_lite::peer::Peer;

/// The level of all tones, in dBFS.
const LEVEL: f32 = -13.0;
/// Between two packets.
pub(crate) const PTIME: Duration = Duration::from_millis(20);

/// What is heard in one packet.
pub(crate) type Frame = [i16; FRAME];

/// Who says a tone.
pub(crate) struct Talker {
    /// What he sends with and opens with, once there are keys.
    pub(crate) guards: Option<(Protector, Unprotector)>,
    tone: Tone,
    header: Header,
}

impl Talker {
    pub(crate) fn new(hz: f32, ssrc: u32) -> Self {
        Self {
            guards: None,
            tone: Tone::new(hz, LEVEL),
            header: Header {
                marker: false,
                payload_type: 8,
                sequence: Sequence(1_000),
                time: RtpTime(77),
                ssrc,
            },
        }
    }

    /// Speaks with the keys of a handshake from now on, if it has come to some.
    pub(crate) fn take_keys(&mut self, peer: &mut Peer) {
        if let Some(keys) = peer.take_keys() {
            let (send, receive) = (Protector::new(keys.send), Unprotector::new(keys.receive));
            self.guards = send.zip(receive);
        }
    }

    /// The next packet of the tone.
    pub(crate) fn packet(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 300];
        write_header(&self.header, &mut bytes).unwrap();
        self.header.sequence = self.header.sequence.plus(1);
        self.header.time = self.header.time.plus(160);
        Encoder::new(Codec::Pcma).encode(&self.tone.frame(), &mut bytes[12..172]);
        let len = match &mut self.guards {
            Some((protector, _)) => protector.rtp(&mut bytes, 172).unwrap(),
            None => 172,
        };
        bytes.truncate(len);
        bytes
    }

    /// The sequence number and the sound of what came; `None` of a report.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(&mut self, packet: &mut [u8]) -> Result<Option<(u16, Frame)>, SrtpError> {
        let is_report = packet.get(1).is_some_and(|it| (192..224).contains(it));
        let len = match &mut self.guards {
            None => packet.len(),
            Some((_, guard)) if is_report => guard.rtcp(packet)?,
            Some((_, guard)) => guard.rtp(packet)?,
        };
        let packet = Packet::parse(&packet[..len]).ok();
        Ok(packet.filter(|_| !is_report).map(|packet| {
            let mut samples = [0; FRAME];
            Decoder::new(Codec::Pcma).decode(packet.payload(), &mut samples);
            (packet.header().sequence.0, samples)
        }))
    }
}

/// The percent of the frames that have the tone within so many dB of the level that it left with.
pub(crate) fn share_of<'f>(
    frames: impl ExactSizeIterator<Item = &'f Frame>,
    hz: f32,
    tolerance_db: f32,
) -> usize {
    let all = frames.len().max(1);
    let mut meter = ToneMeter::new(&[hz], LEVEL - tolerance_db);
    let right = frames.filter(|frame| {
        meter.measure(frame);
        let level = meter.track(hz).unwrap().level_dbfs;
        (level - LEVEL).abs() < tolerance_db
    });
    right.count() * 100 / all
}
