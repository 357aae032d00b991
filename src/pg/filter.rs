//! Which part of a database is wanted: pg_dump's filters, by its own names.
//!
//! Rules hold patterns and say what is in, switches leave out what objects have (owners, comments) or whole kinds.
//! What a filter comes to in one database is `pg::selection`'s matter.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};

mod pattern;

pub use pattern::Pattern;

/// What a pattern is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Rule {
    Schema,
    ExcludeSchema,
    Table,
    TableAndChildren,
    ExcludeTable,
    ExcludeTableAndChildren,
    ExcludeTableData,
    ExcludeTableDataAndChildren,
    Extension,
    ExcludeExtension,
}

impl Rule {
    pub const ALL: [Rule; 10] = [
        Rule::Schema,
        Rule::ExcludeSchema,
        Rule::Table,
        Rule::TableAndChildren,
        Rule::ExcludeTable,
        Rule::ExcludeTableAndChildren,
        Rule::ExcludeTableData,
        Rule::ExcludeTableDataAndChildren,
        Rule::Extension,
        Rule::ExcludeExtension,
    ];

    /// The flag without its dashes.
    pub const fn flag(self) -> &'static str {
        match self {
            Rule::Schema => "schema",
            Rule::ExcludeSchema => "exclude-schema",
            Rule::Table => "table",
            Rule::TableAndChildren => "table-and-children",
            Rule::ExcludeTable => "exclude-table",
            Rule::ExcludeTableAndChildren => "exclude-table-and-children",
            Rule::ExcludeTableData => "exclude-table-data",
            Rule::ExcludeTableDataAndChildren => "exclude-table-data-and-children",
            Rule::Extension => "extension",
            Rule::ExcludeExtension => "exclude-extension",
        }
    }

    /// The key of a `[[postgres]]` entry, which holds a list.
    pub const fn key(self) -> &'static str {
        match self {
            Rule::Schema => "schemas",
            Rule::ExcludeSchema => "exclude_schemas",
            Rule::Table => "tables",
            Rule::TableAndChildren => "tables_and_children",
            Rule::ExcludeTable => "exclude_tables",
            Rule::ExcludeTableAndChildren => "exclude_tables_and_children",
            Rule::ExcludeTableData => "exclude_table_data",
            Rule::ExcludeTableDataAndChildren => "exclude_table_data_and_children",
            Rule::Extension => "extensions",
            Rule::ExcludeExtension => "exclude_extensions",
        }
    }

    /// Reads a pattern of this rule: only relations have a schema in front.
    pub fn pattern(self, text: &str) -> Result<Pattern> {
        match self {
            Rule::Schema | Rule::ExcludeSchema | Rule::Extension | Rule::ExcludeExtension => Pattern::of_name(text),
            _ => Pattern::of_relation(text),
        }
    }

    /// Says what is out.
    pub const fn excludes(self) -> bool {
        !matches!(self, Rule::Schema | Rule::Table | Rule::TableAndChildren | Rule::Extension)
    }

    /// Takes the inheritance children and partitions of what it matches along.
    pub const fn with_children(self) -> bool {
        matches!(self, Rule::TableAndChildren | Rule::ExcludeTableAndChildren | Rule::ExcludeTableDataAndChildren)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Switch {
    /// Every pattern that says what is in must match something.
    StrictNames,
    NoOwner,
    NoPrivileges,
    NoComments,
    NoSecurityLabels,
    NoPublications,
    NoSubscriptions,
    NoTablespaces,
    /// Neither pages and rows of relations nor what ANALYZE found in their columns.
    NoStatistics,
    /// Although only a part is wanted.
    LargeObjects,
    NoLargeObjects,
}

impl Switch {
    pub const ALL: [Switch; 11] = [
        Switch::StrictNames,
        Switch::NoOwner,
        Switch::NoPrivileges,
        Switch::NoComments,
        Switch::NoSecurityLabels,
        Switch::NoPublications,
        Switch::NoSubscriptions,
        Switch::NoTablespaces,
        Switch::NoStatistics,
        Switch::LargeObjects,
        Switch::NoLargeObjects,
    ];

    /// The flag without its dashes.
    pub const fn flag(self) -> &'static str {
        match self {
            Switch::StrictNames => "strict-names",
            Switch::NoOwner => "no-owner",
            Switch::NoPrivileges => "no-privileges",
            Switch::NoComments => "no-comments",
            Switch::NoSecurityLabels => "no-security-labels",
            Switch::NoPublications => "no-publications",
            Switch::NoSubscriptions => "no-subscriptions",
            Switch::NoTablespaces => "no-tablespaces",
            Switch::NoStatistics => "no-statistics",
            Switch::LargeObjects => "large-objects",
            Switch::NoLargeObjects => "no-large-objects",
        }
    }

    /// The key of a `[[postgres]]` entry.
    pub const fn key(self) -> &'static str {
        match self {
            Switch::StrictNames => "strict_names",
            Switch::NoOwner => "no_owner",
            Switch::NoPrivileges => "no_privileges",
            Switch::NoComments => "no_comments",
            Switch::NoSecurityLabels => "no_security_labels",
            Switch::NoPublications => "no_publications",
            Switch::NoSubscriptions => "no_subscriptions",
            Switch::NoTablespaces => "no_tablespaces",
            Switch::NoStatistics => "no_statistics",
            Switch::LargeObjects => "large_objects",
            Switch::NoLargeObjects => "no_large_objects",
        }
    }

    /// Whole objects are missing, and not only something that each of them has.
    const fn leaves_out_objects(self) -> bool {
        matches!(self, Switch::NoPublications | Switch::NoSubscriptions | Switch::NoLargeObjects)
    }

    /// Something that objects have is missing.
    const fn leaves_out_properties(self) -> bool {
        matches!(
            self,
            Switch::NoOwner
                | Switch::NoPrivileges
                | Switch::NoComments
                | Switch::NoSecurityLabels
                | Switch::NoTablespaces
                | Switch::NoStatistics
        )
    }
}

/// The default wants everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    rules: Vec<(Rule, Pattern)>,
    switches: BTreeSet<Switch>,
}

impl Filter {
    pub fn new(rules: Vec<(Rule, Pattern)>, switches: BTreeSet<Switch>) -> Result<Self> {
        if switches.contains(&Switch::LargeObjects) && switches.contains(&Switch::NoLargeObjects) {
            return Err(Error::new(Kind::Usage, "large objects are asked for and left out at once")
                .hint("give either --large-objects or --no-large-objects"));
        }
        Ok(Filter { rules, switches })
    }

    pub fn has(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    pub fn patterns(&self, rule: Rule) -> impl Iterator<Item = &Pattern> {
        self.rules.iter().filter(move |(of, _)| *of == rule).map(|(_, pattern)| pattern)
    }

    pub fn rules(&self) -> &[(Rule, Pattern)] {
        &self.rules
    }

    pub fn names(&self, rule: Rule) -> bool {
        self.patterns(rule).next().is_some()
    }

    /// Whether anything says by its name what is in or out.
    pub fn has_patterns(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Nothing says what is in, so that what belongs to no schema is in, too.
    pub fn includes_everything(&self) -> bool {
        self.rules.iter().all(|(rule, _)| rule.excludes())
    }

    /// What makes the archive a part of the database, as flags; `None` if it holds all objects and rows.
    pub fn part(&self) -> Option<String> {
        let patterns = self.rules.iter().map(|(rule, pattern)| format!("--{} {}", rule.flag(), shown(pattern)));
        let asked = !self.includes_everything() && self.has(Switch::LargeObjects);
        let asked = asked.then(|| format!("--{}", Switch::LargeObjects.flag()));
        joined(patterns.chain(self.flags(Switch::leaves_out_objects)).chain(asked))
    }

    /// What the objects of the archive are without, as flags.
    pub fn without(&self) -> Option<String> {
        joined(self.flags(Switch::leaves_out_properties))
    }

    fn flags(&self, which: fn(Switch) -> bool) -> impl Iterator<Item = String> {
        self.switches.iter().filter(move |switch| which(**switch)).map(|switch| format!("--{}", switch.flag()))
    }
}

/// It goes into an archive's head, whose length is limited.
const TEXT_BYTES_MAX: usize = 8 << 10;

fn joined(flags: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = flags.collect();
    let mut text = String::new();
    for (at, flag) in all.iter().enumerate() {
        if at > 0 && text.len() + flag.len() > TEXT_BYTES_MAX {
            return Some(format!("{text} … ({} flags in all)", all.len()));
        }
        if at > 0 {
            text.push(' ');
        }
        text.extend(flag.chars().take(TEXT_BYTES_MAX / 4));
    }
    (!all.is_empty()).then_some(text)
}

/// For a terminal and a line of text.
fn shown(pattern: &Pattern) -> String {
    pattern.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &[(Rule, &str)], switches: &[Switch]) -> Filter {
        let rules = rules.iter().map(|(rule, text)| (*rule, rule.pattern(text).unwrap())).collect();
        Filter::new(rules, switches.iter().copied().collect()).unwrap()
    }

    #[test]
    fn what_leaves_out_objects_or_rows_makes_a_part() {
        assert_eq!(Filter::default().part(), None);
        let without = filter(&[], &[Switch::NoOwner, Switch::NoPrivileges, Switch::StrictNames]);
        assert_eq!((without.part(), without.without().as_deref()), (None, Some("--no-owner --no-privileges")));
        let part = filter(&[(Rule::Schema, "app"), (Rule::ExcludeTableData, "log*")], &[Switch::NoComments]);
        assert_eq!(part.part().as_deref(), Some("--schema app --exclude-table-data log*"));
        assert_eq!(part.without().as_deref(), Some("--no-comments"));
        assert_eq!(filter(&[], &[Switch::NoLargeObjects]).part().as_deref(), Some("--no-large-objects"));
        assert_eq!(filter(&[], &[Switch::LargeObjects]).part(), None);
        assert_eq!(filter(&[(Rule::Table, "a\nb")], &[]).part().as_deref(), Some("--table a?b"));
    }

    #[test]
    fn the_text_of_a_filter_has_a_bound() {
        let long = "é".repeat(50_000);
        let one = filter(&[(Rule::Table, long.as_str()), (Rule::Table, "b")], &[]).part().unwrap();
        assert!(one.starts_with("--table éé") && one.len() <= TEXT_BYTES_MAX, "{}", one.len());
        let many = filter(&[(Rule::Table, "some_table_or_other"); 5000], &[]).part().unwrap();
        assert!(many.ends_with(" … (5000 flags in all)") && many.len() < TEXT_BYTES_MAX + 100);
    }

    #[test]
    fn only_what_says_what_is_in_leaves_out_the_rest() {
        assert!(filter(&[(Rule::ExcludeSchema, "a"), (Rule::ExcludeExtension, "b")], &[]).includes_everything());
        assert!(!filter(&[(Rule::Extension, "b")], &[]).includes_everything());
        assert!(!filter(&[(Rule::TableAndChildren, "b")], &[]).includes_everything());
    }

    #[test]
    fn flags_and_keys_are_alike() {
        for switch in Switch::ALL {
            assert_eq!(switch.key(), switch.flag().replace('-', "_"));
        }
        for rule in Rule::ALL {
            let letters = |text: &str| text.replace(['-', '_', 's'], "");
            assert_eq!(letters(rule.key()), letters(rule.flag()));
        }
    }

    #[test]
    fn large_objects_are_in_or_out() {
        let both = [Switch::LargeObjects, Switch::NoLargeObjects].into();
        assert_eq!(Filter::new(Vec::new(), both).map_err(|error| error.kind()).unwrap_err(), Kind::Usage);
    }
}
