//! The name of a dialog as a third party writes it: Replaces and Target-Dialog (RFC 3891 §6.1, RFC 4538
//! §7).

use super::ParseError;
use super::address::take_params;
use super::scan::Scan;
use std::fmt;

/// The value of Replaces or Target-Dialog; the tags as the receiver of the header sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// The dialog's Call-ID.
    pub call_id: &'a str,
    /// `to-tag` (`local-tag` in Target-Dialog): the receiver's own.
    pub to_tag: &'a str,
    /// `from-tag` (`remote-tag` in Target-Dialog): its peer's.
    pub from_tag: &'a str,
    /// Whether only a dialog that is still early may be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a value of Replaces that is all of `text`, as it stands in a header or, unescaped, in the
    /// headers of a Refer-To URI.
    ///
    /// # Errors
    /// No Call-ID, a tag missing, empty or given twice, or an `early-only` with a value.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        Self::with_tags(text, "to-tag", "from-tag")
    }

    pub(super) fn with_tags(text: &'a str, to: &str, from: &str) -> Result<Self, ParseError> {
        let mut scan = Scan::new(text);
        let call_id = scan.take_while(|b| b.is_ascii_graphic() && !matches!(b, b';' | b','));
        if call_id.is_empty() {
            return Err(scan.expected("a Call-ID"));
        }
        let params = take_params(&mut scan)?;
        scan.finish("a parameter or the end")?;
        let once = |name: &str| {
            let mut found = params
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value);
            found.next().filter(|_| found.next().is_none())
        };
        let tags = once(to).zip(once(from));
        let Some((to_tag, from_tag)) = tags.filter(|(to, from)| is_tag(to) && is_tag(from)) else {
            return Err(scan.expected("each tag once"));
        };
        if params
            .get("early-only")
            .is_some_and(|value| !value.is_empty())
        {
            return Err(scan.expected("early-only without a value"));
        }
        Ok(Self {
            call_id,
            to_tag,
            from_tag,
            early_only: params.has("early-only"),
        })
    }
}

/// Tags are tokens; what devices write beyond that must at least stand without quotes.
fn is_tag(text: &str) -> bool {
    let stands =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'<' | b'>' | b'\\');
    !text.is_empty() && text.bytes().all(stands)
}

impl fmt::Display for Replaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call_id, to, from) = (self.call_id, self.to_tag, self.from_tag);
        let early = if self.early_only { ";early-only" } else { "" };
        write!(f, "{call_id};to-tag={to};from-tag={from}{early}")
    }
}

#[cfg(test)]
mod tests {
    use super::Replaces;

    // covers: RFC 3891 §6.1
    #[test]
    fn a_dialog_is_named_by_its_call_id_and_each_tag_once() {
        let good = "7@x;from-tag=f;to-tag=t;early-only;x=1";
        let read = Replaces::parse(good).unwrap();
        assert_eq!(read.to_string(), "7@x;to-tag=t;from-tag=f;early-only");
        assert_eq!(Replaces::parse(&read.to_string()), Ok(read));
        for bad in [
            "",
            ";to-tag=t;from-tag=f",
            "7",
            "7;to-tag=t",
            "7;from-tag=f",
            "7;to-tag=;from-tag=f",
            "7;to-tag=\"\";from-tag=f",
            "7;to-tag;from-tag=f",
            "7;to-tag=\"a;b\";from-tag=f",
            "7;to-tag=t;from-tag=f;to-tag=u",
            "7;to-tag=t;from-tag=f;early-only=no",
            "7;to-tag=t;from-tag=f, 8;to-tag=t;from-tag=f",
            "7 8;to-tag=t;from-tag=f",
        ] {
            assert!(Replaces::parse(bad).is_err(), "{bad}");
        }
    }
}
