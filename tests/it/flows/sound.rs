//! What one end hears of the other's tone: packets made by what the one agreed to, read by what the other did.

use std::net::SocketAddr;

use media::Codec as Law;
use media::codec::{Decoder, Encoder};
use media::dsp::{Goertzel, Tone};
use media::rtp::{HEADER_LEN, Header, Packet, RtpTime, Sequence, write_header};
use sip::sdp::{Agreed, Codec};

/// An end of the sound: where it listens, and what it agreed to.
pub(crate) struct Ear<'a> {
    pub(crate) at: SocketAddr,
    pub(crate) agreed: &'a Agreed,
}

/// The level in dBFS at which `to` hears a tone of half a second that `from` plays at -10 dBFS; `None`: not a
/// packet of it came in.
pub(crate) fn heard(from: &Ear<'_>, to: &Ear<'_>, hz: f32) -> Option<f32> {
    let mut tone = Tone::new(hz, -10.0);
    let mut encoder = Encoder::new(law(from.agreed.codec));
    let mut decoder = Decoder::new(law(to.agreed.codec));
    let mut samples = Vec::new();
    for frame in 0..25_u16 {
        let mut pcm = [0; 160];
        tone.fill(&mut pcm);
        let mut packet = [0; HEADER_LEN + 160];
        let header = Header {
            marker: frame == 0,
            payload_type: from.agreed.payload_type,
            sequence: Sequence(frame),
            time: RtpTime(u32::from(frame) * 160),
            ssrc: 1,
        };
        let payload = write_header(&header, &mut packet).unwrap();
        encoder.encode(&pcm, payload);
        let goes = from.agreed.send && from.agreed.remote_rtp == to.at;
        let read = Packet::parse(&packet).unwrap();
        let is_known = read.header().payload_type == to.agreed.payload_type;
        if goes && to.agreed.receive && is_known {
            let mut out = [0; 160];
            let count = decoder.decode(&packet[read.payload_offset()..], &mut out);
            samples.extend_from_slice(&out[..count]);
        }
    }
    (!samples.is_empty()).then(|| Goertzel::new(hz, 8_000).dbfs(&samples))
}

fn law(codec: Codec) -> Law {
    match codec {
        Codec::Pcma => Law::Pcma,
        Codec::Pcmu => Law::Pcmu,
        other => panic!("{other} is not spoken here"),
    }
}
