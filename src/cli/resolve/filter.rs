//! Which part of a PostgreSQL database: flags, and the keys of its `[[postgres]]` entry.
//!
//! Flags go before the entry key by key, as everywhere. A switch that the entry has set stays set.

use std::collections::BTreeSet;

use crate::cli::args::FilterArgs;
use crate::cli::config::{Entry, Setting};
use crate::error::{Error, Kind, Result};
use crate::pg::filter::{Filter, Pattern, Rule, Switch};

pub fn filter(args: &FilterArgs, entry: Option<&Entry>) -> Result<Filter> {
    let mut rules = Vec::new();
    for rule in Rule::ALL {
        rules.extend(patterns(args, entry, rule)?.into_iter().map(|pattern| (rule, pattern)));
    }
    let mut switches = BTreeSet::new();
    for switch in Switch::ALL {
        let set = entry.and_then(|entry| entry.get(switch.key())).map_or(Ok(false), boolean)?;
        if args.is_on(switch) || set {
            switches.insert(switch);
        }
    }
    Filter::new(rules, switches)
}

fn patterns(args: &FilterArgs, entry: Option<&Entry>, rule: Rule) -> Result<Vec<Pattern>> {
    let typed = args.patterns(rule);
    if !typed.is_empty() {
        let read = |text: &String| {
            rule.pattern(text).map_err(|error| error.while_doing(format!("cannot use --{}", rule.flag())))
        };
        return typed.iter().map(read).collect();
    }
    let written = entry.map_or(&[] as &[Setting], |entry| entry.list(rule.key()));
    let read = |setting: &Setting| {
        rule.pattern(&setting.value).map_err(|error| error.while_doing(format!("cannot use {}", setting.origin)))
    };
    written.iter().map(read).collect()
}

fn boolean(setting: &Setting) -> Result<bool> {
    match setting.value.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Error::new(
            Kind::Usage,
            format!("cannot use {}: expected true or false, found {other}", setting.origin),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::config::testing::config;

    fn filtered(flags: &[&str], toml: &str) -> Result<Filter> {
        let arguments: Vec<&str> = std::iter::once(&"backup").chain(flags).copied().collect();
        let (args, config) = config(&arguments, &[], "", toml);
        let Command::Backup(backup) = args.command else { panic!("backup") };
        filter(&backup.filter, config.postgres().first())
    }

    const ENTRY: &str = "[[postgres]]\ndatabase = \"d\"\nschemas = [\"app\", \"b*\"]\nexclude_table_data = \"logs\"\nno_owner = true\nno_comments = false\n";

    #[test]
    fn an_entry_has_lists_and_switches() {
        let filter = filtered(&[], ENTRY).unwrap();
        assert_eq!(filter.part().as_deref(), Some("--schema app --schema b* --exclude-table-data logs"));
        assert_eq!(filter.without().as_deref(), Some("--no-owner"));
    }

    #[test]
    fn a_flag_takes_the_place_of_its_key_alone() {
        let filter = filtered(&["--schema", "other", "--no-comments"], ENTRY).unwrap();
        assert_eq!(filter.part().as_deref(), Some("--schema other --exclude-table-data logs"));
        assert_eq!(filter.without().as_deref(), Some("--no-owner --no-comments"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |toml: &str| filtered(&[], toml).unwrap_err().chain();
        let text = fault("[[postgres]]\ntables = [\n  \"a\",\n  \"a.b.c.d\",\n]\n");
        assert!(text.contains("postgres.tables") && text.contains("line 4"), "{text}");
        let text = fault("[[postgres]]\nno_owner = \"yes\"\n");
        assert!(text.contains("postgres.no_owner") && text.contains("yes"), "{text}");
        let text = filtered(&["--extension", "a.b"], "").unwrap_err().chain();
        assert!(text.contains("--extension"), "{text}");
    }
}
