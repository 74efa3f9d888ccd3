//! ffmpeg as a phone's voice: it sends packets as long as it is told, whatever it is asked for.
//!
//! Telephones follow the packet time that they are asked for; this does not. What comes to its port nobody
//! plays: the capture has it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use media::codec::Codec;

use crate::lab::Lab;
use crate::process::{Process, bounded, wait_for};

/// A voice of `hz` in `codec`, in packets of `ms` that the codec has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mouth {
    pub(crate) address: SocketAddr,
    pub(crate) codec: Codec,
    pub(crate) ms: u32,
    pub(crate) hz: u32,
    /// Whether it presses 2 in the audio, [`KEY_AT`] after its first packet.
    pub(crate) presses: bool,
}

/// When its key is pressed: after a second of greeting.
const KEY_AT: u32 = 3;

/// An even port at `ip`, and the next one, that nobody has.
pub(crate) fn free_pair(ip: IpAddr) -> Result<SocketAddr> {
    wait_for(Duration::from_secs(5), "two ports in a row", || {
        let first = UdpSocket::bind((ip, 0)).ok()?.local_addr().ok()?;
        let next = first.port().checked_add(1)?;
        let free = first.port() % 2 == 0 && UdpSocket::bind((ip, next)).is_ok();
        free.then_some(first)
    })
}

impl Mouth {
    /// The lines of SDP that offer its codec instead of PCMU, and its packet time.
    pub(crate) fn described(&self) -> [(&'static str, String); 3] {
        let (number, clock) = (self.payload_type(), self.codec.clock_rate());
        let channels = if self.codec == Codec::Opus { "/2" } else { "" };
        let map = format!("a=rtpmap:{number} {}/{clock}{channels}", self.codec.name());
        [
            ("RTP/AVP 0", format!("RTP/AVP {number}")),
            ("a=rtpmap:0 PCMU/8000", map),
            ("a=ptime:20", format!("a=ptime:{}", self.ms)),
        ]
    }

    fn payload_type(&self) -> u8 {
        self.codec.static_payload_type().unwrap_or(96)
    }

    /// Speaks to `server` until it is dropped.
    pub(crate) fn speak(&self, lab: &Lab, server: SocketAddr) -> Result<Process> {
        let (hz, ms, port) = (self.hz, self.ms, self.address.port());
        let rate = self.codec.sample_rate();
        let samples = rate * ms / 1_000;
        // Full scale is 1: 0.25 is the −12 dBFS of every tone here.
        let tone = format!("0.25*sin(2*PI*{hz}*t)");
        let key = "0.35*(sin(2*PI*697*t)+sin(2*PI*1336*t))";
        let sound = match self.presses {
            true => format!("if(between(t,{KEY_AT},{KEY_AT}.16),{key},{tone})"),
            false => tone,
        };
        let (encoder, more): (&str, Vec<String>) = match self.codec {
            Codec::Opus => (
                "libopus",
                ["-b:a", "32k", "-frame_duration", &ms.to_string()]
                    .map(str::to_owned)
                    .into(),
            ),
            Codec::G722 => ("g722", vec!["-frame_size".to_owned(), samples.to_string()]),
            _ => ("pcm_mulaw", Vec::new()),
        };
        let mut command = bounded("ffmpeg", Duration::from_secs(90));
        command
            .args(["-hide_banner", "-re", "-f", "lavfi", "-i"])
            .arg(format!(
                "aevalsrc='{sound}':s={rate}:n={samples},asetnsamples=n={samples}"
            ))
            .args(["-c:a", encoder])
            .args(more)
            .args(["-f", "rtp", "-payload_type"])
            .arg(self.payload_type().to_string())
            .arg(format!(
                "rtp://{server}?localaddr={}&localrtpport={port}&localrtcpport={}&pkt_size=700",
                self.address.ip(),
                port + 1
            ));
        Process::spawn(
            "ffmpeg",
            &mut command,
            &lab.path(&format!("ffmpeg-{port}.log")),
        )
    }
}
