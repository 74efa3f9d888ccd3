//! Tokens, and what is asked for them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timestamp;
use crate::access::{IceServer, Minted};

/// What an agent gives.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LoginJson {
    /// His name: `[agents.NAME]`.
    pub(in crate::api) agent: String,
    /// His password.
    pub(in crate::api) password: String,
}

/// What he gets.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TokenJson {
    /// A JSON Web Token: for `Authorization: Bearer` in SIP and here.
    token: String,
    /// Until when it is good.
    expires_at: String,
}

impl From<Minted> for TokenJson {
    fn from(minted: Minted) -> Self {
        Self {
            token: minted.token,
            expires_at: timestamp(minted.expires.as_millisecond()),
        }
    }
}

/// The STUN and TURN servers, as `RTCPeerConnection` takes them.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct IceServersJson {
    ice_servers: Vec<IceServerJson>,
    /// Until when the credentials are good; nothing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl From<Option<(Vec<IceServer>, Timestamp)>> for IceServersJson {
    fn from(told: Option<(Vec<IceServer>, Timestamp)>) -> Self {
        let (servers, ends) = told.unzip();
        let servers = servers.unwrap_or_default();
        let limited = servers.iter().any(|it| it.credentials.is_some());
        let ends = ends.filter(|_| limited);
        Self {
            ice_servers: servers.into_iter().map(IceServerJson::from).collect(),
            expires_at: ends.map(|ends| timestamp(ends.as_millisecond())),
        }
    }
}

/// One `RTCIceServer`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct IceServerJson {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl From<IceServer> for IceServerJson {
    fn from(server: IceServer) -> Self {
        let (username, credential) = server.credentials.unzip();
        Self {
            urls: server.urls,
            username,
            credential,
        }
    }
}

/// A call that a page may make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ClickJson {
    /// The number of a dialplan's entry: the only one that it may call.
    pub(in crate::api) entry: String,
    /// Whom the call shows; `web` if not given.
    #[serde(default)]
    pub(in crate::api) from: Option<String>,
    /// How many seconds it waits for its call: 1 to `access.click_max`; 300 if not given.
    #[serde(default)]
    pub(in crate::api) ttl: Option<u64>,
}
