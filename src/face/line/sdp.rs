//! What a line changes in a client's description: its version, and its direction while it is held.

use bytes::Bytes;

/// `local` as it is said: its version `steps` ahead (RFC 3264 §8), and, held, every medium inactive. Not
/// sendonly (§8.4): a client that was not asked to hold goes on sending, and nobody shall hear that.
pub(super) fn worded(local: &Bytes, steps: u64, held: bool) -> Bytes {
    if steps == 0 && !held {
        return local.clone();
    }
    let mut said = Vec::with_capacity(local.len() + SPARE);
    let mut in_media = false;
    for line in local.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if held && DIRECTIONS.contains(&text) {
            continue;
        }
        if held && text.starts_with(b"m=") && std::mem::replace(&mut in_media, true) {
            said.extend_from_slice(INACTIVE);
        }
        match text
            .strip_prefix(b"o=")
            .and_then(|origin| ahead(origin, steps))
        {
            Some(origin) => said.extend_from_slice(format!("o={origin}\r\n").as_bytes()),
            None => said.extend_from_slice(line),
        }
    }
    if held && in_media {
        said.extend_from_slice(INACTIVE);
    }
    said.into()
}

/// `username sess-id sess-version nettype addrtype address`, some versions on.
fn ahead(origin: &[u8], steps: u64) -> Option<String> {
    let text = std::str::from_utf8(origin).ok()?;
    // From the right: a user's name may have blanks.
    let mut fields: Vec<&str> = text.rsplitn(5, ' ').collect();
    fields.reverse();
    let [who, version, net, family, address] = fields[..] else {
        return None;
    };
    let version = version.parse::<u64>().ok()?.checked_add(steps)?;
    Some(format!("{who} {version} {net} {family} {address}"))
}

const DIRECTIONS: [&[u8]; 4] = [b"a=sendrecv", b"a=sendonly", b"a=recvonly", b"a=inactive"];
const INACTIVE: &[u8] = b"a=inactive\r\n";
/// For a longer version and some lines of direction.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=sendrecv\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n";

    fn said(offer: &str, steps: u64, held: bool) -> String {
        let said = worded(&Bytes::from(offer.to_owned()), steps, held);
        String::from_utf8(said.to_vec()).unwrap()
    }

    // covers: RFC 3264 §8, RFC 3264 §8.4
    #[test]
    fn a_held_description_is_inactive_of_a_later_version_and_else_unchanged() {
        assert_eq!(said(OFFER, 0, false), OFFER);
        assert_eq!(said(OFFER, 3, false), OFFER.replace("7 2 IN", "7 5 IN"));
        let held = OFFER
            .replace("7 2 IN", "7 3 IN")
            .replace("a=sendrecv\r\n", "");
        assert_eq!(said(OFFER, 1, true), held + "a=inactive\r\n");
    }

    #[test]
    fn every_medium_is_held_whatever_its_direction_was() {
        let two = OFFER.replace("a=sendrecv\r\na=rtcp-mux", "a=recvonly")
            + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
        let held = said(&two, 1, true);
        let (audio, video) = held.split_once("m=video").unwrap();
        for medium in [audio, video] {
            assert!(medium.ends_with("a=inactive\r\n"), "{held}");
            assert_eq!(medium.matches("a=inactive").count(), 1, "{held}");
        }
        assert!(!held.contains("recvonly"));
    }

    #[test]
    fn what_is_no_description_passes_as_it_is() {
        for text in [
            "",
            "o=",
            "o=a b c",
            "o=- 1 x IN IP4 h",
            "\r\n\n\r",
            "o=- 1 18446744073709551615 IN IP4 h",
        ] {
            assert_eq!(said(text, 1, false), text);
        }
    }
}
