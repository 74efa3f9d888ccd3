//! `/v1/calls`: the calls in progress.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::wire::{CallJson, ErrorJson, now_ms};
use super::{Api, ApiError, Command};
use crate::call::{CallId, Cause};

/// Lists the calls in progress, oldest first.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", responses(
    (status = 200, body = Vec<CallJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<CallJson>>, ApiError> {
    let calls = api.control.ask(|reply| Command::Calls { reply }).await?;
    let now = now_ms();
    Ok(Json(
        calls
            .into_iter()
            .map(|call| CallJson::new(call, now))
            .collect(),
    ))
}

/// Shows one call in progress.
#[utoipa::path(get, path = "/v1/calls/{call_id}", tag = "calls",
    params(("call_id" = String, Path)), responses(
    (status = 200, body = CallJson), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson)
))]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<CallJson>, ApiError> {
    let call = parse(&id)?;
    let found = api
        .control
        .ask(|reply| Command::Call { call, reply })
        .await?;
    found
        .map(|call| Json(CallJson::new(call, now_ms())))
        .ok_or(ApiError::NotFound { what: "call" })
}

/// Hangs a call up.
#[utoipa::path(delete, path = "/v1/calls/{call_id}", tag = "calls",
    params(("call_id" = String, Path)), responses(
    (status = 204), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson)
))]
pub(super) async fn hang_up(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let call = parse(&id)?;
    let cause = Cause::Normal;
    match api
        .control
        .ask(|reply| Command::Hangup { call, cause, reply })
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound { what: "call" }),
    }
}

/// An id that is none names no call.
pub(super) fn parse(id: &str) -> Result<CallId, ApiError> {
    id.parse().map_err(|_| ApiError::NotFound { what: "call" })
}
