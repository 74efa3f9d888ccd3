use clock::{Duration, Now};

use super::{EventPayload, EventReceiver, EventSender, Heard, QueueError};
use crate::Digit;
use crate::rtp::{Header, RtpTime, Sequence};

fn key(name: char) -> Digit {
    Digit::from_char(name).unwrap()
}

fn ms(millis: u64) -> Now {
    Now::ZERO + Duration::from_millis(millis)
}

fn header(time: u32, marker: bool) -> Header {
    Header {
        marker,
        payload_type: 101,
        sequence: Sequence(0),
        time: RtpTime(time),
        ssrc: 9,
    }
}

fn payload(name: char, duration: u16, end: bool) -> [u8; 4] {
    EventPayload {
        event: key(name).event(),
        end,
        volume: 10,
        duration,
    }
    .to_bytes()
}

/// What a receiver makes of (ms, timestamp, key, duration, end), and of the silence that follows.
fn hear(packets: &[(u64, u32, char, u16, bool)]) -> (String, Vec<(char, u128)>) {
    let mut receiver = EventReceiver::new(8_000);
    let (mut pressed, mut released) = (String::new(), Vec::new());
    let mut note = |heard: Heard| {
        released.extend(
            heard
                .released
                .map(|(digit, span)| (digit.as_char(), span.as_millis())),
        );
        pressed.extend(heard.pressed.map(Digit::as_char));
    };
    let mut last = 0;
    for &(at, time, name, duration, end) in packets {
        note(receiver.receive(ms(at), &header(time, false), &payload(name, duration, end)));
        last = at;
    }
    note(receiver.handle_timeout(ms(last + 10_000)));
    (pressed, released)
}

// covers: RFC 4733 §2.5.1.4, RFC 4733 §2.5.2.2, S3-05
#[test]
fn one_press_is_heard_once_however_its_packets_come() {
    let whole = [
        (0, 800, '5', 160, false),
        (20, 800, '5', 320, false),
        (40, 800, '5', 480, true),
        (60, 800, '5', 480, true),
        (80, 800, '5', 480, true),
    ];
    let once = ("5".to_owned(), vec![('5', 60)]);
    assert_eq!(hear(&whole), once);
    for lost in 0..5 {
        let mut rest = whole.to_vec();
        rest.remove(lost);
        assert_eq!(hear(&rest), once, "without packet {lost}");
    }
    let doubled: Vec<_> = whole.iter().flat_map(|&packet| [packet, packet]).collect();
    assert_eq!(hear(&doubled), once);
    let reversed: Vec<_> = whole.iter().rev().copied().collect();
    assert_eq!(hear(&reversed), once);
    assert_eq!(hear(&whole[2..3]), once, "an end alone");
    assert_eq!(
        hear(&whole[..2]),
        ("5".to_owned(), vec![('5', 40)]),
        "no end at all"
    );
}

#[test]
fn a_press_whose_end_was_lost_ends_where_the_next_begins() {
    let packets = [
        (0, 800, '1', 160, false),
        (20, 800, '1', 320, false),
        (120, 1_760, '1', 160, false),
        (130, 800, '1', 480, true),
        (140, 1_760, '1', 320, true),
        (220, 2_560, '2', 320, true),
        (230, 1_760, '1', 320, true),
    ];
    let want = vec![('1', 40), ('1', 40), ('2', 40)];
    assert_eq!(hear(&packets), ("112".to_owned(), want));
}

// covers: RFC 4733 §2.5.1.3
#[test]
fn a_press_longer_than_the_field_goes_on_in_segments_and_stays_one() {
    let first = 4_294_900_000_u32;
    let packets = [
        (0, first, '#', 160, false),
        (8_100, first, '#', 0xFFFF, false),
        (8_200, first.wrapping_add(0xFFFF), '#', 160, false),
        (8_210, first, '#', 0xFFFF, false),
        (16_400, first.wrapping_add(3 * 0xFFFF), '#', 800, true),
    ];
    let mut receiver = EventReceiver::new(8_000);
    let mut pressed = 0;
    let mut released = Vec::new();
    for (at, time, name, duration, end) in packets {
        // Keep it from timing out: the gaps stand for packets left out of the table.
        if let Some(press) = receiver.last.as_mut() {
            press.over_at = ms(at + 1);
        }
        let heard = receiver.receive(ms(at), &header(time, false), &payload(name, duration, end));
        pressed += usize::from(heard.pressed.is_some());
        released.extend(heard.released.map(|(_, span)| span.as_millis()));
    }
    assert_eq!((pressed, released), (1, vec![24_675]));
}

#[test]
fn a_press_after_a_quiet_time_is_heard_though_the_clock_was_set_back() {
    let packets = [(0, 80_000, '7', 160, true), (6_000, 800, '7', 160, true)];
    assert_eq!(hear(&packets).0, "77");
    let soon = [(0, 80_000, '7', 160, true), (100, 800, '7', 160, true)];
    assert_eq!(hear(&soon).0, "7");
}

#[test]
fn other_events_and_short_payloads_show_nothing() {
    let mut receiver = EventReceiver::new(8_000);
    for bytes in [&[16, 0, 0, 160][..], &[1, 0, 0], &[]] {
        assert_eq!(
            receiver.receive(ms(0), &header(1, true), bytes),
            Heard::default()
        );
    }
    assert_eq!(receiver.deadline(), None);
}

/// Everything a sender sends for `frames` of 20 ms.
fn send(sender: &mut EventSender, frames: u32) -> Vec<Option<(bool, u32, EventPayload)>> {
    let packet = |i| {
        let packet = sender.tick(RtpTime(1_000 + i * 160))?;
        Some((
            packet.marker,
            packet.time.0,
            EventPayload::parse(&packet.payload)?,
        ))
    };
    (0..frames).map(packet).collect()
}

// covers: RFC 4733 §2.5.1.2, RFC 4733 §2.5.1.4
#[test]
fn a_key_is_sent_with_a_marker_updates_three_ends_and_one_timestamp() {
    let mut sender = EventSender::new(8_000);
    sender
        .press(&[key('4'), key('2')], Duration::from_millis(70))
        .unwrap();
    let sent = send(&mut sender, 14);
    let told = |packet: &Option<(bool, u32, EventPayload)>| {
        packet.map(|(marker, time, p)| (marker, time, p.event, p.duration, p.end))
    };
    let press = |time, event| {
        let packet = move |marker, duration, end| Some((marker, time, event, duration, end));
        [
            packet(true, 160, false),
            packet(false, 320, false),
            packet(false, 480, false),
            packet(false, 640, true),
            packet(false, 640, true),
            packet(false, 640, true),
            None,
        ]
    };
    let want = [press(1_000, 4), press(1_000 + 7 * 160, 2)].concat();
    assert_eq!(sent.iter().map(told).collect::<Vec<_>>(), want);
    assert!(!sender.is_busy());
}

#[test]
fn a_press_of_twenty_seconds_sent_is_one_press_received() {
    let mut sender = EventSender::new(8_000);
    let mut receiver = EventReceiver::new(8_000);
    sender.press(&[key('D')], Duration::from_secs(20)).unwrap();
    let (mut pressed, mut released) = (0, Vec::new());
    for i in 0..1_010_u32 {
        let Some(packet) = sender.tick(RtpTime(i * 160)) else {
            continue;
        };
        let header = header(packet.time.0, packet.marker);
        let heard = receiver.receive(ms(u64::from(i) * 20), &header, &packet.payload);
        pressed += usize::from(heard.pressed.is_some());
        released.extend(heard.released);
    }
    assert_eq!(
        (pressed, released),
        (1, vec![(key('D'), Duration::from_secs(20))])
    );
}

#[test]
fn a_stopped_key_still_ends_and_the_rest_are_forgotten() {
    let mut sender = EventSender::new(8_000);
    sender
        .press(&[key('1'); 60], Duration::from_secs(1))
        .unwrap();
    let full = QueueError::Full {
        waiting: 60,
        more: 5,
    };
    assert_eq!(sender.press(&[key('2'); 5], Duration::ZERO), Err(full));
    send(&mut sender, 3);
    sender.stop();
    let sent = send(&mut sender, 20);
    assert_eq!(sent.iter().flatten().filter(|(_, _, p)| p.end).count(), 3);
    assert_eq!(
        (sent.iter().flatten().count(), sender.is_busy()),
        (3, false)
    );
}
