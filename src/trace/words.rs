//! Events and notes as lines for people.

use media::port::PortStats;
use voice::activity::Spurt;

use super::Redaction;
use super::summary::clip;
use crate::call::{CallId, Hearing, Party};
use crate::conference::Mode;
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
        What::Conferring { name } => format!("hears conference {name}"),
        What::Offered { agent } => format!("offered to {agent}"),
        What::Bridged { with } => format!("bridged with {with}"),
        What::Transferred { by, to, how } => {
            format!("transferred ({}): {by} left, {to} came", how.name())
        }
        What::Recording { file } => format!("recording to {file}"),
        What::Hearing { who, is } => hearing(who, *is),
        What::Talk { party, spurt } => talk(*party, *spurt),
        What::Supervision { by, is } => supervision(*by, *is),
        What::Trouble(why) => format!("trouble: {why}"),
        What::HungUp { cause } => format!("ended: {cause}"),
        _ => return None,
    };
    Some(clip(&text, LINE_MAX))
}

/// Positions are samples at 16 kHz since the leg is listened to: by them a listener finds the spurt.
fn talk(party: Party, spurt: Spurt) -> String {
    let (who, per_ms) = (party.name(), u64::from(voice::RATE / 1_000));
    match spurt {
        Spurt::Began { at, .. } => format!("{who} talks since sample {at} ({} ms)", at / per_ms),
        Spurt::Ended { began, at } => {
            let ms = at.saturating_sub(began) / per_ms;
            format!("{who} talked from sample {began} to {at} ({ms} ms)")
        }
    }
}

fn supervision(by: CallId, is: Option<Mode>) -> String {
    match is {
        Some(Mode::Listen) => format!("supervised by {by}: nobody hears him"),
        Some(Mode::Tap(party)) => {
            format!(
                "supervised by {by}: he hears the {} alone, nobody hears him",
                party.name()
            )
        }
        Some(Mode::Whisper(party)) => format!("supervised by {by}: the {} hears him", party.name()),
        Some(Mode::Barge) => format!("supervised by {by}: both hear him"),
        None => format!("supervised by {by} no more"),
    }
}

/// What a note says on the time axis.
pub(super) fn note(what: &Noted, redaction: &Redaction) -> Option<String> {
    let text = match what {
        Noted::Leg { .. } => return None,
        Noted::Opened(facts) => format!("port open: {}", port(facts)),
        Noted::Changed(facts) => format!("port changed: {}", port(facts)),
        Noted::Closed { stats } => closed(stats),
        Noted::FirstHeard { from } => format!("first RTP in from {from}"),
        Noted::FirstSent => "first RTP out".to_owned(),
        Noted::Silent { ms } => format!("nothing heard for {ms} ms"),
        Noted::SoundsAgain { after_ms } => format!("heard again, or on hold, after {after_ms} ms"),
        Noted::ReportsEnded { ms } => format!("no RTP and no RTCP for {ms} ms"),
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
        Noted::Masks(true) => "keys and sound are kept from this trace".to_owned(),
        Noted::Masks(false) => "keys and sound are told again".to_owned(),
        Noted::Captured => "packets are captured from here".to_owned(),
        Noted::NotCaptured => {
            "packets are not captured: as many ports as trace.rtp_ports allows are".to_owned()
        }
    };
    Some(clip(&text, LINE_MAX))
}

fn hearing(who: &str, is: Hearing) -> String {
    match is {
        Hearing::Heard => format!("audio from {who} is back"),
        Hearing::OneWay => {
            format!("one-way audio: nothing comes from {who}, the other side is heard")
        }
        Hearing::Nothing => format!("no audio: nothing comes from {who}"),
    }
}

/// What a port's last counters tell, in one line.
fn closed(stats: &PortStats) -> String {
    let mut line = format!(
        "port closed: {} packets in, {} out, {} lost, jitter at most {:.1} ms",
        stats.received,
        stats.sent,
        stats.lost,
        stats.jitter_max.as_secs_f64() * 1e3
    );
    let mut add = |text: String| {
        line.push_str(", ");
        line.push_str(&text);
    };
    if stats.frames > 0 {
        add(format!(
            "{} of {} frames concealed",
            stats.concealed, stats.frames
        ));
    }
    if let Some(time) = stats.round_trip {
        add(format!("round trip {:.1} ms", time.as_secs_f64() * 1e3));
    }
    if let Some(rating) = stats.rating {
        add(format!("MOS {:.2}", rating.mos()));
    }
    let refused = stats.unauthentic + stats.replayed + stats.keyless;
    if refused > 0 {
        add(format!(
            "SRTP refused {refused}: {} of a wrong tag, {} replayed, {} without a key",
            stats.unauthentic, stats.replayed, stats.keyless
        ));
    }
    line
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
