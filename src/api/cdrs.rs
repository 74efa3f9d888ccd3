//! `/v1/cdrs` and `/v1/recordings`: what calls came to.

use std::collections::BTreeMap;
use std::path::{Component, Path as FilePath};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio_util::io::ReaderStream;

use super::wire::desk::WrittenJson;
use super::wire::{CdrJson, CdrPageJson, CdrQuery, ErrorJson, RecordingJson};
use super::{Api, ApiError, calls};
use crate::store::CdrFilter;

/// Lists call records page by page, newest first.
#[utoipa::path(get, path = "/v1/cdrs", tag = "cdrs", params(CdrQuery), responses(
    (status = 200, body = CdrPageJson), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson)
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<CdrQuery>, QueryRejection>,
) -> Result<Json<CdrPageJson>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(ApiError::BadRequest(format!(
            "limit: want 1 to 1000, have {limit}"
        )));
    }
    let filter = CdrFilter {
        before: query.cursor,
        call_id: query.call_id,
        queue: query.queue,
        agent: query.agent,
        caller: query.from,
        called: query.to,
        since_ms: query.since.map(|text| moment("since", &text)).transpose()?,
        until_ms: query.until.map(|text| moment("until", &text)).transpose()?,
    };
    let mut rows = api.store.cdrs(&filter, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().map(|row| row.id).filter(|_| more);
    let calls: Vec<&str> = rows.iter().map(|row| row.call_id.as_str()).collect();
    let mut recordings: BTreeMap<String, Vec<RecordingJson>> = BTreeMap::new();
    for row in api.store.recordings(&calls).await? {
        let of_call = recordings.entry(row.call_id.clone()).or_default();
        of_call.push(row.into());
    }
    let mut notes: BTreeMap<String, Vec<WrittenJson>> = BTreeMap::new();
    for row in api.store.notes(&calls).await? {
        let of_call = notes.entry(row.call_id.clone()).or_default();
        of_call.push(row.into());
    }
    let cdrs = rows.into_iter().map(|row| {
        let recordings = recordings.remove(&row.call_id).unwrap_or_default();
        let notes = notes.remove(&row.call_id).unwrap_or_default();
        CdrJson::from(row).with(recordings, notes)
    });
    let cdrs = cdrs.collect();
    Ok(Json(CdrPageJson { cdrs, next }))
}

/// Downloads a call's first recording: the caller left, the other party right. An encrypted one comes as
/// it is: `tandem recording open` opens it.
#[utoipa::path(get, path = "/v1/recordings/{call_id}", tag = "cdrs",
    params(("call_id" = String, Path)), responses(
    (status = 200, content_type = "audio/wav", body = Vec<u8>), (status = 401, body = ErrorJson),
    (status = 404, body = ErrorJson)
))]
pub(super) async fn recording(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::NotFound { what: "recording" };
    let call = calls::parse(&id)?;
    let filter = CdrFilter {
        call_id: Some(call.to_string()),
        ..CdrFilter::default()
    };
    let rows = api.store.cdrs(&filter, 1).await?;
    let name = rows
        .into_iter()
        .find_map(|row| row.recording)
        .ok_or_else(missing)?;
    // A name from the store stays below the folder, whoever wrote it.
    if !FilePath::new(&name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(missing());
    }
    let file = tokio::fs::File::open(api.recordings.join(&name))
        .await
        .map_err(|_| missing())?;
    let length = file.metadata().await.map_err(|_| missing())?.len();
    let ending = FilePath::new(&name).file_name().unwrap_or_default();
    let ending = ending.to_string_lossy();
    let (_, ending) = ending.split_once('.').unwrap_or(("", "wav"));
    let kind = match ending {
        "wav" => "audio/wav",
        "opus" => "audio/ogg",
        _ => "application/octet-stream",
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{call}.{ending}\""),
        ),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

fn moment(key: &str, text: &str) -> Result<i64, ApiError> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|at| at.as_millisecond()).map_err(|_| {
        let rule = "want a time such as 2026-01-31T09:00:00Z";
        ApiError::BadRequest(format!("{key}: {rule}, have {text:?}"))
    })
}
