//! A program's arguments `MODE [key=value …]`, and the results that it leaves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::figures::load;

/// What stands behind the mode.
pub struct Args {
    /// Its results' files are called `<program>_<mode>.json`.
    program: &'static str,
    given: BTreeMap<String, String>,
    /// Whether results are kept in `benches/results`.
    keep: bool,
}

impl Args {
    /// The mode and what stands behind it; results are kept when `TANDEM_BENCH_RECORD` is set.
    pub fn read(program: &'static str) -> (String, Self) {
        let mut words = std::env::args().skip(1);
        let mode = words.next().unwrap_or_default();
        let pair = |word: String| {
            let (name, value) = word.split_once('=').unwrap_or((&word, "1"));
            (name.to_owned(), value.to_owned())
        };
        let args = Self {
            program,
            given: words.map(pair).collect(),
            keep: std::env::var_os("TANDEM_BENCH_RECORD").is_some(),
        };
        (mode, args)
    }

    /// A word by its name, from the command line, else from the environment in capitals.
    pub fn text(&self, name: &str) -> Option<String> {
        let given = self.given.get(name).cloned();
        let given = given.or_else(|| std::env::var(name.to_uppercase()).ok());
        given.filter(|text| !text.is_empty())
    }

    /// A number by its name, as [`Args::text`] finds it.
    pub fn number(&self, name: &str, usual: f64) -> f64 {
        self.text(name).map_or(usual, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text}: want a number"))
        })
    }

    /// A number of another mode's kept result, if that is of the last hour: of the same run, then.
    pub fn recent(&self, mode: &str, name: &str) -> Option<f64> {
        let path = self.kept_in(mode);
        let age = std::fs::metadata(&path).ok()?.modified().ok()?.elapsed();
        let is_recent = self.keep && age.is_ok_and(|age| age.as_secs() < 3_600);
        let kept = is_recent.then(|| std::fs::read_to_string(&path).ok())??;
        let kept: Value = serde_json::from_str(&kept).ok()?;
        kept.get(name)?.as_f64()
    }

    /// Prints a result, and keeps it when that is asked for.
    pub fn report(&self, mode: &str, mut result: Map<String, Value>) {
        result.insert("bench".to_owned(), json!(mode));
        result.insert("load_after".to_owned(), json!(load()));
        let line = Value::Object(result).to_string();
        println!("{line}");
        if self.keep {
            std::fs::write(self.kept_in(mode), line + "\n").unwrap();
        }
    }

    /// Where a mode's result is kept.
    fn kept_in(&self, mode: &str) -> PathBuf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");
        format!("{folder}/{}_{mode}.json", self.program).into()
    }
}

/// What `json!` made of an object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
