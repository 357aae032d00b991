use std::process::ExitCode;

fn main() -> ExitCode {
    miyabi_backup::cli::run(std::env::args_os())
}
