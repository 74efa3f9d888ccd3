//! Our description in words.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use bytes::Bytes;

use super::{Address, Codec, Format, Meaning, ModeSet, Negotiation, Sent, Slot, Stream};

impl Negotiation {
    /// Prints our description; the same content keeps its version, another takes the next.
    pub(super) fn print(&mut self, stream: &Stream) -> Bytes {
        let version = self.sent.as_ref().map_or(1, |sent| sent.version);
        let same = self.describe(stream, version);
        let sent = match &self.sent {
            Some(sent) if sent.text != same => Sent {
                version: version + 1,
                text: self.describe(stream, version + 1),
            },
            _ => Sent {
                version,
                text: same,
            },
        };
        self.sent.insert(sent).text.clone()
    }

    /// Written as it is sent, in the order of RFC 8866 §5: the description itself is the record of it.
    fn describe(&self, stream: &Stream, version: u64) -> Bytes {
        let mut out = String::with_capacity(DESCRIPTION_USUAL);
        // Writing to a string cannot fail.
        let _ = self.write_description(&mut out, stream, version);
        out.into()
    }

    fn write_description(&self, out: &mut String, stream: &Stream, version: u64) -> fmt::Result {
        let (id, address) = (self.session_id, Address::Ip(self.place().ip()));
        write!(out, "v=0\r\no=- {id} {version} {address}\r\n")?;
        write!(out, "s=-\r\nc={address}\r\nt=0 0\r\n")?;
        if self.local.web.is_some() {
            if let Some(mid) = self.bundled() {
                write!(out, "a=group:BUNDLE {mid}\r\n")?;
            }
            out.push_str("a=ice-lite\r\na=ice-options:ice2\r\n");
        }
        self.slots.iter().try_for_each(|slot| {
            let mid = match slot {
                Slot::Audio { protocol, mid } => {
                    self.write_audio(out, stream, protocol)?;
                    mid
                }
                Slot::Dead {
                    kind,
                    protocol,
                    formats,
                    mid,
                } => {
                    write!(out, "m={kind} 0 {protocol} {}\r\n", formats.join(" "))?;
                    mid
                }
            };
            match mid {
                Some(mid) if self.local.web.is_some() => write!(out, "a=mid:{mid}\r\n"),
                _ => Ok(()),
            }
        })
    }

    /// Where the other side is told to send.
    fn place(&self) -> SocketAddr {
        let web = self.local.web.as_ref();
        let proven = web.and_then(|web| web.candidates.first().copied());
        proven.unwrap_or(SocketAddr::new(self.local.address, self.local.port))
    }

    /// The name of our stream's line, if it is in a group.
    fn bundled(&self) -> Option<&str> {
        let mut mids = self.slots.iter().filter_map(|slot| match slot {
            Slot::Audio { mid, .. } => mid.as_deref(),
            Slot::Dead { .. } => None,
        });
        mids.next().filter(|_| self.is_bundled)
    }

    fn write_audio(&self, out: &mut String, stream: &Stream, protocol: &str) -> fmt::Result {
        write!(out, "m=audio {} {protocol}", self.place().port())?;
        for format in &stream.formats {
            write!(out, " {}", format.payload_type)?;
        }
        out.push_str("\r\n");
        for format in &stream.formats {
            write_format(out, format, stream.modes)?;
        }
        let (ptime, maxptime) = (self.local.ptime_ms, self.local.maxptime_ms);
        write!(out, "a=ptime:{ptime}\r\na=maxptime:{maxptime}\r\n")?;
        for line in &stream.keys {
            write!(out, "a=crypto:{}\r\n", line.print())?;
        }
        if let Some(web) = &self.local.web {
            web.write(out, stream.setup)?;
        }
        if stream.rtcp_mux {
            out.push_str("a=rtcp-mux\r\n");
        }
        write!(out, "a={}\r\n", stream.direction.as_str())
    }
}

/// `a=rtpmap` of a format, and `a=fmtp` where it has parameters.
fn write_format(out: &mut String, format: &Format, modes: Option<ModeSet>) -> fmt::Result {
    let number = format.payload_type;
    match format.meaning {
        Meaning::Codec(codec) => {
            let (encoding, clock_rate_hz) = (codec.encoding(), codec.clock_rate_hz());
            write!(out, "a=rtpmap:{number} {encoding}/{clock_rate_hz}")?;
            if codec.channels() > 1 {
                write!(out, "/{}", codec.channels())?;
            }
            out.push_str("\r\n");
        }
        Meaning::TelephoneEvent { clock_rate_hz } => {
            write!(out, "a=rtpmap:{number} telephone-event/{clock_rate_hz}\r\n")?;
        }
        Meaning::ComfortNoise { clock_rate_hz } => {
            write!(out, "a=rtpmap:{number} CN/{clock_rate_hz}\r\n")?;
        }
        Meaning::Redundant { clock_rate_hz, .. } => {
            let channels = if clock_rate_hz == 48_000 { "/2" } else { "" };
            write!(out, "a=rtpmap:{number} red/{clock_rate_hz}{channels}\r\n")?;
        }
        Meaning::Unknown => {}
    }
    let parameters = match format.meaning {
        Meaning::TelephoneEvent { .. } => "0-15",
        Meaning::Codec(Codec::Opus) => OPUS_PARAMETERS,
        // What one side leaves out in silence the other may not be able to fill.
        Meaning::Codec(Codec::G729) => "annexb=no",
        Meaning::Codec(Codec::AmrWb) => {
            let modes = modes.map(|modes| write!(out, "a=fmtp:{number} mode-set={modes}\r\n"));
            return modes.unwrap_or(Ok(()));
        }
        Meaning::Redundant { of, .. } => return write!(out, "a=fmtp:{number} {of}/{of}\r\n"),
        _ => return Ok(()),
    };
    write!(out, "a=fmtp:{number} {parameters}\r\n")
}

/// Room for a description of one stream; more makes it grow.
const DESCRIPTION_USUAL: usize = 320;
/// What we ask of the Opus that is sent to us: mono is enough, FEC is made use of (RFC 7587 §6.1).
const OPUS_PARAMETERS: &str = "minptime=10;useinbandfec=1";
