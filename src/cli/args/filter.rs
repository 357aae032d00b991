//! Flags of `backup` that choose a part of a PostgreSQL database, by the names that pg_dump gives them.

use crate::pg::filter::{Rule, Switch};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "A part of a PostgreSQL database (PATTERN as in psql; each may be repeated)")]
pub struct FilterArgs {
    /// Only what stands in schemas that match
    #[arg(short = 'n', long = "schema", value_name = "PATTERN")]
    schemas: Vec<String>,
    /// Not what stands in schemas that match
    #[arg(short = 'N', long = "exclude-schema", value_name = "PATTERN")]
    exclude_schemas: Vec<String>,
    /// Only tables, views, sequences … that match, with their indexes, constraints, triggers; not what they depend on
    #[arg(short = 't', long = "table", value_name = "PATTERN")]
    tables: Vec<String>,
    /// The same, with the partitions and inheritance children of what matches
    #[arg(long = "table-and-children", value_name = "PATTERN")]
    tables_and_children: Vec<String>,
    /// Not the tables, views, sequences … that match
    #[arg(short = 'T', long = "exclude-table", value_name = "PATTERN")]
    exclude_tables: Vec<String>,
    /// Not them, nor their partitions and inheritance children
    #[arg(long = "exclude-table-and-children", value_name = "PATTERN")]
    exclude_tables_and_children: Vec<String>,
    /// Definitions of tables that match, but not their rows
    #[arg(long = "exclude-table-data", value_name = "PATTERN")]
    exclude_table_data: Vec<String>,
    /// The same, with their partitions and inheritance children
    #[arg(long = "exclude-table-data-and-children", value_name = "PATTERN")]
    exclude_table_data_and_children: Vec<String>,
    /// Only extensions that match; by default all, or none where --schema or --table is given
    #[arg(short = 'e', long = "extension", value_name = "PATTERN")]
    extensions: Vec<String>,
    /// Not the extensions that match
    #[arg(long = "exclude-extension", value_name = "PATTERN")]
    exclude_extensions: Vec<String>,
    /// Fail if a --schema, --table or --extension matches nothing, and not only if all of them do
    #[arg(long)]
    strict_names: bool,
    /// Large objects, although --schema, --table or --extension is given
    #[arg(short = 'b', long, alias = "blobs")]
    large_objects: bool,
    /// No large objects
    #[arg(short = 'B', long, alias = "no-blobs")]
    no_large_objects: bool,
    /// No ownership: objects belong to whoever restores them
    #[arg(short = 'O', long)]
    no_owner: bool,
    /// No privileges: neither GRANT nor REVOKE
    #[arg(short = 'x', long, alias = "no-acl")]
    no_privileges: bool,
    /// No comments
    #[arg(long)]
    no_comments: bool,
    /// No security labels
    #[arg(long)]
    no_security_labels: bool,
    /// No publications
    #[arg(long)]
    no_publications: bool,
    /// No subscriptions
    #[arg(long)]
    no_subscriptions: bool,
    /// No tablespaces: everything goes where the target's default is
    #[arg(long)]
    no_tablespaces: bool,
    /// No planner statistics: the target has to be analysed
    #[arg(long)]
    no_statistics: bool,
}

impl FilterArgs {
    pub fn patterns(&self, rule: Rule) -> &[String] {
        match rule {
            Rule::Schema => &self.schemas,
            Rule::ExcludeSchema => &self.exclude_schemas,
            Rule::Table => &self.tables,
            Rule::TableAndChildren => &self.tables_and_children,
            Rule::ExcludeTable => &self.exclude_tables,
            Rule::ExcludeTableAndChildren => &self.exclude_tables_and_children,
            Rule::ExcludeTableData => &self.exclude_table_data,
            Rule::ExcludeTableDataAndChildren => &self.exclude_table_data_and_children,
            Rule::Extension => &self.extensions,
            Rule::ExcludeExtension => &self.exclude_extensions,
        }
    }

    pub fn is_on(&self, switch: Switch) -> bool {
        match switch {
            Switch::StrictNames => self.strict_names,
            Switch::NoOwner => self.no_owner,
            Switch::NoPrivileges => self.no_privileges,
            Switch::NoComments => self.no_comments,
            Switch::NoSecurityLabels => self.no_security_labels,
            Switch::NoPublications => self.no_publications,
            Switch::NoSubscriptions => self.no_subscriptions,
            Switch::NoTablespaces => self.no_tablespaces,
            Switch::NoStatistics => self.no_statistics,
            Switch::LargeObjects => self.large_objects,
            Switch::NoLargeObjects => self.no_large_objects,
        }
    }

    /// The first flag that was given.
    pub fn first(&self) -> Option<&'static str> {
        let rule = Rule::ALL.into_iter().find(|rule| !self.patterns(*rule).is_empty());
        let switch = || Switch::ALL.into_iter().find(|switch| self.is_on(*switch));
        rule.map(Rule::flag).or_else(|| switch().map(Switch::flag))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches};

    use super::*;

    /// Every rule and switch has its flag under the name that it gives itself, and reads its own.
    #[test]
    fn flags_are_what_the_filter_calls_them() {
        let parse = |words: &[String]| {
            let command = FilterArgs::augment_args(Command::new("backup"));
            FilterArgs::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
        };
        for rule in Rule::ALL {
            let args = parse(&["backup".to_owned(), format!("--{}", rule.flag()), "x".to_owned()]);
            assert_eq!((args.patterns(rule), args.first()), (["x".to_owned()].as_slice(), Some(rule.flag())));
        }
        for switch in Switch::ALL {
            let args = parse(&["backup".to_owned(), format!("--{}", switch.flag())]);
            assert!(args.is_on(switch) && args.first() == Some(switch.flag()));
        }
    }
}
