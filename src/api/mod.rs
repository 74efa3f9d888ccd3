//! The HTTP interface: health, metrics, the OpenAPI document, and JSON under `/v1`.
//!
//! The law: a request becomes at most one [`Command`] to control, over a bounded channel with a reply
//! by return, or one statement to the store; no handler knows more of a call than its snapshot. Wire
//! types live in `wire` alone. Every error is JSON with a stable id. `/healthz`, `/readyz`,
//! `/metrics`, `/version`, `/openapi.json` and the desk's pages are open; so is what asks for its own proof: the
//! WebSockets of browsers' phones, `/v1/login` and `/v1/ice_servers`. All else wants the API key as bearer token.

mod access;
mod bans;
mod calling;
mod calls;
mod cdrs;
mod center;
mod command;
mod conferences;
mod desk;
mod endpoints;
mod error;
mod explain;
mod gauges;
mod key;
mod login;
mod open;
mod pages;
mod phones;
mod serve;
mod sites;
mod supervision;
#[cfg(test)]
mod tests;
mod traces;
mod trunks;
mod unread;
mod v2;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::AccessCommand;
pub use command::{
    COMMAND_CAPACITY, CallSnapshot, CallState, Command, Control, Counts, DeskCommand,
    EndpointRefused, EndpointSnapshot, NewEndpoint, Reloaded, Reply, SipCounts, WaitsFor,
};
pub use desk::{NOTE_MAX, keep_note};
pub use error::ApiError;
pub use explain::{ExplainJson, ExplainedJson, RefusalJson, RefusedRequestJson, StepJson, WhyJson};
pub use key::{Key, KeyFound};
pub use login::Logins;
pub use phones::{Phones, Spoken, Upgrade};
pub use serve::{Bounds, Peer, serve, serve_tls};
pub use traces::{TraceQuery, Traces};
pub use v2::credential_of;
pub use wire::{
    CallJson, CdrPageJson, TraceEntryJson, TraceJson, TraceMessageJson, TracePartyJson, TrunkJson,
};

use crate::access::Access;
use crate::config::Turn;
use crate::store::Store;

/// What every handler may use.
#[derive(Clone, Debug)]
pub struct Api {
    /// The way to control.
    pub control: Control,
    /// The way to the journal; `None` while tracing is off.
    pub traces: Option<Traces>,
    /// The way in of browsers' phones; `None` where there is none.
    pub phones: Option<Phones>,
    /// The database.
    pub store: Store,
    /// The hash of the API key.
    pub key: Key,
    /// What makes and reads tokens.
    pub access: Access,
    /// Who may log in by a password.
    pub logins: Arc<Logins>,
    /// The relays that browsers are told of.
    pub turn: Option<Turn>,
    /// Where metrics are rendered.
    pub metrics: PrometheusHandle,
    /// Where recordings lie.
    pub recordings: PathBuf,
    /// The largest request body, in bytes.
    pub body_max_bytes: usize,
    /// The longest that a request may take until its response begins.
    pub timeout: Duration,
}

impl Api {
    /// Every route with its guards, ready for [`serve`].
    pub fn router(self) -> Router {
        let (body_max, timeout) = (self.body_max_bytes, self.timeout);
        let api = Arc::new(self);
        let (guarded, mut document) = OpenApiRouter::new()
            .routes(routes!(calls::list))
            .routes(routes!(calls::get, calls::hang_up))
            .routes(routes!(calls::record))
            .routes(routes!(supervision::supervise, supervision::dismiss))
            .routes(routes!(supervision::set_party))
            .routes(routes!(traces::trace))
            .routes(routes!(traces::pcap))
            .routes(routes!(traces::capture))
            .routes(routes!(traces::capture_next))
            .routes(routes!(center::queues))
            .routes(routes!(center::agents))
            .routes(routes!(center::set_agent))
            .routes(routes!(desk::wrap_up))
            .routes(routes!(desk::pick))
            .routes(routes!(desk::missed))
            .routes(routes!(desk::context))
            .routes(routes!(desk::written))
            .routes(routes!(desk::write))
            .routes(routes!(desk::codes))
            .routes(routes!(conferences::list))
            .routes(routes!(conferences::get, conferences::set))
            .routes(routes!(conferences::announce))
            .routes(routes!(conferences::set_member, conferences::remove))
            .routes(routes!(conferences::set_gain))
            .routes(routes!(endpoints::list, endpoints::add))
            .routes(routes!(endpoints::remove))
            .routes(routes!(trunks::list))
            .routes(routes!(trunks::ping))
            .routes(routes!(bans::list))
            .routes(routes!(bans::lift))
            .routes(routes!(cdrs::list))
            .routes(routes!(cdrs::recording))
            .routes(routes!(center::reload))
            .routes(routes!(calling::click))
            .routes(routes!(explain::explain))
            .routes(routes!(explain::refusals))
            .split_for_parts();
        let (open, open_document) = OpenApiRouter::new()
            .routes(routes!(open::healthz))
            .routes(routes!(open::readyz))
            .routes(routes!(open::version))
            .routes(routes!(open::metrics))
            .split_for_parts();
        document.merge(open_document);
        let (proving, proving_document) = OpenApiRouter::new()
            .routes(routes!(login::log_in, login::log_out))
            .routes(routes!(calling::ice_servers))
            .split_for_parts();
        document.merge(proving_document);
        let proving = proving
            .route("/v1/login", sites::preflight())
            .route("/v1/ice_servers", sites::preflight())
            .route_layer(from_fn_with_state(Arc::clone(&api), sites::admit));
        let (v2, v2_document) = v2::routes().split_for_parts();
        document.merge(v2_document);
        let v2 = v2.route_layer(from_fn_with_state(Arc::clone(&api), v2::require));
        open::describe(&mut document);
        let routed = guarded
            .route_layer(from_fn_with_state(Arc::clone(&api), key::require))
            .merge(open)
            .merge(v2)
            .merge(proving);
        phones::PATHS
            .into_iter()
            .fold(routed, |routed, (path, spoken)| {
                let enter = move |api, request| phones::enter(spoken, api, request);
                routed.route(path, axum::routing::get(enter))
            })
            .route(pages::HOME, axum::routing::get(pages::home))
            .route(pages::FILES, axum::routing::get(pages::file))
            .route(
                "/openapi.json",
                axum::routing::get(async move || axum::Json(document)),
            )
            .fallback(async || ApiError::NotFound { what: "path" })
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
            .layer(DefaultBodyLimit::max(body_max))
            .layer(from_fn_with_state(timeout, bound_time))
            .layer(from_fn(count))
            .with_state(api)
    }
}

/// Ends a request whose response has not begun in time.
async fn bound_time(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}

/// Counts requests by route, method and status: all three are bounded sets.
async fn count(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let path = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("path", path), ("method", method), ("status", status)];
    metrics::counter!("tandem_http_requests_total", &labels).increment(1);
    response
}
