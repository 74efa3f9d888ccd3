//! `/v1/calls/{call_id}/trace`, `…/pcap`, `…/capture` and `/v1/captures`: seeing a call.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::sync::{mpsc, oneshot};

use super::wire::{CaptureJson, ErrorJson, TraceJson, TraceQueryJson};
use super::{Api, ApiError, Command, Reply, calls, center};
use crate::trace::Story;

/// What the API asks of the journal.
#[derive(Debug)]
pub enum TraceQuery {
    /// A call's story, without its packets.
    Story {
        /// Our call id, a SIP Call-ID, or `last`.
        name: String,
        /// The story, and the wall clock at the monotonic clock's start, in ns since 1970.
        reply: Reply<Option<(Story, u64)>>,
    },
    /// A call's story as a pcapng file.
    File {
        /// As above.
        name: String,
        /// The file's bytes.
        reply: Reply<Option<Vec<u8>>>,
    },
}

/// The sending end of the way to the journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    sender: mpsc::Sender<TraceQuery>,
}

impl Traces {
    /// A way with room for 16 queries, and its receiving end.
    pub fn new() -> (Self, mpsc::Receiver<TraceQuery>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self { sender }, receiver)
    }

    async fn ask<T>(&self, query: impl FnOnce(Reply<T>) -> TraceQuery) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.sender.send(query(reply)).await.ok()?;
            answer.await.ok()
        };
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        answered.ok().flatten().ok_or(ApiError::Unavailable {
            what: "the journal",
        })
    }
}

fn journal(api: &Api) -> Result<&Traces, ApiError> {
    let off = "tracing is off: set trace.enabled = true and start again";
    api.traces.as_ref().ok_or(ApiError::Conflict(off))
}

/// Shows what happened to a call, in progress or over: messages, steps and media on one time axis.
/// `call_id` is the call's id, a SIP Call-ID, or `last`; requests that were refused have a trace too.
#[utoipa::path(get, path = "/v1/calls/{call_id}/trace", tag = "trace",
    params(("call_id" = String, Path), TraceQueryJson), responses(
    (status = 200, body = TraceJson), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson), (status = 404, body = ErrorJson), (status = 409, body = ErrorJson)
))]
pub(super) async fn trace(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    query: Result<Query<TraceQueryJson>, QueryRejection>,
) -> Result<Json<TraceJson>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let found = journal(&api)?
        .ask(|reply| TraceQuery::Story { name, reply })
        .await?;
    let (story, at_zero) = found.ok_or(ApiError::NotFound { what: "trace" })?;
    Ok(Json(TraceJson::new(&story, at_zero, query.after)))
}

/// Downloads a call as pcapng: SIP, decrypted, and the sound that was captured.
#[utoipa::path(get, path = "/v1/calls/{call_id}/pcap", tag = "trace",
    params(("call_id" = String, Path)), responses(
    (status = 200, content_type = "application/x-pcapng", body = Vec<u8>),
    (status = 401, body = ErrorJson), (status = 404, body = ErrorJson),
    (status = 409, body = ErrorJson)
))]
pub(super) async fn pcap(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let found = journal(&api)?
        .ask(|reply| TraceQuery::File { name, reply })
        .await?;
    let file = found.ok_or(ApiError::NotFound { what: "trace" })?;
    let headers = [
        (CONTENT_TYPE, "application/x-pcapng"),
        (CONTENT_DISPOSITION, "attachment; filename=\"call.pcapng\""),
    ];
    Ok((headers, file).into_response())
}

/// Keeps a live call's packets of sound from now on.
#[utoipa::path(post, path = "/v1/calls/{call_id}/capture", tag = "trace",
    params(("call_id" = String, Path)), responses(
    (status = 204), (status = 401, body = ErrorJson), (status = 404, body = ErrorJson),
    (status = 409, body = ErrorJson)
))]
pub(super) async fn capture(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    journal(&api)?;
    let call = calls::parse(&id)?;
    match api
        .control
        .ask(|reply| Command::Capture { call, reply })
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound { what: "call" }),
    }
}

/// Keeps the packets of sound of the next call from a number or user, once.
#[utoipa::path(post, path = "/v1/captures", tag = "trace", request_body = CaptureJson, responses(
    (status = 202), (status = 400, body = ErrorJson), (status = 401, body = ErrorJson),
    (status = 409, body = ErrorJson)
))]
pub(super) async fn capture_next(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    journal(&api)?;
    let CaptureJson { from } = center::read(body)?;
    if from.is_empty() || from.len() > FROM_MAX {
        let why = format!("from: want 1 to {FROM_MAX} characters, have {}", from.len());
        return Err(ApiError::BadRequest(why));
    }
    api.control
        .ask(|reply| Command::CaptureNext { from, reply })
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// How long a client waits for the journal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Characters of a caller.
const FROM_MAX: usize = 128;
