//! What went over the loopback interface, by tcpdump: the one witness that no phone can blur.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::process::{Process, bounded, pause, wait_for};
use crate::sound::{RtpPacket, Stream};

/// A running capture.
pub(crate) struct Capture {
    file: PathBuf,
    process: Process,
}

/// One packet's payload.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Seconds since 1970, by the kernel.
    pub(crate) at: f64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

/// All of them, in order.
pub(crate) struct Traffic(pub(crate) Vec<Datagram>);

impl Capture {
    pub(crate) fn start(file: &Path, filter: &str) -> Result<Self> {
        let mut command = bounded("tcpdump", Duration::from_secs(400));
        // -U and --immediate-mode: what was seen is in the file when the capture is stopped.
        command
            .args([
                "-i",
                "lo",
                "-n",
                "-U",
                "--immediate-mode",
                // A browser's INVITE is some 4 kB.
                "-s",
                "9000",
                "-B",
                "16384",
            ])
            .arg("-w")
            .arg(file)
            .arg(filter);
        if rustix::process::geteuid().is_root() {
            // Else it would give up the rights to our folder.
            command.args(["-Z", "root"]);
        }
        let mut process = Process::spawn("tcpdump", &mut command, &file.with_extension("log"))?;
        let log = process.log.clone();
        wait_for(Duration::from_secs(20), "tcpdump to listen", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let ended = process.ended().ok().flatten().is_some();
            (ended || text.contains("listening on")).then_some(())
        })?;
        ensure!(
            process.ended()?.is_none(),
            "tcpdump cannot capture, which takes root or CAP_NET_RAW: {}",
            crate::process::tail(&log)
        );
        Ok(Self {
            file: file.to_owned(),
            process,
        })
    }

    /// What was seen so far; the capture goes on.
    pub(crate) fn so_far(&self) -> Result<Traffic> {
        Traffic::read(&self.file)
    }

    /// Ends the capture and reads it.
    pub(crate) fn finish(mut self) -> Result<Traffic> {
        pause(100);
        self.process.signal(Signal::INT)?;
        self.process.wait(Duration::from_secs(10))?;
        // Without this, a busy machine would look like a server with gaps.
        let said = std::fs::read_to_string(&self.process.log)?;
        ensure!(
            said.contains("\n0 packets dropped by kernel"),
            "the capture has holes: {}",
            crate::process::tail(&self.process.log)
        );
        Traffic::read(&self.file)
    }
}

impl Traffic {
    fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        ensure!(
            bytes.get(..4) == Some(&[0xd4, 0xc3, 0xb2, 0xa1]),
            "{} is no capture",
            file.display()
        );
        let mut datagrams = Vec::new();
        let mut rest = bytes.get(24..).unwrap_or_default();
        while let Some((head, after)) = rest.split_first_chunk::<16>() {
            let word =
                |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
            let at = f64::from(word(0)) + f64::from(word(4)) / 1e6;
            let Some((frame, next)) = after.split_at_checked(word(8) as usize) else {
                // The last packet is still being written.
                break;
            };
            rest = next;
            datagrams.extend(datagram(at, frame).map(unframed));
        }
        Ok(Self(datagrams))
    }

    /// RTP that arrived at `to`: one stream per source address, in the order of their beginnings.
    pub(crate) fn streams_to(&self, to: SocketAddr) -> Vec<(SocketAddr, Stream)> {
        let mut streams: Vec<(SocketAddr, Stream)> = Vec::new();
        for it in self.0.iter().filter(|it| it.to == to) {
            let Some(packet) = RtpPacket::parse(it.at, &it.payload) else {
                continue;
            };
            match streams.iter_mut().find(|(from, _)| *from == it.from) {
                Some((_, stream)) => stream.0.push(packet),
                None => streams.push((it.from, Stream(vec![packet]))),
            }
        }
        streams
    }

    /// RTP ports among `at` that `from` has sent to, with what arrived there.
    pub(crate) fn streams_at(
        &self,
        from: IpAddr,
        at: &RangeInclusive<SocketAddr>,
    ) -> Vec<(SocketAddr, Stream)> {
        let mut ports: Vec<SocketAddr> = Vec::new();
        for it in self
            .0
            .iter()
            .filter(|it| it.from.ip() == from && at.contains(&it.to))
        {
            let is_rtp = RtpPacket::parse(it.at, &it.payload).is_some();
            if is_rtp && it.to.port() % 2 == 0 && !ports.contains(&it.to) {
                ports.push(it.to);
            }
        }
        let stream = |port: SocketAddr| Some((port, self.streams_to(port).into_iter().next()?.1));
        ports.into_iter().filter_map(stream).collect()
    }

    /// RTP that was sent from `at`.
    pub(crate) fn stream_from(&self, at: &RangeInclusive<SocketAddr>) -> Stream {
        let sent = self.0.iter().filter(|it| at.contains(&it.from));
        Stream(
            sent.filter_map(|it| RtpPacket::parse(it.at, &it.payload))
                .collect(),
        )
    }

    /// SIP messages whose first line begins with `start`, retransmissions left out.
    pub(crate) fn sip(&self, start: &str) -> Vec<Sip> {
        let mut found: Vec<Sip> = Vec::new();
        for it in &self.0 {
            // A TCP segment may hold several messages; one that continues in the next is cut short.
            let text = String::from_utf8_lossy(&it.payload);
            if !text.starts_with(start) {
                continue;
            }
            let message = Sip {
                at: it.at,
                from: it.from,
                to: it.to,
                text: text.into_owned(),
            };
            let again = found.iter().any(|earlier| {
                earlier.from == message.from
                    && earlier.header("Call-ID") == message.header("Call-ID")
                    && earlier.header("CSeq") == message.header("CSeq")
                    && earlier.text.lines().next() == message.text.lines().next()
            });
            if !again {
                found.push(message);
            }
        }
        found
    }
}

/// A SIP message as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    pub(crate) at: f64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) text: String,
}

impl Sip {
    /// Where its SDP wants audio.
    pub(crate) fn audio(&self) -> Option<SocketAddr> {
        let line = |start: &str| self.text.lines().find_map(|line| line.strip_prefix(start));
        let ip = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?;
        let port = line("m=audio ")?.split(' ').next()?;
        Some(SocketAddr::new(ip.trim().parse().ok()?, port.parse().ok()?))
    }

    /// The first value of a header, by its long name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Of a WebSocket's frame, the message in it (RFC 6455 §5.2); the first, if there are several. What is none stays.
fn unframed(mut datagram: Datagram) -> Datagram {
    if let Some(message) = message(&datagram.payload) {
        datagram.payload = message;
    }
    datagram
}

fn message(frame: &[u8]) -> Option<Vec<u8>> {
    let (&[0x81, second], rest) = frame.split_first_chunk()? else {
        return None;
    };
    let (len, rest) = match second & 0x7f {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u16::from_be_bytes(*len).into(), rest)
        }
        127 => return None,
        short => (usize::from(short), rest),
    };
    let (mask, rest) = match second & 0x80 {
        0 => ([0; 4], rest),
        _ => rest.split_first_chunk().map(|(mask, rest)| (*mask, rest))?,
    };
    let text = rest.get(..len)?.iter().zip(mask.iter().cycle());
    Some(text.map(|(byte, mask)| byte ^ mask).collect())
}

/// Ethernet, IP, and UDP or TCP around a payload.
fn datagram(at: f64, frame: &[u8]) -> Option<Datagram> {
    let (kind, packet) = (frame.get(12..14)?, frame.get(14..)?);
    let (protocol, source, target, inner): (u8, IpAddr, IpAddr, &[u8]) = match kind {
        [0x08, 0x00] => {
            let header = usize::from(packet.first()? & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            let ip = |i: usize| -> Option<IpAddr> {
                let four: [u8; 4] = packet.get(i..i + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(four).into())
            };
            (
                *packet.get(9)?,
                ip(12)?,
                ip(16)?,
                packet.get(header..total)?,
            )
        }
        [0x86, 0xdd] => {
            let ip = |i: usize| -> Option<IpAddr> {
                let sixteen: [u8; 16] = packet.get(i..i + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(sixteen).into())
            };
            (*packet.get(6)?, ip(8)?, ip(24)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let port = |i: usize| Some(u16::from_be_bytes([*inner.get(i)?, *inner.get(i + 1)?]));
    let payload = match protocol {
        17 => inner.get(8..)?,
        6 => inner.get(usize::from(inner.get(12)? >> 4) * 4..)?,
        _ => return None,
    };
    if payload.is_empty() {
        return None;
    }
    Some(Datagram {
        at,
        from: SocketAddr::new(source, port(0)?),
        to: SocketAddr::new(target, port(2)?),
        payload: payload.to_vec(),
    })
}
