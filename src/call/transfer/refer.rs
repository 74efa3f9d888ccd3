//! What a REFER asks for (RFC 3515), read without trust.

use sip::message::{Message, Name, NameAddr};

/// A REFER that can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// The URI of Refer-To without the headers in it.
    pub to: String,
    /// The dialog whose place the one who is referred shall take (RFC 3891 §4), as it stood in the
    /// headers of the URI.
    pub replaces: Option<String>,
    /// Whether the progress is to be told by NOTIFY: not where `Refer-Sub: false` asks for silence
    /// (RFC 4488 §4).
    pub subscribes: bool,
    /// The number of the request: names the subscription where there is more than one (§2.4.6).
    pub number: u32,
}

/// Why a REFER cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRefer {
    /// None, several, or one that is no address (§2.4.2).
    #[error("want exactly one Refer-To with a SIP URI")]
    Target,
    /// The URI asks for something else than a call.
    #[error("want a Refer-To that asks for a call (method=INVITE, or none)")]
    Method,
}

impl Refer {
    /// Reads a REFER.
    ///
    /// # Errors
    /// [`BadRefer`], to be answered with 400.
    pub fn read(request: &Message) -> Result<Self, BadRefer> {
        let mut values = request.values(Name::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(BadRefer::Target);
        };
        let address = NameAddr::parse(value).map_err(|_| BadRefer::Target)?;
        let uri = address.uri;
        let method = uri.params.get("method").unwrap_or("INVITE");
        if !method.eq_ignore_ascii_case("INVITE") {
            return Err(BadRefer::Method);
        }
        let whole = uri.to_string();
        let to = whole.split('?').next().unwrap_or_default().to_owned();
        let replaces = uri.headers.split('&').find_map(|header| {
            let (name, value) = header.split_once('=')?;
            let named = name.eq_ignore_ascii_case("Replaces");
            named.then(|| sip::message::unescape(value).into_owned())
        });
        let says = |name: &str| request.header_named(name);
        let silent = says("Refer-Sub").is_some_and(|value| value.eq_ignore_ascii_case("false"));
        Ok(Self {
            to,
            replaces,
            subscribes: !silent,
            number: request.cseq().map_or(0, |cseq| cseq.number),
        })
    }
}

#[cfg(test)]
mod tests {
    use sip::message::{Builder, Method};

    use super::{BadRefer, Refer};

    fn read(lines: &[(&str, &str)]) -> Result<Refer, BadRefer> {
        let mut request = Builder::request(Method::Refer, "sip:x@y")
            .header("Via", "SIP/2.0/UDP h;branch=z9hG4bKr")
            .header("From", "<sip:a@b>;tag=1")
            .header("To", "<sip:a@b>;tag=2")
            .header("Call-ID", "x")
            .header("CSeq", "7 REFER");
        for (name, value) in lines {
            request = request.header(*name, value);
        }
        Refer::read(&request.build().unwrap())
    }

    fn asks(to: &str, replaces: Option<&str>, subscribes: bool) -> Result<Refer, BadRefer> {
        Ok(Refer {
            to: to.to_owned(),
            replaces: replaces.map(str::to_owned),
            subscribes,
            number: 7,
        })
    }

    // covers: RFC 3515 §2.4.2, RFC 3891 §4, RFC 4488 §4
    #[test]
    fn a_refer_names_one_target_and_perhaps_a_dialog() {
        let to = |value| vec![("Refer-To", value)];
        let table = [
            (to("<sip:carol@x>"), asks("sip:carol@x", None, true)),
            (to("sip:carol@x"), asks("sip:carol@x", None, true)),
            (
                to("<sip:c@x?Replaces=7%40h%3Bto-tag%3Dt%3Bfrom-tag%3Df&Require=replaces>"),
                asks("sip:c@x", Some("7@h;to-tag=t;from-tag=f"), true),
            ),
            (
                to("<sip:c@x;method=INVITE>"),
                asks("sip:c@x;method=INVITE", None, true),
            ),
            (
                vec![("Refer-To", "<sip:c@x>"), ("Refer-Sub", "false")],
                asks("sip:c@x", None, false),
            ),
            (to("<sip:c@x;method=BYE>"), Err(BadRefer::Method)),
            (to("<sip:c@x>, <sip:d@x>"), Err(BadRefer::Target)),
            (
                vec![("Refer-To", "<sip:c@x>"), ("Refer-To", "<sip:d@x>")],
                Err(BadRefer::Target),
            ),
            (to("<sip:"), Err(BadRefer::Target)),
            (vec![], Err(BadRefer::Target)),
        ];
        for (lines, wanted) in table {
            assert_eq!(read(&lines), wanted, "{lines:?}");
        }
    }
}
