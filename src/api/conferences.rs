//! `/v1/conferences`: the rooms, who is in them, and what may be asked of them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::center::read;
use super::wire::conference::{
    AnnouncementJson, ConferenceJson, ConferenceStateJson, GainJson, MemberStateJson,
};
use super::wire::{ErrorJson, now_ms};
use super::{Api, ApiError, Command, calls};
use crate::call::Prompt;
use crate::conference::{Ask, NotDone};

/// Lists the conferences that have a member, by name.
#[utoipa::path(get, path = "/v1/conferences", tag = "conferences", responses(
    (status = 200, body = Vec<ConferenceJson>), (status = 401, body = ErrorJson)
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
) -> Result<Json<Vec<ConferenceJson>>, ApiError> {
    let ask = |reply| Command::Conferences { reply };
    let rooms = api.control.ask(ask).await?.into_iter();
    let now = now_ms();
    Ok(Json(
        rooms.map(|room| ConferenceJson::new(room, now)).collect(),
    ))
}

/// Shows one conference.
#[utoipa::path(get, path = "/v1/conferences/{name}", tag = "conferences",
    params(("name" = String, Path)), responses(
    (status = 200, body = ConferenceJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<ConferenceJson>, ApiError> {
    let ask = |reply| Command::Conference { name, reply };
    let room = api.control.ask(ask).await?;
    room.map(|room| Json(ConferenceJson::new(room, now_ms())))
        .ok_or(ApiError::NotFound { what: "conference" })
}

/// Locks or unlocks a conference, and begins or ends its recording. What is left out stays.
#[utoipa::path(put, path = "/v1/conferences/{name}", tag = "conferences",
    params(("name" = String, Path)), request_body = ConferenceStateJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let ConferenceStateJson { locked, recording } = read(body)?;
    let asked = [locked.map(Ask::Lock), recording.map(Ask::Record)];
    let mut done = Err(ApiError::BadRequest(
        "the body: want `locked`, `recording` or both".to_owned(),
    ));
    for ask in asked.into_iter().flatten() {
        done = ask_room(&api, &name, ask).await;
        if done.is_err() {
            break;
        }
    }
    done
}

/// Plays something to all who hear the conference, in place of what is played so.
#[utoipa::path(post, path = "/v1/conferences/{name}/announcement", tag = "conferences",
    params(("name" = String, Path)), request_body = AnnouncementJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn announce(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let items = match read(body)? {
        AnnouncementJson {
            file: Some(file),
            text: None,
        } => vec![Prompt::File(file)],
        AnnouncementJson {
            file: None,
            text: Some(text),
        } if text.chars().count() <= TEXT_MAX => vec![Prompt::Speech {
            text,
            voice: None,
            lang: None,
        }],
        _ => {
            let why = format!("the body: want `file`, or a `text` of at most {TEXT_MAX} letters");
            return Err(ApiError::BadRequest(why));
        }
    };
    ask_room(&api, &name, Ask::Announce(items)).await
}

/// Mutes or unmutes a member.
#[utoipa::path(put, path = "/v1/conferences/{name}/members/{call_id}", tag = "conferences",
    params(("name" = String, Path), ("call_id" = String, Path)), request_body = MemberStateJson,
    responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn set_member(
    State(api): State<Arc<Api>>,
    Path((name, id)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let MemberStateJson { muted: on } = read(body)?;
    let call = calls::parse(&id)?;
    ask_room(&api, &name, Ask::Mute { call, on }).await
}

/// Puts a member out: its plan goes on by `on removed`, or the call ends.
#[utoipa::path(delete, path = "/v1/conferences/{name}/members/{call_id}", tag = "conferences",
    params(("name" = String, Path), ("call_id" = String, Path)), responses(
    (status = 204), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson)
))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let call = calls::parse(&id)?;
    ask_room(&api, &name, Ask::Remove { call }).await
}

/// Sets how loud one member is to one other. A supervisor who listens is muted; one who whispers is muted,
/// with `db: 0` to whom he whispers; one who has barged in is not muted.
#[utoipa::path(put, path = "/v1/conferences/{name}/gains", tag = "conferences",
    params(("name" = String, Path)), request_body = GainJson, responses(
    (status = 204), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn set_gain(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let GainJson { from, to, db } = read(body)?;
    let (from, to) = (calls::parse(&from)?, calls::parse(&to)?);
    if db.is_some_and(|db| !(LEAST_DB..=MOST_DB).contains(&db)) {
        let why = format!("db: want {LEAST_DB} to {MOST_DB}, or null for as loud as to all");
        return Err(ApiError::BadRequest(why));
    }
    ask_room(&api, &name, Ask::Gain { from, to, db }).await
}

async fn ask_room(api: &Api, name: &str, ask: Ask) -> Result<StatusCode, ApiError> {
    let (name, ask) = (name.to_owned(), Box::new(ask));
    let done = api
        .control
        .ask(|reply| Command::AskConference { name, ask, reply })
        .await?;
    match done {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotDone::NoRoom) => Err(ApiError::NotFound { what: "conference" }),
        Err(NotDone::NoMember) => Err(ApiError::NotFound { what: "member" }),
        Err(NotDone::GainsFull) => Err(ApiError::Conflict(
            "the conference has 32 gains already; take one back by db = null",
        )),
        Err(NotDone::Empty) => Err(ApiError::Conflict(
            "nobody is inside: the members wait for a moderator",
        )),
    }
}

/// As long as a `say` of a dialplan may be.
const TEXT_MAX: usize = 4_000;
/// Below it is silence.
const LEAST_DB: f32 = -100.0;
/// Four times as loud.
const MOST_DB: f32 = 12.0;
