//! Prebuilt messages: made once, patched with a call's number, and read back without a parser.
//!
//! A message is text in which `@@@@@@@@` stands for the number of a call (eight hexadecimal digits)
//! and `$TAG$` for the tag of the other side. What comes back is only looked into: the status, the
//! number behind `load-` in the Call-ID, the method of CSeq, the tag of To.

use std::net::SocketAddr;

use memchr::memmem;

/// A message of which only the call's number and the peer's tag change.
pub struct Template {
    head: Vec<u8>,
    /// What follows the tag, if there is one.
    tail: Option<Vec<u8>>,
}

impl Template {
    /// From text; line ends become CRLF, and the head is closed by an empty line before `body`.
    pub fn new(head: &str, body: &str) -> Self {
        let mut text = head.trim().replace('\n', "\r\n");
        if !body.is_empty() {
            text += "\r\nContent-Type: application/sdp";
        }
        text += &format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (head, tail) = match text.split_once("$TAG$") {
            Some((head, tail)) => (head.to_owned(), Some(tail.to_owned())),
            None => (text, None),
        };
        Self {
            head: head.into_bytes(),
            tail: tail.map(String::into_bytes),
        }
    }

    /// Writes the message of call `n` over `out`.
    pub fn write(&self, n: u32, tag: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.head);
        if let Some(tail) = &self.tail {
            out.extend_from_slice(tag);
            out.extend_from_slice(tail);
        }
        let digits = hex(n);
        let mut from = 0;
        while let Some(at) = memmem::find(&out[from..], NUMBER) {
            let at = from + at;
            out[at..at + NUMBER.len()].copy_from_slice(&digits);
            from = at + NUMBER.len();
        }
    }
}

/// The messages of a caller.
pub struct Script {
    /// The call's beginning, with an offer.
    pub invite: Template,
    /// The ACK of a 2xx.
    pub ack: Template,
    /// The ACK of a refusal: on the INVITE's own branch (RFC 3261 §17.1.1.3).
    pub ack_refusal: Template,
    /// The call's end.
    pub bye: Template,
}

impl Script {
    /// Calls from `caller` to `number` at `server`; `audio` is the port named in the offer.
    pub fn new(caller: SocketAddr, server: SocketAddr, number: &str, audio: Audio) -> Self {
        let request = |method: &str, branch: char, cseq: u32, tag: &str| {
            format!(
                "{method} sip:{number}@{server} SIP/2.0\n\
                 Via: SIP/2.0/UDP {caller};branch=z9hG4bKload{branch}@@@@@@@@;rport\n\
                 Max-Forwards: 70\n\
                 From: \"Load\" <sip:+44@@@@@@@@@{}>;tag=f@@@@@@@@\n\
                 To: <sip:{number}@{server}>{tag}\n\
                 Call-ID: load-@@@@@@@@@{}\n\
                 CSeq: {cseq} {method}\n",
                caller.ip(),
                caller.ip(),
            )
        };
        let contact = format!("Contact: <sip:load@{caller}>\nAllow: INVITE, ACK, CANCEL, BYE\n");
        let offer = sdp(caller, audio);
        Self {
            invite: Template::new(&(request("INVITE", 'i', 1, "") + &contact), &offer),
            ack: Template::new(&request("ACK", 'a', 1, ";tag=$TAG$"), ""),
            ack_refusal: Template::new(&request("ACK", 'i', 1, ";tag=$TAG$"), ""),
            bye: Template::new(&request("BYE", 'b', 2, ";tag=$TAG$"), ""),
        }
    }
}

/// What nobody asked for, of one method.
pub fn junk(method: &str, caller: SocketAddr, server: SocketAddr) -> Template {
    let body = if method == "INVITE" {
        sdp(caller, Audio::pcma(40_000))
    } else {
        String::new()
    };
    Template::new(
        &format!(
            "{method} sip:1000@{server} SIP/2.0\n\
             Via: SIP/2.0/UDP {caller};branch=z9hG4bKjunk@@@@@@@@;rport\n\
             Max-Forwards: 70\n\
             From: <sip:1000@{server}>;tag=j@@@@@@@@\n\
             To: <sip:1000@{server}>\n\
             Call-ID: junk-@@@@@@@@\n\
             CSeq: 1 {method}\n\
             Contact: <sip:junk@{caller}>\n\
             User-Agent: junk\n"
        ),
        &body,
    )
}

/// Where audio is taken, and in which codec.
#[derive(Clone, Copy)]
pub struct Audio {
    port: u16,
    payload_type: u8,
    /// As in `rtpmap`.
    name: &'static str,
}

impl Audio {
    /// G.711 A-law.
    pub const fn pcma(port: u16) -> Self {
        let (payload_type, name) = (8, "PCMA/8000");
        Self {
            port,
            payload_type,
            name,
        }
    }

    /// Opus, of payload type 111.
    pub const fn opus(port: u16) -> Self {
        let (payload_type, name) = (111, "opus/48000/2");
        Self {
            port,
            payload_type,
            name,
        }
    }

    /// G.711 µ-law.
    pub const fn pcmu(port: u16) -> Self {
        let (payload_type, name) = (0, "PCMU/8000");
        Self {
            port,
            payload_type,
            name,
        }
    }
}

/// An offer or answer: one codec and telephone events.
pub fn sdp(at: SocketAddr, audio: Audio) -> String {
    let ip = at.ip();
    let Audio {
        port,
        payload_type,
        name,
    } = audio;
    format!(
        "v=0\r\no=load 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload_type} 101\r\na=rtpmap:{payload_type} {name}\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
    )
}

/// The port of the audio in an offer or answer.
pub fn audio_port(message: &[u8]) -> Option<u16> {
    let media = line(message, b"\nm=audio ")?;
    let port = media.split(|&byte| byte == b' ').next()?;
    std::str::from_utf8(port).ok()?.parse().ok()
}

/// A response to one of ours, as far as it is looked at.
pub struct Seen<'a> {
    /// Of its first line.
    pub status: u16,
    /// The call's number.
    pub call: u32,
    /// The method of CSeq.
    pub method: &'a [u8],
    /// The tag of To, empty if there is none.
    pub tag: &'a [u8],
}

impl<'a> Seen<'a> {
    /// Looks into a response; `None` if it is none of ours.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let status = bytes.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        let call = memmem::find(bytes, b"Call-ID: load-")?;
        let call = unhex(bytes.get(call + 14..call + 22)?)?;
        let cseq = line(bytes, b"CSeq: ")?;
        let method = cseq.rsplit(|&byte| byte == b' ').next()?;
        let to = line(bytes, b"\r\nTo: ")?;
        let tag = memmem::find(to, b";tag=").map_or(&[][..], |at| &to[at + 5..]);
        Some(Self {
            status,
            call,
            method,
            tag,
        })
    }
}

/// The rest of the line that begins with `name`.
pub fn line<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(bytes, name)? + name.len();
    let rest = bytes.get(at..)?;
    rest.get(..memchr::memchr(b'\r', rest)?)
}

/// What a callee says to a request: its own lines, and a body if there is one.
pub fn answer(request: &[u8], me: SocketAddr, audio: Audio, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    let head = memmem::find(request, b"\r\n\r\n").unwrap_or(request.len());
    for line in request[..head].split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is = |name: &[u8]| line.starts_with(name);
        if is(b"Via: ") || is(b"From: ") || is(b"Call-ID: ") || is(b"CSeq: ") {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        } else if is(b"To: ") {
            out.extend_from_slice(line);
            if memmem::find(line, b";tag=").is_none() {
                out.extend_from_slice(b";tag=callee");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    let body = if request.starts_with(b"INVITE") {
        sdp(me, audio)
    } else {
        String::new()
    };
    out.extend_from_slice(format!("Contact: <sip:load@{me}>\r\n").as_bytes());
    if !body.is_empty() {
        out.extend_from_slice(b"Content-Type: application/sdp\r\n");
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

fn hex(n: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(n >> (28 - 4 * at)) as usize & 15])
}

fn unhex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

const NUMBER: &[u8] = b"@@@@@@@@";
