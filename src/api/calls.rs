//! `/v1/calls`: the calls in progress.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use media::file::seal::Key;

use super::center::read;
use super::wire::{CallJson, ErrorJson, RecordJson, now_ms};
use super::{Api, ApiError, Command};
use crate::call::{CallId, Cause, RecordAsk};

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

/// Starts, stops, pauses or resumes a call's recording, or masks the keys in it.
#[utoipa::path(post, path = "/v1/calls/{call_id}/recording", tag = "calls",
    params(("call_id" = String, Path)), request_body = RecordJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let call = parse(&id)?;
    let wanted: RecordJson = read(body)?;
    let ask = RecordAsk::from_name(&wanted.action).ok_or_else(|| {
        let words = RecordAsk::ALL.map(RecordAsk::name).join(", ");
        ApiError::BadRequest(format!(
            "action: want one of {words}, have {:?}",
            wanted.action
        ))
    })?;
    let key = wanted.key.as_deref().map(Key::from_hex).transpose();
    let key = key.map_err(|error| ApiError::BadRequest(format!("key: {error}")))?;
    if key.is_some() && ask != RecordAsk::Start {
        let rule = "key: want it with the action start alone";
        return Err(ApiError::BadRequest(rule.to_owned()));
    }
    let command = |reply| Command::Record {
        call,
        ask,
        key,
        reply,
    };
    match api.control.ask(command).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound { what: "call" }),
    }
}

/// An id that is none names no call.
pub(super) fn parse(id: &str) -> Result<CallId, ApiError> {
    id.parse().map_err(|_| ApiError::NotFound { what: "call" })
}
