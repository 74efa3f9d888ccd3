use super::{BUFFER_MAX, Frame, FrameError, StreamFramer};
use crate::message::ErrorKind;
use bytes::Bytes;

const OPTIONS: &[u8] =
    b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nl: 3\r\n\r\nabc";

/// Every frame of `stream`, fed in chunks of `chunk` bytes, and the fault that ends it.
fn frames(stream: &[u8], chunk: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = StreamFramer::new();
    let mut frames = Vec::new();
    for chunk in stream.chunks(chunk) {
        framer.push(chunk).unwrap();
        loop {
            match framer.poll_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

// covers: RFC 3261 §18.3
#[test]
fn messages_come_out_whole_however_the_stream_is_chopped() {
    let stream = OPTIONS.repeat(3);
    for chunk in 1..=stream.len() {
        let (frames, fault) = frames(&stream, chunk);
        assert_eq!(
            frames,
            vec![Frame::Message(Bytes::from_static(OPTIONS)); 3],
            "chunks of {chunk}"
        );
        assert_eq!(fault, None);
    }
}

// covers: RFC 5626 §4.4.1, RFC 3261 §7.5
#[test]
fn a_double_line_end_is_a_ping_and_a_single_one_is_nothing() {
    let stream = [b"\r\n\r\n", OPTIONS, b"\r\n", OPTIONS, b"\r\n\r\n"].concat();
    for chunk in 1..=stream.len() {
        let message = || Frame::Message(Bytes::from_static(OPTIONS));
        let want = vec![Frame::Ping, message(), message(), Frame::Ping];
        assert_eq!(frames(&stream, chunk), (want, None), "chunks of {chunk}");
    }
}

/// Each would let two readers of one stream see different messages.
#[test]
fn a_length_that_cannot_be_trusted_ends_the_stream() {
    let lengths: [&[u8]; 8] = [
        b"",
        b"Content-Length: 3\r\nl: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 3\r\nX: a\rContent-Length: 0\r\n",
    ];
    for length in lengths {
        let stream = [b"OPTIONS sip:a@b SIP/2.0\r\n", length, b"\r\nabc"].concat();
        let (frames, fault) = frames(&stream, 5);
        let fault = fault.unwrap();
        assert!(frames.is_empty());
        assert_eq!(fault.error.answer, Some(400), "{}", length.escape_ascii());
        assert!(stream.starts_with(&fault.head) && fault.head.ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn what_no_message_may_hold_is_refused_before_it_is_kept() {
    let declared = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 65535\r\n\r\n";
    let (_, fault) = frames(declared, 7);
    assert_eq!(fault.unwrap().error.answer, Some(513));
    let endless = b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n";
    let (_, fault) = frames(endless, 7);
    assert_eq!(fault.unwrap().error.answer, Some(513));
    let (_, fault) = frames(&[b'x'; 70_000], 1_000);
    assert_eq!(fault.unwrap().error.kind, ErrorKind::Limit);
    let mut framer = StreamFramer::new();
    assert!(framer.push(&vec![b'x'; BUFFER_MAX + 1]).is_err());
    assert!(framer.is_idle());
}
