//! The `tandem` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives back what a flood made it take: the system's keeps what lies below anything that lives on.
/// Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    tandem::cli::main()
}
