//! What a server does at one moment, read from its API, and the rates between two moments.

use std::collections::BTreeMap;

use anyhow::Context;
use clock::Now;
use serde_json::Value;

use super::super::Failure;
use super::super::remote::Remote;
use crate::api::CallJson;

/// One look at a server.
pub(super) struct Board {
    pub(super) at: Now,
    pub(super) calls: Vec<CallJson>,
    pub(super) queues: Vec<Value>,
    pub(super) agents: Vec<Value>,
    /// By name, with labels as in Prometheus' text.
    metrics: BTreeMap<String, f64>,
}

impl Board {
    pub(super) fn read(remote: &Remote, at: Now) -> Result<Self, Failure> {
        fn list<T: serde::de::DeserializeOwned>(
            remote: &Remote,
            path: &str,
        ) -> Result<Vec<T>, Failure> {
            serde_json::from_str(&remote.get(path)?)
                .with_context(|| format!("{path}: the answer is no list"))
                .map_err(Failure::Failed)
        }
        Ok(Self {
            at,
            calls: list(remote, "/v1/calls")?,
            queues: list(remote, "/v1/queues")?,
            agents: list(remote, "/v1/agents")?,
            metrics: metrics(&remote.get("/metrics")?),
        })
    }

    /// The sum of a metric over all its labels.
    pub(super) fn sum(&self, name: &str) -> f64 {
        let series = self.metrics.iter();
        let mine = series.filter(|(key, _)| key.split('{').next() == Some(name));
        // From a positive zero: an empty sum of floats is a negative one.
        mine.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// A metric by one label's values.
    pub(super) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        for (key, value) in &self.metrics {
            let Some((_, labels)) = key.split_once('{').filter(|(it, _)| *it == name) else {
                continue;
            };
            let begin = format!("{label}=\"");
            if let Some(at) = labels.find(&begin) {
                let text = labels.get(at + begin.len()..).unwrap_or_default();
                let text = text.split('"').next().unwrap_or_default();
                *found.entry(text.to_owned()).or_default() += *value;
            }
        }
        found
    }

    /// By how much a counter grew each second since `before`; nothing where it began anew.
    pub(super) fn rate(&self, before: &Self, count: impl Fn(&Self) -> f64) -> f64 {
        let passed = self.at.since(before.at).as_secs_f64();
        if passed <= 0.0 {
            return 0.0;
        }
        ((count(self) - count(before)) / passed).max(0.0)
    }
}

/// Prometheus' text: a name with its labels, a blank, a number.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
impl Board {
    /// A look as it would be read.
    pub(super) fn of(at: Now, calls: &str, queues: &str, agents: &str, text: &str) -> Self {
        Self {
            at,
            calls: serde_json::from_str(calls).unwrap(),
            queues: serde_json::from_str(queues).unwrap(),
            agents: serde_json::from_str(agents).unwrap(),
            metrics: metrics(text),
        }
    }
}
