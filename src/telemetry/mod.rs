//! Logs and metrics: set up once at start, used through `tracing` and `metrics` everywhere.
//!
//! The law: secrets and personal data never reach a log; labels come from bounded sets. Logs go to
//! standard error, so that what a command prints stays clean.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};

/// Starts logging as configured; a second call in one process changes nothing.
///
/// # Errors
/// [`ConfigError::Value`] if `log.filter` is no filter.
pub fn log(config: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|_| ConfigError::Value {
        key: "log.filter".to_owned(),
        rule: "a level such as \"info\", or \"info,tandem::call=debug\"".to_owned(),
        value: format!("\"{}\"", config.filter),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Only a subscriber that is already there can refuse: a test's, or an earlier call's.
    let _ = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// Installs the recorder behind `metrics::counter!` and its kin, with buckets for seconds.
///
/// # Errors
/// [`BuildError`] if this process has a recorder already.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .install_recorder()
}

/// Upper bounds of the histograms, all of which count seconds: from a tick to a long wait.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0, 1_200.0,
];
