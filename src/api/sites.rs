//! Pages of other sites that may ask for tokens and relays: the CORS protocol of the Fetch standard.
//!
//! The sites are those whose pages may open a WebSocket, `http.origins`. Whoever asks proves himself by a
//! password or a token, never by a cookie, so nothing is given to a page for its visitor's sake.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, options};

use super::{Api, ApiError};

/// Tells a page of a listed site that it may read the answer; and before it asks, that it may ask.
pub(super) async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let site = request.headers().get(ORIGIN).cloned();
    let site = site.filter(|_| is_listed(&api, &request));
    let asks_first = request.method() == Method::OPTIONS;
    let mut response = match (&site, asks_first) {
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(site) = site {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, site);
        if asks_first {
            for (name, value) in MAY {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }
    response
}

/// A page's question whether it may ask, which [`admit`] answers where it may.
pub(super) fn preflight() -> MethodRouter<Arc<Api>> {
    options(async || ApiError::MethodNotAllowed)
}

fn is_listed(api: &Api, request: &Request) -> bool {
    let text = |name: HeaderName| request.headers().get(name)?.to_str().ok();
    let phones = api.phones.as_ref();
    phones.is_some_and(|phones| phones.admit(text(ORIGIN), text(HOST)))
}

const MAY: [(HeaderName, &str); 3] = [
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
    (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    (ACCESS_CONTROL_MAX_AGE, "600"),
];
