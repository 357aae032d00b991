//! Every key of `miyabi-backup.toml`, in one flat table. Unknown keys are found by it, environment variables are
//! derived from it, and a test holds `docs/CONFIGURATION.md` against it.

use crate::pg::filter::Rule;

/// Where a key stands in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    Top,
    Postgres,
    Sqlite,
    Places,
    Retention,
    Schedule,
    Restore,
    Status,
    Drill,
    DrillCheck,
    Alerts,
}

impl Section {
    pub const ALL: [Section; 11] = [
        Section::Top,
        Section::Postgres,
        Section::Sqlite,
        Section::Places,
        Section::Retention,
        Section::Schedule,
        Section::Restore,
        Section::Status,
        Section::Drill,
        Section::DrillCheck,
        Section::Alerts,
    ];

    /// The table's name in the file; empty for the top level.
    pub fn name(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Postgres => "postgres",
            Section::Sqlite => "sqlite",
            Section::Places => "places",
            Section::Retention => "retention",
            Section::Schedule => "schedule",
            Section::Restore => "restore",
            Section::Status => "status",
            Section::Drill => "drill",
            Section::DrillCheck => "drill.check",
            Section::Alerts => "alerts",
        }
    }

    /// As it is written in the file and in messages.
    pub fn heading(self) -> String {
        match self {
            Section::Top => "the top level".to_owned(),
            section if section.is_list() => format!("[[{}]]", section.name()),
            section => format!("[{}]", section.name()),
        }
    }

    /// One table for each source.
    pub fn is_list(self) -> bool {
        matches!(self, Section::Postgres | Section::Sqlite | Section::DrillCheck)
    }
}

pub struct Key {
    pub section: Section,
    pub name: &'static str,
    /// Variables of the environment, best first, where they are not `MIYABI_BACKUP_…`.
    pub variables: &'static [&'static str],
}

impl Key {
    /// `jobs`, `places.root`, `postgres.host`.
    pub fn path(&self) -> String {
        match self.section {
            Section::Top => self.name.to_owned(),
            section => format!("{}.{}", section.name(), self.name),
        }
    }

    /// Takes a list of values beside a single one.
    pub fn is_list(&self) -> bool {
        self.section == Section::Postgres && Rule::ALL.iter().any(|rule| rule.key() == self.name)
    }

    /// The environment's names for this key. Lists of sources have variables of their own or none.
    pub fn environment(&self) -> Vec<String> {
        if self.variables.is_empty() && !self.section.is_list() {
            return vec![format!("{PREFIX}{}", self.path().replace('.', "_").to_uppercase())];
        }
        self.variables.iter().map(|&name| name.to_owned()).collect()
    }
}

/// What the environment's names of our own settings begin with.
pub const PREFIX: &str = "MIYABI_BACKUP_";

/// Names the configuration file itself, so it cannot stand in it.
pub const CONFIG_VARIABLE: &str = "MIYABI_BACKUP_CONFIG";

const fn key(section: Section, name: &'static str) -> Key {
    Key { section, name, variables: &[] }
}

const fn server(name: &'static str, variables: &'static [&'static str]) -> Key {
    Key { section: Section::Postgres, name, variables }
}

pub const KEYS: &[Key] = &[
    key(Section::Top, "zone"),
    key(Section::Top, "jobs"),
    key(Section::Top, "threads"),
    key(Section::Top, "limit_rate"),
    key(Section::Top, "gentle"),
    key(Section::Top, "compress"),
    key(Section::Top, "gzip_engine"),
    key(Section::Top, "encrypt"),
    key(Section::Top, "encrypt_to"),
    key(Section::Top, "passphrase_file"),
    key(Section::Top, "identity"),
    key(Section::Top, "sign_key"),
    key(Section::Top, "require_signature"),
    key(Section::Top, "state_dir"),
    key(Section::Top, "staging"),
    key(Section::Top, "lock_timeout"),
    key(Section::Top, "sqlite_yield"),
    key(Section::Top, "sqlite_busy"),
    key(Section::Top, "globals"),
    key(Section::Top, "role_passwords"),
    key(Section::Postgres, "name"),
    Key { section: Section::Postgres, name: "url", variables: &["DATABASE_URL"] },
    server("host", &["DATABASE_HOST", "PGHOST"]),
    server("port", &["DATABASE_PORT", "PGPORT"]),
    server("database", &["DATABASE_NAME", "PGDATABASE"]),
    server("user", &["DATABASE_USER", "PGUSER"]),
    server("password_file", &[]),
    server("passfile", &["PGPASSFILE"]),
    server("sslmode", &["PGSSLMODE"]),
    server("sslrootcert", &["PGSSLROOTCERT"]),
    server("sslcert", &["PGSSLCERT"]),
    server("sslkey", &["PGSSLKEY"]),
    server("channel_binding", &["PGCHANNELBINDING"]),
    server("connect_timeout", &["PGCONNECT_TIMEOUT"]),
    server("application_name", &["PGAPPNAME"]),
    server("options", &["PGOPTIONS"]),
    server("target_session_attrs", &["PGTARGETSESSIONATTRS"]),
    server("schemas", &[]),
    server("exclude_schemas", &[]),
    server("tables", &[]),
    server("tables_and_children", &[]),
    server("exclude_tables", &[]),
    server("exclude_tables_and_children", &[]),
    server("exclude_table_data", &[]),
    server("exclude_table_data_and_children", &[]),
    server("extensions", &[]),
    server("exclude_extensions", &[]),
    server("strict_names", &[]),
    server("large_objects", &[]),
    server("no_large_objects", &[]),
    server("no_owner", &[]),
    server("no_privileges", &[]),
    server("no_comments", &[]),
    server("no_security_labels", &[]),
    server("no_publications", &[]),
    server("no_subscriptions", &[]),
    server("no_tablespaces", &[]),
    server("no_statistics", &[]),
    key(Section::Sqlite, "name"),
    Key { section: Section::Sqlite, name: "path", variables: &["SQLITE_DATABASES"] },
    key(Section::Places, "root"),
    Key { section: Section::Places, name: "s3", variables: &["AWS_S3_BACKUP_BUCKET"] },
    Key { section: Section::Places, name: "s3_prefix", variables: &["AWS_S3_PREFIX"] },
    Key { section: Section::Places, name: "s3_endpoint", variables: &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] },
    Key { section: Section::Places, name: "s3_region", variables: &["AWS_REGION", "AWS_DEFAULT_REGION"] },
    Key { section: Section::Places, name: "s3_profile", variables: &["AWS_PROFILE"] },
    Key { section: Section::Places, name: "s3_ca", variables: &["AWS_CA_BUNDLE"] },
    key(Section::Places, "s3_path_style"),
    key(Section::Places, "s3_max_parts"),
    key(Section::Places, "s3_memory"),
    key(Section::Places, "s3_storage_class"),
    key(Section::Places, "s3_sse"),
    key(Section::Places, "s3_retain"),
    key(Section::Retention, "daily"),
    key(Section::Retention, "weekly"),
    key(Section::Retention, "monthly"),
    key(Section::Retention, "keep_last"),
    key(Section::Retention, "automatic"),
    key(Section::Schedule, "at"),
    key(Section::Restore, "before_restore"),
    key(Section::Restore, "after_restore"),
    key(Section::Status, "min_free"),
    key(Section::Drill, "url"),
    key(Section::Drill, "rto"),
    key(Section::Drill, "rto_all"),
    key(Section::Drill, "rto_disaster"),
    key(Section::DrillCheck, "database"),
    key(Section::DrillCheck, "sql"),
    key(Section::DrillCheck, "expect"),
    key(Section::Alerts, "webhook"),
    key(Section::Alerts, "webhook_format"),
    key(Section::Alerts, "email_to"),
    key(Section::Alerts, "email_from"),
    key(Section::Alerts, "smtp"),
    key(Section::Alerts, "smtp_user"),
    key(Section::Alerts, "smtp_password_file"),
    key(Section::Alerts, "command"),
    key(Section::Alerts, "ping"),
    key(Section::Alerts, "ca"),
    key(Section::Alerts, "remind_every"),
    key(Section::Alerts, "metrics_file"),
];

pub fn in_section(section: Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// The known word that an unknown one is most likely meant to be.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.min_by_key(|candidate| strsim::damerau_levenshtein(word, candidate))
}

/// What to write instead of an unknown key: the same key of another section, else the nearest of this one.
pub fn suggestion(section: Section, word: &str) -> Option<String> {
    let elsewhere = KEYS.iter().find(|key| key.name == word && key.section != section);
    if let Some(key) = elsewhere {
        return Some(format!("did you mean `{}` of {}?", key.name, key.section.heading()));
    }
    let sections = Section::ALL.iter().filter(|other| section == Section::Top && **other != Section::Top);
    let known = in_section(section).map(|key| key.name).chain(sections.map(|other| other.name()));
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Args;
    use crate::pg::filter::Switch;

    const DOCUMENT: &str = include_str!("../../../docs/CONFIGURATION.md");

    /// The rows of the table below a section's heading.
    fn rows_of(section: Section) -> impl Iterator<Item = &'static str> {
        let heading = match section {
            Section::Top => "## General".to_owned(),
            section => format!("## `{}`", section.heading()),
        };
        let text = DOCUMENT.split("\n## ").find(|text| format!("## {text}").starts_with(&heading));
        text.unwrap_or_else(|| panic!("{heading} is not documented")).lines().filter(|line| line.starts_with("| `"))
    }

    #[test]
    fn every_key_and_its_variables_are_documented() {
        for key in KEYS {
            let cell = format!("| `{}` |", key.name);
            let row = rows_of(key.section).find(|row| row.starts_with(&cell));
            let row = row.unwrap_or_else(|| panic!("{} has no row in docs/CONFIGURATION.md", key.path()));
            for name in key.environment() {
                assert!(row.contains(&format!("`{name}`")), "{name} is missing in the row of {}", key.path());
            }
        }
    }

    #[test]
    fn every_part_of_a_filter_has_a_key() {
        let filter = Rule::ALL.map(Rule::key).into_iter().chain(Switch::ALL.map(Switch::key));
        for name in filter {
            assert!(in_section(Section::Postgres).any(|key| key.name == name), "{name} is no key of [[postgres]]");
        }
    }

    #[test]
    fn nothing_else_is_documented() {
        for section in Section::ALL {
            for row in rows_of(section) {
                let name = row.split('`').nth(1).unwrap();
                assert!(in_section(section).any(|key| key.name == name), "{name} of {} is unknown", section.heading());
            }
        }
    }

    #[test]
    fn every_flag_is_documented() {
        let command = Args::command();
        let all = command.get_subcommands().flat_map(|sub| sub.get_arguments()).chain(command.get_arguments());
        // Hidden ones are between the program and the units that it writes.
        for flag in all.filter(|argument| !argument.is_hide_set()).filter_map(|argument| argument.get_long()) {
            assert!(DOCUMENT.contains(&format!("`--{flag}`")), "--{flag} is not in docs/CONFIGURATION.md");
        }
    }

    #[test]
    fn help_is_complete_and_every_command_has_examples() {
        let mut command = Args::command();
        command.build();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("EXAMPLES"), "{} has no examples", sub.get_name());
            for argument in sub.get_arguments() {
                assert!(argument.get_help().is_some(), "{} of {} has no help", argument.get_id(), sub.get_name());
            }
        }
    }
}
