//! `/v1/endpoints`: devices that may register, made and removed at run time.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::center::read;
use super::wire::{EndpointJson, ErrorJson, NewEndpointJson, now_ms};
use super::{Api, ApiError, Command, EndpointRefused, NewEndpoint};
use crate::config::Secret;
use crate::trunk::{CALLER_ID_RULE, EndpointConfig};

/// Lists the endpoints and where they are registered.
#[utoipa::path(get, path = "/v1/endpoints", tag = "endpoints", responses(
    (status = 200, body = Vec<EndpointJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<EndpointJson>>, ApiError> {
    let endpoints = api
        .control
        .ask(|reply| Command::Endpoints { reply })
        .await?;
    Ok(Json(
        endpoints.into_iter().map(EndpointJson::from).collect(),
    ))
}

/// Makes an endpoint. A name that the configuration file has is refused.
#[utoipa::path(post, path = "/v1/endpoints", tag = "endpoints", request_body = NewEndpointJson,
    responses((status = 201), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 409, body = ErrorJson)
))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let new: NewEndpointJson = read(body)?;
    check(&new)?;
    let name = new.name.clone();
    let new = NewEndpoint {
        name: new.name,
        password: Secret::new(new.password),
        caller_id: new.caller_id,
        created_ms: now_ms(),
    };
    let admitted = api
        .control
        .ask(|reply| Command::AddEndpoint { new, reply })
        .await?;
    let row = admitted.map_err(refused)?;
    let stored = api.store.add_endpoint(&row).await;
    if !matches!(stored, Ok(true)) {
        let taken_back = api
            .control
            .ask(|reply| Command::RemoveEndpoint { name, reply })
            .await;
        if taken_back.is_err() {
            tracing::warn!("an endpoint that could not be stored lives until the next restart");
        }
        stored?;
        return Err(refused(EndpointRefused::Taken));
    }
    Ok(StatusCode::CREATED)
}

/// Removes an endpoint and its registrations. One in the configuration file stays.
#[utoipa::path(delete, path = "/v1/endpoints/{name}", tag = "endpoints",
    params(("name" = String, Path)), responses(
    (status = 204), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson),
    (status = 409, body = ErrorJson)
))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let removed = {
        let name = name.clone();
        api.control
            .ask(|reply| Command::RemoveEndpoint { name, reply })
            .await?
    };
    removed.map_err(refused)?;
    api.store.remove_endpoint(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(new: &NewEndpointJson) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&new.name.len()) || !new.name.chars().all(plain) {
        return Err(refused(EndpointRefused::BadName));
    }
    if !(8..=256).contains(&new.password.len()) {
        return Err(ApiError::BadRequest(
            "password: want 8 to 256 bytes".to_owned(),
        ));
    }
    if let Some(id) = new
        .caller_id
        .as_ref()
        .filter(|id| !EndpointConfig::may_show(id))
    {
        let why = format!("caller_id: want {CALLER_ID_RULE}, have {id:?}");
        return Err(ApiError::BadRequest(why));
    }
    Ok(())
}

fn refused(why: EndpointRefused) -> ApiError {
    match why {
        EndpointRefused::Configured => {
            ApiError::Conflict("an endpoint of that name stands in the configuration file")
        }
        EndpointRefused::Taken => ApiError::Conflict("there is an endpoint of that name"),
        EndpointRefused::Unknown => ApiError::NotFound { what: "endpoint" },
        EndpointRefused::BadName => {
            let rule = "name: want 1 to 64 letters, digits, dots, underscores or hyphens";
            ApiError::BadRequest(rule.to_owned())
        }
    }
}
