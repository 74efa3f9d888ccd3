//! Events and notes as lines for people.

use super::Redaction;
use super::summary::clip;
use crate::control::{Noted, PortFacts, What};

/// What a call's event says on the time axis; nothing where a note says it better.
pub(super) fn event(what: &What, redaction: &Redaction) -> Option<String> {
    let text = match what {
        What::Initiated { from, to } => format!("call from {from} to {to}"),
        What::Refused { status: 0, why, .. } => format!("ignored: {why}"),
        What::Refused { status, why, .. } => format!("refused ({status}): {why}"),
        What::Answered => "answered".to_owned(),
        What::Step { flow, step } => format!("step {flow}/{step}"),
        What::Digit(digit) => format!("key {} reaches the plan", redaction.digit(*digit)),
        What::Queued { queue } => format!("waits in queue {queue}"),
        What::Offered { agent } => format!("offered to {agent}"),
        What::Bridged { with } => format!("bridged with {with}"),
        What::Transferred { by, to, how } => {
            format!("transferred ({}): {by} left, {to} came", how.name())
        }
        What::Recording { file } => format!("recording to {file}"),
        What::Trouble(why) => format!("trouble: {why}"),
        What::HungUp { cause } => format!("ended: {cause}"),
        _ => return None,
    };
    Some(clip(&text, LINE_MAX))
}

/// What a note says on the time axis.
pub(super) fn note(what: &Noted, redaction: &Redaction) -> Option<String> {
    let text = match what {
        Noted::Leg { .. } => return None,
        Noted::Opened(facts) => format!("port open: {}", port(facts)),
        Noted::Changed(facts) => format!("port changed: {}", port(facts)),
        Noted::Closed {
            packets: [received, sent],
            lost,
            jitter_max,
        } => format!(
            "port closed: {received} packets in, {sent} out, {lost} lost, jitter at most {:.1} ms",
            jitter_max.as_secs_f64() * 1e3
        ),
        Noted::FirstHeard { from } => format!("first RTP in from {from}"),
        Noted::FirstSent => "first RTP out".to_owned(),
        Noted::Silent { ms } => format!("nothing heard for {ms} ms"),
        Noted::Wants { play, what } => format!("prompt {}: {what}", play.0),
        Noted::Plays(play) => format!("prompt {} begins", play.0),
        Noted::Played {
            play,
            complete: true,
        } => format!("prompt {} heard to its end", play.0),
        Noted::Played { play, .. } => format!("prompt {} stopped", play.0),
        Noted::Joins => "on the bridge".to_owned(),
        Noted::Parts => "off the bridge".to_owned(),
        Noted::Presses { digit, via } => format!("pressed {} by {via}", redaction.digit(*digit)),
        Noted::Dials(digits) => {
            let digits: String = digits.chars().map(|it| redaction.digit(it)).collect();
            format!("keys {digits} sent")
        }
        Noted::Captured => "packets are captured from here".to_owned(),
        Noted::NotCaptured => {
            "packets are not captured: as many ports as trace.rtp_ports allows are".to_owned()
        }
    };
    Some(clip(&text, LINE_MAX))
}

/// `PCMA with 10.0.0.1:4000, both ways`.
fn port(facts: &PortFacts) -> String {
    let ways = match facts.ways {
        [true, true] => "both ways",
        [true, false] => "we only send: hold",
        [false, true] => "we only receive: hold",
        [false, false] => "neither way: hold",
    };
    let keys = match facts.dtmf_payload_type {
        Some(_) => "telephone-event",
        None => "no telephone-event",
    };
    match (facts.remote, facts.local) {
        (Some(remote), Some(local)) => {
            format!("{} {keys}, {local} with {remote}, {ways}", facts.codec)
        }
        (Some(remote), None) => format!("{} {keys}, with {remote}, {ways}", facts.codec),
        (None, _) => "the peer's address is not known yet".to_owned(),
    }
}

const LINE_MAX: usize = 300;
