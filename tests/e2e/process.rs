//! Processes that end when their owner does, and waits that end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program whose output goes to a file. Dropped, it is told to end, then made to.
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts `command`; both its outputs go to `log`.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = std::fs::File::create(log)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> Option<&mut std::process::ChildStdin> {
        self.child.stdin.as_mut()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(pid).context("no process")?;
        kill_process(pid, signal).with_context(|| format!("{} takes no signal", self.name))
    }

    /// Its status, if it ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        let log = self.log.clone();
        wait_for(limit, &format!("the end of {name}"), || {
            self.child.try_wait().ok().flatten()
        })
        .with_context(|| format!("its last words: {}", tail(&log)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.signal(Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while Instant::now() < deadline {
                if let Ok(Some(_)) = self.child.try_wait() {
                    return;
                }
                pause(20);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A command that cannot outlive `limit`, even if this program is killed.
pub(crate) fn bounded(program: &str, limit: Duration) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "-k", "2"])
        .arg(limit.as_secs().to_string())
        .arg(program)
        .stdin(Stdio::null());
    command
}

/// Polls until `look` finds something.
pub(crate) fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        pause(10);
    }
}

/// Real time must pass here: the phones live in it.
pub(crate) fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Says which programs are missing.
pub(crate) fn require(programs: &[&str]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = programs
        .iter()
        .filter(|it| !is_there(it))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("missing: {}. `make e2e` installs them.", missing.join(" "))
}

/// The last lines of a file.
pub(crate) fn tail(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
