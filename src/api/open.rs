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
use super::{Api, Command, Counts};
use crate::center::Snapshot;

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
        gauge_counts(counts);
    }
    if let Ok(center) = api.control.ask(|reply| Command::Center { reply }).await {
        gauge_center(&center);
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, api.metrics.render()).into_response()
}

fn gauge_counts(counts: Counts) {
    metrics::gauge!("tandem_calls_active").set(counts.calls as f64);
    metrics::gauge!("tandem_sip_transactions").set(counts.transactions as f64);
    metrics::gauge!("tandem_sip_dialogs").set(counts.dialogs as f64);
    metrics::gauge!("tandem_media_ports").set(counts.ports as f64);
    metrics::gauge!("tandem_registrations").set(counts.registrations as f64);
    metrics::gauge!("tandem_draining").set(f64::from(u8::from(counts.draining)));
    // Each entry is an open descriptor of this process, the listing's own included.
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("tandem_open_files").set(entries.count() as f64);
    }
}

fn gauge_center(center: &Snapshot) {
    for queue in &center.queues {
        let labels = [("queue", queue.name.clone())];
        metrics::gauge!("tandem_queue_waiting", &labels).set(queue.waiting.len() as f64);
        metrics::counter!("tandem_queue_joined_total", &labels).absolute(queue.joined);
        metrics::counter!("tandem_queue_assigned_total", &labels).absolute(queue.assigned);
        metrics::counter!("tandem_queue_abandoned_total", &labels).absolute(queue.abandoned);
        metrics::counter!("tandem_queue_expired_total", &labels).absolute(queue.expired);
        metrics::counter!("tandem_queue_refused_total", &labels).absolute(queue.refused);
    }
    use crate::center::AgentState as S;
    for state in [
        S::Available,
        S::Resting,
        S::Ringing,
        S::Busy,
        S::WrapUp,
        S::Away,
    ] {
        let count = center
            .agents
            .iter()
            .filter(|a| a.reachable && a.state == state)
            .count();
        metrics::gauge!("tandem_agents", "state" => state.name()).set(count as f64);
    }
    let unreachable = center.agents.iter().filter(|a| !a.reachable).count();
    metrics::gauge!("tandem_agents", "state" => "unreachable").set(unreachable as f64);
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
