//! Fuzz body: what a fuzzer calls with bytes, compiled with every build.

use std::path::PathBuf;

use super::cli::{TestOptions, test};
use super::{Facts, Plan};

/// Reads the bytes as a dialplan; one that compiles is walked by its own tests and by a dry run.
///
/// Panics only on a mistake of ours: every text ends with a plan or with placed diagnostics.
pub fn dialplan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let files = [(PathBuf::from("fuzz.kdl"), text)];
    let facts = Facts::default();
    match Plan::compile(&files, &facts) {
        Err(found) => {
            assert!(!found.is_empty());
            assert!(found.iter().all(|d| d.line >= 1 && d.column >= 1));
        }
        Ok(_) => {
            let dry = TestOptions {
                digits: Some(vec!["1".to_owned()]),
                ..TestOptions::default()
            };
            for options in [TestOptions::default(), dry] {
                assert!(test(&files, &facts, &options).is_ok());
            }
        }
    }
}
