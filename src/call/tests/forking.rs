//! Several that ring: contacts of ours, and the forks of a proxy behind one of them.

use super::*;

impl Rig {
    /// A fork of a leg lets hear something at `port`, reliably or not.
    fn early(&mut self, leg: u32, fork: u32, port: u16, status: u16) {
        let leg = LegId(leg);
        let body = Some(phone(port).answer(&self.offer_to(leg)).unwrap());
        let event = Event::Progressed {
            session: SESSION(),
            status,
            body,
            fork,
            needs_answer: false,
            response: response(status),
        };
        self.sip(leg, event);
    }

    /// A fork of a leg answers, with what is heard at `port` if its 200 says so.
    fn answers(&mut self, leg: u32, fork: u32, port: Option<u16>) {
        let leg = LegId(leg);
        let body = port.map(|port| phone(port).answer(&self.offer_to(leg)).unwrap());
        let event = Event::Answered {
            session: SESSION(),
            body,
            needs_answer: false,
            fork,
            response: response(200),
        };
        self.sip(leg, event);
    }

    /// Where a port of ours sends to, and takes audio from, by the last it was told.
    fn far_end(&self, port: u32) -> Option<u16> {
        let updates = self.log.iter().filter_map(|output| match output {
            Output::Port(PortCommand::Update(update)) if update.port.0 == port => {
                update.remote.map(|remote| remote.rtp.port())
            }
            _ => None,
        });
        updates.last()
    }

    /// Who is in the bridge now.
    fn together(&self) -> Vec<u32> {
        let mut here = Vec::new();
        for output in &self.log {
            match output {
                Output::Port(PortCommand::Bridge { port, .. }) if !here.contains(&port.0) => {
                    here.push(port.0);
                }
                Output::Port(PortCommand::Unbridge { port } | PortCommand::Close { port }) => {
                    here.retain(|it| *it != port.0);
                }
                _ => {}
            }
        }
        here.sort_unstable();
        here
    }

    fn lost_to_another(&self, leg: u32) -> bool {
        let said = self.said(LegId(leg));
        said.contains(&SipCommand::End(Cause::Elsewhere))
    }
}

#[test]
fn of_two_contacts_the_first_to_sound_is_heard_until_it_is_out() {
    let mut rig = Rig::new();
    rig.dial(&[20_002, 20_004], Ringback::Tone);
    rig.early(2, 0, 5_004, 183);
    assert_eq!(rig.together(), [20_000, 20_004]);
    rig.early(1, 0, 5_002, 183);
    assert_eq!(rig.together(), [20_000, 20_004], "the first goes on");
    rig.refusal_from(LegId(2), 486);
    assert_eq!(rig.together(), [20_000, 20_002], "the other is heard now");
    assert_eq!(rig.far_end(20_002), Some(5_002));
    rig.answers(1, 0, Some(5_002));
    assert!(rig.told().contains(&Notice::Bridged(DialToken(9))));
    assert_eq!(rig.together(), [20_000, 20_002]);
}

#[test]
fn whoever_was_heard_and_did_not_answer_is_heard_no_more() {
    let mut rig = Rig::new();
    rig.dial(&[20_002, 20_004], Ringback::Tone);
    rig.early(1, 0, 5_002, 183);
    rig.answers(2, 0, Some(5_004));
    assert!(rig.lost_to_another(1));
    assert_eq!(rig.together(), [20_000, 20_004]);
}

#[test]
fn when_nobody_sounds_any_more_the_ringing_tone_is_heard_again() {
    let mut rig = Rig::new();
    rig.dial(&[20_002, 20_004], Ringback::Tone);
    rig.early(1, 0, 5_002, 183);
    rig.refusal_from(LegId(1), 480);
    assert_eq!(rig.together(), [] as [u32; 0]);
    let plays = rig.log.iter().filter_map(|output| match output {
        Output::LoadClips(request) => Some((request.leg, request.items.clone())),
        _ => None,
    });
    let tone = vec![Prompt::Tone("ringback".to_owned())];
    assert_eq!(plays.last(), Some((LegId::CALLER, tone)));
}

#[test]
fn hold_music_goes_on_whatever_the_callees_let_hear() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002, 20_004], Ringback::Keep);
    rig.early(1, 0, 5_002, 183);
    assert_eq!(rig.together(), [] as [u32; 0]);
}

/// What comes for one leg from its forks, and whom it hears before the answer and after.
struct Row {
    what: &'static str,
    /// Each fork's response: which, where it is heard, whether reliable.
    early: &'static [(u32, u16, bool)],
    before: u16,
    /// The fork whose 200 it is, and where its body says it is heard.
    answer: (u32, Option<u16>),
    after: u16,
}

// covers: RFC 3261 §13.2.2.4, RFC 3262 §4
#[test]
fn of_the_forks_behind_one_leg_the_newest_is_heard_and_the_winner_after_it() {
    const NO: bool = false;
    let table = [
        Row {
            what: "the first answers",
            early: &[(0, 5_000, NO), (1, 5_100, NO)],
            before: 5_100,
            answer: (0, Some(5_000)),
            after: 5_000,
        },
        Row {
            what: "the second answers",
            early: &[(0, 5_000, NO), (1, 5_100, NO)],
            before: 5_100,
            answer: (1, Some(5_100)),
            after: 5_100,
        },
        Row {
            what: "the first says again what it said",
            early: &[(0, 5_000, NO), (1, 5_100, NO), (0, 5_000, NO)],
            before: 5_100,
            answer: (1, Some(5_100)),
            after: 5_100,
        },
        Row {
            what: "somebody who rang in silence answers",
            early: &[(0, 5_000, NO), (1, 5_100, NO)],
            before: 5_100,
            answer: (2, Some(5_200)),
            after: 5_200,
        },
        Row {
            what: "both were reliable, the first answers without a word",
            early: &[(0, 5_000, true), (1, 5_100, true)],
            before: 5_100,
            // The user agent tells what the fork's reliable response held.
            answer: (0, Some(5_000)),
            after: 5_000,
        },
        Row {
            what: "a reliable one is overtaken by an unreliable one, and answers",
            early: &[(0, 5_000, true), (1, 5_100, NO)],
            before: 5_100,
            answer: (0, None),
            after: 5_000,
        },
    ];
    for row in table {
        let mut rig = Rig::new();
        rig.dial(&[20_002], Ringback::Tone);
        for &(fork, port, reliable) in row.early {
            rig.early(1, fork, port, if reliable { RELIABLE } else { 183 });
        }
        assert_eq!(rig.far_end(20_002), Some(row.before), "{}", row.what);
        assert_eq!(rig.together(), [20_000, 20_002], "{}", row.what);
        rig.answers(1, row.answer.0, row.answer.1);
        assert_eq!(rig.far_end(20_002), Some(row.after), "{}", row.what);
        assert_eq!(rig.together(), [20_000, 20_002], "{}", row.what);
        assert!(rig.told().contains(&Notice::Bridged(DialToken(9))));
    }
}

// covers: RFC 3311 §5.1, RFC 3261 §13.2.2.4
#[test]
fn what_one_fork_agreed_anew_does_not_bind_the_one_that_answers() {
    let mut rig = Rig::new();
    rig.dial(&[20_002], Ringback::Tone);
    let mut first = phone(5_000);
    let answer = first.answer(&rig.offer_to(LegId(1))).unwrap();
    rig.early(1, 0, 5_000, RELIABLE);
    drop(answer);
    let offered = Event::Offered {
        session: SESSION(),
        body: Some(first.offer().unwrap()),
        fork: 0,
    };
    rig.sip(LegId(1), offered);
    rig.answers(1, 1, Some(5_100));
    assert!(rig.told().contains(&Notice::Bridged(DialToken(9))));
    assert_eq!(rig.far_end(20_002), Some(5_100));
}
