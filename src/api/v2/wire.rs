//! The shapes of telephony credentials, every field, and of what is wrong.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::wire::timestamp;
use crate::access::Access;
use crate::store::CredentialRow;

/// A credential to be made, or to be changed. Fields that are not known are left alone, as those clients expect.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct NewCredentialJson {
    pub(super) name: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) connection_id: Option<String>,
    /// ISO 8601; never if absent. Absent and `null` are not the same in a change.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(super) expires_at: Option<Option<String>>,
}

/// A field that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(field).map(Some)
}

/// One of something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneJson {
    pub(super) data: CredentialJson,
}

/// A page of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PageJson {
    pub(super) data: Vec<CredentialJson>,
    pub(super) meta: MetaJson,
}

/// Where in the list a page is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MetaJson {
    pub(super) total_pages: u32,
    pub(super) total_results: u32,
    pub(super) page_number: u32,
    pub(super) page_size: u32,
}

/// A telephony credential.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialJson {
    id: String,
    record_type: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    resource_id: String,
    expired: bool,
    sip_username: String,
    sip_password: String,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    user_id: &'static str,
}

impl CredentialJson {
    pub(super) fn of(row: CredentialRow, access: &Access, now_ms: i64) -> Self {
        Self {
            sip_password: access.sip_password(&row.id).reveal().to_owned(),
            record_type: "credential",
            name: row.name,
            tag: row.tag,
            resource_id: format!("connection:{}", row.connection_id),
            expired: row.expires_at.is_some_and(|at| at <= now_ms),
            sip_username: row.sip_username,
            created_at: timestamp(row.created_at),
            updated_at: timestamp(row.updated_at),
            expires_at: row.expires_at.map(timestamp),
            user_id: "tandem",
            id: row.id,
        }
    }
}

/// Which credentials, and which page of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct CredentialQuery {
    #[serde(rename = "page[number]")]
    pub(super) number: Option<u32>,
    #[serde(rename = "page[size]")]
    pub(super) size: Option<u32>,
    #[serde(rename = "filter[name]")]
    pub(super) name: Option<String>,
    #[serde(rename = "filter[tag]")]
    pub(super) tag: Option<String>,
    /// `active` or `expired`.
    #[serde(rename = "filter[status]")]
    pub(super) status: Option<String>,
    /// `connection:ID`.
    #[serde(rename = "filter[resource_id]")]
    pub(super) resource_id: Option<String>,
    #[serde(rename = "filter[sip_username]")]
    pub(super) sip_username: Option<String>,
}

/// What is wrong: a list of one.
#[derive(Serialize)]
pub(super) struct ErrorsJson {
    pub(super) errors: [ErrorJson; 1],
}

/// One error.
#[derive(Serialize)]
pub(super) struct ErrorJson {
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<SourceJson>,
}

/// Where it is.
#[derive(Serialize)]
pub(super) struct SourceJson {
    pub(super) pointer: &'static str,
}
