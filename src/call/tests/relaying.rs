//! Which codec each side is told: the callee's where that needs no transcoding, and G.729 with both or
//! with nobody.

use super::*;

fn speaking(port: u16, codecs: &[Codec]) -> Negotiation {
    let address = "127.0.0.2".parse().unwrap();
    Negotiation::new(
        LocalMedia::new(address, port, codecs.to_vec()),
        u64::from(port),
    )
}

/// A caller who offers `codecs` to a leg that takes `ours`; nothing has been done yet.
fn called_by(codecs: &[Codec], ours: &[Codec]) -> (Rig, Negotiation) {
    let mut caller = speaking(4_000, codecs);
    let mut media = media(20_000);
    media.local.codecs = ours.to_vec();
    let rig = Rig::on_leg(Some(caller.offer().unwrap()), media);
    (rig, caller)
}

/// Rings a callee whose leg takes `ours`, and who answers with what he speaks; `None` if he was not rung.
fn rings(rig: &mut Rig, ours: &[Codec], speaks: &[Codec]) -> Option<Codec> {
    let mut target = target(20_002);
    target.media.local.codecs = ours.to_vec();
    rig.dial_targets(vec![target], Ringback::Keep);
    let rung = |output: &Output| matches!(output, Output::Invite(..));
    if !rig.log.iter().any(rung) {
        return None;
    }
    let mut callee = speaking(5_000, speaks);
    let answer = callee.answer(&rig.offer_to(LegId(1))).unwrap();
    rig.answered(LegId(1), answer);
    callee.agreed().map(|agreed| agreed.codec)
}

/// What the caller was told in the 200.
fn told(rig: &Rig, caller: &mut Negotiation) -> Option<Codec> {
    let said = rig.said(LegId::CALLER);
    let answer = said.iter().find_map(|command| match command {
        SipCommand::Accept(answer) => answer.clone(),
        _ => None,
    });
    caller.take_answer(&answer?).unwrap();
    caller.agreed().map(|agreed| agreed.codec)
}

fn troubles(rig: &Rig) -> Vec<&'static str> {
    let ids = rig.log.iter().filter_map(|output| match output {
        Output::Trouble(trouble) => Some(trouble.id()),
        _ => None,
    });
    ids.collect()
}

use Codec::{AmrWb, G722, G729, Opus, Pcma, Pcmu};

// covers: RFC 3264 §6.1
#[test]
fn the_answer_names_what_the_callee_speaks_where_the_caller_can() {
    let all = [Opus, Pcma, G722, Pcmu, G729];
    for (offers, speaks, want) in [
        (&[Opus, Pcma][..], &[Pcma][..], [Pcma, Pcma]),
        (&[Opus, G722], &[G722], [G722, G722]),
        // The callee has nothing of the caller's: both are told what they speak.
        (&[Opus], &[Pcmu], [Opus, Pcmu]),
        (&[Pcma, G729], &[G729], [G729, G729]),
        // What is decoded comes first where both have both.
        (&[G729, Pcma], &[Pcma, G729], [Pcma, Pcma]),
        (&[G729], &[Pcma, G729], [G729, G729]),
    ] {
        let (mut rig, mut caller) = called_by(offers, &all);
        let callee = rings(&mut rig, &all, speaks);
        let told = told(&rig, &mut caller);
        assert_eq!([told, callee], want.map(Some), "{offers:?} {speaks:?}");
        assert_eq!(rig.bridged_ports(), [20_000, 20_002]);
        assert_eq!(troubles(&rig), [] as [&str; 0]);
    }
}

#[test]
fn an_answer_that_was_told_stands() {
    let all = [Opus, Pcma, G729];
    let (mut rig, mut caller) = called_by(&[Opus, Pcma, G729], &all);
    rig.ask(Action::Answer);
    let callee = rings(&mut rig, &all, &[Pcma]);
    assert_eq!([told(&rig, &mut caller), callee], [Some(Opus), Some(Pcma)]);
    // Nor is anybody offered what could not be relayed any more.
    let offer = rig.offer_to(LegId(1));
    assert!(!String::from_utf8_lossy(&offer).contains("G729"));
}

#[test]
fn a_caller_who_has_only_g729_hears_no_prompt_and_is_refused_an_answer_by_us() {
    let all = [Pcma, G729];
    let (mut rig, _) = called_by(&[G729], &all);
    rig.ask(Action::Play {
        play: PlayToken(1),
        items: vec![Prompt::Tone("beep".to_owned())],
        repeat: false,
    });
    let failed = |notice: &Notice| matches!(notice, Notice::PlayFailed { .. });
    assert!(rig.told().iter().any(failed));
    rig.ask(Action::Answer);
    assert_eq!(troubles(&rig), ["media-relay-only"]);
    let said = rig.said(LegId::CALLER);
    assert!(
        matches!(said.last(), Some(SipCommand::End(Cause::IncompatibleMedia))),
        "{said:?}"
    );
}

#[test]
fn a_callee_who_may_not_take_g729_is_not_rung_for_a_caller_who_has_nothing_else() {
    let (mut rig, _) = called_by(&[G729], &[Pcma, G729]);
    assert_eq!(rings(&mut rig, &[Pcma], &[Pcma]), None);
    assert_eq!(troubles(&rig), ["media-relay-only"]);
    // Without G.729 in its section the leg has no codec for such an offer at all.
    let (rig, _) = called_by(&[G729], &[Pcma]);
    assert_eq!(troubles(&rig), ["media-no-common-codec"]);
}

#[test]
fn what_is_to_be_recorded_is_not_relayed_in_g729() {
    let all = [Pcma, G729];
    let (mut rig, mut caller) = called_by(&[Pcma, G729], &all);
    rig.ask(Action::Record(RecordAsk::Start));
    let callee = rings(&mut rig, &all, &[G729, Pcma]);
    assert_eq!([told(&rig, &mut caller), callee], [Some(Pcma), Some(Pcma)]);
    // Asked for when it is too late it is refused, and the call goes on.
    let (mut rig, _) = called_by(&[G729], &all);
    rings(&mut rig, &all, &[G729]);
    rig.ask(Action::Record(RecordAsk::Start));
    assert_eq!(troubles(&rig), ["media-relay-only"]);
    let taps = |output: &Output| matches!(output, Output::Port(PortCommand::Tap { .. }));
    assert!(!rig.log.iter().any(taps) && !rig.call.is_ending());
}

// covers: RFC 4867 §8.3.1
#[test]
fn a_mode_set_of_amr_wb_goes_from_each_side_to_the_other() {
    let held = "mode-set=0,1,2";
    for (theirs, chosen) in [(Some(held), None), (None, Some(held)), (None, None)] {
        let with = |modes: Option<&str>, text: Bytes| {
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = modes.map(|modes| format!("a=fmtp:96 {modes}\r\n"));
            Bytes::from(text + &line.unwrap_or_default())
        };
        let mut media = media(20_000);
        media.local.codecs = vec![AmrWb];
        let mut caller = speaking(4_000, &[AmrWb]);
        let offer = with(theirs, caller.offer().unwrap());
        let mut rig = Rig::on_leg(Some(offer), media);
        let mut target = target(20_002);
        target.media.local.codecs = vec![AmrWb];
        rig.dial_targets(vec![target], Ringback::Keep);
        let offer = rig.offer_to(LegId(1));
        let says = |text: &[u8]| String::from_utf8_lossy(text).contains(held);
        assert_eq!(
            says(&offer),
            theirs.is_some(),
            "what the callee was offered"
        );
        let answer = speaking(5_000, &[AmrWb]).answer(&offer).unwrap();
        let event = Event::Answered {
            session: SESSION(),
            body: Some(with(chosen, answer)),
            needs_answer: false,
            fork: 0,
            response: response(200),
        };
        rig.sip(LegId(1), event);
        let said = rig.said(LegId::CALLER);
        let answer = said.iter().find_map(|command| match command {
            SipCommand::Accept(answer) => answer.clone(),
            _ => None,
        });
        let any = theirs.is_some() || chosen.is_some();
        assert_eq!(says(&answer.unwrap()), any, "what the caller was told");
    }
}

#[test]
fn partners_are_joined_if_both_are_decoded_or_both_speak_what_is_relayed() {
    let all = [Pcma, Pcmu, G729, AmrWb];
    let talks = |codec: Codec| {
        let (mut rig, _) = called_by(&[codec], &all);
        rings(&mut rig, &all, &[codec]);
        rig.call.spoken_beside(LegId(1)).unwrap()
    };
    for (one, other, joined) in [
        (Pcma, Pcmu, true),
        (Pcma, Pcma, true),
        (G729, G729, true),
        (AmrWb, AmrWb, true),
        (G729, Pcma, false),
        (Pcmu, G729, false),
        (AmrWb, Pcma, false),
        (G729, AmrWb, false),
    ] {
        let said = NoTransfer::unless_heard(talks(one), talks(other));
        assert_eq!(said.is_ok(), joined, "{one} {other}");
        let refused = said.err().map(|why| (why.status(), why.id()));
        assert!(joined || refused == Some((488, "transfer-relay-only")));
    }
}

/// An INVITE with Replaces by who offers `codecs`, in the place of the callee of a call in G.729.
#[test]
fn who_takes_a_place_speaks_what_is_relayed_there_or_is_refused() {
    let all = [Pcma, G729];
    for (codecs, taken) in [(&[Pcma][..], false), (&[Pcma, G729], true)] {
        let (mut rig, _) = called_by(&[G729], &all);
        rings(&mut rig, &all, &[G729]);
        let mut media = media(20_004);
        media.local.codecs = all.to_vec();
        let who = Newcomer {
            label: Label::default(),
            offer: Some(speaking(6_000, codecs).offer().unwrap()),
            media,
        };
        let new = rig.call.replace(LegId(1), who);
        rig.drain();
        let accepted = |it: &SipCommand| matches!(it, SipCommand::Accept(_));
        assert_eq!(rig.said(new).iter().any(accepted), taken);
        assert_eq!(rig.call.spoken_beside(LegId::CALLER), Some(G729));
        assert!(!rig.ends(LegId(1)) && !rig.call.is_ending());
    }
}

#[test]
fn a_recording_has_the_rate_that_both_sides_carry_up_to_the_longest_kept() {
    let all = [Opus, G722, Pcma];
    for (caller, callee, wanted) in [
        (Opus, Opus, 16_000),
        (G722, Opus, 16_000),
        (G722, Pcma, 8_000),
        (Pcma, Opus, 8_000),
    ] {
        let (mut rig, _) = called_by(&[caller], &all);
        rig.ask(Action::Record(RecordAsk::Start));
        rings(&mut rig, &[callee], &[callee]);
        let rates = rig.log.iter().filter_map(|output| match output {
            Output::Record { rate, .. } => Some(*rate),
            _ => None,
        });
        let rates: Vec<u32> = rates.collect();
        assert_eq!(rates, [wanted], "{caller:?} {callee:?}");
    }
}
