//! Whose pages may open a WebSocket here (`http.origins`; RFC 6455 §10.2, RFC 6454).
//!
//! A browser says in each handshake which site its page is from, and a page cannot lie about it. So a site
//! that an agent happens to visit cannot speak SIP from his machine, which a trunk may know by its address.

use std::net::IpAddr;

use super::{ConfigError, Section};

/// The sites whose pages may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    pub(super) fn read(http: &mut Section) -> Result<Self, ConfigError> {
        let mut origins = Vec::new();
        for text in http.texts("origins")?.unwrap_or_default() {
            match normal(&text) {
                Some(origin) => origins.push(origin),
                None => return Err(http.refuse("origins", RULE, &text)),
            }
        }
        Ok(Self(origins))
    }

    /// Whether a handshake with that `Origin` and that `Host` is taken. Where no site is listed, those
    /// pages are that this server itself served by its address or as `localhost`: another name may have been
    /// made to lead here by whoever owns it.
    pub fn admit(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        if self.0.iter().any(|it| it == ANY) {
            return true;
        }
        let Some(origin) = origin.and_then(normal).filter(|it| it != ANY) else {
            return false;
        };
        if !self.0.is_empty() {
            return self.0.contains(&origin);
        }
        let site = origin.split_once("://").map(|(_, site)| site);
        site.is_some_and(|site| is_address(site) && host.is_some_and(|host| same(site, host)))
    }
}

/// As browsers write it: in lower case and without the port that its scheme has anyway.
fn normal(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    if text == ANY || text == "null" {
        return Some(text);
    }
    let (scheme, site) = text.split_once("://")?;
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let site = site.strip_suffix(usual).unwrap_or(site);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!site.is_empty() && site.chars().all(plain)).then(|| format!("{scheme}://{site}"))
}

/// Whether a site is an address or this machine, with or without a port.
fn is_address(site: &str) -> bool {
    let host = match site.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => site,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok()
}

fn same(site: &str, host: &str) -> bool {
    let bare = |text: &str| {
        let text = text.to_ascii_lowercase();
        let cut = text.strip_suffix(":80").or(text.strip_suffix(":443"));
        cut.map(str::to_owned).unwrap_or(text)
    };
    bare(site) == bare(host)
}

/// Every page, and whoever is no browser.
const ANY: &str = "*";
const RULE: &str = "origins such as \"https://desk.example.com\", \"null\" or \"*\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &[&str]) -> Origins {
        Origins(list.iter().filter_map(|it| normal(it)).collect())
    }

    #[test]
    fn a_page_is_let_in_by_the_list_or_by_being_of_this_server_itself() {
        let none: &[&str] = &[];
        let desk: &[&str] = &["https://Desk.example.com:443", "http://10.0.0.5:3000"];
        let table = [
            (
                none,
                Some("http://127.0.0.1:8080"),
                Some("127.0.0.1:8080"),
                true,
            ),
            (
                none,
                Some("http://localhost:8080"),
                Some("localhost:8080"),
                true,
            ),
            (none, Some("https://[::1]:8443"), Some("[::1]:8443"), true),
            (none, Some("http://192.0.2.1"), Some("192.0.2.1:80"), true),
            // Another port is another site.
            (
                none,
                Some("http://127.0.0.1:3000"),
                Some("127.0.0.1:8080"),
                false,
            ),
            (
                none,
                Some("http://evil.example"),
                Some("127.0.0.1:8080"),
                false,
            ),
            // A name that its owner made lead here: the browser takes it for the same site.
            (
                none,
                Some("http://evil.example:8080"),
                Some("evil.example:8080"),
                false,
            ),
            (none, Some("null"), Some("127.0.0.1:8080"), false),
            (none, Some("*"), Some("127.0.0.1:8080"), false),
            (none, None, Some("127.0.0.1:8080"), false),
            (none, Some("http://127.0.0.1:8080"), None, false),
            (
                desk,
                Some("https://desk.example.com"),
                Some("sip.example.com"),
                true,
            ),
            (desk, Some("http://10.0.0.5:3000"), Some("x"), true),
            (desk, Some("http://desk.example.com"), Some("x"), false),
            (
                desk,
                Some("https://desk.example.com.evil.example"),
                Some("x"),
                false,
            ),
            (
                desk,
                Some("http://127.0.0.1:8080"),
                Some("127.0.0.1:8080"),
                false,
            ),
            (desk, None, Some("x"), false),
            (&["null"], Some("null"), Some("x"), true),
            (&["*"], Some("http://evil.example"), Some("x"), true),
            (&["*"], None, None, true),
        ];
        for (list, origin, host, want) in table {
            let is = origins(list).admit(origin, host);
            assert_eq!(is, want, "{list:?} {origin:?} {host:?}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for text in [
            "",
            "desk.example.com",
            "ftp://x",
            "https://",
            "https://x/sip",
            "https://a b",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }
}
