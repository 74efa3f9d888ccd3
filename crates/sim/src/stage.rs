//! What all worlds share and nobody wants to make twenty thousand times: compiled plans, clips, and
//! the provisioned trunk, endpoints and agents.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clock::Duration;
use media::dsp::Tone;
use media::source::Clip;
use sip::transport::Transport;
use tandem::call::Prompt;
use tandem::center::{AgentConfig, AgentId, Wish};
use tandem::dialplan::{Facts, Plan, Speech};
use tandem::trunk::{
    Digests, EndpointConfig, Handling, Limits, Secrets, SendTo, Source, TrunkConfig,
};

/// What the world is made of before a seed is drawn.
pub struct Stage {
    pub(crate) plans: Vec<Arc<Plan>>,
    clips: Vec<(Prompted, Arc<Clip>)>,
    endpoints: Vec<EndpointConfig>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompted {
    Short,
    Long,
    Music,
    Pause,
}

/// The realm of all digests.
pub(crate) const REALM: &str = "tandem";

/// Agents; each rings at the endpoint of the same name.
pub(crate) const AGENTS: [&str; 6] = ["ann", "bob", "cyd", "dan", "eve", "fay"];

/// An endpoint that no queue knows.
pub(crate) const OPERATOR: &str = "operator";

/// Where the carrier answers what we dial out: host 0.
pub(crate) const CARRIER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 0)), 5060);

/// What callers dial, with the priority of the queue it may lead to.
pub(crate) const NUMBERS: [&str; 9] = [
    "+15550000001",
    "+15550000002",
    "+15550000003",
    "+15550000004",
    "+15550000005",
    "+15550000006",
    "+15550000007",
    "+15550000008",
    "+15550000009",
];

impl Stage {
    /// Compiles and encodes everything once.
    ///
    /// # Errors
    /// The plan's own mistakes, as text.
    pub fn new() -> Result<Self, String> {
        let plans: Result<Vec<Arc<Plan>>, String> = QUEUES.iter().map(|it| compile(it)).collect();
        let clips = [
            (Prompted::Short, 400, 2_700),
            (Prompted::Long, 1_500, 2_700),
            (Prompted::Music, 4_000, 3_000),
            (Prompted::Pause, 200, 0),
        ];
        let clips: Option<Vec<_>> = clips
            .into_iter()
            .map(|(kind, ms, hz)| Some((kind, tone(ms, hz)?)))
            .collect();
        Ok(Self {
            plans: plans?,
            clips: clips.ok_or("a clip of the stage is empty")?,
            endpoints: endpoints(),
        })
    }

    /// What a prompt sounds like here.
    pub(crate) fn clip(&self, prompt: &Prompt) -> Option<Arc<Clip>> {
        let kind = match prompt {
            Prompt::Speech { text, .. } if text.len() < 12 => Prompted::Short,
            Prompt::Speech { .. } | Prompt::File(_) => Prompted::Long,
            Prompt::Music(_) | Prompt::Tone(_) => Prompted::Music,
            Prompt::Silence(_) => Prompted::Pause,
        };
        let found = self.clips.iter().find(|(it, _)| *it == kind);
        found.map(|(_, clip)| clip.clone())
    }

    pub(crate) fn endpoints(&self) -> Vec<EndpointConfig> {
        self.endpoints.clone()
    }

    pub(crate) fn agents() -> Vec<AgentConfig> {
        let agent = |name: &&str| AgentConfig {
            id: AgentId::new(name),
            endpoint: (*name).to_owned(),
            wish: Wish::Available,
        };
        AGENTS.iter().map(agent).collect()
    }

    pub(crate) fn trunk(calls: Option<u32>, per_second: Option<u32>) -> TrunkConfig {
        let sources: Vec<Source> = "10.1.0.0/16".parse().into_iter().collect();
        TrunkConfig {
            sources,
            targets: vec![SendTo::at(Transport::Udp, CARRIER)],
            calls_per_second: per_second,
            calls,
            handling: Handling {
                refer: true,
                ..Handling::TRUNK
            },
            ..TrunkConfig::bare("carrier")
        }
    }
}

/// The password of an endpoint.
pub(crate) fn password(user: &str) -> String {
    format!("{user}-{user}")
}

fn endpoints() -> Vec<EndpointConfig> {
    let digests = [Digests::Md5, Digests::Sha256, Digests::Both];
    let names = AGENTS
        .iter()
        .chain([&OPERATOR])
        .zip(digests.into_iter().cycle());
    let endpoint = |(name, digests): (&&str, Digests)| EndpointConfig {
        name: (*name).to_owned(),
        secrets: Some(Secrets::from_password(
            name,
            REALM,
            &password(name),
            digests,
        )),
        sources: Vec::new(),
        codecs: Vec::new(),
        contacts_max: 3,
        contact: None,
        caller_id: None,
        limits: Limits::default(),
        handling: Handling::ENDPOINT,
    };
    names.map(endpoint).collect()
}

fn tone(ms: usize, hz: u16) -> Option<Arc<Clip>> {
    let mut samples = vec![0; ms * 8];
    if hz > 0 {
        Tone::new(f32::from(hz), -16.0).fill(&mut samples);
    }
    Clip::from_pcm8k(samples).ok().map(Arc::new)
}

fn compile(queues: &str) -> Result<Arc<Plan>, String> {
    let facts = Facts {
        speech: Speech::Voices(Default::default()),
        ..Facts::default()
    };
    let text = format!("dialplan version=1 tz=\"UTC\"\n{queues}\n{FLOWS}");
    let file = (PathBuf::from("world.kdl"), text);
    Plan::compile(&[file], &facts)
        .map(Arc::new)
        .map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(|it| format!("{it:?}")).collect();
            lines.join("\n")
        })
}

/// What differs between a plan and the one that replaces it: its queues.
const QUEUES: [&str; 4] = [
    r#"
queue "sales" ring-timeout="6s" wrap-up="2s" max-wait="40s" max-len=50 {
  agents "ann" "bob" "cyd"
}
queue "support" ring-timeout="10s" wrap-up="5s" max-wait="60s" max-len=3 {
  agents "cyd" "dan" "eve" "fay"
  announce every="10s"
}"#,
    r#"
queue "sales" ring-timeout="3s" max-wait="20s" max-len=4 {
  agents "ann" "bob" "cyd" "dan" "eve" "fay"
}
queue "support" ring-timeout="4s" wrap-up="1s" without-agents="leave" {
  agents "ann"
}"#,
    r#"
queue "sales" ring-timeout="20s" wrap-up="2s" without-agents="leave" {
  agents "ann" "bob"
  announce every="15s"
}
queue "support" ring-timeout="8s" max-wait="15s" {
  agents "bob" "fay"
}"#,
    r#"
queue "sales" ring-timeout="2s" wrap-up="30s" max-wait="2m" max-len=2 {
  agents "eve"
}
queue "support" ring-timeout="5s" wrap-up="1s" max-wait="90s" max-len=50 {
  agents "ann" "bob" "cyd" "dan" "eve" "fay"
}"#,
];

/// Every step of the language, in flows that all plans have.
const FLOWS: &str = r##"
entry did="+15550000001" flow="menu"
entry did="+15550000002" flow="sales"
entry did="+15550000003" flow="ring"
entry did="+15550000004" flow="early"
entry did="+15550000005" flow="out"
entry did="+15550000006" flow="account"
entry did="+15550000007" flow="busy"
entry did="+15550000008" flow="recorded"
entry did="+15550000009" flow="urgent"
entry endpoint="*" flow="internal"

menu "menu" {
  say "Welcome to the simulated world."
  say "Press 1 or 2."
  gather timeout="4s"
  on "1" { goto "sales"; }
  on "2" { goto "support"; }
  on "0" { goto "ring"; }
  on "*" { repeat; }
  on invalid max=2 { goto "support"; }
  on timeout max=2 { goto "sales"; }
}
flow "sales" {
  answer
  queue "sales" {
    on max-wait { goto "ring"; }
    on full { hangup cause="congestion"; }
    on no-agents { goto "support"; }
    on completed { goto "survey"; }
  }
  say "Nobody."
}
flow "urgent" {
  answer
  say "Urgent."
  queue "sales" priority=5 max-wait="30s"
  queue "support" priority=9
}
flow "support" {
  queue "support" {
    on max-wait { say "We give up on this call for now."; hangup; }
    on full { say "All our lines are taken, try again."; }
  }
  say "Goodbye."
}
menu "survey" {
  say "Satisfied?" barge-in=#false
  on "1" { set satisfied=#true; }
  on timeout { hangup; }
}
flow "ring" {
  dial "ann" "bob" "operator" timeout="8s" {
    on busy { say "Busy."; }
  }
  say "Nobody answers at the moment, sorry."
}
flow "early" {
  say "This is heard before the answer."
  dial "operator" timeout="10s"
  answer
  say "Good day."
  transfer "fay" timeout="10s"
}
flow "out" {
  transfer "+15559999999" trunk="carrier" timeout="15s"
  say "That number cannot be reached now."
}
flow "account" {
  answer
  gather digits=4 min=2 finish="#" timeout="3s" retries=1 into="account" {
    say "Your account number."
    on timeout { set account="none"; }
    on invalid { hangup cause="rejected"; }
  }
  if "vars.account == 'none'" { goto "support"; }
  say "You entered {vars.account}."
  dial "+15559999998" trunk="carrier" timeout="10s" caller-id="+15550000006"
  goto "support"
}
flow "busy" {
  say "Busy."
  hangup cause="busy"
}
flow "recorded" {
  answer
  record start
  say "Recorded."
  queue "support" {
    on completed { record stop; say "Goodbye."; }
  }
}
flow "internal" {
  if "to.startsWith('+')" {
    transfer "{to}" trunk="carrier"
  }
  dial "operator" timeout="6s"
  say "Nobody."
}
"##;

/// The longest that a call of these plans lasts once its caller has stopped doing anything: two
/// queues, a dialling and the prompts between.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
