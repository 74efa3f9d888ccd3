//! A leg on a detour through voice processing, in a whole call: the called one talks, the caller is in a room that
//! echoes and then talks himself. The media workers and the processing are the production ones, in virtual time: a
//! voice is always back within its tick. All speech is synthetic (espeak-ng).

use std::f64::consts::PI;
use std::process::Command;
use std::time::Duration;

use clock::Now;
use media::dsp::level;
use tandem::call::{Cause, Party};
use tandem::conference::Mode;
use tandem::control::What;
use voice::activity::Spurt;

use crate::lab::Lab;

const ANN: &str = "10.9.0.1:5060";
const BOB: &str = "10.9.0.2:5060";
const CAT: &str = "10.9.0.3:5060";

const RATE: usize = 8_000;
/// The called one's words alone.
const FAR_SECS: usize = 13;
/// When the caller talks, and for how long.
const NEAR_AT_SECS: usize = 15;
const NEAR_SECS: usize = 5;
/// How loud both talk, and the echo below that.
const SPOKEN_DBFS: f32 = -20.0;
const DOWN_DB: f32 = 12.0;

const PLAN: &str =
    "dialplan version=1\nentry pattern=\"*\" flow=\"ring\"\nflow \"ring\" {\n dial \"bob\"\n}\n";

/// What came of a call.
struct Outcome {
    /// What the called one heard from when he began to talk.
    heard: Vec<i16>,
    /// Who was told to talk, and when his voice began: in seconds since the called one began.
    began: Vec<(Party, f64)>,
}

fn call(echo: &str, jitter: Duration, far: &[i16], near: &[i16]) -> Outcome {
    let config = format!(
        "[trunks.callers]\naddresses = [\"10.9.0.1\"]\necho = \"{echo}\"\nnoise = \"off\"\ngain = \"off\"\n\
         talk_events = true\n[endpoints.bob]\npassword = \"secret\"\ntalk_events = true\n\
         contact = \"sip:bob@10.9.0.2:5060\"\n"
    );
    let mut lab = Lab::sounding_on(1, &config, PLAN);
    for remote in [ANN, BOB] {
        lab.speaks(remote, 440.0);
        lab.says(remote, Vec::new());
    }
    lab.echoes(ANN, Duration::from_millis(100), DOWN_DB);
    lab.comes_late(ANN, jitter);
    lab.invite(ANN, "1", "");
    lab.pass(Duration::from_millis(100));
    let invite = lab.invited(BOB).unwrap();
    // Both ports open with the answer.
    let opened = lab.now;
    lab.reply(BOB, &invite, 200, "");
    lab.pass(Duration::from_millis(500));
    let since = lab.now;
    lab.says(BOB, far.to_vec());
    lab.says(ANN, near.to_vec());
    lab.pass(Duration::from_secs((NEAR_AT_SECS + NEAR_SECS + 1) as u64));
    let heard = lab.heard(BOB);
    let began = lab.events.iter().filter_map(|event| match event {
        What::Talk {
            party,
            spurt: Spurt::Began { at, .. },
        } => Some((*party, position(*at, opened, since))),
        _ => None,
    });
    let began = began.collect();
    lab.control.hang_up_all(lab.now, Cause::Normal);
    assert!(lab.troubles().is_empty(), "{}", lab.troubles());
    Outcome { heard, began }
}

/// A position since a leg is listened to, in seconds since the called one began to talk.
fn position(at: u64, opened: Now, since: Now) -> f64 {
    at as f64 / 16_000.0 - (since - opened).as_secs_f64()
}

impl Outcome {
    fn dbfs(&self, from: f64, to: f64) -> f32 {
        let at = |secs: f64| ((secs * RATE as f64) as usize).min(self.heard.len());
        level::dbfs(&self.heard[at(from)..at(to)])
    }

    /// Where a party was told to begin to talk first, not before that second.
    fn first(&self, who: Party, after: f64) -> f64 {
        let mut began = self.began.iter().filter(|it| it.0 == who && it.1 > after);
        began
            .next()
            .unwrap_or_else(|| panic!("{who:?}: {:?}", self.began))
            .1
    }
}

#[test]
fn on_a_detour_an_echo_goes_its_talker_is_heard_and_both_are_told_where_they_begin() {
    let far = speech("en-us+m3", FAR_SECS);
    let mut near = vec![0; NEAR_AT_SECS * RATE];
    near.extend(speech("en-gb+f2", NEAR_SECS));
    let (off, on) = both(Duration::ZERO, &far, &near);
    let last = FAR_SECS as f64 - 0.5;
    let echo = off.dbfs(2.0, last);
    let spoken = level::dbfs(&far[2 * RATE..(FAR_SECS - 1) * RATE]);
    let less = |from, to| off.dbfs(from, to) - on.dbfs(from, to);
    let (soon, steady) = (less(2.0, 4.0), less(4.0, last));
    let quarters: Vec<String> = (0..FAR_SECS * 2)
        .map(|n| format!("{:.0}", less(n as f64 / 2.0, n as f64 / 2.0 + 0.5)))
        .collect();
    let talk = (NEAR_AT_SECS as f64 + 0.5, (NEAR_AT_SECS + NEAR_SECS) as f64);
    let (with, without) = (on.dbfs(talk.0, talk.1), off.dbfs(talk.0, talk.1));
    println!(
        "echo {echo:.1} dBFS of {spoken:.1}; {soon:.1} dB less from second 2 to 4, {steady:.1} after; by half \
         seconds {}; the caller at {with:.1} dBFS, {without:.1} without; {:.3?}",
        quarters.join(" "),
        on.began
    );
    // The control: off the detour the echo is there.
    assert!(
        (echo - (spoken - DOWN_DB)).abs() < 2.0,
        "{echo} of {spoken}"
    );
    assert!(soon >= SOON_DB && steady >= STEADY_DB, "{soon} {steady}");
    assert!((with - without).abs() < 3.0, "{with} {without}");
    let alone =
        |it: &&(Party, f64)| it.0 == Party::Caller && (2.0..FAR_SECS as f64).contains(&it.1);
    assert_eq!(on.began.iter().find(alone), None, "an echo is no talk");
    assert!(off.began.iter().any(|it| alone(&it)), "without, it is");
    let late = [
        on.first(Party::Callee, -1.0),
        on.first(Party::Caller, FAR_SECS as f64) - NEAR_AT_SECS as f64,
    ];
    for late in late {
        assert!((0.0..0.15).contains(&late), "{:?}", on.began);
    }
}

/// Of one who is in a room that echoes, a listener to him alone hears no echo, and the called one all of it.
#[test]
fn who_taps_a_leg_hears_no_echo_of_the_other_whatever_the_other_hears() {
    let config = "[trunks.callers]\naddresses = [\"10.9.0.1\", \"10.9.0.3\"]\nnoise = \"off\"\ngain = \"off\"\n\
                  [endpoints.bob]\npassword = \"secret\"\ncontact = \"sip:bob@10.9.0.2:5060\"\n";
    let plan = "dialplan version=1\nentry did=\"2\" flow=\"desk\"\nentry pattern=\"*\" flow=\"ring\"\n\
                flow \"ring\" {\n dial \"bob\"\n}\nflow \"desk\" {\n conference \"desk\"\n}\n";
    let mut lab = Lab::sounding_on(2, config, plan);
    for remote in [ANN, BOB, CAT] {
        lab.speaks(remote, 440.0);
        lab.says(remote, Vec::new());
    }
    lab.echoes(ANN, Duration::from_millis(100), DOWN_DB);
    lab.invite(CAT, "2", "");
    lab.pass(Duration::from_millis(300));
    let cat = lab.control.calls(lab.now)[0].call;
    lab.invite(ANN, "1", "");
    lab.pass(Duration::from_millis(100));
    let invite = lab.invited(BOB).unwrap();
    lab.reply(BOB, &invite, 200, "");
    lab.pass(Duration::from_millis(500));
    let all = lab.control.calls(lab.now);
    let call = all.iter().find(|it| it.call != cat).unwrap().call;
    let mode = Mode::Tap(Party::Caller);
    lab.control.supervise(lab.now, (call, cat), mode).unwrap();
    lab.pass(Duration::from_secs(1));
    let far = speech("en-us+m3", FAR_SECS);
    let mut near = vec![0; NEAR_AT_SECS * RATE];
    near.extend(speech("en-gb+f2", NEAR_SECS));
    lab.says(BOB, far);
    lab.says(CAT, Vec::new());
    lab.says(ANN, near);
    lab.pass(Duration::from_secs((NEAR_AT_SECS + NEAR_SECS + 1) as u64));
    let [listener, other] = [CAT, BOB].map(|remote| Outcome {
        heard: lab.heard(remote),
        began: Vec::new(),
    });
    let less = |from, to| other.dbfs(from, to) - listener.dbfs(from, to);
    let last = FAR_SECS as f64 - 0.5;
    let (soon, steady) = (less(2.0, 4.0), less(4.0, last));
    let talk = (NEAR_AT_SECS as f64 + 0.5, (NEAR_AT_SECS + NEAR_SECS) as f64);
    println!(
        "the called one hears the echo at {:.1} dBFS, the listener {soon:.1} dB less from second 2 to 4, {steady:.1} \
         after; the caller {:.1} dB less",
        other.dbfs(2.0, last),
        less(talk.0, talk.1)
    );
    // The control: whom nothing is taken out for hears the echo.
    assert!((other.dbfs(2.0, last) - (SPOKEN_DBFS - DOWN_DB)).abs() < 3.0);
    assert!(soon >= SOON_DB && steady >= STEADY_DB, "{soon} {steady}");
    assert!(less(talk.0, talk.1).abs() < 3.0);
    lab.control.hang_up_all(lab.now, Cause::Normal);
    assert!(lab.troubles().is_empty(), "{}", lab.troubles());
}

fn both(jitter: Duration, far: &[i16], near: &[i16]) -> (Outcome, Outcome) {
    let call = |echo| call(echo, jitter, far, near);
    (call("off"), call("leg"))
}

/// The bridge moves and playout is shortened in the first seconds: the reference steps with that.
#[test]
fn an_echo_stays_gone_while_playout_finds_its_delay() {
    let far = speech("en-us+m3", 5);
    for ms in [5, 10, 30] {
        let (off, on) = both(Duration::from_millis(ms), &far, &[]);
        let halves = (1..9).map(|n| f64::from(n) / 2.0);
        let less = halves.map(|at| off.dbfs(at, at + 0.5) - on.dbfs(at, at + 0.5));
        let less: Vec<f32> = less.collect();
        println!("up to {ms} ms late: {less:.0?} dB less, by half seconds from 0.5 on");
        assert!(less.iter().all(|&it| it >= SOON_DB), "{ms} ms: {less:.0?}");
    }
}

/// Echo that goes from second 2 on, and from second 4 on, in dB.
const SOON_DB: f32 = 25.0;
const STEADY_DB: f32 = 25.0;

/// So many seconds of synthetic speech, without silence before it.
fn speech(voice: &str, secs: usize) -> Vec<i16> {
    let made = Command::new("espeak-ng")
        .args(["-v", voice, "-s", "165", "--stdout", TEXT])
        .output()
        .unwrap_or_else(|why| panic!("want espeak-ng (apt-get install espeak-ng): {why}"));
    let samples: Vec<f64> = made.stdout[44..]
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    let from = samples.iter().position(|it| it.abs() > 100.0).unwrap();
    let samples = &samples[from..];
    let spoken: Vec<i16> = (0..secs * RATE)
        .map(|n| sinc(samples, n as f64 * RATIO) as i16)
        .collect();
    let gain = 10_f32.powf((SPOKEN_DBFS - level::dbfs(&spoken)) / 20.0);
    spoken
        .iter()
        .map(|&it| (f32::from(it) * gain) as i16)
        .collect()
}

/// The sound at a place between samples, without what 8 kHz cannot carry.
fn sinc(samples: &[f64], place: f64) -> f64 {
    let middle = place as usize;
    let near = middle.saturating_sub(REACH)..(middle + REACH).min(samples.len());
    let sum: f64 = near
        .map(|n| {
            let off = place - n as f64;
            let x = PI * off / RATIO;
            let weight = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
            let window = (0.5 * PI * off / REACH as f64).cos().powi(2);
            samples[n] * weight * window
        })
        .sum();
    sum / RATIO
}

/// espeak-ng's samples for one of ours.
const RATIO: f64 = 22_050.0 / 8_000.0;
const REACH: usize = 32;

const TEXT: &str = "Good morning, you have reached the service desk of the city works. \
    I would like to ask about the bill that came on Tuesday. \
    Please tell me your customer number, and then the street where you live. \
    Our opening hours are from eight in the morning until six in the evening. \
    We will send a technician on Friday between ten and twelve. \
    The invoice has been paid, and the reminder was sent by mistake. \
    All of our agents are busy. Your call will be answered in turn.";
