//! The `tandem` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives back what a flood made it take: the system's keeps what lies below anything that lives on.
/// Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    tandem::cli::main(purge_in_background)
}

/// Lets a thread of the allocator's give back free pages of arenas in which nobody allocates any more: without it
/// they stay until somebody does. Not by a setting: it would run as root before the account is changed.
fn purge_in_background() {
    // Where the system has no such thread, pages go back a little later.
    let _ = tikv_jemalloc_ctl::background_thread::write(true);
}
