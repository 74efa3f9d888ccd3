//! `/v1/bans`: sources that are not heard because they guessed passwords.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::wire::{BanJson, ErrorJson};
use super::{Api, ApiError, Command};

/// Lists the bans in force, the longest yet to last first; at most 1,000.
#[utoipa::path(get, path = "/v1/bans", tag = "bans", responses(
    (status = 200, body = Vec<BanJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<BanJson>>, ApiError> {
    let bans = api.control.ask(|reply| Command::Bans { reply }).await?;
    Ok(Json(bans.into_iter().map(BanJson::from).collect()))
}

/// Ends a ban. Of IPv6 a whole /64 is banned: any address of it names it.
#[utoipa::path(delete, path = "/v1/bans/{source}", tag = "bans",
    params(("source" = String, Path)), responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn lift(
    State(api): State<Arc<Api>>,
    Path(source): Path<String>,
) -> Result<StatusCode, ApiError> {
    let Ok(source) = source.parse::<IpAddr>() else {
        let why = format!("source: want an IP address, have {source:?}");
        return Err(ApiError::BadRequest(why));
    };
    let command = |reply| Command::LiftBan { source, reply };
    match api.control.ask(command).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound { what: "ban" }),
    }
}
