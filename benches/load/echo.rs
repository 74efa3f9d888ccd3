//! A bare loop over one UDP socket: what the same messages cost a server that decides nothing.

use std::net::UdpSocket;

use lab::message::{Audio, sdp};
use memchr::memmem;

use crate::target::SERVER;

/// Answers each INVITE and each BYE with a prebuilt message; only a call's number is
/// copied. Runs until it is killed.
pub(crate) fn run() -> ! {
    let socket = UdpSocket::bind(SERVER).unwrap();
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(8 << 20)
        .unwrap();
    let [mut answer, mut bye] = [
        response(
            "200 OK",
            "1 INVITE",
            &sdp(socket.local_addr().unwrap(), Audio::pcma(20_000)),
        ),
        response("200 OK", "2 BYE", ""),
    ];
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let message = &buffer[..length];
        let Some(at) = memmem::find(message, b"load-") else {
            continue;
        };
        let number = message[at + 5..at + 13].to_vec();
        let send = |prebuilt: &mut Vec<u8>| {
            let at = memmem::find(prebuilt, b"load-").unwrap() + 5;
            prebuilt[at..at + 8].copy_from_slice(&number);
            let _ = socket.send_to(prebuilt, from);
        };
        match message.first() {
            Some(b'I') => send(&mut answer),
            Some(b'B') => send(&mut bye),
            _ => {}
        }
    }
}

fn response(status: &str, cseq: &str, body: &str) -> Vec<u8> {
    let padding = "x".repeat(120);
    format!(
        "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 127.0.9.1:5062;branch=z9hG4bK{padding}\r\n\
         From: \"Load\" <sip:+44@127.0.9.1>;tag=f\r\nTo: <sip:1000@127.0.9.2>;tag=0123456789abcdef\r\n\
         Call-ID: load-00000000@127.0.9.1\r\nCSeq: {cseq}\r\nContact: <sip:127.0.9.2:5060>\r\n\
         Server: echo\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
