//! The media plane's law, kept for ten minutes: no allocation, no futex, no late tick, no gap.
//!
//! `make steady SECONDS=600`: a media thread relays between 2,000 ports on sockets, and then a worker of
//! 10,000 ports in memory ticks: 8,400 relayed, 1,200 in rooms of three where all speak, and 400 with music; both
//! at FIFO priority. Each has a processor of its own, as a server's threads have; with three processors or more
//! `PORTS=2000 MEMORY=10000` has both at once, with two the talkers would be in their way. Forty browsers are behind the thread with the sockets, and a stranger
//! sprays the port that they share.
//! Every allocation of their threads is counted by an allocator, their futex calls by `perf`, the
//! largest time between two packets of a stream by whom they come to. `PORTS=500 MEMORY=2000` takes
//! fewer ports, `BROWSERS=0` no browsers. Exit code 1 when anything is not as the law wants it.
//! A watcher on each core, above all of them, tells when the machine itself stood still: that is no excuse, but it
//! says where to look.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and prints"
)]

#[path = "steady/browsers.rs"]
mod browsers;
#[path = "steady/witness.rs"]
mod witness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use browsers::Browsers;
use clock::Now;
use lab::figures::load;
use lab::talk::{Heard, Talk};
use media::Codec;
use media::bridge::BridgeId;
use media::port::{PlayId, Playback, PortId, PortPlan, Remote};
use media::rtp::{Header, RtpTime, Sequence, write_header};
use media::source::Clip;
use media::worker::{IpFamily, Lane, MediaPlane, PortCommand, TICK, Worker, WorkerConfig};
use rustix::event::Timespec;
use rustix::thread::{ClockId, clock_nanosleep_absolute, gettid};
use tandem::io::media::{MediaConfig, ThreadStats, WebConfig, Workers};
use witness::{Stall, Witness};

/// The system's heap, with what each thread has asked of it.
struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

/// By slot: a thread's id, and how often it has asked.
static ASKED: [(AtomicI32, AtomicU64); 64] = [const { (AtomicI32::new(0), AtomicU64::new(0)) }; 64];
static SLOTS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
}

fn asked() {
    SLOT.with(|own| {
        let slot = own.get().unwrap_or_else(|| {
            let slot = SLOTS.fetch_add(1, Relaxed) % ASKED.len();
            ASKED[slot].0.store(own_id(), Relaxed);
            own.set(Some(slot));
            slot
        });
        ASKED[slot].1.fetch_add(1, Relaxed);
    });
}

#[expect(
    unsafe_code,
    reason = "an allocator can only be counted by being one; it forwards"
)]
// SAFETY: every call is forwarded unchanged to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        asked();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        asked();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often a thread has asked the heap for something.
fn asked_by(id: i32) -> u64 {
    let slots = ASKED.iter().filter(|slot| slot.0.load(Relaxed) == id);
    slots.map(|slot| slot.1.load(Relaxed)).sum()
}

fn own_id() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// What the worker in memory has seen since it was last asked.
#[derive(Default)]
struct Seen {
    id: AtomicI32,
    gap_ns: AtomicU64,
    overruns: AtomicU64,
    relayed: AtomicU64,
    mixed: AtomicU64,
    played: AtomicU64,
    /// Set by whoever wants all of it to begin anew.
    anew: AtomicBool,
    stop: AtomicBool,
}

fn main() {
    let number = |name: &str, usual: u32| {
        let given = std::env::var(name).ok().filter(|it| !it.is_empty());
        given.map_or(usual, |text| text.parse().unwrap())
    };
    let (seconds, ports) = (number("SECONDS", 600), number("PORTS", 2_000));
    let seen = Arc::new(Seen::default());
    let in_memory_ports = number("MEMORY", 10_000);
    let memory = in_memory(in_memory_ports, seen.clone());
    let mut talk = Talk::default();
    let browsers = if ports > 0 { number("BROWSERS", 40) } else { 0 };
    let mut plane = on_sockets((ports, browsers), &mut talk);
    let browsers = Browsers::join(&mut plane, browsers, ports);
    let fifo = plane.stats().all(|(_, granted)| granted.fifo);
    place(own_id(), 0, "10");
    let control = Control::start(plane, seen.clone());
    let done = Arc::new(AtomicBool::new(false));
    let browsers = browsers.talk(done.clone());
    if ports > 0 {
        talk.run(Duration::from_secs(3));
    }

    let media = thread_called("media-0");
    let watched = match in_memory_ports {
        0 => [media, media],
        _ => [media, seen.id.load(Relaxed)],
    };
    let before = watched.map(asked_by);
    let overruns = control.overruns();
    seen.anew.store(true, Relaxed);
    let (witness, start) = (Witness::start(), now());
    let futexes = count_futexes(&watched, seconds);
    let (mut gap_ns, mut lost, mut sent, mut late_us) = (0, 0, 0, 0);
    let mut left = seconds;
    while left > 0 {
        let part = left.min(10);
        let span = Duration::from_secs(part.into());
        let heard = match ports {
            0 => rest(span),
            _ => talk.run(span),
        };
        gap_ns = gap_ns.max(heard.gap_ns);
        (lost, sent) = (lost + heard.lost, sent + heard.sent);
        late_us = heard.late_us.into_iter().fold(late_us, u32::max);
        left -= part;
    }
    let allocations = [0, 1].map(|n| asked_by(watched[n]) - before[n]);
    let futex_calls = futexes.and_then(counted);
    let overruns = control.overruns() - overruns;
    let (memory_overruns, memory_gap) = (seen.overruns.load(Relaxed), seen.gap_ns.load(Relaxed));
    let (stalls, stolen) = witness.join();
    seen.stop.store(true, Relaxed);
    memory.join().unwrap();
    done.store(true, Relaxed);
    let (said, heard) = browsers.join().unwrap();
    let moments = control.stop();

    println!(
        "{ports} ports on sockets, {seconds} s: {sent} packets, {lost} lost, largest gap {:.1} ms (talkers late by \
         {:.1} ms at most), {overruns} overruns, {} allocations",
        gap_ns as f64 / 1e6,
        f64::from(late_us) / 1e3,
        allocations[0],
    );
    println!(
        "ports in memory: {} relayed, {} mixed, {} played, largest gap {:.1} ms, {} overruns, {} allocations",
        seen.relayed.load(Relaxed),
        seen.mixed.load(Relaxed),
        seen.played.load(Relaxed),
        memory_gap as f64 / 1e6,
        memory_overruns,
        allocations[1],
    );
    println!("browsers: {said} packets sent, {heard} heard");
    let worst = stalls.iter().map(Stall::length).max().unwrap_or_default();
    println!(
        "the machine stood still: {} times for 2 ms or more, {:.1} ms at most; its host says that it took {stolen:?}",
        stalls.len(),
        worst.as_secs_f64() * 1e3,
    );
    for (at, core) in moments.into_iter().filter(|it| it.0 >= start) {
        tell_overrun(at, core, start, &stalls);
    }
    let told = futex_calls.map_or("not counted: perf is missing".to_owned(), |n| n.to_string());
    println!("futex calls of both: {told}; FIFO: {fifo}; load {}", load());
    let late = overruns + memory_overruns;
    // Of the rooms nearly every member is told something in every frame.
    let members = u64::from(3 * (in_memory_ports / 25));
    let mixes = seen.mixed.load(Relaxed) >= members * u64::from(seconds) * 49;
    let kept = allocations == [0, 0]
        && mixes
        // What the last round said nobody waited for.
        && heard + 200 >= said
        && futex_calls.unwrap_or(0) == 0
        && (!fifo || (late == 0 && gap_ns.max(memory_gap) <= GAP_MAX_NS && lost == 0));
    std::process::exit(i32::from(!kept));
}

/// Nobody talks for so long.
fn rest(span: Duration) -> Heard {
    std::thread::sleep(span);
    Heard::default()
}

/// An overrun, and what the machine did on that core at that time.
fn tell_overrun(at: Now, core: usize, start: Now, stalls: &[Stall]) {
    let near = |it: &&Stall| it.core == core && it.from <= at && at.since(it.until) <= POLL * 2;
    let still = stalls.iter().filter(near).map(Stall::length).max();
    println!(
        "an overrun on core {core} after {:.2} s: {}",
        at.since(start).as_secs_f64(),
        still.map_or("the machine ran".to_owned(), |it| format!(
            "the core stood still for {:.1} ms",
            it.as_secs_f64() * 1e3
        )),
    );
}

/// Bridges of two between talkers' sockets, through one media thread.
fn on_sockets((ports, browsers): (u32, u32), talk: &mut Talk) -> Workers {
    let mut config = MediaConfig::at([127, 0, 11, 3].into(), 5);
    config.workers = 1;
    config.worker.ports_max = (ports + browsers) as usize;
    config.web = Some(WebConfig {
        port: 0,
        addresses: config.addresses.clone(),
    });
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    for call in 0..ports / 2 {
        let mut ends = [1, 2].map(|host| {
            let end = SocketAddr::from(([127, 0, 11, host], 10_000 + 2 * call as u16));
            let reserved = workers.reserve(IpFamily::V4).unwrap();
            let random = u64::from(call) << 8 | u64::from(host);
            let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcmu, random);
            plan.remote = Some(Remote::of(end, true));
            let (port, bridge) = (reserved.port, BridgeId(call));
            for command in [
                PortCommand::Open(Box::new(plan)),
                PortCommand::Bridge { port, bridge },
            ] {
                workers.command(0, command).unwrap();
            }
            Some((UdpSocket::bind(end).unwrap(), reserved.rtp))
        });
        talk.join([ends[0].take().unwrap(), ends[1].take().unwrap()]);
        if call % 256 == 255 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    workers
}

/// Control's part: takes what the media thread tells, and drops it; notes when a tick was late, and on which core.
struct Control {
    stop: Arc<AtomicBool>,
    overruns: Arc<AtomicU64>,
    thread: JoinHandle<Vec<(Now, usize)>>,
}

impl Control {
    fn start(mut plane: Workers, memory: Arc<Seen>) -> Self {
        let (stop, overruns) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, counted) = (stop.clone(), overruns.clone());
        let look = move || {
            let (mut moments, mut known) = (Vec::new(), [0; 2]);
            while !stopped.load(Relaxed) {
                while plane.poll_event().is_some() {}
                let all = plane
                    .stats()
                    .map(|(ThreadStats { overruns, .. }, _)| overruns);
                let fresh = [memory.overruns.load(Relaxed), all.sum()];
                let late = |core: &usize| fresh[*core] > known[*core];
                moments.extend((0..2).filter(late).map(|core| (now(), core)));
                known = fresh;
                counted.store(fresh[1], Relaxed);
                std::thread::sleep(POLL);
            }
            moments
        };
        Self {
            stop,
            overruns,
            thread: std::thread::spawn(look),
        }
    }

    fn overruns(&self) -> u64 {
        self.overruns.load(Relaxed)
    }

    fn stop(self) -> Vec<(Now, usize)> {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// A thread that ticks a worker without sockets, and feeds it itself.
fn in_memory(ports: u32, seen: Arc<Seen>) -> JoinHandle<()> {
    let start = move || {
        if ports == 0 {
            return;
        }
        let config = WorkerConfig {
            ports_max: ports as usize,
            ..WorkerConfig::default()
        };
        let mut worker = Worker::new(config, now());
        let parts = Parts::of(ports);
        open(&mut worker, ports, &parts);
        place(own_id(), 0, "20");
        seen.id.store(own_id(), Relaxed);
        let mut last = vec![0_u64; ports as usize];
        let mut fed = tick_of(now());
        while !seen.stop.load(Relaxed) {
            if seen.anew.swap(false, Relaxed) {
                last.fill(0);
                let counters = [&seen.gap_ns, &seen.overruns, &seen.relayed, &seen.mixed];
                for counter in counters.into_iter().chain([&seen.played]) {
                    counter.store(0, Relaxed);
                }
            }
            turn(&mut worker, &parts, (&mut fed, &mut last), &seen);
        }
    };
    Builder::new().name("memory-0".into()).spawn(start).unwrap()
}

/// What the ports in memory do: the first are relayed in pairs, the next in rooms of three, the last have music.
struct Parts {
    relayed: u32,
    /// The end of those in rooms.
    mixed: u32,
}

impl Parts {
    fn of(ports: u32) -> Self {
        let (music, rooms) = (ports / 25, ports / 25);
        let relayed = (ports - music - 3 * rooms) / 2 * 2;
        Self {
            relayed,
            mixed: relayed + 3 * rooms,
        }
    }

    fn bridge(&self, n: u32) -> Option<BridgeId> {
        match n.checked_sub(self.relayed) {
            None => Some(BridgeId(n / 2)),
            Some(member) if n < self.mixed => Some(BridgeId(self.relayed + member / 3)),
            Some(_) => None,
        }
    }
}

fn open(worker: &mut Worker, ports: u32, parts: &Parts) {
    let samples = (0..20_000).map(|n| (n * 37 % 9_000) as i16).collect();
    let clips = vec![Arc::new(Clip::from_pcm8k(samples).unwrap())];
    for n in 0..ports {
        let port = PortId(n);
        let random = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut plan = PortPlan::new(port, address(n), Codec::Pcmu, random);
        plan.remote = Some(Remote::of(address(n), false));
        worker.command(now(), PortCommand::Open(Box::new(plan)));
        let play = Playback::music(PlayId(1), clips.clone());
        worker.command(
            now(),
            match parts.bridge(n) {
                Some(bridge) => PortCommand::Bridge { port, bridge },
                None => PortCommand::Play { port, play },
            },
        );
        while worker.poll_event().is_some() {}
    }
}

/// Sleeps until a tick is due, feeds a quarter of the ports for each tick since the last, and makes the tick.
fn turn(worker: &mut Worker, parts: &Parts, (fed, last): (&mut u64, &mut [u64]), seen: &Seen) {
    let due = worker.next_tick();
    let at = Timespec {
        tv_sec: (due.as_nanos() / 1_000_000_000) as i64,
        tv_nsec: (due.as_nanos() % 1_000_000_000) as i64,
    };
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
    let now = now();
    if now.since(due) > TICK {
        seen.overruns.fetch_add(1, Relaxed);
    }
    let mut passed = |port: PortId| {
        let place = &mut last[port.0 as usize];
        if *place > 0 {
            seen.gap_ns.fetch_max(now.as_nanos() - *place, Relaxed);
        }
        *place = now.as_nanos();
    };
    // PCMU of 500 Hz.
    let hum = |n: usize| [0xB0, 0x30][n / 8 % 2];
    let mut packet = std::array::from_fn::<u8, 1_500, _>(hum);
    let upto = tick_of(now);
    let fresh = (*fed + 1..=upto).flat_map(|tick| {
        let ports = ((tick % 4) as u32..parts.mixed).step_by(4);
        ports.map(move |n| ((tick / 4) as u32, n))
    });
    *fed = upto;
    for (frame, n) in fresh {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: Sequence(frame as u16),
            time: RtpTime(frame.wrapping_mul(160)),
            ssrc: n,
        };
        let _ = write_header(&header, &mut packet);
        let forward = worker.receive(now, PortId(n), Lane::Rtp, address(n), &mut packet, 172);
        if let Some(forward) = forward {
            seen.relayed.fetch_add(1, Relaxed);
            passed(forward.port);
        }
    }
    worker.tick(now);
    let mut out = [0; 1500];
    while let Some(transmit) = worker.poll_transmit(&mut out) {
        if transmit.lane == Lane::Rtp {
            let part = match transmit.port.0 < parts.mixed {
                true => &seen.mixed,
                false => &seen.played,
            };
            part.fetch_add(1, Relaxed);
            passed(transmit.port);
        }
    }
    while worker.poll_event().is_some() {}
}

fn tick_of(now: Now) -> u64 {
    now.as_nanos() / TICK.as_nanos() as u64
}

fn address(port: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, (port >> 8) as u8, port as u8], 4_000))
}

fn now() -> Now {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    Now::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// Puts a thread on a core, in the real-time class. The media thread with sockets takes the last one.
fn place(id: i32, core: usize, priority: &str) {
    let (id, core) = (id.to_string(), core.to_string());
    for (program, args) in [("taskset", ["-cp", &core]), ("chrt", ["-fp", priority])] {
        let mut command = Command::new(program);
        let _ = command.args(args).arg(&id).stdout(Stdio::null()).status();
    }
}

fn thread_called(name: &str) -> i32 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let id = tasks.map(|task| task.path()).find(|path| is(path)).unwrap();
    id.file_name().unwrap().to_string_lossy().parse().unwrap()
}

/// Counts futex calls of threads for so long, if there is a `perf` that may.
fn count_futexes(threads: &[i32], seconds: u32) -> Option<Child> {
    let ids: Vec<String> = threads.iter().map(i32::to_string).collect();
    let events =
        "syscalls:sys_enter_futex,syscalls:sys_enter_futex_wait,syscalls:sys_enter_futex_wake";
    let mut command = Command::new("perf");
    let command = command
        .args(["stat", "-x", ",", "-e", events, "-t", &ids.join(",")])
        .args(["sleep", &seconds.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().ok()
}

/// What `perf` counted: a line an event, the count first.
fn counted(child: Child) -> Option<u64> {
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let counts = text.lines().filter(|line| line.contains("futex"));
    let counts: Option<Vec<u64>> = counts
        .map(|line| line.split(',').next()?.parse().ok())
        .collect();
    counts
        .filter(|counts| !counts.is_empty())
        .map(|counts| counts.iter().sum())
}

/// How often control looks.
const POLL: Duration = Duration::from_millis(20);
/// A frame, and half of one.
const GAP_MAX_NS: u64 = 30_000_000;
