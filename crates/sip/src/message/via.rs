//! Via: the way back (RFC 3261 §20.42, with `rport` of RFC 3581).

use super::ParseError;
use super::address::take_params;
use super::scan::Scan;
use super::uri::{Host, Params, host_port, ipv6};
use std::net::IpAddr;

/// The start of a branch that is unique to its transaction (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value, borrowed from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport's name as spelled: `UDP`, `TCP` …; unknown ones are legal (RFC 4475
    /// §3.1.1.10).
    pub transport: &'a str,
    /// Host and port as spelled, blanks within them included.
    pub sent_by: &'a str,
    /// The host of `sent_by`.
    pub host: Host<'a>,
    /// The port of `sent_by`, where one is written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` …
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value that is all of `text`.
    ///
    /// # Errors
    /// Anything but `SIP / 2.0 / transport host [: port] *( ; parameter )`.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut scan = Scan::new(text);
        scan.skip_spaces();
        for (part, what) in [("SIP", "the protocol SIP"), ("2.0", "the version 2.0")] {
            let start = scan;
            if !scan.token(what)?.eq_ignore_ascii_case(part) {
                return Err(start.expected(what));
            }
            scan.skip_spaces();
            scan.require(b'/', "a slash")?;
            scan.skip_spaces();
        }
        let transport = scan.token("a transport")?;
        let before = scan.at();
        scan.skip_spaces();
        if scan.at() == before {
            return Err(scan.expected("a blank before the host"));
        }
        let rest = scan.rest();
        let start = scan.at();
        let (host, port) = host_port(&mut scan, true)?;
        let sent_by = rest.get(..scan.at() - start).unwrap_or_default();
        let params = take_params(&mut scan)?;
        scan.finish("a parameter or the end")?;
        Ok(Self {
            transport,
            sent_by,
            host,
            port,
            params,
        })
    }

    /// The branch, where there is one and it is not empty.
    pub fn branch(&self) -> Option<&'a str> {
        self.params
            .get("branch")
            .filter(|branch| !branch.is_empty())
    }

    /// The branch, if it identifies the transaction by itself: the magic cookie with something
    /// behind it (§17.2.3).
    pub fn unique_branch(&self) -> Option<&'a str> {
        self.branch()
            .filter(|branch| branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE))
    }

    /// The address the request really came from, where a server noted one; with or without brackets
    /// (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse().ok().or_else(|| ipv6(bare).map(IpAddr::V6))
    }

    /// Whether its sender heeds what responses tell of our load, by the loss algorithm (RFC 7339
    /// §4.1, §4.2): `oc` without a value, and `loss` in `oc-algo` if that is there.
    pub fn offers_oc(&self) -> bool {
        let algorithms = self.params.get("oc-algo").unwrap_or("loss");
        let mut algorithms = algorithms.trim_matches('"').split(',');
        self.params.get("oc") == Some("")
            && algorithms.any(|it| it.trim_ascii().eq_ignore_ascii_case("loss"))
    }

    /// `rport`: `None` absent, `Some(None)` asked for, `Some(Some(port))` filled in (RFC 3581 §3).
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|port| port.parse().ok())
    }
}
