//! Endpoints and where they are registered, as clients see and make them.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::command::EndpointSnapshot;

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EndpointJson {
    name: String,
    /// Whether it stands in the configuration file.
    configured: bool,
    /// Where it is registered now.
    contacts: Vec<ContactJson>,
}

/// Where an endpoint is registered.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ContactJson {
    uri: String,
    /// The address that it registered from.
    source: String,
    expires_secs: f64,
}

impl From<EndpointSnapshot> for EndpointJson {
    fn from(endpoint: EndpointSnapshot) -> Self {
        let contact = |(uri, source, left): (String, SocketAddr, Duration)| ContactJson {
            uri,
            source: source.to_string(),
            expires_secs: left.as_secs_f64(),
        };
        Self {
            name: endpoint.name,
            configured: endpoint.configured,
            contacts: endpoint.contacts.into_iter().map(contact).collect(),
        }
    }
}

/// An endpoint to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewEndpointJson {
    /// The user part that registers: 1 to 64 of `A–Z a–z 0–9 . _ -`.
    pub(in crate::api) name: String,
    /// At least eight characters; only its digests are kept.
    pub(in crate::api) password: String,
    /// The number that its calls show.
    pub(in crate::api) caller_id: Option<String>,
}
