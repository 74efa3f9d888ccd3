//! What needs no key: health, readiness, version, metrics, and the description of all the rest.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::wire::{ReadyJson, VersionJson};
use super::{Api, Command, gauges};

/// Says that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "server", security(()), responses((status = 200)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether the server takes calls: control and store answer, and it is not draining.
#[utoipa::path(get, path = "/readyz", tag = "server", security(()), responses(
    (status = 200, body = ReadyJson), (status = 503, body = ReadyJson)
))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<ReadyJson>) {
    let mut missing = Vec::new();
    match api.control.ask(|reply| Command::Counts { reply }).await {
        Ok(counts) if counts.draining => missing.push("draining"),
        Ok(_) => {}
        Err(_) => missing.push("control"),
    }
    if !api.store.is_ready().await {
        missing.push("store");
    }
    let ready = missing.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(ReadyJson { ready, missing }))
}

/// Says which build this is.
#[utoipa::path(get, path = "/version", tag = "server", security(()), responses(
    (status = 200, body = VersionJson)
))]
pub(super) async fn version() -> Json<VersionJson> {
    Json(VersionJson {
        name: "tandem",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Shows the metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server", security(()), responses(
    (status = 200, content_type = "text/plain", body = String)
))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    if let Ok(counts) = api.control.ask(|reply| Command::Counts { reply }).await {
        gauges::counts(&counts);
    }
    if let Ok(center) = api.control.ask(|reply| Command::Center { reply }).await {
        gauges::center(&center);
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, api.metrics.render()).into_response()
}

/// Completes the document that the routes began: its title, and the key that all but the open paths want.
pub(super) fn describe(document: &mut OpenApi) {
    document.info.title = "Tandem".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some("A real-time media server for contact centres.".to_owned());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
}
