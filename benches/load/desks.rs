//! `desks`: what an agent's page that rests costs, and what happens when thousands lose their sockets at once.

use std::time::Duration;

use lab::args::{Args, object};
use lab::figures::{load, median, percentile};
use lab::server::{Server, Setup, allow_files};
use serde_json::{Value, json};

use crate::caller::{Caller, Plan};
use crate::hearing::{Ear, Heard};
use crate::pages::{Cut, Pages};
use crate::target::{CALLER, SERVER};

/// Resident memory a desk that rests; then, with calls that are listened to, the time until all are back by their
/// resume tokens, and the largest gap in a call meanwhile.
pub(crate) fn desks(args: &Args) {
    let before = load();
    let count = args.number("desks", 5_000.0) as usize;
    let steps = args.number("steps", 5.0) as usize;
    let secure = args.number("tls", 1.0) > 0.0;
    allow_files(2 * count as u64 + FILES_BESIDE);
    let server = Server::tandem(&Setup {
        ip: "127.0.9.2",
        config: &config(count),
        plan: PLAN,
        workers: 1,
    });
    let to = if secure { HTTPS } else { HTTP };
    let pages = Pages::open(to.parse().unwrap(), secure);
    let mut points = vec![(0, server.resident())];
    for step in 1..=steps {
        let (from, until) = (count * (step - 1) / steps, count * step / steps);
        enter(&pages, from..until);
        std::thread::sleep(Duration::from_secs_f64(args.number("rest", 15.0)));
        points.push((until, server.resident()));
        println!("{:?}; load {}", points.last().unwrap(), load());
    }
    let slopes: Vec<f64> = points.windows(2).map(slope).collect();
    let whole = slope(&[points[0], points[steps]]);
    let cpu = server.cpu();
    std::thread::sleep(IDLE);
    let idle = (server.cpu() - cpu).as_secs_f64() / IDLE.as_secs_f64();
    let mut caller = Caller::new(CALLER, SERVER.parse().unwrap(), "2000");
    let held = caller.run(&Plan {
        rate: 25.0,
        lasts: Duration::from_secs_f64(args.number("calls", 50.0) / 25.0),
        hold: None,
        patience: Duration::from_secs(2),
    });
    let calm = listen(|| std::thread::sleep(Duration::from_secs(10)));
    println!("calm: {} calls, gap {:?}", calm.calls, calm.gap);
    let storms = args.number("storms", 3.0) as usize;
    let kinds = [Cut::Closed, Cut::Silent].into_iter();
    let kinds = kinds.flat_map(|how| std::iter::repeat_n(how, storms));
    let storms: Vec<Value> = kinds.map(|how| storm(&server, &pages, how)).collect();
    let worst = |what: &str| {
        let all = storms.iter().filter_map(|it| it[what].as_f64());
        all.fold(0.0, f64::max)
    };
    args.report(
        if secure { "desks" } else { "desks_ws" },
        object(json!({
            "desks": count, "tls": secure, "bytes_a_desk": median(&slopes[1.min(steps - 1)..]),
            "bytes_a_desk_from_none": whole, "slopes": slopes, "points": points,
            "idle_cores_busy": idle, "calls": held.held.len(), "calls_heard": calm.calls,
            "calm_gap_ms": calm.gap.as_secs_f64() * 1e3,
            "back_last_ms": worst("back_last_ms"), "gap_ms": worst("gap_ms"), "lost": worst("lost"),
            "storms": storms, "resident_after": server.resident(), "load_before": before,
        })),
    );
    caller.hang_up(&held.held);
}

/// More bytes by more desks.
fn slope(pair: &[(usize, u64)]) -> f64 {
    (pair[1].1 as f64 - pair[0].1 as f64) / (pair[1].0 - pair[0].0).max(1) as f64
}

/// Those agents give their passwords, and open their desks.
fn enter(pages: &Pages, which: std::ops::Range<usize>) {
    let count = which.len();
    pages.count_anew();
    let http: ureq::Agent = ureq::Agent::new_with_defaults();
    for agent in which {
        let given = json!({"agent": name(agent), "password": PASSWORD});
        let answer = http
            .post(format!("http://{HTTP}/v1/login"))
            .send_json(given);
        let token: Value = answer.unwrap().body_mut().read_json().unwrap();
        pages.add(token["token"].as_str().unwrap().to_owned());
    }
    let all = pages.wait(count, Duration::from_secs(60));
    let seen = pages.seen();
    assert!(all, "{} of {count}: {:?}", seen.inside, seen.failed);
    println!("{} in; failed {:?}", seen.inside, seen.failed);
}

/// All sockets are cut at once.
fn storm(server: &Server, pages: &Pages, how: Cut) -> Value {
    let count = pages.seen().inside;
    let (cpu, told) = (server.cpu(), server.told(&TOLD));
    let busy = pages.busy();
    pages.count_anew();
    let heard = listen(|| {
        pages.cut(how);
        pages.wait(count, Duration::from_secs(60));
        // What is told of it, and forgotten, afterwards.
        std::thread::sleep(Duration::from_secs(3));
    });
    let (took, pages_took) = (server.cpu() - cpu, pages.busy() - busy);
    let gained: Vec<String> = server
        .told(&TOLD)
        .into_iter()
        .filter_map(|(name, now)| {
            let gained = now - told.get(&name).copied().unwrap_or(0.0);
            (gained > 0.0).then(|| format!("{name} {gained}"))
        })
        .collect();
    println!("storm: {}", gained.join(", "));
    let seen = pages.seen();
    let mut came = seen.came_us.clone();
    came.sort_unstable();
    let at = |percent| f64::from(percentile(&came, percent)) / 1e3;
    let failed: u32 = seen.failed.values().sum();
    let result = json!({
        "cut": format!("{how:?}"), "back": came.len(), "back_last_ms": at(100.0), "back_p50_ms": at(50.0), "back_p99_ms": at(99.0),
        "attempts_failed": failed, "failed": seen.failed, "closed_by_server": seen.lost,
        "messages": seen.told, "server_cpu_us_a_desk": took.as_micros() as f64 / count as f64,
        "pages_cpu_us_a_desk": pages_took * 1e6 / count as f64,
        "gap_ms": heard.gap.as_secs_f64() * 1e3, "lost": heard.lost, "calls_heard": heard.calls,
        "load": load(),
    });
    drop(seen);
    println!("storm: {result}");
    pages.bury();
    std::thread::sleep(Duration::from_secs(5));
    result
}

fn listen(beside: impl FnOnce()) -> Heard {
    let ear = Ear::start();
    beside();
    ear.stop()
}

fn name(agent: usize) -> String {
    format!("agent{agent:05}")
}

/// As many agents, each of whom may log in. What comparing a password takes is not asked here: the hash is
/// Argon2id's cheapest.
fn config(count: usize) -> String {
    let agents = (0..count).map(name).chain(["nobody".to_owned()]);
    let agents = agents.map(|name| format!("[agents.{name}]\npassword_hash = \"{HASH}\"\n"));
    format!("{CONFIG}\n{}", agents.collect::<String>())
}

const HTTP: &str = "127.0.9.2:8080";
const HTTPS: &str = "127.0.9.2:8443";
const PASSWORD: &str = "a password of many";
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGUgbG9hZA$ZIMByK1ESUT8jNs4TmrebTM5I1h5beNX+QcdjXo7knM";
const IDLE: Duration = Duration::from_secs(20);
/// Calls, and the program's own.
const FILES_BESIDE: u64 = 2_000;

const TOLD: [&str; 4] = [
    "tandem_sip_transport_total",
    "tandem_sip_turned_away_total",
    "tandem_overload_total",
    "tandem_auth",
];

const CONFIG: &str = r#"
api_key = "load-0123456789-load"
[http]
listen = "127.0.9.2:8080"
listen_tls = "127.0.9.2:8443"
[log]
filter = "warn"
[sip]
udp = ["127.0.9.2:5060"]
tcp = []
tls = []
[rtp]
port_min = 20000
port_max = 29999
[limits]
calls = 1000
connections = 12000
connections_per_address = 12000
strangers = 6000
[trace]
bytes = 1048576
[trunks.load]
addresses = ["127.0.9.1"]
codecs = ["pcma"]
"#;

/// All serve one queue, so that each is told of all. Those who listen wait in another, which nobody serves.
const PLAN: &str = r#"dialplan version=1
entry did="2000" flow="music"
queue "sales" { agents "*"; }
queue "music" max-len=10000 { agents "nobody"; }
flow "music" {
  answer
  queue "music"
}
"#;
