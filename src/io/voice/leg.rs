//! One leg's processing on its voice thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use media::tap::{Processed, TapFrame};
use voice::activity::{Activity, Spurt};
use voice::chain::Chain;
use voice::reference::Reference;
use voice::{FRAME, Frame};

use super::{Account, Hearing, VoiceId, Voiced};

/// A leg that is listened to: a voice thread drains it every few milliseconds.
#[derive(Debug)]
pub struct Leg {
    hearing: Hearing,
    /// `None` after a panic: it goes on unprocessed.
    work: Option<Work>,
    /// The frame that should come next.
    next: u64,
    /// How far the voice is behind its sender.
    lag: i64,
    account: Account,
}

#[derive(Debug)]
struct Work {
    reference: Reference,
    chain: Chain,
    activity: Activity,
}

impl Leg {
    /// A leg of which nothing was heard yet.
    pub fn new(hearing: Hearing) -> Self {
        let work = Work {
            reference: Reference::new(),
            chain: Chain::new(hearing.wanted),
            activity: Activity::new(hearing.patience),
        };
        Self {
            hearing,
            work: Some(work),
            next: 0,
            lag: 0,
            account: Account::default(),
        }
    }

    pub(super) const fn id(&self) -> VoiceId {
        self.hearing.id
    }

    /// Whether its tap was taken off.
    pub fn is_over(&self) -> bool {
        self.hearing.tap.is_abandoned()
    }

    pub(super) fn account(&self) -> Account {
        let found = self.work.as_ref().and_then(|work| work.chain.findings());
        Account {
            echo_delay_ms: found.map_or(0, |found| found.delay_ms),
            ..self.account
        }
    }

    /// Processes what has come, and tells of spurts of talk.
    pub fn drain(&mut self, mut tell: impl FnMut(VoiceId, Spurt)) {
        while let Ok(frame) = self.hearing.tap.pop() {
            let lost = frame.index.saturating_sub(self.next);
            self.account.lost += lost;
            // A hole is silence of its length, so that positions and the echo's delay stay true.
            for _ in 0..lost.min(HOLE_MAX) {
                self.process(&SILENCE, &SILENCE, &mut tell);
            }
            if let Some(work) = &mut self.work {
                work.activity.skip(lost.saturating_sub(HOLE_MAX));
            }
            let TapFrame {
                index,
                lag,
                left,
                right,
                ..
            } = &frame;
            self.lag = *lag;
            let samples = self.process(left, right, &mut tell);
            self.hand_on(*index, samples);
            self.next = frame.index + 1;
        }
    }

    fn process(
        &mut self,
        near: &Frame,
        far: &Frame,
        tell: &mut impl FnMut(VoiceId, Spurt),
    ) -> Frame {
        let Some(work) = &mut self.work else {
            self.account.unprocessed += 1;
            return *near;
        };
        self.account.frames += 1;
        let lag = self.lag;
        let done = catch_unwind(AssertUnwindSafe(|| {
            let far = work.reference.follow(far, lag + work.chain.stepped());
            let voice = work.chain.handle(near, &far);
            (voice.out, work.activity.handle(&voice.clean))
        }));
        match done {
            Ok((samples, spurt)) => {
                if let Some(spurt) = spurt {
                    tell(self.hearing.id, spurt);
                }
                samples
            }
            Err(_) => {
                tracing::error!(leg = ?self.hearing.id, "voice processing broke: it goes on without");
                metrics::counter!("tandem_voice_broken_total").increment(1);
                self.work = None;
                *near
            }
        }
    }

    fn hand_on(&mut self, index: u64, samples: Frame) {
        if let Some(back) = &mut self.hearing.back {
            let full = back.push(Processed { index, samples }).is_err();
            self.account.dropped += u64::from(full);
        }
        if let Some(listener) = &mut self.hearing.listener {
            let talking = self
                .work
                .as_ref()
                .is_some_and(|work| work.activity.talking());
            let at = index * FRAME as u64;
            let full = listener
                .push(Voiced {
                    at,
                    talking,
                    samples,
                })
                .is_err();
            self.account.dropped += u64::from(full);
        }
    }
}

const SILENCE: Frame = [0; FRAME];
/// Half a second: after more than that a canceller begins anew by itself.
const HOLE_MAX: u64 = 50;
