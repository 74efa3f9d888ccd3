//! `/v2`: the part of a well-known voice API that its clients' libraries ask for.
//!
//! The law: shapes are theirs, to the letter: what is wrong comes as `{"errors":[…]}`, what is right below
//! `data`. What it means is Tandem's, and has a page of its own (docs/access.md).

mod credentials;
mod error;
mod wire;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

pub use credentials::credential_of;
pub(super) use error::require;

/// Every route; each wants the key.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(credentials::list, credentials::create))
        .routes(routes!(
            credentials::get,
            credentials::change,
            credentials::delete
        ))
        .routes(routes!(credentials::token))
}
