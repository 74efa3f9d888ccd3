//! The parser: what it takes, what it refuses and where, and that printing loses nothing.

use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use super::super::{Address, Attribute, Connection, Media, Origin, SessionDescription, fuzz};

/// Parses `text` with `|` for line ends; the error as `line:offset what`.
fn refusal(text: &str) -> String {
    match SessionDescription::parse(text.replace('|', "\r\n").as_bytes()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => {
            let shown = error.to_string();
            let (_, what) = shown.split_once(": ").unwrap();
            format!("{}:{} {what}", error.line, error.offset)
        }
    }
}

const HEAD: &str = "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|";

// covers: RFC 8866 §5, §5.1, §5.2, §5.7, §5.14, §9
#[test]
fn a_malformed_description_is_refused_with_line_byte_and_what_was_expected() {
    let table = [
        ("", "1:0 missing v=0"),
        ("v=1|", "1:2 expected version 0"),
        (
            "o=- 1 1 IN IP4 192.0.2.1|",
            "1:0 expected v=0 as the first line",
        ),
        ("v=0|s=-|", "2:10 missing the o= line"),
        ("v=0|v=0|", "2:5 a second v= line"),
        (
            "v=0|hello|",
            "2:5 expected a line type, one lower-case letter and '='",
        ),
        (
            "v=0||o=- 1 1 IN IP4 192.0.2.1|",
            "2:5 expected a line type, one lower-case letter and '='",
        ),
        ("v=0|x=1|", "2:5 no line type 'x' at this level"),
        (
            "v=0|o=- one 1 IN IP4 192.0.2.1|",
            "2:9 expected a session id in digits",
        ),
        (
            "v=0|o=- 1 -1 IN IP4 192.0.2.1|",
            "2:11 expected a session version in digits",
        ),
        (
            "v=0|o=- 1 1 IN IP4|",
            "2:19 expected user, id, version, IN, IP4 or IP6, address",
        ),
        (
            "v=0|o=- 1 1 ATM IP4 192.0.2.1|",
            "2:13 expected network type IN",
        ),
        (
            "v=0|o=- 1 1 IN IP5 192.0.2.1|",
            "2:16 expected address type IP4 or IP6",
        ),
        (
            "v=0|c=IN IP4 192.0.2.256|",
            "2:14 expected an IPv4 address or a host name",
        ),
        (
            "v=0|c=IN IP6 2001:db8::zz|",
            "2:14 expected an IPv6 address or a host name",
        ),
        (
            "v=0|c=IN IP4 224.2.1.1/lots|",
            "2:24 expected a multicast ttl or count",
        ),
        ("v=0|a=|", "2:5 expected an attribute's name"),
        ("v=0|a=:value|", "2:5 expected an attribute's name"),
        ("v=0|s=a\rb|", "2:8 expected text without NUL or bare CR"),
        ("v=0|s=a\0b|", "2:8 expected text without NUL or bare CR"),
    ];
    for (text, want) in table {
        assert_eq!(refusal(text), want, "{text:?}");
    }
}

// covers: RFC 8866 §5.14
#[test]
fn a_hostile_media_line_is_refused_at_the_token_that_is_wrong() {
    let table = [
        (
            "m=audio 17000 RTP/AVP 4294967296|",
            "want a payload type",
            22,
        ),
        ("m=audio 17000 RTP/AVP 128|", "want a payload type", 22),
        ("m=audio 17000 RTP/AVP -1|", "want a payload type", 22),
        ("m=audio 17000 RTP/SAVPF 0 1e3|", "want a payload type", 26),
        ("m=audio 65536 RTP/AVP 0|", "want a port", 8),
        ("m=audio +400 RTP/AVP 0|", "want a port", 8),
        ("m=audio 4000/0 RTP/AVP 0|", "want a number of ports", 13),
        (
            "m=audio 4000/70000 RTP/AVP 0|",
            "want a number of ports",
            13,
        ),
        ("m=audio|", "want a port", 7),
        ("m=audio 4000|", "want a transport", 12),
        ("m=audio 4000 RTP/AVP|", "want at least one format", 20),
        ("m=|", "want a media type", 2),
    ];
    let head = HEAD.replace('|', "\r\n").len();
    for (lines, want, at) in table {
        let said = refusal(&format!("{HEAD}{lines}"));
        let want = format!("6:{} {}", head + at, want.replace("want", "expected"));
        assert!(said.starts_with(&want), "{lines:?}: {said} is not {want}");
    }
}

#[test]
fn each_bound_is_exact() {
    let media = |count: usize| format!("{HEAD}{}", "m=audio 0 RTP/AVP 0|".repeat(count));
    assert_eq!(refusal(&media(64)), "accepted");
    assert!(refusal(&media(65)).ends_with("more than 64 media sections"));

    let attributes = |count: usize| format!("{HEAD}{}", "a=x|".repeat(count));
    assert_eq!(refusal(&attributes(256)), "accepted");
    assert!(refusal(&attributes(257)).ends_with("more than 256 attributes of one section"));

    let formats = |count: usize| format!("{HEAD}m=audio 4000 RTP/AVP{}|", " 0".repeat(count));
    assert_eq!(refusal(&formats(128)), "accepted");
    assert!(refusal(&formats(129)).ends_with("more than 128 formats"));

    let sized = |bytes: usize| {
        let head = HEAD.replace('|', "\r\n").len() + "i=|".len() + 1;
        format!("{HEAD}i={}|", "x".repeat(bytes - head))
    };
    assert_eq!(refusal(&sized(65_536)), "accepted");
    assert!(refusal(&sized(65_537)).ends_with("more than 65536 bytes"));
}

// covers: RFC 8866 §5, §9
#[test]
fn what_devices_get_wrong_without_harm_is_taken() {
    let table = [
        ("bare LF", "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\n"),
        (
            "no final line end",
            "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|t=0 0",
        ),
        (
            "blank lines at the end",
            "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|t=0 0|||",
        ),
        ("neither s= nor t=", "v=0|o=- 1 1 IN IP4 192.0.2.1|"),
        ("empty s=", "v=0|o=- 1 1 IN IP4 192.0.2.1|s=|t=0 0|"),
        (
            "blanks in the user name",
            "v=0|o=Front Desk 1 1 IN IP4 192.0.2.1|s=-|",
        ),
        (
            "a= before c=",
            "v=0|o=- 1 1 IN IP4 192.0.2.1|a=sendrecv|c=IN IP4 192.0.2.1|t=0 0|",
        ),
        (
            "fmtp without payload",
            "v=0|o=- 1 1 IN IP4 192.0.2.1|m=audio 4 RTP/AVP 0|a=fmtp:|a=fmtp|",
        ),
        (
            "rejected with a wildcard",
            "v=0|o=- 1 1 IN IP4 192.0.2.1|m=video 0 RTP/AVP *|",
        ),
    ];
    for (name, text) in table {
        assert_eq!(refusal(text), "accepted", "{name}");
    }
}

#[test]
fn latin_1_in_free_text_is_read_as_latin_1() {
    let parsed = SessionDescription::parse(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=Caf\xe9\r\n");
    assert_eq!(parsed.unwrap().name, "Caf\u{e9}");
}

// covers: RFC 8866 §5, §9
#[test]
fn lines_are_printed_in_the_order_of_the_grammar_however_they_came() {
    let scrambled = "v=0|b=AS:64|k=prompt|t=0 0|r=7d 1h 0|a=sendrecv|c=IN IP4 192.0.2.1|\
                     p=+33 1|e=a@b|u=x|i=info|s=talk|o=- 1 1 IN IP4 192.0.2.1|z=0 0|\
                     m=audio 4000 RTP/AVP 0|a=x|b=AS:32|c=IN IP4 192.0.2.2|i=voice|";
    let parsed = SessionDescription::parse(scrambled.replace('|', "\r\n").as_bytes()).unwrap();
    let letters: String = parsed
        .to_string()
        .lines()
        .filter_map(|line| line.chars().next())
        .collect();
    assert_eq!(letters, "vosiuepcbtrzkamicba");
}

#[test]
fn mutated_descriptions_never_panic_and_what_parses_prints_to_itself() {
    let seeds = super::examples::ALL;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for round in 0..20_000 {
        let mut text = seeds[round % seeds.len()].replace('|', "\r\n").into_bytes();
        for _ in 0..=draw(6) {
            let at = draw(text.len());
            match draw(5) {
                0 => text[at] = u8::try_from(draw(256)).unwrap(),
                1 => drop(text.remove(at)),
                2 => text.insert(at, b"\r\n=:/ 09am"[draw(10)]),
                3 => text.truncate(at.max(8)),
                _ => {
                    let piece = text[at..(at + draw(40)).min(text.len())].to_vec();
                    let to = draw(text.len());
                    text.splice(to..to, piece);
                }
            }
        }
        fuzz::sdp(&text);
    }
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.-]{1,12}"
}

fn address() -> impl Strategy<Value = Address> {
    let name = ("[a-z]{1,9}\\.example", any::<bool>());
    proptest::prop_oneof![
        any::<std::net::IpAddr>().prop_map(Address::Ip),
        name.prop_map(|(name, v6)| Address::Name { name, v6 }),
    ]
}

fn connection() -> impl Strategy<Value = Connection> {
    let suffix = prop::option::of("[0-9]{1,3}(/[0-9]{1,2})?");
    (address(), suffix).prop_map(|(address, multicast)| Connection { address, multicast })
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let attribute = (word(), prop::option::of("[ -~]{0,30}"))
        .prop_map(|(name, value)| Attribute { name, value });
    prop::collection::vec(attribute, 0..6)
}

fn section() -> impl Strategy<Value = Media> {
    let head = (word(), any::<u16>(), prop::option::of(1..9_u16));
    let formats = prop::collection::vec((0..128_u8).prop_map(|number| number.to_string()), 1..5);
    let connections = prop::collection::vec(connection(), 0..2);
    (head, formats, connections, attributes()).prop_map(
        |((kind, port, ports), formats, connections, attributes)| Media {
            kind,
            port,
            ports,
            protocol: "RTP/AVP".to_owned(),
            formats,
            connections,
            extra: vec![('i', "voice".to_owned())],
            attributes,
        },
    )
}

proptest! {
    // covers: RFC 8866 §9
    #[test]
    fn a_printed_description_parses_to_itself(
        user in word(),
        (session_id, edition) in (any::<u64>(), any::<u64>()),
        origin_address in address(),
        name in "[ -~]{0,20}",
        connection in prop::option::of(connection()),
        attributes in attributes(),
        media in prop::collection::vec(section(), 0..4),
    ) {
        let description = SessionDescription {
            origin: Origin {
                username: user,
                session_id: session_id.to_string(),
                version: edition.to_string(),
                address: origin_address,
            },
            name,
            connection,
            extra: vec![('t', "0 0".to_owned())],
            attributes,
            media,
        };
        let parsed = SessionDescription::parse(description.to_string().as_bytes());
        prop_assert_eq!(parsed, Ok(description));
    }

    #[test]
    fn any_bytes_are_an_error_or_a_description_but_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        fuzz::sdp(&bytes);
    }
}

#[test]
fn a_description_of_more_lines_than_any_browser_makes_is_refused_at_the_line_that_is_too_many() {
    let section = format!("m=audio 4000 RTP/AVP 0\r\n{}", "a=b:c\r\n".repeat(250));
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    let of = |sections: usize| format!("{head}{}", section.repeat(sections));
    assert!(SessionDescription::parse(of(8).as_bytes()).is_ok());
    let refused = SessionDescription::parse(of(9).as_bytes()).unwrap_err();
    assert_eq!(refused.line, 2_049, "{refused}");
}

#[test]
fn more_formats_in_all_than_any_offer_has_are_refused() {
    let formats: String = (0..128).map(|number| format!(" {number}")).collect();
    let section = format!("m=audio 4000 RTP/AVP{formats}\r\n");
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    let of = |sections: usize| format!("{head}{}", section.repeat(sections));
    assert!(SessionDescription::parse(of(8).as_bytes()).is_ok());
    let refused = SessionDescription::parse(of(9).as_bytes()).unwrap_err();
    assert_eq!(refused.line, 14, "{refused}");
}
