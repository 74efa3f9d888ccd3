//! `/v1/explain` and `/v1/refusals`: why a call was refused, or would be.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use sip::transport::Transport;
use utoipa::ToSchema;

use super::center::read;
use super::wire::{ErrorJson, now_ms, timestamp};
use super::{Api, ApiError, Command};
use crate::control::{CalleeDoes, Probe, Refused, Rehearsal, Step, Verdict};
use crate::explain::Explanation;

/// A call to be asked about.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainJson {
    /// The user of From.
    pub from: String,
    /// The user of the Request-URI; none for a registration.
    #[serde(default)]
    pub to: String,
    /// The true source: an address, or an address and a port (5060 without).
    pub ip: String,
    /// `udp`, `tcp` or `tls`; `udp` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The trunk that it should come by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// The digest user name, if it is not `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The wall time, RFC 3339; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The address and port that the caller sends to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// A registration, not a call.
    #[serde(default)]
    pub register: bool,
    /// The codecs offered; PCMA and PCMU if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codecs: Option<Vec<String>>,
    /// The profile offered; `RTP/AVP` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The address in the offer; the source's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// Headers besides: name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Keys that the caller presses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digits: String,
    /// What whoever is rung does: `answers`, `silent`, or a status such as `486`. Without it the
    /// rehearsal ends where somebody rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<String>,
}

impl ExplainJson {
    /// The question in the shard's words.
    ///
    /// # Errors
    /// The key, its rule and the value.
    pub fn probe(&self) -> Result<Probe, String> {
        let mut probe = Probe::new(&self.from, &self.to, source(&self.ip)?);
        probe.transport = match self.transport.as_deref().unwrap_or("udp") {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            other => return Err(format!("transport: want udp, tcp or tls, have {other:?}")),
        };
        let address = |text: &String| {
            let rule = "sent_to: want an address and a port such as 192.0.2.1:5060";
            text.parse().map_err(|_| format!("{rule}, have {text:?}"))
        };
        let time = |text: &String| {
            let rule = "at: want a time such as 2026-01-31T09:00:00Z";
            text.parse().map_err(|_| format!("{rule}, have {text:?}"))
        };
        probe.sent_to = self.sent_to.as_ref().map(address).transpose()?;
        probe.at = self.at.as_ref().map(time).transpose()?;
        probe.trunk.clone_from(&self.trunk);
        probe.user.clone_from(&self.user);
        probe.register = self.register;
        probe.media.clone_from(&self.media);
        probe.headers.clone_from(&self.headers);
        probe.digits.clone_from(&self.digits);
        if let Some(codecs) = &self.codecs {
            probe.codecs.clone_from(codecs);
        }
        if let Some(profile) = &self.profile {
            probe.profile.clone_from(profile);
        }
        probe.callee = self.callee.as_deref().map(callee).transpose()?;
        probe.check()?;
        Ok(probe)
    }
}

fn source(text: &str) -> Result<SocketAddr, String> {
    let bare = |ip: IpAddr| SocketAddr::new(ip, 5_060);
    let parsed = text.parse().ok().or_else(|| text.parse().ok().map(bare));
    parsed.ok_or_else(|| format!("ip: want an address with or without a port, have {text:?}"))
}

fn callee(text: &str) -> Result<CalleeDoes, String> {
    match (text, text.parse()) {
        ("answers", _) => Ok(CalleeDoes::Answers),
        ("silent", _) => Ok(CalleeDoes::Nothing),
        (_, Ok(status @ 300..=699)) => Ok(CalleeDoes::Refuses(status)),
        _ => Err(format!(
            "callee: want answers, silent or 300 to 699, have {text:?}"
        )),
    }
}

/// What would become of a call.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedJson {
    /// Whether it came to somebody or something.
    pub taken: bool,
    /// Where it ended, if it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The status that the caller hears; 0 for silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<WhyJson>,
    /// Each decision on the way.
    pub steps: Vec<StepJson>,
}

/// One decision on the way of a call.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StepJson {
    /// What was decided.
    pub step: String,
    /// How.
    pub text: String,
}

/// A refusal in words.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WhyJson {
    /// A stable id: a page of docs/errors.
    pub id: String,
    /// What would have been taken.
    pub expected: String,
    /// What was there.
    pub found: String,
    /// The smallest change that would mend it.
    pub fix: String,
}

impl From<&Explanation> for WhyJson {
    fn from(why: &Explanation) -> Self {
        Self {
            id: why.id.to_owned(),
            expected: why.expected.clone(),
            found: why.found.clone(),
            fix: why.fix.clone(),
        }
    }
}

impl From<Rehearsal> for ExplainedJson {
    fn from(rehearsal: Rehearsal) -> Self {
        let step = |it: Step| StepJson {
            step: it.name.to_owned(),
            text: it.text,
        };
        let (outcome, status, why) = match rehearsal.verdict {
            Verdict::Taken(how) => (Some(how), None, None),
            Verdict::Refused { status, why } => (None, Some(status), Some(WhyJson::from(&why))),
        };
        Self {
            taken: why.is_none(),
            outcome,
            status,
            why,
            steps: rehearsal.steps.into_iter().map(step).collect(),
        }
    }
}

/// Says what would become of a call: which trunk, entry and step take it, or what refuses it and the
/// edit that would mend that. Nothing is placed or sent.
#[utoipa::path(post, path = "/v1/explain", tag = "explain", request_body = ExplainJson,
    responses((status = 200, body = ExplainedJson), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson)
))]
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ExplainedJson>, ApiError> {
    let asked: ExplainJson = read(body)?;
    let probe = asked.probe().map_err(ApiError::BadRequest)?;
    let probe = Box::new(probe);
    let found = api
        .control
        .ask(|reply| Command::Explain { probe, reply })
        .await?;
    Ok(Json(found.into()))
}

/// Which refusals are wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalsQuery {
    /// Those of one call: our id, or the SIP Call-ID.
    pub(super) call: Option<String>,
    /// Those of one id.
    pub(super) id: Option<String>,
    /// At most so many: 1 to 1000, 100 if absent.
    pub(super) limit: Option<usize>,
}

/// Something that was refused, or that went wrong in a call.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalJson {
    /// When, RFC 3339.
    pub at: String,
    /// The call, if there was one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The status of the answer; 0 for silence, and for what went wrong without one.
    pub status: u16,
    /// Why.
    pub why: WhyJson,
    /// The request, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RefusedRequestJson>,
}

/// What a refused request said of itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedRequestJson {
    /// Its method.
    pub method: String,
    /// The true source.
    pub source: String,
    /// `UDP`, `TCP` or `TLS`.
    pub transport: String,
    /// The SIP Call-ID.
    pub sip_call_id: String,
    /// The user of From.
    pub from: String,
    /// The user of the Request-URI.
    pub to: String,
}

/// Lists what was refused lately: calls first, the newest first; at most 1,000 of calls and 1,000 others
/// are kept.
#[utoipa::path(get, path = "/v1/refusals", tag = "explain", params(RefusalsQuery), responses(
    (status = 200, body = Vec<RefusalJson>), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson)
))]
pub(super) async fn refusals(
    State(api): State<Arc<Api>>,
    query: Result<Query<RefusalsQuery>, QueryRejection>,
) -> Result<Json<Vec<RefusalJson>>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        let why = format!("limit: want 1 to 1000, have {limit}");
        return Err(ApiError::BadRequest(why));
    }
    let RefusalsQuery { call, id, .. } = query;
    let found = api
        .control
        .ask(|reply| Command::Refusals {
            call,
            id,
            limit,
            reply,
        })
        .await?;
    let now = now_ms();
    let json = |(ago, it): (Duration, Refused)| RefusalJson {
        at: timestamp(now - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)),
        call_id: it.call.map(|call| call.to_string()),
        status: it.status,
        why: WhyJson::from(&it.why),
        request: it.request.map(|it| RefusedRequestJson {
            method: it.method,
            source: it.source.to_string(),
            transport: it.transport.to_string(),
            sip_call_id: it.sip_call_id,
            from: it.from,
            to: it.to,
        }),
    };
    Ok(Json(found.into_iter().map(json).collect()))
}
