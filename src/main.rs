use std::process::ExitCode;

/// The catalog of a large database is a few million small strings: the system's allocator spends a fifth of the time of
/// a schema's backup on them. Without huge pages, which would hold a fifth more memory for nothing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    miyabi_backup::cli::run(std::env::args_os())
}
