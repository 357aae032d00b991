//! What is started, when, and what it may touch.

use std::path::PathBuf;

use jiff::civil::Time;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Job {
    Backup,
    Verify,
    Drill,
    Watch,
}

impl Job {
    pub const ALL: [Job; 4] = [Job::Backup, Job::Verify, Job::Drill, Job::Watch];

    /// The unit's name without its suffix.
    pub const fn unit(self) -> &'static str {
        match self {
            Job::Backup => "miyabi-backup",
            Job::Verify => "miyabi-backup-verify",
            Job::Drill => "miyabi-backup-drill",
            Job::Watch => "miyabi-backup-watch",
        }
    }

    pub const fn command(self) -> &'static str {
        match self {
            Job::Backup => "backup",
            Job::Verify => "verify",
            Job::Drill => "drill",
            Job::Watch => "watch",
        }
    }

    pub const fn describe(self) -> &'static str {
        match self {
            Job::Backup => "Back up the configured databases",
            Job::Verify => "Verify every backup byte by byte",
            Job::Drill => "Restore the newest backups for trial",
            Job::Watch => "Tell when backups are stale or failed",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the backup; the others have times of their own.
    pub at: Time,
    /// The zone of `at`, where it is configured.
    pub zone: Option<String>,
    /// The program and the arguments that every run needs: configuration, state folder.
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Where the runs start, so that relative paths mean what they mean here.
    pub folder: PathBuf,
    /// What runs may write to.
    pub writable: Vec<PathBuf>,
    /// Those of them that are ours: the tree, the state folder, logs.
    pub own_folders: Vec<PathBuf>,
    /// Files with secrets, which a unit hands over to its process alone.
    pub secrets: Vec<PathBuf>,
    /// Units of the machine rather than of a user.
    pub system: bool,
}

impl Plan {
    /// The command line of a job, each word as it is.
    pub fn words(&self, job: Job) -> Vec<String> {
        self.line(&[job.command()])
    }

    /// The command line that a unit's trial has in place of its job's.
    pub fn trial_words(&self) -> Vec<String> {
        self.line(&["schedule", "trial"])
    }

    fn line(&self, command: &[&str]) -> Vec<String> {
        let mut words = vec![self.program.display().to_string()];
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words.extend(self.arguments.iter().cloned());
        words.push("--quiet".to_owned());
        words
    }
}
