//! `/v2/telephony_credentials`: endpoints made on demand, that end by themselves.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::super::access::AccessCommand;
use super::super::login::{new_id, random};
use super::super::wire::now_ms;
use super::super::{Api, Command};
use super::error::V2Error;
use super::wire::{
    CredentialJson, CredentialQuery, MetaJson, NewCredentialJson, OneJson, PageJson,
};
use crate::access::{CREDENTIALS_MAX, Credential, generated_name};
use crate::store::{CredentialFilter, CredentialRow};

/// Makes a credential.
#[utoipa::path(post, path = "/v2/telephony_credentials", tag = "credentials",
    request_body = NewCredentialJson, responses((status = 201, body = OneJson), (status = 422)))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<OneJson>), V2Error> {
    let asked = read(body)?;
    let now_ms = now_ms();
    let connection = asked.connection_id.as_deref();
    let row = CredentialRow {
        id: new_id()?,
        name: word("/name", asked.name)?.unwrap_or_default(),
        tag: word("/tag", asked.tag)?,
        connection_id: word("/connection_id", connection.map(str::to_owned))?
            .filter(|it| !it.is_empty())
            .ok_or(V2Error::Missing("/connection_id"))?,
        sip_username: generated_name(random()?),
        created_at: now_ms,
        updated_at: now_ms,
        expires_at: ends(asked.expires_at.flatten(), now_ms)?,
    };
    if !api.store.put_credential(&row, CREDENTIALS_MAX).await? {
        // Those that ended a while ago make room.
        api.store.forget_credentials(now_ms - KEPT_MS).await?;
        if !api.store.put_credential(&row, CREDENTIALS_MAX).await? {
            let why = format!("there are {CREDENTIALS_MAX} credentials: delete some");
            return Err(V2Error::Refused(why));
        }
    }
    admit(&api, &row).await?;
    Ok((StatusCode::CREATED, one(&api, row)))
}

/// Lists credentials, the latest first.
#[utoipa::path(get, path = "/v2/telephony_credentials", tag = "credentials",
    params(CredentialQuery), responses((status = 200, body = PageJson), (status = 400)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<CredentialQuery>, QueryRejection>,
) -> Result<Json<PageJson>, V2Error> {
    let Query(query) = query.map_err(|why| V2Error::BadBody(why.body_text()))?;
    let (number, size) = (query.number.unwrap_or(1), query.size.unwrap_or(PAGE));
    if number == 0 || !(1..=PAGE_MAX).contains(&size) {
        let rule = format!("want page[number] from 1, and page[size] from 1 to {PAGE_MAX}");
        return Err(V2Error::BadBody(rule));
    }
    let now_ms = now_ms();
    let connection = query.resource_id.map(|id| {
        let bare = id.strip_prefix("connection:");
        bare.map_or(id.clone(), str::to_owned)
    });
    let filter = CredentialFilter {
        name: query.name,
        tag: query.tag,
        connection_id: connection,
        sip_username: query.sip_username,
        ended: query.status.map(|status| (status == "expired", now_ms)),
    };
    let skip = (number - 1).saturating_mul(size);
    let (rows, total_results) = api.store.credentials(&filter, (skip, size)).await?;
    let shown = |row| CredentialJson::of(row, &api.access, now_ms);
    Ok(Json(PageJson {
        data: rows.into_iter().map(shown).collect(),
        meta: MetaJson {
            total_pages: total_results.div_ceil(size),
            total_results,
            page_number: number,
            page_size: size,
        },
    }))
}

/// Shows a credential.
#[utoipa::path(get, path = "/v2/telephony_credentials/{id}", tag = "credentials",
    params(("id" = String, Path)), responses((status = 200, body = OneJson), (status = 404)))]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<OneJson>, V2Error> {
    let row = find(&api, &id).await?;
    Ok(one(&api, row))
}

/// Changes a credential: what is not named stays. A time of end that has come ends it at once.
#[utoipa::path(patch, path = "/v2/telephony_credentials/{id}", tag = "credentials",
    params(("id" = String, Path)), request_body = NewCredentialJson,
    responses((status = 200, body = OneJson), (status = 404), (status = 422)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OneJson>, V2Error> {
    let asked = read(body)?;
    let before = find(&api, &id).await?;
    let now_ms = now_ms();
    let row = CredentialRow {
        name: word("/name", asked.name)?.unwrap_or(before.name),
        tag: word("/tag", asked.tag)?.or(before.tag),
        connection_id: word("/connection_id", asked.connection_id)?.unwrap_or(before.connection_id),
        expires_at: match asked.expires_at {
            None => before.expires_at,
            Some(at) => ends(at, now_ms)?,
        },
        updated_at: now_ms,
        ..before
    };
    api.store.put_credential(&row, usize::MAX).await?;
    admit(&api, &row).await?;
    Ok(one(&api, row))
}

/// Ends a credential: whoever is there by it is put out, and its calls end.
#[utoipa::path(delete, path = "/v2/telephony_credentials/{id}", tag = "credentials",
    params(("id" = String, Path)), responses((status = 200, body = OneJson), (status = 404)))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<OneJson>, V2Error> {
    let row = find(&api, &id).await?;
    api.store.remove_credential(&id).await?;
    let end = api
        .control
        .ask(|reply| Command::Access(AccessCommand::EndCredential { id, reply }));
    end.await?;
    Ok(one(&api, row))
}

/// Makes a token for a credential: `text/plain`.
#[utoipa::path(post, path = "/v2/telephony_credentials/{id}/token", tag = "credentials",
    params(("id" = String, Path)),
    responses((status = 201, content_type = "text/plain", body = String), (status = 404)))]
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    // Whatever comes is read, and not looked at: some clients send an empty one in chunks.
    _body: Result<Bytes, BytesRejection>,
) -> Result<Response, V2Error> {
    let row = find(&api, &id).await?;
    let now = Timestamp::now();
    let credential = credential_of(&row);
    if credential.ends.is_some_and(|ends| ends <= now) {
        let why = "the credential has ended: make another, or change its expires_at";
        return Err(V2Error::Refused(why.to_owned()));
    }
    let minted = api.access.credential(&credential, &new_id()?, now);
    let kind = [(CONTENT_TYPE, "text/plain")];
    Ok((StatusCode::CREATED, kind, minted.token).into_response())
}

/// A stored credential in the words of `access`.
pub fn credential_of(row: &CredentialRow) -> Credential {
    let ends = row.expires_at.map(|ms| {
        // Whole seconds, as tokens have them.
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
    });
    Credential {
        id: row.id.clone(),
        endpoint: row.sip_username.clone(),
        ends,
    }
}

async fn admit(api: &Api, row: &CredentialRow) -> Result<(), V2Error> {
    let (credential, password) = (credential_of(row), api.access.sip_password(&row.id));
    let put = api.control.ask(|reply| {
        Command::Access(AccessCommand::PutCredential {
            credential,
            password,
            reply,
        })
    });
    Ok(put.await?)
}

async fn find(api: &Api, id: &str) -> Result<CredentialRow, V2Error> {
    let found = api.store.credential(id).await?;
    found.ok_or(V2Error::NotFound)
}

fn one(api: &Api, row: CredentialRow) -> Json<OneJson> {
    let data = CredentialJson::of(row, &api.access, now_ms());
    Json(OneJson { data })
}

/// A JSON object; nothing at all is an empty one.
fn read(body: Result<Bytes, BytesRejection>) -> Result<NewCredentialJson, V2Error> {
    let body = body.map_err(|why| V2Error::BadBody(why.body_text()))?;
    if body.is_empty() {
        return Ok(NewCredentialJson::default());
    }
    serde_json::from_slice(&body).map_err(|why| V2Error::BadBody(format!("the body: {why}")))
}

fn word(pointer: &'static str, text: Option<String>) -> Result<Option<String>, V2Error> {
    match text {
        Some(text) if text.len() > WORD_MAX || text.chars().any(char::is_control) => {
            let rule = format!("want at most {WORD_MAX} bytes without control characters");
            Err(V2Error::Field(pointer, rule))
        }
        text => Ok(text),
    }
}

/// When it ends: a time to come, with or without its zone, which is UTC then.
fn ends(text: Option<String>, now_ms: i64) -> Result<Option<i64>, V2Error> {
    let Some(text) = text else { return Ok(None) };
    let zoned: Option<Timestamp> = text.parse().ok();
    let at = zoned.or_else(|| {
        let bare: jiff::civil::DateTime = text.parse().ok()?;
        Some(bare.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    match at.map(Timestamp::as_millisecond) {
        Some(ms) if ms > now_ms => Ok(Some(ms)),
        _ => {
            let rule = "want a time to come such as 2030-01-01T00:00:00Z";
            Err(V2Error::Field("/expires_at", rule.to_owned()))
        }
    }
}

/// Bytes of a name, a tag or a connection's id.
const WORD_MAX: usize = 255;
/// Credentials in a page.
const PAGE: u32 = 20;
const PAGE_MAX: u32 = 250;
/// How long one that has ended is shown before it makes room: a day.
const KEPT_MS: i64 = 86_400_000;
