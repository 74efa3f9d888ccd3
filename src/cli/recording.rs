//! `tandem recording`: opens encrypted recordings, and mends what a crash left open.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use media::file::seal::{self, Key};

use super::Failure;
use crate::io::record::mend_file;

#[derive(Debug, Args)]
pub(super) struct RecordingArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Decrypts a recording into a file beside it, or elsewhere
    #[command(alias = "decrypt")]
    Open(OpenArgs),
    /// Lets a recording that a crash cut off tell its true length
    Mend {
        /// The recording, not encrypted
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct OpenArgs {
    /// The recording, such as c0000000000000001.wav.enc
    file: PathBuf,
    /// The file with the key, as recording.key_file names it: 64 hexadecimal digits
    #[arg(long, value_name = "FILE", env = "TANDEM_RECORDING__KEY_FILE")]
    key_file: PathBuf,
    /// Where to, instead of the recording's name without .enc
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &RecordingArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let done = match &args.what {
        What::Open(args) => open(args, out),
        What::Mend { file } => mend(file, out),
    };
    done.map_err(Failure::Failed)
}

fn open(args: &OpenArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let key = read_key(&args.key_file)?;
    let file = args.file.display();
    let sealed = File::open(&args.file).with_context(|| format!("{file}"))?;
    let to = match &args.out {
        Some(to) => to.clone(),
        None if args.file.extension().is_some_and(|it| it == "enc") => args.file.with_extension(""),
        None => anyhow::bail!("{file}: want a name that ends in .enc, or --out FILE"),
    };
    // A new file: nobody's recording is overwritten, and nothing is left where nothing opens.
    let plain = OpenOptions::new().write(true).create_new(true).open(&to);
    let plain = plain.with_context(|| format!("{}", to.display()))?;
    let mut plain = BufWriter::new(plain);
    let opened = seal::open(&key, &mut BufReader::new(sealed), &mut plain);
    let written = plain.flush();
    let opened = match opened {
        Ok(opened) if opened.bytes > 0 => opened,
        Err(seal::OpenError::Changed { chunk, bytes }) if bytes > 0 => {
            let _ = mend_file(&to);
            anyhow::bail!(
                "{file}: chunk {chunk} was changed; what stands before it is in {}",
                to.display()
            );
        }
        other => {
            let _ = std::fs::remove_file(&to);
            let why = other.err().map(anyhow::Error::from);
            return Err(why.unwrap_or_else(|| anyhow::anyhow!("nothing is in it")))
                .with_context(|| format!("{file}"));
        }
    };
    written?;
    if !opened.whole {
        writeln!(
            out,
            "{file} was cut off: it is opened up to its last whole second"
        )?;
    }
    mend(&to, out)
}

fn mend(file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = file.display();
    let (samples, rate) =
        mend_file(file).with_context(|| format!("{name}: no recording of ours"))?;
    let seconds = samples as f64 / f64::from(rate.max(1));
    writeln!(out, "{name}: {seconds:.2} s")?;
    Ok(())
}

/// Reads the key in a file; what the file holds is not shown.
fn read_key(file: &Path) -> anyhow::Result<Key> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    Key::from_hex(&text).with_context(|| format!("{}", file.display()))
}
