//! What a page needs to call: `/v1/ice_servers`, and `/v1/click_to_call` for whoever is nobody here.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};

use super::access::AccessCommand;
use super::center::read;
use super::key::bearer;
use super::login::{new_id, subject};
use super::wire::ErrorJson;
use super::wire::access::{ClickJson, IceServersJson, TokenJson};
use super::{Api, ApiError, Command};
use crate::access::IceServer;
use crate::explain::{Explanation, printable};
use crate::trunk::{CALLER_ID_RULE, EndpointConfig};

/// Says by which servers a browser finds its way: with the API key, or with a token.
#[utoipa::path(get, path = "/v1/ice_servers", tag = "access", responses(
    (status = 200, body = IceServersJson), (status = 401, body = ErrorJson)
))]
pub(super) async fn ice_servers(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Json<IceServersJson>, ApiError> {
    let by_key = bearer(&headers).is_some_and(|text| api.key.is(text));
    let who = match by_key {
        true => "api".to_owned(),
        false => subject(&api, &headers).await?.endpoint,
    };
    let told = api.turn.as_ref();
    let told = told.map(|turn| IceServer::all(turn, &who, jiff::Timestamp::now()));
    Ok(Json(IceServersJson::from(told)))
}

/// Makes a token that is good for one call, to one entry, by whoever has it.
#[utoipa::path(post, path = "/v1/click_to_call", tag = "access", request_body = ClickJson, responses(
    (status = 201, body = TokenJson), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson), (status = 422, body = ErrorJson)
))]
pub(super) async fn click(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<TokenJson>), ApiError> {
    let asked: ClickJson = read(body)?;
    let from = asked.from.unwrap_or_else(|| "web".to_owned());
    if !EndpointConfig::may_show(&from) {
        let why = format!("from: want {CALLER_ID_RULE}, have {from:?}");
        return Err(ApiError::BadRequest(why));
    }
    if asked.ttl == Some(0) || asked.entry.len() > ENTRY_MAX {
        let rule = format!("want a ttl of a second or more, and an entry of {ENTRY_MAX} bytes");
        return Err(ApiError::BadRequest(rule));
    }
    let number = asked.entry.clone();
    let has = api
        .control
        .ask(|reply| Command::Access(AccessCommand::HasEntry { number, reply }));
    if !has.await? {
        let why = NoEntry(&asked.entry).explanation();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(ApiError::Refused(status, Box::new(why)));
    }
    let life = asked.ttl.map(Duration::from_secs);
    let call = (asked.entry.as_str(), from.as_str());
    let now = jiff::Timestamp::now();
    let minted = api.access.click(call, &new_id()?, now, life);
    Ok((StatusCode::CREATED, Json(minted.into())))
}

/// No entry of the dialplan takes the number.
struct NoEntry<'a>(&'a str);

impl NoEntry<'_> {
    fn id(&self) -> &'static str {
        "click-no-entry"
    }

    fn explanation(&self) -> Explanation {
        Explanation {
            id: self.id(),
            expected: "the number of an entry of the dialplan".to_owned(),
            found: printable(self.0),
            fix: "add entry did=\"…\" to a dialplan, or write the number as it stands there"
                .to_owned(),
        }
    }
}

/// Bytes of the longest number that is called.
const ENTRY_MAX: usize = 64;
