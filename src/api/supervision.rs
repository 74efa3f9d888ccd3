//! `/v1/calls/{call_id}/supervision` and `/parties`: who listens to a call of two, and who of it is heard.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::center::read;
use super::wire::ErrorJson;
use super::wire::supervision::{PartyStateJson, SupervisionJson, party};
use super::{Api, ApiError, Command, calls};
use crate::conference::NotSupervised;

/// Has a supervisor hear both parties of a bridged call, or one of them (`of`): `listen` and nobody hears him, `whisper` and one party
/// does, `barge` and both do. Asked again of the same supervisor it changes the mode. Who is in a conference
/// leaves it meanwhile, and comes back when the call is over.
#[utoipa::path(put, path = "/v1/calls/{call_id}/supervision", tag = "calls",
    params(("call_id" = String, Path)), request_body = SupervisionJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn supervise(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let wanted: SupervisionJson = read(body)?;
    let mode = wanted.mode().map_err(ApiError::BadRequest)?;
    let calls = (calls::parse(&id)?, calls::parse(&wanted.supervisor)?);
    let done = api
        .control
        .ask(|reply| Command::Supervise { calls, mode, reply })
        .await?;
    let status = |why: &NotSupervised| match why {
        NotSupervised::NoCall(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    done.map_err(|why| ApiError::Refused(status(&why), Box::new(why.explanation())))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a call supervised no more. The supervisor's call goes on: in his conference, if he came from one.
#[utoipa::path(delete, path = "/v1/calls/{call_id}/supervision", tag = "calls",
    params(("call_id" = String, Path)), responses(
    (status = 204), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson)
))]
pub(super) async fn dismiss(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let call = calls::parse(&id)?;
    let ask = |reply| Command::Dismiss { call, reply };
    match api.control.ask(ask).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound {
            what: "supervision",
        }),
    }
}

/// Mutes a party of a call, `caller` or `callee`, or lets it be heard again. It hears the others all the while.
#[utoipa::path(put, path = "/v1/calls/{call_id}/parties/{party}", tag = "calls",
    params(("call_id" = String, Path), ("party" = String, Path)), request_body = PartyStateJson,
    responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn set_party(
    State(api): State<Arc<Api>>,
    Path((id, name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let PartyStateJson { muted: on } = read(body)?;
    let call = calls::parse(&id)?;
    let party = party(&name).map_err(|_| ApiError::NotFound { what: "party" })?;
    let ask = |reply| Command::Mute {
        call,
        party,
        on,
        reply,
    };
    match api.control.ask(ask).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound { what: "party" }),
    }
}
