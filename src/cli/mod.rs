//! The command line: arguments, what each command does with them, and exit codes.
//!
//! The law: what a command prints goes to standard output, what goes wrong to standard error, and
//! the exit code says which kind of wrong: 0 ok, 1 failed, 2 configuration or usage, 3 address in use.

mod calls;
mod explain;
mod ladder;
mod password;
mod plans;
mod recording;
mod remote;
#[cfg(test)]
mod tests;
mod top;
mod trace;
mod trunk;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::io::privilege::become_account;

/// The command as typed.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, about, after_help = EXIT_CODES)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or SIGINT, then lets calls end
    Serve(ConfigArgs),
    /// Reports every mistake in dialplan files, with place and fix
    Check(PlanArgs),
    /// Walks the tests of dialplan files in virtual time, or a call of your own
    Test(TestArgs),
    /// Shows the calls in progress on a running server
    Calls(calls::CallsArgs),
    /// Shows what a trunk would send, and where
    Trunk(trunk::TrunkArgs),
    /// Shows what happened to a call: messages, steps and sound on one time axis
    Trace(trace::TraceArgs),
    /// Writes a call as pcapng: SIP, decrypted, and its captured sound
    Pcap(trace::PcapArgs),
    /// Opens an encrypted recording with its key, or mends one that a crash cut off
    Recording(recording::RecordingArgs),
    /// Shows calls, queues, agents, trunks and media threads, live
    Top(top::TopArgs),
    /// Says why a call was refused or would be, and what would mend it
    Explain(Box<explain::ExplainArgs>),
    /// Makes of a password, read from standard input, what agents.NAME.password_hash wants
    HashPassword,
    /// Runs an example contact centre on loopback, with callers and agents
    Demo(DemoArgs),
    /// Prints the version
    Version,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration, TOML; without it everything is on loopback
    #[arg(long, env = "TANDEM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ends after that many recorded calls in which both parties heard each other
    #[arg(long, value_name = "N")]
    calls: Option<u32>,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Files or folders; without any, the configured dialplan folder
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct TestArgs {
    #[command(flatten)]
    plans: PlanArgs,
    /// A call of your own instead of the tests: these keys, with commas where the caller waits
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    digits: Option<Vec<String>>,
    /// The wall time of that call, such as 2026-12-25T10:00:00+01:00
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// The caller of that call
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// The number called
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
}

/// Why a command failed, by exit code.
#[derive(Debug)]
enum Failure {
    /// 1: it did its work, and the answer is no; or something broke.
    Failed(anyhow::Error),
    /// 2: it was asked for what makes no sense.
    Usage(anyhow::Error),
    /// 3: another process has the address.
    InUse(anyhow::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::InUse(_) => 3,
        }
    }

    /// Sorts an error by what lies at its root.
    fn of(error: anyhow::Error) -> Self {
        let in_use = |cause: &(dyn std::error::Error + 'static)| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::AddrInUse)
        };
        if error.chain().any(in_use) {
            Self::InUse(error)
        } else if error.chain().any(|cause| cause.is::<ConfigError>()) {
            Self::Usage(error)
        } else {
            Self::Failed(error)
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Failed(error) | Self::Usage(error) | Self::InUse(error)) = self;
        write!(f, "{error:#}")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

/// Runs the command that the process was started with. A server calls `settled` when its process has the account and
/// the rights that it will have: what starts threads of its own waits for that.
pub fn main(settled: fn()) -> ExitCode {
    run(
        std::env::args_os(),
        settled,
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}

/// Runs the command of `arguments`, the first being the program's name.
fn run(
    arguments: impl IntoIterator<Item = OsString>,
    settled: fn(),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(refusal) => {
            // Help and version are no mistakes; a terminal that is gone cannot be told anything.
            let help = !refusal.use_stderr();
            let text = refusal.render();
            let _ = if help {
                write!(out, "{text}")
            } else {
                write!(err, "{text}")
            };
            return ExitCode::from(if help { 0 } else { 2 });
        }
    };
    match obey(line.command, settled, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.code();
            let (Failure::Failed(error) | Failure::Usage(error) | Failure::InUse(error)) = failure;
            let _ = writeln!(err, "tandem: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn obey(command: Command, settled: fn(), out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve(&args, settled),
        Command::Check(args) => plans::check(&args, out),
        Command::Test(args) => plans::test(&args, out),
        Command::Calls(args) => calls::run(&args, out),
        Command::Trunk(args) => trunk::run(&args, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Pcap(args) => trace::pcap(&args, out),
        Command::Recording(args) => recording::run(&args, out),
        Command::Top(args) => top::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::HashPassword => password::hash(out),
        Command::Demo(args) => demo(&args, out),
        Command::Version => {
            writeln!(out, "tandem {}", env!("CARGO_PKG_VERSION")).map_err(|e| Failure::of(e.into()))
        }
    }
}

fn serve(args: &ConfigArgs, settled: fn()) -> Result<(), Failure> {
    let config = args.load()?;
    if let Some(user) = &config.user {
        let folders = [config.paths.data.as_path(), config.paths.certs.as_path()];
        become_account(user, &folders).map_err(|why| Failure::Usage(why.into()))?;
    }
    settled();
    crate::telemetry::log(&config.log)?;
    for variable in &config.ignored_variables {
        tracing::warn!(variable, "a variable that sets no key");
    }
    crate::server::run(config).map_err(Failure::of)
}

fn demo(args: &DemoArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut config = args.config.load()?;
    if args.config.config.is_none() && std::env::var_os("TANDEM_LOG__FILTER").is_none() {
        // The screen tells what happens; the log only what goes wrong.
        config.log.filter = "error".to_owned();
    }
    crate::telemetry::log(&config.log)?;
    let options = crate::demo::DemoOptions { calls: args.calls };
    crate::demo::run(config, &options, out).map_err(Failure::of)
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Config::load(self.config.as_deref(), variables)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  ok
  1  failed: mistakes found, a test failed, the server does not answer
  2  configuration or usage: the message names the key, the rule and the value
  3  an address to listen on is in use

Every key of the configuration can be set by a variable: TANDEM_SIP__UDP sets sip.udp.
See tandem.example.toml and docs/operate.md.";
