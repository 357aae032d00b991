//! The user's own commands around a restore: stop the services, start them again.
//!
//! Their output goes to standard error, so that standard output stays ours.

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Kind, Result};

/// Runs `command` by the shell and waits for it. `name` is its key in the configuration.
pub fn run(name: &str, command: &str) -> Result<()> {
    let doing = || format!("cannot run {name} (`{command}`)");
    let stderr = io::stderr().as_fd().try_clone_to_owned().context(Kind::Target, doing)?;
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::from(stderr))
        .status()
        .context(Kind::Target, doing)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(Kind::Target, format!("{name} (`{command}`) failed: {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_status() {
        assert!(run("before_restore", "exit 0").is_ok());
        let error = run("before_restore", "exit 7").unwrap_err();
        assert_eq!(error.chain(), "before_restore (`exit 7`) failed: exit status: 7");
        assert_eq!(error.kind().exit_code(), 1);
    }
}
