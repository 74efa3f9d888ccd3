//! What a client is told when a request fails: a status, a stable id, a sentence.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::wire::{ErrorBodyJson, ErrorJson};
use crate::explain::Explanation;
use crate::store::StoreError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key, or a wrong one.
    #[error("want the header Authorization: Bearer followed by the API key")]
    Unauthorized,
    /// The request breaks a rule.
    #[error("{0}")]
    BadRequest(String),
    /// Nothing has that name.
    #[error("there is no such {what}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
    },
    /// The path exists, the method does not.
    #[error("this path has no such method")]
    MethodNotAllowed,
    /// What exists stands in the way.
    #[error("{0}")]
    Conflict(&'static str),
    /// A rule that has a page of its own stands in the way.
    #[error("{}", .1.sentence())]
    Refused(StatusCode, Box<Explanation>),
    /// The body is larger than `http.body_max_bytes`.
    #[error("the body is larger than http.body_max_bytes")]
    BodyTooLarge,
    /// The reload found mistakes; nothing has changed.
    #[error("nothing was reloaded: {} found", .0.len())]
    ReloadRefused(Vec<String>),
    /// It took too long.
    #[error("the request took longer than http.timeout")]
    Timeout,
    /// A part of the server does not answer.
    #[error("{what} does not answer")]
    Unavailable {
        /// Which part.
        what: &'static str,
    },
}

impl ApiError {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Refused(status, why) => (*status, why.id),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::ReloadRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "reload-refused"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a request");
        Self::Unavailable { what: "the store" }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, id) = self.parts();
        let message = self.to_string();
        let details = match self {
            Self::ReloadRefused(mistakes) => mistakes,
            _ => Vec::new(),
        };
        let body = ErrorJson {
            error: ErrorBodyJson {
                id: id.to_owned(),
                message,
                details,
            },
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
