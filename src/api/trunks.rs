//! `/v1/trunks`: carriers, their targets, our registrations with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::wire::{ErrorJson, TrunkJson};
use super::{Api, ApiError, Command};

/// Lists the trunks: calls, each target's state, our registration.
#[utoipa::path(get, path = "/v1/trunks", tag = "trunks", responses(
    (status = 200, body = Vec<TrunkJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<TrunkJson>>, ApiError> {
    let trunks = api.control.ask(|reply| Command::Trunks { reply }).await?;
    Ok(Json(trunks.into_iter().map(TrunkJson::new).collect()))
}

/// Sends an OPTIONS to each target of a trunk. What comes of it is in the list, `asking` until then.
#[utoipa::path(post, path = "/v1/trunks/{name}/ping", tag = "trunks",
    params(("name" = String, Path)), responses(
    (status = 202), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson)
))]
pub(super) async fn ping(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let asked = api
        .control
        .ask(|reply| Command::PingTrunk { name, reply })
        .await?;
    match asked {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(ApiError::NotFound { what: "trunk" }),
    }
}
