//! A row of the catalogue, and the shard that it describes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use clock::Now;
use sip::transport::{Flow, ListenerId};
use tandem::api::ExplainJson;
use tandem::config::{Config, ConfigError};
use tandem::control::{Control, Probe, Rehearsal};
use tandem::server::{Registered, offline};
use toml::{Table, Value};

/// One misconfiguration.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) file: String,
    pub(super) name: String,
    /// The thread in which somebody met it on another server.
    pub(super) source: Option<String>,
    /// The configuration, TOML.
    pub(super) config: Table,
    /// The dialplan, KDL.
    pub(super) plan: String,
    /// The call, as `POST /v1/explain` takes it, with `password` besides.
    pub(super) call: Table,
    /// The endpoints that are registered; all if not given.
    pub(super) registered: Option<Vec<String>>,
    /// Calls like this one that are going on already.
    pub(super) before: u32,
    pub(super) draining: bool,
    /// The id of the cause.
    pub(super) want: String,
    /// Parts of the fix.
    pub(super) fix: Vec<String>,
    /// The fix in the test's own words, where the sentence is for people alone.
    pub(super) mend: Table,
    /// How the outcome begins once it is mended; `None` where nothing mechanical mends it.
    pub(super) becomes: Option<String>,
}

/// What `explain` says of a row.
pub(super) enum Told {
    Rehearsed(Rehearsal),
    /// The configuration or the dialplan is refused before any call.
    Mistake {
        id: String,
        text: String,
        fix: String,
    },
}

/// Every row of every file of the folder.
pub(super) fn all(folder: &Path) -> Vec<Row> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    files.sort();
    let rows = files.iter().flat_map(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let table: Table = std::fs::read_to_string(file)
            .unwrap()
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let rows = table["row"].as_array().unwrap().clone();
        rows.into_iter().map(move |row| Row::read(&name, row))
    });
    rows.collect()
}

impl Row {
    fn read(file: &str, row: Value) -> Self {
        let mut row = row.as_table().unwrap().clone();
        let mut text = |key: &str| row.remove(key).map(|it| it.as_str().unwrap().to_owned());
        let name = text("name").unwrap();
        let source = text("source");
        let config = text("config").unwrap_or_default();
        let config: Table = config
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let anna = config
            .get("endpoints")
            .is_some_and(|it| it.get("anna").is_some());
        let usual = if anna { PLAN } else { PLAN_OF_NOBODY };
        let plan = text("plan").unwrap_or_else(|| usual.to_owned());
        let (want, becomes) = (text("want").unwrap(), text("becomes"));
        let list = |it: Value| -> Vec<String> {
            let one = |it: &Value| it.as_str().unwrap().to_owned();
            it.as_array().unwrap().iter().map(one).collect()
        };
        let fix = list(row.remove("fix").unwrap());
        let registered = row.remove("registered").map(list);
        let table =
            |it: Option<Value>| it.map_or(Table::new(), |it| it.as_table().unwrap().clone());
        let read = Self {
            file: file.to_owned(),
            source,
            config,
            plan,
            call: table(row.remove("call")),
            registered,
            before: row
                .remove("before")
                .map_or(0, |it| u32::try_from(it.as_integer().unwrap()).unwrap()),
            draining: row.remove("draining").is_some(),
            want,
            fix,
            mend: table(row.remove("mend")),
            becomes,
            name,
        };
        assert!(row.is_empty(), "{}: unknown keys {row:?}", read.name);
        read
    }

    pub(super) fn told(&self) -> Told {
        let mut shard = match self.shard() {
            Ok(shard) => shard,
            Err(told) => return *told,
        };
        match self.probe() {
            Ok(probe) => Told::Rehearsed(shard.rehearse(Now::ZERO, &probe)),
            Err(why) => panic!("{}: {why}", self.name),
        }
    }

    /// The call as it is asked about: whoever is rung answers, unless the row says otherwise.
    pub(super) fn probe(&self) -> Result<Probe, String> {
        let mut call = self.call.clone();
        let password = call
            .remove("password")
            .map(|it| it.as_str().unwrap().to_owned());
        if !call.contains_key("callee") {
            call.insert("callee".to_owned(), "answers".into());
        }
        let json = serde_json::to_string(&call).unwrap();
        let asked: ExplainJson =
            serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))?;
        let mut probe = asked.probe()?;
        probe.password = password;
        Ok(probe)
    }

    /// The shard with the calls that are going on already.
    pub(super) fn shard(&self) -> Result<Control, Box<Told>> {
        let folder = Folder::new();
        std::fs::write(folder.0.join("main.kdl"), &self.plan).unwrap();
        let mut table = self.config.clone();
        let plans = folder.0.to_string_lossy().into_owned();
        table.entry("dialplans").or_insert(plans.into());
        let config = Config::from_parts(table, []).map_err(|error| mistake(&error))?;
        let registered = match &self.registered {
            None => Registered::All,
            Some(names) => Registered::Only(names.iter().cloned().collect::<BTreeSet<_>>()),
        };
        let shard = offline(&config, &registered, NOON);
        let mut shard = shard.map_err(|error| match error.downcast_ref::<ConfigError>() {
            Some(error) => mistake(error),
            None => {
                // The checker's own sentence: file, line, code, message, fix.
                let text = error.to_string();
                let error = text.split_once("error[").map_or("", |(_, rest)| rest);
                let code = error.split_once(']').map_or("", |(code, _)| code);
                let id = format!("dialplan-check {code}");
                let fixes = text.lines().filter_map(|it| it.split_once("fix: "));
                let fixes: Vec<&str> = fixes.map(|(_, fix)| fix).collect();
                let fix = fixes.join("; ");
                Box::new(Told::Mistake { id, text, fix })
            }
        })?;
        if self.draining {
            shard.drain();
        }
        for number in 0..self.before {
            self.call_before(&mut shard, number);
        }
        Ok(shard)
    }

    fn call_before(&self, shard: &mut Control, number: u32) {
        let probe = self.probe().unwrap();
        let (from, to, at) = (&probe.from, &probe.to, probe.source);
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 8\r\n";
        let invite = format!(
            "INVITE sip:{to}@here SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKb{number}\r\n\
             From: <sip:{from}@{at}>;tag={number}\r\nTo: <sip:{to}@here>\r\nCall-ID: before-{number}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:{from}@{at}>\r\nMax-Forwards: 70\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let flow = Flow::udp(ListenerId(0), at);
        shard.receive(Now::ZERO, flow, invite.into());
        while shard.poll_output().is_some() {}
    }
}

fn mistake(error: &ConfigError) -> Box<Told> {
    let why = error.explanation();
    Box::new(Told::Mistake {
        id: why.id.to_owned(),
        text: why.to_string(),
        fix: why.fix,
    })
}

/// A folder that vanishes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-explain-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Friday 2026-11-20, noon UTC.
const NOON: jiff::Timestamp = jiff::Timestamp::constant(1_795_176_000, 0);

/// The dialplan of rows in which nobody is rung.
const PLAN_OF_NOBODY: &str =
    "dialplan version=1\nentry pattern=\"*\" flow=\"desk\"\nflow \"desk\" {\n  answer\n}\n";

/// The dialplan of rows that are not about one.
const PLAN: &str =
    "dialplan version=1\nentry pattern=\"*\" flow=\"desk\"\nflow \"desk\" {\n  dial \"anna\"\n}\n";
