//! The question: who calls whom, from where, when.

use std::net::SocketAddr;

use jiff::Timestamp;
use sip::transport::Transport;

use super::CalleeDoes;

/// A call to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The user of From; of a registration, the address registered.
    pub from: String,
    /// The user of the Request-URI.
    pub to: String,
    /// The true source.
    pub source: SocketAddr,
    /// What it comes by.
    pub transport: Transport,
    /// The address that the caller sends to, where that is the question.
    pub sent_to: Option<SocketAddr>,
    /// The trunk that it should come by.
    pub trunk: Option<String>,
    /// The digest user name, if it is not the user of From.
    pub user: Option<String>,
    /// The password, if it is not the right one.
    pub password: Option<String>,
    /// The wall time; now if `None`.
    pub at: Option<Timestamp>,
    /// A registration, not a call.
    pub register: bool,
    /// The codecs offered, by name or payload type.
    pub codecs: Vec<String>,
    /// The profile offered.
    pub profile: String,
    /// The address of the offer; the source's if `None`.
    pub media: Option<String>,
    /// Headers besides, or instead of Max-Forwards.
    pub headers: Vec<(String, String)>,
    /// Keys that the caller presses, each where the plan listens.
    pub digits: String,
    /// What whoever is rung does; a rehearsal ends with the first INVITE if `None`.
    pub callee: Option<CalleeDoes>,
}

impl Probe {
    /// A call as most are: UDP, both G.711 laws, now.
    pub fn new(from: &str, to: &str, source: SocketAddr) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            source,
            transport: Transport::Udp,
            sent_to: None,
            trunk: None,
            user: None,
            password: None,
            at: None,
            register: false,
            codecs: vec!["PCMA".to_owned(), "PCMU".to_owned()],
            profile: "RTP/AVP".to_owned(),
            media: None,
            headers: Vec::new(),
            digits: String::new(),
            callee: None,
        }
    }

    /// What keeps it from being asked: texts that would break a message, or bounds.
    ///
    /// # Errors
    /// The key and its rule.
    pub fn check(&self) -> Result<(), &'static str> {
        let plain = |text: &str, most: usize| {
            text.len() <= most
                && !text
                    .chars()
                    .any(|it| it.is_control() || "<>\"".contains(it))
        };
        let header = |(name, value): &(String, String)| {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(token)
                && value.len() <= 512
                && !value.chars().any(char::is_control)
        };
        let users = [&self.from, &self.to].into_iter().chain(self.user.as_ref());
        if !users.into_iter().all(|text| plain(text, 128)) || self.from.is_empty() {
            return Err("from, to and user: want 1 to 128 plain characters");
        }
        if self.to.is_empty() && !self.register {
            return Err("to: want a number or a name");
        }
        if self.codecs.is_empty() || self.codecs.len() > 16 {
            return Err("codecs: want 1 to 16");
        }
        if !self
            .codecs
            .iter()
            .all(|it| plain(it, 32) && !it.contains(' '))
        {
            return Err("codecs: want names such as PCMA");
        }
        let texts = self.media.iter().chain([&self.profile]);
        if !texts.into_iter().all(|text| plain(text, 64)) {
            return Err("media and profile: want plain text of at most 64 characters");
        }
        if self.headers.len() > 16 || !self.headers.iter().all(header) {
            return Err("headers: want at most 16, each a name and a value on one line");
        }
        let pressed = self.digits.is_empty() || crate::dialplan::cli::is_keys(&self.digits);
        if self.digits.len() > 64 || !pressed {
            return Err("digits: want at most 64 of 0-9 * # A-D");
        }
        Ok(())
    }

    /// The description that the caller offers.
    pub(super) fn offer(&self) -> String {
        let address = match &self.media {
            Some(address) => address.clone(),
            None => self.source.ip().to_string(),
        };
        let family = if address.contains(':') { "IP6" } else { "IP4" };
        let mut formats = Vec::new();
        let mut maps = String::new();
        for (codec, free) in self.codecs.iter().zip(96_u8..) {
            let number = match codec.to_ascii_uppercase().as_str() {
                "PCMU" => 0,
                "GSM" => 3,
                "PCMA" => 8,
                "G722" => 9,
                "G729" => 18,
                _ => free,
            };
            let clock = match codec.to_ascii_uppercase().as_str() {
                "OPUS" => "48000/2",
                "L16" => "16000",
                _ => "8000",
            };
            formats.push(number.to_string());
            maps.push_str(&format!("a=rtpmap:{number} {codec}/{clock}\r\n"));
        }
        // A key that nobody will use: what is rehearsed has no sound.
        if self.profile.starts_with("RTP/SAVP") {
            let key = "A".repeat(40);
            maps.push_str(&format!(
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
            ));
        }
        format!(
            "v=0\r\no=- 1 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=audio 40000 {} {}\r\n{maps}",
            self.profile,
            formats.join(" ")
        )
    }
}
