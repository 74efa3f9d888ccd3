//! Reads the dialplan folder and what a dialplan may name, and compiles the plan.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dialplan::{Facts, Plan};

/// Files read of one folder, with the folders below it; far above any real installation.
const FILES_MAX: usize = 10_000;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The folder or a file cannot be read.
    #[error("dialplans: want a readable folder of .kdl files, have {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The files have mistakes.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
}

/// The texts of every `.kdl` file of a folder, in order of their names; none if there is no folder.
///
/// # Errors
/// [`PlanError::Unreadable`].
pub fn read(folder: &Path) -> Result<Vec<(PathBuf, String)>, PlanError> {
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries.take(FILES_MAX) {
                names.push(entry.map_err(unreadable(folder))?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(folder)(error)),
    }
    names.retain(|name| name.extension().is_some_and(|extension| extension == "kdl"));
    names.sort();
    let text = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(unreadable(&path)(error)),
    };
    names.into_iter().map(text).collect()
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> PlanError + '_ {
    move |error| PlanError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

/// Compiles the folder's plan.
///
/// # Errors
/// [`PlanError`]: an unreadable folder, or every mistake with its place and fix.
pub fn load(folder: &Path, facts: &Facts) -> Result<Plan, PlanError> {
    let files = read(folder)?;
    let plan = Plan::compile(&files, facts).map_err(|mistakes| {
        PlanError::Mistakes(mistakes.iter().map(ToString::to_string).collect())
    })?;
    for warning in plan.warnings() {
        tracing::warn!("{warning}");
    }
    if plan.entries() == 0 {
        let state = if files.is_empty() {
            "no .kdl file"
        } else {
            "no entry"
        };
        tracing::warn!(
            "{state} in {}: every call is refused with 404; put a dialplan there (the sources have \
             dialplans/first-call.kdl), or name its folder: dialplans = \"FOLDER\" in the \
             configuration, TANDEM_DIALPLANS=FOLDER",
            folder.display()
        );
    }
    Ok(plan)
}

/// The prompt files below a folder, by relative name; `None` if there is no such folder.
pub fn prompt_names(folder: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    if !folder.is_dir() {
        return None;
    }
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                names.insert(relative.to_string_lossy().into_owned());
            }
            if names.len() + folders.len() > FILES_MAX {
                return Some(names);
            }
        }
    }
    Some(names)
}
