//! What a desk does, for programs: an agent's wrap-up, the call that he picks, the calls that he has missed,
//! what he writes of a call, what is known of it, and the words that he chooses from.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::center::read;
use super::wire::desk::{
    CodesJson, ContextJson, MissedJson, NoteJson, PickJson, WrapUpJson, WrittenJson,
};
use super::wire::{ErrorJson, now_ms};
use super::{Api, ApiError, Command, Control, DeskCommand, calls};
use crate::center::{AgentId, Codes, NotPicked, WrapUp};
use crate::control::{NotMerged, NotWished, PickRefused};
use crate::explain::{Explanation, printable};
use crate::store::{NoteRow, Store};

/// Ends an agent's wrap-up, or makes it a minute longer, half an hour in all. Nothing happens where he is at none.
#[utoipa::path(post, path = "/v1/agents/{name}/wrap_up", tag = "agents",
    params(("name" = String, Path)), request_body = WrapUpJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn wrap_up(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let WrapUpJson { action } = read(body)?;
    let ask = match action.as_str() {
        "end" => WrapUp::End,
        "extend" => WrapUp::Extend,
        other => {
            let other = printable(other);
            let why = format!("action: want \"end\" or \"extend\", have {other:?}");
            return Err(ApiError::BadRequest(why));
        }
    };
    let agent = AgentId::new(&name);
    let ask = |reply| Command::Desk(DeskCommand::WrapUp { agent, ask, reply });
    match api.control.ask(ask).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown_agent()),
    }
}

/// Rings an agent for the call that he has chosen among those who wait in his queues, whatever its turn, and
/// also while he writes up, rests or is on a break. Of two who choose the same call the first one gets it.
#[utoipa::path(post, path = "/v1/agents/{name}/pick", tag = "agents",
    params(("name" = String, Path)), request_body = PickJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn pick(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let PickJson { call_id } = read(body)?;
    let (agent, call) = (AgentId::new(&name), calls::parse(&call_id)?);
    let ask = |reply| Command::Desk(DeskCommand::Pick { agent, call, reply });
    api.control.ask(ask).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the latest calls that rang at an agent in vain, oldest first.
#[utoipa::path(get, path = "/v1/agents/{name}/missed", tag = "agents",
    params(("name" = String, Path)), responses(
    (status = 200, body = Vec<MissedJson>), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn missed(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<Vec<MissedJson>>, ApiError> {
    let agent = AgentId::new(&name);
    let ask = |reply| Command::Desk(DeskCommand::Missed { agent, reply });
    let missed = api.control.ask(ask).await?.ok_or_else(unknown_agent)?;
    let now = now_ms();
    let json = |(ago, missed)| MissedJson::new(missed, ago, now);
    Ok(Json(missed.into_iter().map(json).collect()))
}

/// Shows what is known of a call by whoever is to take it: who calls, which way the call came through the
/// dialplan, what was set there, and how long it has waited.
#[utoipa::path(get, path = "/v1/calls/{call_id}/context", tag = "calls",
    params(("call_id" = String, Path)), responses(
    (status = 200, body = ContextJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn context(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<ContextJson>, ApiError> {
    let call = calls::parse(&id)?;
    let ask = |reply| Command::Desk(DeskCommand::Context { call, reply });
    let context = api.control.ask(ask).await?;
    let context = context.ok_or(ApiError::NotFound { what: "call" })?;
    Ok(Json(ContextJson::from(*context)))
}

/// Keeps what an agent writes of a call, during it and afterwards: his note, whole, and what the call came to.
/// What the body leaves out stays as it was. Both stand in the call's record.
#[utoipa::path(put, path = "/v1/calls/{call_id}/notes/{agent}", tag = "calls",
    params(("call_id" = String, Path), ("agent" = String, Path)), request_body = NoteJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn write(
    State(api): State<Arc<Api>>,
    Path((id, agent)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let NoteJson { note, disposition } = read(body)?;
    let call = calls::parse(&id)?;
    let agent = AgentId::new(&agent);
    keep_note(&api.control, &api.store, (call, agent), note, disposition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what agents wrote of a call.
#[utoipa::path(get, path = "/v1/calls/{call_id}/notes", tag = "calls",
    params(("call_id" = String, Path)), responses(
    (status = 200, body = Vec<WrittenJson>), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn written(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Vec<WrittenJson>>, ApiError> {
    let call = calls::parse(&id)?.to_string();
    let rows = api.store.notes(&[&call]).await?;
    Ok(Json(rows.into_iter().map(WrittenJson::from).collect()))
}

/// Lists the words that agents choose from. Where a list is empty they write what they like.
#[utoipa::path(get, path = "/v1/codes", tag = "agents", responses(
    (status = 200, body = CodesJson), (status = 401, body = ErrorJson)
))]
pub(super) async fn codes(State(api): State<Arc<Api>>) -> Result<Json<CodesJson>, ApiError> {
    Ok(Json(CodesJson::from(known_codes(&api.control).await?)))
}

async fn known_codes(control: &Control) -> Result<Codes, ApiError> {
    let ask = |reply| Command::Desk(DeskCommand::Codes { reply });
    control.ask(ask).await
}

/// Keeps what an agent writes of a call, after a look at it.
///
/// # Errors
/// What breaks a rule, an agent who is none, and a call that neither is nor was.
pub async fn keep_note(
    control: &Control,
    store: &Store,
    (call, agent): (crate::call::CallId, AgentId),
    note: Option<String>,
    disposition: Option<String>,
) -> Result<(), ApiError> {
    if note.as_deref().is_some_and(|it| it.len() > NOTE_MAX) {
        let why = format!("note: want at most {NOTE_MAX} bytes");
        return Err(ApiError::BadRequest(why));
    }
    if note.is_none() && disposition.is_none() {
        let why = "the body: want `note`, `disposition` or both".to_owned();
        return Err(ApiError::BadRequest(why));
    }
    if let Some(code) = &disposition {
        let codes = known_codes(control).await?;
        if !codes.has_disposition(code) {
            return Err(Unfit::Disposition(code, &codes.dispositions).into());
        }
    }
    let who = agent.clone();
    let ask = |reply| Command::Desk(DeskCommand::Agent { agent: who, reply });
    if control.ask(ask).await?.is_none() {
        return Err(unknown_agent());
    }
    let call_id = call.to_string();
    let lives = control.ask(|reply| Command::Call { call, reply }).await?;
    if lives.is_none() && !store.has_cdr(&call_id).await? {
        return Err(ApiError::NotFound { what: "call" });
    }
    let row = NoteRow {
        call_id,
        agent: agent.to_string(),
        note,
        disposition,
        at: now_ms(),
    };
    Ok(store.put_note(&row).await?)
}

/// What an agent writes that cannot be kept.
enum Unfit<'a> {
    /// The call cannot have come to that; to what it can.
    Disposition(&'a str, &'a [String]),
}

impl Unfit<'_> {
    fn id(&self) -> &'static str {
        match self {
            Self::Disposition(..) => "disposition-unknown",
        }
    }
}

impl From<Unfit<'_>> for ApiError {
    fn from(unfit: Unfit<'_>) -> Self {
        let id = unfit.id();
        let Unfit::Disposition(found, known) = unfit;
        let expected = match known {
            [] => "a disposition of 1 to 64 bytes".to_owned(),
            known => format!("one of {}", known.join(", ")),
        };
        let why = Explanation {
            id,
            expected,
            found: printable(found),
            fix: "take one of desk.dispositions, or add it there".to_owned(),
        };
        Self::Refused(StatusCode::BAD_REQUEST, Box::new(why))
    }
}

impl From<PickRefused> for ApiError {
    fn from(why: PickRefused) -> Self {
        let status = match why.0 {
            NotPicked::NoAgent | NotPicked::NotWaiting => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self::Refused(status, Box::new(why.explanation()))
    }
}

impl From<NotMerged> for ApiError {
    fn from(why: NotMerged) -> Self {
        Self::Refused(StatusCode::CONFLICT, Box::new(why.explanation()))
    }
}

impl From<NotWished> for ApiError {
    fn from(why: NotWished) -> Self {
        let status = match why {
            NotWished::NoAgent => StatusCode::NOT_FOUND,
            NotWished::Reason { .. } => StatusCode::BAD_REQUEST,
        };
        Self::Refused(status, Box::new(why.explanation()))
    }
}

fn unknown_agent() -> ApiError {
    NotWished::NoAgent.into()
}

/// Bytes of a note: a page.
pub const NOTE_MAX: usize = 4_000;
