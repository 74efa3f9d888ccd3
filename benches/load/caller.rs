//! The open-loop caller: one INVITE at each planned moment, whatever became of those before.
//!
//! One thread, two sockets (caller, and callee for calls of two legs). It sends INVITE and BYE again
//! as UDP asks for (RFC 3261 §17.1), acknowledges what must be, and notes how late it was itself: a
//! point where its 99th percentile passes [`LATE_MAX_US`] says more about the caller than the server.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::figures::percentile;
use lab::message::{self, Audio, Script, Seen};
use lab::pace::thread_time;

/// The caller's own lateness beyond which a point is refused.
pub(crate) const LATE_MAX_US: u32 = 2_000;

/// What is asked of a run.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Calls a second.
    pub(crate) rate: f64,
    /// How long calls are begun.
    pub(crate) lasts: Duration,
    /// From the answer to our BYE; `None`: at the end of the run.
    pub(crate) hold: Option<Duration>,
    /// How long after the last INVITE answers are waited for.
    pub(crate) patience: Duration,
}

/// How one call stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Planned,
    Invited,
    Answered,
    Leaving,
    Done,
    Refused,
}

#[derive(Clone)]
struct Call {
    due_us: u64,
    /// When its INVITE was sent last.
    sent_us: u64,
    stage: Stage,
    tag: [u8; TAG_MAX],
    tag_length: u8,
}

/// A call that goes on after its run.
pub(crate) struct Held {
    n: u32,
    tag: Vec<u8>,
}

/// What became of a run.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) begun: u32,
    pub(crate) answered: u32,
    pub(crate) completed: u32,
    pub(crate) refused: u32,
    /// Refusals by another status than 503.
    pub(crate) failed: u32,
    /// Requests sent again.
    pub(crate) again: u32,
    /// From the INVITE to its 200, µs.
    pub(crate) answer_us: Vec<u32>,
    /// From the first INVITE to the 503, µs.
    pub(crate) refusal_us: Vec<u32>,
    /// From the copy of it that was sent last, µs.
    pub(crate) refusal_of_copy_us: Vec<u32>,
    /// How late INVITEs were sent, µs.
    pub(crate) late_us: Vec<u32>,
    /// Answers by the second in which their call was begun.
    pub(crate) answered_in: Vec<u32>,
    /// Calls begun 100 ms by 100 ms that were not answered within 200 ms of it.
    pub(crate) bad_in: Vec<u32>,
    /// Datagrams that the caller sent and received.
    pub(crate) packets: u64,
    pub(crate) callee_invites: u64,
    /// Of its processor, what the caller itself took.
    pub(crate) busy: f64,
    /// Calls that are held: number and tag.
    pub(crate) held: Vec<Held>,
}

impl Outcome {
    pub(crate) fn late_p99(&self) -> u32 {
        percentile(&self.late_us, 99.0)
    }

    /// Completed calls a second of the plan, without its first and last second where it is longer
    /// than four.
    pub(crate) fn goodput(&self) -> f64 {
        let seconds = &self.answered_in;
        let inner = if seconds.len() > 4 {
            &seconds[1..seconds.len() - 1]
        } else {
            &seconds[..]
        };
        f64::from(inner.iter().sum::<u32>()) / inner.len().max(1) as f64
    }
}

/// The caller's sockets and messages; runs one plan after another, call numbers going on.
pub(crate) struct Caller {
    caller: UdpSocket,
    callee: UdpSocket,
    server: SocketAddr,
    script: Script,
    next: u32,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl Caller {
    pub(crate) fn new(ip: &str, server: SocketAddr, number: &str) -> Self {
        let open = |port| {
            let socket = UdpSocket::bind((ip, port));
            let socket = socket.unwrap_or_else(|error| {
                panic!("{ip}:{port}: {error}; does another load run on this machine?")
            });
            socket.set_nonblocking(true).unwrap();
            let buffer = socket2::SockRef::from(&socket);
            buffer.set_recv_buffer_size(8 << 20).unwrap();
            socket
        };
        let caller = open(5062);
        let address = caller.local_addr().unwrap();
        Self {
            script: Script::new(address, server, number, Audio::pcma(AUDIO)),
            caller,
            callee: open(5070),
            server,
            // Another run's stragglers must not be taken for ours.
            next: (std::process::id() & 0xfff) << 20,
            buffer: vec![0; 65_536],
            out: Vec::with_capacity(2_048),
        }
    }

    /// Calls another number from now on.
    pub(crate) fn dial(&mut self, number: &str) {
        let address = self.caller.local_addr().unwrap();
        self.script = Script::new(address, self.server, number, Audio::pcma(AUDIO));
    }

    /// Runs a plan to its end.
    pub(crate) fn run(&mut self, plan: &Plan) -> Outcome {
        let count = (plan.rate * plan.lasts.as_secs_f64()) as u32;
        let mut run = Run::new(self.next, count, plan);
        let used = thread_time();
        self.next = self.next.wrapping_add(count);
        loop {
            let now = run.now();
            self.send_due(&mut run, now);
            let took = self.receive(&mut run);
            if run.is_over() {
                break;
            }
            if took == 0 {
                self.wait(&run);
            }
        }
        let took = (thread_time() - used) as f64 / 1e9;
        run.outcome.busy = took / run.start.elapsed().as_secs_f64();
        run.finish()
    }

    /// Ends the calls that a plan left standing.
    pub(crate) fn hang_up(&mut self, calls: &[Held]) {
        for call in calls {
            self.script.bye.write(call.n, &call.tag, &mut self.out);
            let _ = self.caller.send_to(&self.out, self.server);
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn wait(&self, run: &Run) {
        let next = run.next_due();
        let left = next.saturating_sub(run.now());
        // By the clock, not on the sockets: on loopback the sender's system call wakes who sleeps on one, and
        // pays for it, as no network has it do. And a real-time thread that never sleeps is stopped for 50 ms
        // of each second, if anybody else wants the processor.
        let micros = left.clamp(MINIMUM_US, TOGETHER_US);
        std::thread::sleep(Duration::from_micros(micros));
    }

    fn send(&self, run: &mut Run) {
        if self.caller.send_to(&self.out, self.server).is_ok() {
            run.outcome.packets += 1;
        }
    }

    fn send_due(&mut self, run: &mut Run, now: u64) {
        for _ in 0..BURST {
            let Some(at) = run.next_call.filter(|&at| run.due(at) <= now) else {
                break;
            };
            self.script
                .invite
                .write(run.first.wrapping_add(at), b"", &mut self.out);
            run.begin(at);
            self.send(run);
        }
        while let Some((at, level)) = run.again_due(now) {
            let call = run.calls[at as usize].clone();
            let n = run.first.wrapping_add(at);
            match call.stage {
                Stage::Invited => {
                    self.script.invite.write(n, b"", &mut self.out);
                    run.calls[at as usize].sent_us = now;
                }
                Stage::Leaving => {
                    let tag = &call.tag[..usize::from(call.tag_length)];
                    self.script.bye.write(n, tag, &mut self.out);
                }
                _ => continue,
            }
            run.outcome.again += 1;
            run.again_at(at, now, level + 1);
            self.send(run);
        }
        while let Some(at) = run.leave_due(now) {
            self.bye(run, at, now);
        }
    }

    fn bye(&mut self, run: &mut Run, at: u32, now: u64) {
        let call = &mut run.calls[at as usize];
        if call.stage != Stage::Answered {
            return;
        }
        call.stage = Stage::Leaving;
        let tag = &call.tag[..usize::from(call.tag_length)];
        self.script
            .bye
            .write(run.first.wrapping_add(at), tag, &mut self.out);
        run.again_at(at, now, 0);
        self.send(run);
    }

    fn receive(&mut self, run: &mut Run) -> u32 {
        let mut took = 0;
        while took < BURST {
            let Ok((length, _)) = self.caller.recv_from(&mut self.buffer) else {
                break;
            };
            took += 1;
            run.outcome.packets += 1;
            let bytes = std::mem::take(&mut self.buffer);
            self.on_message(run, &bytes[..length]);
            self.buffer = bytes;
        }
        while took < 2 * BURST {
            let Ok((length, from)) = self.callee.recv_from(&mut self.buffer) else {
                break;
            };
            took += 1;
            run.outcome.packets += 1;
            let request = &self.buffer[..length];
            run.outcome.callee_invites += u64::from(request.starts_with(b"INVITE"));
            if request.starts_with(b"ACK") || request.starts_with(b"SIP/2.0") {
                continue;
            }
            let me = self.callee.local_addr().unwrap();
            message::answer(request, me, Audio::pcma(AUDIO), &mut self.out);
            if self.callee.send_to(&self.out, from).is_ok() {
                run.outcome.packets += 1;
            }
        }
        took
    }

    fn on_message(&mut self, run: &mut Run, bytes: &[u8]) {
        let now = run.now();
        let Some(seen) = Seen::of(bytes) else {
            return self.on_request(run, bytes);
        };
        let at = seen.call.wrapping_sub(run.first);
        let Some(call) = run.calls.get_mut(at as usize) else {
            return self.end_stray(&seen);
        };
        match (seen.method, seen.status, call.stage) {
            (b"INVITE", 200, Stage::Invited | Stage::Refused) => {
                call.stage = Stage::Answered;
                call.tag_length = u8::try_from(seen.tag.len().min(TAG_MAX)).unwrap();
                call.tag[..usize::from(call.tag_length)]
                    .copy_from_slice(&seen.tag[..usize::from(call.tag_length)]);
                run.answered(at, now);
                self.ack(run, at);
                run.leave_after(at, now);
                if run.plan.hold == Some(Duration::ZERO) {
                    self.bye(run, at, now);
                }
            }
            (b"INVITE", 200, _) => self.ack(run, at),
            (b"INVITE", status @ 300.., stage) => {
                if stage == Stage::Invited {
                    run.refused(at, now, status);
                }
                let n = run.first.wrapping_add(at);
                self.script.ack_refusal.write(n, seen.tag, &mut self.out);
                self.send(run);
            }
            (b"BYE", 200.., Stage::Leaving) => run.completed(at),
            _ => {}
        }
    }

    /// A call of an earlier run that ended before it was answered: it is not left to wait for its ACK.
    fn end_stray(&mut self, seen: &Seen<'_>) {
        let (n, tag) = (seen.call, seen.tag);
        let script = &self.script;
        let says = match (seen.method, seen.status) {
            (b"INVITE", 200) => &[&script.ack, &script.bye][..],
            (b"INVITE", 300..) => &[&script.ack_refusal],
            _ => &[],
        };
        for template in says {
            template.write(n, tag, &mut self.out);
            let _ = self.caller.send_to(&self.out, self.server);
        }
    }

    /// The server hung up, or asks something: it gets its 200.
    fn on_request(&mut self, run: &mut Run, bytes: &[u8]) {
        if bytes.starts_with(b"ACK") || bytes.starts_with(b"SIP/2.0") {
            return;
        }
        let me = self.caller.local_addr().unwrap();
        message::answer(bytes, me, Audio::pcma(AUDIO), &mut self.out);
        self.send(run);
    }

    fn ack(&mut self, run: &mut Run, at: u32) {
        let call = &run.calls[at as usize];
        let tag = &call.tag[..usize::from(call.tag_length)];
        self.script
            .ack
            .write(run.first.wrapping_add(at), tag, &mut self.out);
        self.send(run);
    }
}

/// One plan at work.
struct Run {
    plan: Plan,
    first: u32,
    calls: Vec<Call>,
    start: Instant,
    next_call: Option<u32>,
    /// Calls to send again for, by how often that was done: each queue is in order of time.
    again: [VecDeque<(u64, u32, Stage)>; AGAIN_MAX],
    leaving: VecDeque<(u64, u32)>,
    open: u32,
    outcome: Outcome,
}

impl Run {
    fn new(first: u32, count: u32, plan: &Plan) -> Self {
        let call = |at: u32| Call {
            due_us: (f64::from(at) * 1e6 / plan.rate) as u64,
            sent_us: 0,
            stage: Stage::Planned,
            tag: [0; TAG_MAX],
            tag_length: 0,
        };
        let seconds = plan.lasts.as_secs_f64().ceil() as usize;
        Self {
            first,
            calls: (0..count).map(call).collect(),
            // A little later, so that the first is not late.
            start: Instant::now() + Duration::from_millis(5),
            next_call: (count > 0).then_some(0),
            again: Default::default(),
            leaving: VecDeque::new(),
            open: 0,
            outcome: Outcome {
                late_us: Vec::with_capacity(count as usize),
                answer_us: Vec::with_capacity(count as usize),
                answered_in: vec![0; seconds],
                bad_in: vec![0; seconds * 10],
                ..Outcome::default()
            },
            plan: plan.clone(),
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn due(&self, at: u32) -> u64 {
        self.calls[at as usize].due_us
    }

    fn begin(&mut self, at: u32) {
        let now = self.now();
        let call = &mut self.calls[at as usize];
        call.stage = Stage::Invited;
        let late = now.saturating_sub(call.due_us);
        // Times are told from when it was really sent.
        (call.due_us, call.sent_us) = (now, now);
        self.outcome.late_us.push(late as u32);
        self.outcome.begun += 1;
        self.open += 1;
        self.next_call = (at + 1 < self.calls.len() as u32).then_some(at + 1);
        self.again_at(at, now, 0);
    }

    fn again_at(&mut self, at: u32, now: u64, level: usize) {
        if let Some(queue) = self.again.get_mut(level) {
            let stage = self.calls[at as usize].stage;
            queue.push_back((now + (T1_US << level), at, stage));
        }
    }

    fn again_due(&mut self, now: u64) -> Option<(u32, usize)> {
        for (level, queue) in self.again.iter_mut().enumerate() {
            while let Some(&(_, at, waiting)) = queue.front().filter(|it| it.0 <= now) {
                queue.pop_front();
                if self.calls[at as usize].stage == waiting {
                    return Some((at, level));
                }
            }
        }
        None
    }

    fn leave_after(&mut self, at: u32, now: u64) {
        match self.plan.hold {
            Some(Duration::ZERO) => {}
            Some(hold) => self.leaving.push_back((now + hold.as_micros() as u64, at)),
            None => {
                let call = &self.calls[at as usize];
                self.outcome.held.push(Held {
                    n: self.first.wrapping_add(at),
                    tag: call.tag[..usize::from(call.tag_length)].to_vec(),
                });
            }
        }
    }

    fn leave_due(&mut self, now: u64) -> Option<u32> {
        let &(due, at) = self.leaving.front()?;
        if due > now {
            return None;
        }
        self.leaving.pop_front();
        Some(at)
    }

    fn answered(&mut self, at: u32, now: u64) {
        let begun = self.calls[at as usize].due_us;
        let took = now.saturating_sub(begun) as u32;
        self.outcome.answered += 1;
        self.outcome.answer_us.push(took);
        if let Some(second) = self
            .outcome
            .answered_in
            .get_mut((begun / 1_000_000) as usize)
        {
            *second += 1;
        }
        if took > 200_000 {
            self.bad(begun);
        }
        if self.plan.hold.is_none() {
            self.open -= 1;
        }
    }

    fn refused(&mut self, at: u32, now: u64, status: u16) {
        let call = &mut self.calls[at as usize];
        call.stage = Stage::Refused;
        let (begun, sent) = (call.due_us, call.sent_us);
        self.open -= 1;
        self.outcome.refused += 1;
        if status == 503 {
            let since = |at: u64| now.saturating_sub(at) as u32;
            self.outcome.refusal_us.push(since(begun));
            self.outcome.refusal_of_copy_us.push(since(sent));
        } else {
            self.outcome.failed += 1;
        }
        self.bad(begun);
    }

    fn bad(&mut self, begun: u64) {
        if let Some(bucket) = self.outcome.bad_in.get_mut((begun / 100_000) as usize) {
            *bucket += 1;
        }
    }

    fn completed(&mut self, at: u32) {
        self.calls[at as usize].stage = Stage::Done;
        self.outcome.completed += 1;
        self.open -= 1;
    }

    fn next_due(&self) -> u64 {
        let call = self.next_call.map(|at| self.due(at));
        let again = self.again.iter().filter_map(|queue| Some(queue.front()?.0));
        let leave = self.leaving.front().map(|it| it.0);
        again.chain(call).chain(leave).min().unwrap_or(u64::MAX / 2)
    }

    fn is_over(&self) -> bool {
        let end = (self.plan.lasts + self.plan.patience).as_micros() as u64
            + self.plan.hold.unwrap_or_default().as_micros() as u64;
        self.next_call.is_none() && (self.open == 0 || self.now() > end)
    }

    fn finish(mut self) -> Outcome {
        let waiting = self
            .calls
            .iter()
            .filter(|call| call.stage == Stage::Invited)
            .map(|call| call.due_us)
            .collect::<Vec<_>>();
        for begun in waiting {
            self.bad(begun);
        }
        self.outcome
    }
}

const TAG_MAX: usize = 32;
/// RFC 3261 §17.1.1.1.
const T1_US: u64 = 500_000;
/// How often a request is sent again at most: until 15.5 s after the first.
const AGAIN_MAX: usize = 5;
/// Messages of a kind between two looks at the others.
const BURST: u32 = 32;
/// Nobody is woken sooner.
const MINIMUM_US: u64 = 50;
/// What so long brings is dealt with together.
const TOGETHER_US: u64 = 100;
/// The port for audio in offers and answers.
pub(crate) const AUDIO: u16 = 46_000;
