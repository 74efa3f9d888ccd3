//! A carrier's call as its bytes are: one UDP socket that calls, acknowledges, and answers what is asked.

use bytes::Bytes;
use sip::message::{Message, Method, Name};
use tokio::net::UdpSocket;

use super::sound::Voice;
use super::*;

/// Who calls by the trunk.
pub(super) struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    pub(super) voice: Voice,
    call_id: String,
    tag: String,
    target: String,
    cseq: u32,
}

impl Phone {
    /// Calls that number, and is answered.
    pub(super) async fn call(server: &Server, number: &str, hz: f32) -> Self {
        let udp = server.bound().iter();
        let udp = udp.map(|it| it.local).next().unwrap();
        let socket = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let mut phone = Self {
            socket,
            server: udp,
            voice: Voice::new(hz),
            call_id: format!("call-{}", local.port()),
            tag: String::new(),
            target: format!("sip:{number}@127.0.0.1"),
            cseq: 1,
        };
        let port = phone.voice.local.port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        phone.send("INVITE", &sdp).await;
        let answer = phone.until(|message| message.status() == Some(200)).await;
        phone.tag = answer.header(Name::To).unwrap().to_owned();
        let contact = answer.header(Name::Contact).unwrap();
        phone.target = contact.trim_matches(['<', '>']).to_owned();
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        let port = body.split("m=audio ").nth(1).unwrap();
        let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
        phone.voice.speak_to(([127, 0, 0, 1], port).into());
        phone.send("ACK", "").await;
        phone
    }

    async fn send(&mut self, method: &str, sdp: &str) {
        let local = self.socket.local_addr().unwrap();
        if method == "BYE" {
            self.cseq += 1;
        }
        let (cseq, port) = (self.cseq, local.port());
        let to = match self.tag.as_str() {
            "" => format!("<{}>", self.target),
            to => to.to_owned(),
        };
        let body = match sdp.len() {
            0 => "Content-Length: 0\r\n\r\n".to_owned(),
            len => format!("Content-Type: application/sdp\r\nContent-Length: {len}\r\n\r\n{sdp}"),
        };
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: \"Bob B.\" <sip:+4930123@127.0.0.1>;tag=f{port}\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:bob@{local}>\r\n{body}",
            self.target, self.call_id
        );
        self.socket
            .send_to(text.as_bytes(), self.server)
            .await
            .unwrap();
    }

    /// The next message that is so; requests are answered on the way.
    async fn until(&self, is: impl Fn(&Message) -> bool) -> Message {
        let mut bytes = vec![0; 4_096];
        loop {
            let read = self.socket.recv_from(&mut bytes);
            let read = tokio::time::timeout(Duration::from_secs(10), read).await;
            let (len, from) = read.expect("nothing came in 10 s").unwrap();
            let message = Message::parse(Bytes::copy_from_slice(&bytes[..len])).unwrap();
            if message.method().is_some_and(|it| it != Method::Ack) {
                self.answer(&message, from).await;
            }
            if is(&message) {
                return message;
            }
        }
    }

    async fn answer(&self, request: &Message, from: SocketAddr) {
        let mut text = "SIP/2.0 200 OK\r\n".to_owned();
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            for value in request.headers(name) {
                text += &format!("{}: {value}\r\n", name.as_str());
            }
        }
        text += "Content-Length: 0\r\n\r\n";
        self.socket.send_to(text.as_bytes(), from).await.unwrap();
    }

    /// The other side hangs up.
    pub(super) async fn is_hung_up(&self) {
        self.until(|message| message.method() == Some(Method::Bye))
            .await;
    }

    pub(super) async fn hang_up(mut self) {
        self.send("BYE", "").await;
        self.until(|message| message.status() == Some(200)).await;
    }
}
