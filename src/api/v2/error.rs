//! What is wrong, as those clients read it: a status, and a list with one error.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::key::bearer;
use super::super::{Api, ApiError};
use super::wire::{ErrorJson, ErrorsJson, SourceJson};
use crate::store::StoreError;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum V2Error {
    /// No key, or a wrong one.
    Unauthorized,
    /// There is no such thing.
    NotFound,
    /// The body is none.
    BadBody(String),
    /// A field is not as it has to be; its JSON pointer.
    Field(&'static str, String),
    /// A field is missing.
    Missing(&'static str),
    /// There are as many as there may be, or it has ended.
    Refused(String),
    /// A part of the server does not answer.
    Unavailable(ApiError),
}

impl From<StoreError> for V2Error {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<ApiError> for V2Error {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error)
    }
}

impl IntoResponse for V2Error {
    fn into_response(self) -> Response {
        let plain = |status, code, title, detail: String| (status, code, title, detail, None);
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code, title, detail, pointer) = match self {
            Self::Unauthorized => plain(
                StatusCode::UNAUTHORIZED,
                "10009",
                "Authentication failed",
                "want the header Authorization: Bearer followed by the API key".to_owned(),
            ),
            Self::NotFound => plain(
                StatusCode::NOT_FOUND,
                "10005",
                "Resource not found",
                "there is no such telephony credential".to_owned(),
            ),
            Self::BadBody(why) => plain(StatusCode::BAD_REQUEST, "10015", "Bad Request", why),
            Self::Field(pointer, why) => {
                (unprocessable, "10015", "Invalid value", why, Some(pointer))
            }
            Self::Missing(pointer) => {
                let why = format!("{pointer} must be there");
                let title = "Missing required parameter";
                (unprocessable, "10004", title, why, Some(pointer))
            }
            Self::Refused(why) => plain(unprocessable, "10015", "Cannot be done", why),
            Self::Unavailable(why) => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "10007",
                "Unexpected error",
                why.to_string(),
            ),
        };
        let error = ErrorJson {
            code,
            title,
            detail,
            source: pointer.map(|pointer| SourceJson { pointer }),
        };
        (status, Json(ErrorsJson { errors: [error] })).into_response()
    }
}

/// Lets a request through only with the API key.
pub(crate) async fn require(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match bearer(request.headers()).is_some_and(|text| api.key.is(text)) {
        true => next.run(request).await,
        false => V2Error::Unauthorized.into_response(),
    }
}
