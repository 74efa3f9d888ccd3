//! Where a trunk's calls are sent: `send_to`, `transport`, `redirect`, `target_timeout`.

use clock::Duration;
use sip::transport::Transport;

use super::super::hop::{HOP_RULE, NextHop, SendTo};
use super::super::route::{Redirect, Routing};
use crate::config::{ConfigError, Section};

/// The targets: texts, or tables with priority, weight and transport of their own.
pub(super) fn send_to(
    file: &mut Section,
    transport: Option<Transport>,
) -> Result<Vec<SendTo>, ConfigError> {
    let items = file.tables("send_to", "host")?.unwrap_or_default();
    if items.len() > TARGETS_MAX {
        let rule = format!("at most {TARGETS_MAX} targets");
        return Err(file.refuse("send_to", &rule, &items.len().to_string()));
    }
    let read = items.into_iter().map(|item| target(item, transport));
    let read = read.collect::<Result<Vec<_>, _>>()?;
    // Without a word on priority and weight the list itself is the order.
    let in_order = read.iter().all(|it| it.priority.or(it.weight).is_none());
    let target = |(it, place): (Item, u16)| SendTo {
        hop: it.hop,
        priority: it.priority.unwrap_or(if in_order { place } else { 0 }),
        weight: it.weight.unwrap_or(1),
    };
    Ok(read.into_iter().zip(0..).map(target).collect())
}

/// One item as it was written.
struct Item {
    hop: NextHop,
    priority: Option<u16>,
    weight: Option<u16>,
}

fn target(mut item: Section, usual: Option<Transport>) -> Result<Item, ConfigError> {
    let Some(text) = item.text("host")? else {
        return Err(item.missing("host", HOP_RULE));
    };
    let transport = item.one_of("transport", &TRANSPORTS)?.or(usual);
    let Some(hop) = NextHop::parse(&text, transport) else {
        return Err(item.refuse("host", HOP_RULE, &text));
    };
    let mut number = |key: &str| -> Result<Option<u16>, ConfigError> {
        let given = item.integer(key, 0..=i64::from(u16::MAX))?;
        Ok(given.and_then(|number| u16::try_from(number).ok()))
    };
    let target = Item {
        hop,
        priority: number("priority")?,
        weight: number("weight")?,
    };
    item.finish()?;
    Ok(target)
}

/// The proxy that every call goes through.
pub(super) fn proxy(
    file: &mut Section,
    transport: Option<Transport>,
) -> Result<Option<NextHop>, ConfigError> {
    let Some(text) = file.text("proxy")? else {
        return Ok(None);
    };
    let hop = NextHop::parse(&text, transport);
    hop.map(Some)
        .ok_or_else(|| file.refuse("proxy", HOP_RULE, &text))
}

/// How calls are led from target to target.
pub(super) fn routing(file: &mut Section) -> Result<Routing, ConfigError> {
    let patience = Duration::from_millis(500)..=Duration::from_secs(32);
    let patience = file.duration("target_timeout", patience)?;
    Ok(Routing {
        redirect: file.one_of("redirect", &REDIRECTS)?.unwrap_or_default(),
        patience: patience.unwrap_or(Routing::USUAL.patience),
    })
}

pub(super) const TRANSPORTS: [(&str, Transport); 3] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
];
const REDIRECTS: [(&str, Redirect); 3] = [
    ("off", Redirect::Off),
    ("same", Redirect::Same),
    ("any", Redirect::Any),
];
/// Targets of one trunk: what a caller would wait through.
const TARGETS_MAX: usize = 32;
