//! The desk's pages at `/desk/`: files that the build took in, with brotli, ETag and a policy that lets them load
//! nothing from elsewhere (RFC 9110 §8.8.3, §12.5.3, §13.1.2; CSP 3).
//!
//! A build without them says where they are missing, and how they come.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};

use super::ApiError;
use crate::explain::Explanation;

/// Where the desk's page is.
pub(super) const HOME: &str = "/desk/";
/// Where its other files are.
pub(super) const FILES: &str = "/desk/{*file}";

/// Leads from `/desk` to the page.
pub(super) async fn lead() -> Redirect {
    Redirect::permanent(HOME)
}

/// Gives the page.
pub(super) async fn home(headers: HeaderMap) -> Response {
    PAGES.answer(INDEX, &headers)
}

/// Gives one of its files.
pub(super) async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    PAGES.answer(&file, &headers)
}

/// One file, as it is and packed.
#[derive(Debug)]
struct Page {
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    /// The beginning of its SHA-256, in hex.
    hash: String,
    kind: &'static str,
}

/// The files by their paths below `/desk/`.
#[derive(Debug)]
struct Pages(BTreeMap<&'static str, Page>);

static PAGES: LazyLock<Pages> =
    LazyLock::new(|| Pages::of(include!(concat!(env!("OUT_DIR"), "/desk.rs"))));

impl Pages {
    fn of(files: &[(&'static str, &'static [u8])]) -> Self {
        let packed = |name: &str| {
            let mut others = files.iter();
            let found = others.find(|(other, _)| other.strip_suffix(PACKED) == Some(name));
            found.map(|&(_, bytes)| bytes)
        };
        let plain = files.iter().filter(|(name, _)| !name.ends_with(PACKED));
        let page = |&(name, bytes): &(&'static str, &'static [u8])| {
            let digest = Sha256::digest(bytes);
            let hash = digest.iter().take(HASH_LEN).map(|it| format!("{it:02x}"));
            let page = Page {
                plain: bytes,
                brotli: packed(name),
                hash: hash.collect(),
                kind: kind(name),
            };
            (name, page)
        };
        Self(plain.map(page).collect())
    }

    fn answer(&self, name: &str, headers: &HeaderMap) -> Response {
        let Some(page) = self.0.get(name) else {
            let whole = self.0.contains_key(INDEX);
            return match name {
                INDEX if !whole => Unbuilt.into_response(),
                _ => ApiError::NotFound { what: "path" }.into_response(),
            };
        };
        let packed = page.brotli.filter(|_| takes_brotli(headers));
        // Two encodings are two representations, each with an ETag of its own (RFC 9110 §8.8.3.3).
        let suffix = if packed.is_some() { "-br" } else { "" };
        let etag = format!("\"{}{suffix}\"", page.hash);
        let mut response = if is_known(headers, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let kind = [(CONTENT_TYPE, page.kind)];
            match packed {
                Some(body) => (kind, [(CONTENT_ENCODING, "br")], body).into_response(),
                None => (kind, page.plain).into_response(),
            }
        };
        let had = response.headers_mut();
        if let Ok(etag) = HeaderValue::try_from(etag) {
            had.insert(ETAG, etag);
        }
        had.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // Below assets/ a name has its content's hash in it.
        let forever = name.starts_with("assets/");
        let keep = if forever { KEPT } else { ASKED };
        had.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        guard(had);
        response
    }
}

/// A build that took no pages in.
#[derive(Debug)]
struct Unbuilt;

impl Unbuilt {
    fn id(&self) -> &'static str {
        "desk-not-built"
    }
}

impl IntoResponse for Unbuilt {
    fn into_response(self) -> Response {
        let why = Explanation {
            id: self.id(),
            expected: "the desk's pages, which the build takes from web/dist/desk".to_owned(),
            found: "a server that was built without them".to_owned(),
            fix: "run make desk where Node 20 is installed, then build the server again".to_owned(),
        };
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No desk</title>\
             <h1>The desk is not in this server</h1><p>{why}</p>"
        );
        let mut response = (StatusCode::NOT_FOUND, axum::response::Html(page)).into_response();
        guard(response.headers_mut());
        response
    }
}

/// What keeps a page to itself, whatever it is tricked into.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "microphone=(self), camera=(), geolocation=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Whether brotli is among what is accepted, and not at weight 0 (RFC 9110 §12.5.3).
fn takes_brotli(headers: &HeaderMap) -> bool {
    items(headers, &ACCEPT_ENCODING).any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
        coding.trim().eq_ignore_ascii_case("br") && weight.is_ok_and(|it| it > 0.0)
    })
}

/// Whether the client has this already; compared weakly (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    items(headers, &IF_NONE_MATCH).any(|item| item == "*" || item.trim_start_matches("W/") == etag)
}

/// The items of a list header.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

const INDEX: &str = "index.html";
const PACKED: &str = ".br";
const HASH_LEN: usize = 12;
const KEPT: &str = "public, max-age=31536000, immutable";
const ASKED: &str = "no-cache";
/// Scripts, styles and connections of this server alone; nothing inline, nothing framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    const PLANTED: &[(&str, &[u8])] = &[
        ("assets/desk-1a2b.js", b"let desk = 1;"),
        ("assets/desk-1a2b.js.br", b"packed"),
        ("assets/tiny.svg", b"<svg/>"),
        ("index.html", b"<!doctype html>"),
    ];

    fn ask(name: &str, headers: &[(HeaderName, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Pages::of(PLANTED).answer(name, &headers.collect())
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |it| it.to_str().unwrap())
    }

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 65_536).await;
        String::from_utf8_lossy(&bytes.unwrap()).into_owned()
    }

    // covers: RFC 9110 §12.5.3
    #[tokio::test]
    async fn a_file_goes_packed_to_whom_that_suits_and_plain_to_others() {
        let script = "assets/desk-1a2b.js";
        for (accepts, encoding, content) in [
            ("gzip, br", "br", "packed"),
            ("br;q=0.5", "br", "packed"),
            ("gzip, br;q=0", "", "let desk = 1;"),
            ("gzip", "", "let desk = 1;"),
            ("brotli", "", "let desk = 1;"),
        ] {
            let response = ask(script, &[(ACCEPT_ENCODING, accepts)]);
            assert_eq!(header(&response, CONTENT_ENCODING), encoding, "{accepts}");
            assert_eq!(
                header(&response, CONTENT_TYPE),
                "text/javascript; charset=utf-8"
            );
            assert_eq!(header(&response, CACHE_CONTROL), KEPT);
            assert_eq!(header(&response, VARY), "accept-encoding");
            assert_eq!(body(response).await, content, "{accepts}");
        }
        let small = ask("assets/tiny.svg", &[(ACCEPT_ENCODING, "br")]);
        assert_eq!(header(&small, CONTENT_ENCODING), "");
        assert_eq!(body(small).await, "<svg/>");
    }

    // covers: RFC 9110 §8.8.3, RFC 9110 §13.1.2
    #[tokio::test]
    async fn who_has_a_file_already_is_not_sent_it_again() {
        let first = ask("index.html", &[]);
        assert_eq!(header(&first, CACHE_CONTROL), ASKED);
        let etag = header(&first, ETAG).to_owned();
        for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let again = ask("index.html", &[(IF_NONE_MATCH, &known)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header(&again, ETAG), etag);
            assert_eq!(body(again).await, "");
        }
        let other = ask("index.html", &[(IF_NONE_MATCH, "\"x\"")]);
        assert_eq!(other.status(), StatusCode::OK);
        // The packed one is another representation, so its ETag is another.
        let script = "assets/desk-1a2b.js";
        let plain = header(&ask(script, &[]), ETAG).to_owned();
        let packed = ask(script, &[(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, &plain)]);
        assert_eq!(packed.status(), StatusCode::OK);
        assert_ne!(header(&packed, ETAG), plain);
    }

    #[tokio::test]
    async fn every_answer_forbids_what_is_inline_framed_or_from_elsewhere() {
        for response in [ask("index.html", &[]), Unbuilt.into_response()] {
            let policy = header(&response, CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff");
        }
    }

    #[tokio::test]
    async fn a_build_without_the_desk_says_where_it_is_missing_and_how_it_comes() {
        let response = Pages::of(&[]).answer(INDEX, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let text = body(response).await;
        for said in ["desk-not-built", "web/dist/desk", "make desk"] {
            assert!(text.contains(said), "{text}");
        }
        let other = ask("assets/other.js", &[]);
        assert_eq!(other.status(), StatusCode::NOT_FOUND);
        assert!(body(other).await.contains("not-found"));
        // What is packed is an encoding of a file and no file itself.
        assert_eq!(
            ask("assets/desk-1a2b.js.br", &[]).status(),
            StatusCode::NOT_FOUND
        );
    }
}
