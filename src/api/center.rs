//! `/v1/queues`, `/v1/agents` and `/v1/reload`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::wire::{AgentJson, AgentStateJson, ErrorJson, QueueJson, ReloadedJson};
use super::{Api, ApiError, Command};
use crate::center::{AgentId, Wish};

/// Lists the queues and who waits in them.
#[utoipa::path(get, path = "/v1/queues", tag = "queues", responses(
    (status = 200, body = Vec<QueueJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn queues(State(api): State<Arc<Api>>) -> Result<Json<Vec<QueueJson>>, ApiError> {
    let center = api.control.ask(|reply| Command::Center { reply }).await?;
    Ok(Json(
        center.queues.into_iter().map(QueueJson::from).collect(),
    ))
}

/// Lists the agents and what they do.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", responses(
    (status = 200, body = Vec<AgentJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn agents(State(api): State<Arc<Api>>) -> Result<Json<Vec<AgentJson>>, ApiError> {
    let center = api.control.ask(|reply| Command::Center { reply }).await?;
    Ok(Json(
        center.agents.into_iter().map(AgentJson::from).collect(),
    ))
}

/// Says whether an agent wants calls, and if not why. Any ends a wrap-up, and all but `available` pass on a call
/// that rings; said while he serves a call, it holds when that and its wrap-up are over.
#[utoipa::path(put, path = "/v1/agents/{name}/state", tag = "agents",
    params(("name" = String, Path)), request_body = AgentStateJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn set_agent(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let AgentStateJson { state, reason } = read(body)?;
    let wish = Wish::from_name(&state).ok_or_else(|| {
        let words = Wish::ALL.map(Wish::name).join(", ");
        ApiError::BadRequest(format!("state: want one of {words}, have {state:?}"))
    })?;
    let ask = |reply| Command::SetAgent {
        agent: AgentId::new(&name),
        wish,
        reason,
        reply,
    };
    api.control.ask(ask).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads dialplans and configuration again. With any mistake nothing changes.
#[utoipa::path(post, path = "/v1/reload", tag = "server", responses(
    (status = 200, body = ReloadedJson), (status = 401, body = ErrorJson),
    (status = 422, body = ErrorJson)
))]
pub(super) async fn reload(State(api): State<Arc<Api>>) -> Result<Json<ReloadedJson>, ApiError> {
    let done = api.control.ask(|reply| Command::Reload { reply }).await?;
    let done = done.map_err(ApiError::ReloadRefused)?;
    Ok(Json(ReloadedJson {
        files: done.files,
        entries: done.entries,
        queues: done.queues,
    }))
}

/// Reads a JSON body.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge,
        _ => ApiError::BadRequest("the body could not be read".to_owned()),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("the body: {error}")))
}
