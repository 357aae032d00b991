//! What of a database a filter wants: decided once, by pg_dump's own rules, and asked by all who lock, read and write.
//!
//! A table is in by its own name or, where no table is named, by its schema; everything else that stands in a schema
//! by that schema; what stands in none only where nothing says what is in. What hangs on a table (indexes, triggers,
//! policies) has no say of its own. Members of an extension come with it and have at most privileges to be saved.
//! What the chosen objects depend on is not brought along.

use std::collections::HashMap;

use crate::pg::catalog::object::{Base, FIRST_NORMAL_OID, ObjectId, class};
use crate::pg::catalog::relation::Relation;
use crate::pg::catalog::sequence::Sequence;
use crate::pg::filter::{Filter, Switch};

mod matches;

pub use matches::Matches;

/// How much of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Wanted {
    Nothing,
    /// The object itself comes from elsewhere: with the server, with an extension.
    Privileges,
    Everything,
}

impl Wanted {
    fn wholly(is_in: bool) -> Self {
        if is_in { Wanted::Everything } else { Wanted::Nothing }
    }
}

pub struct Selection {
    filter: Filter,
    /// None: no pattern restricts anything.
    restricted: Option<Restricted>,
}

struct Restricted {
    matches: Matches,
    relations: HashMap<u32, Wanted>,
}

impl Selection {
    /// `matches` is what the filter's patterns matched in the same snapshot.
    pub fn of(
        filter: &Filter,
        matches: Option<Matches>,
        relations: &[Relation],
        sequences: &HashMap<u32, Sequence>,
    ) -> Self {
        let restricted = matches.map(|matches| {
            let own =
                |relation: &Relation| (relation.oid(), matches.relation(relation.oid(), schema_of(&relation.base)));
            let mut wanted: HashMap<u32, Wanted> = relations.iter().map(own).collect();
            follow_owners(&mut wanted, sequences);
            Restricted { matches, relations: wanted }
        });
        Selection { filter: filter.clone(), restricted }
    }

    pub fn has(&self, switch: Switch) -> bool {
        self.filter.has(switch)
    }

    pub fn wanted(&self, base: &Base) -> Wanted {
        if self.kind_is_left_out(base.id.class) {
            return Wanted::Nothing;
        }
        match &self.restricted {
            None if base.is_users() => Wanted::Everything,
            None => Wanted::Privileges,
            Some(restricted) => restricted.wanted(base),
        }
    }

    /// The object is made: it gets its statement, owner, comment and labels.
    pub fn defines(&self, base: &Base) -> bool {
        self.wanted(base) == Wanted::Everything
    }

    /// Its privileges are given.
    pub fn grants(&self, base: &Base) -> bool {
        self.wanted(base) >= Wanted::Privileges && !self.has(Switch::NoPrivileges)
    }

    /// The rows of a table, the value of a sequence or the content of a materialized view, if it is of the user's own.
    pub fn fills(&self, relation: &Relation) -> bool {
        let excluded = |restricted: &Restricted| restricted.matches.leaves_rows_out(relation.oid());
        self.defines(&relation.base) && !self.restricted.as_ref().is_some_and(excluded)
    }

    /// The same for a table or sequence of an extension, where the extension says that the user's rows are in it.
    pub fn fills_configuration(&self, relation: &Relation) -> bool {
        let is_in = |one: &Restricted| one.matches.configuration(relation.oid(), schema_of(&relation.base));
        self.restricted.as_ref().is_none_or(is_in)
    }

    /// What stands in this schema, as far as nothing else is said of it.
    pub fn contents(&self, schema: &str) -> Wanted {
        self.restricted.as_ref().map_or(Wanted::Everything, |restricted| restricted.matches.schema(schema))
    }

    pub fn has_large_objects(&self) -> bool {
        let by_default = self.filter.includes_everything() || self.has(Switch::LargeObjects);
        by_default && !self.has(Switch::NoLargeObjects)
    }

    pub fn has_subscriptions(&self) -> bool {
        self.filter.includes_everything() && !self.has(Switch::NoSubscriptions)
    }

    /// Relations whose definitions have to be read; None for all.
    pub fn defined(&self) -> Option<Vec<u32>> {
        let restricted = self.restricted.as_ref()?;
        let wholly = restricted.relations.iter().filter(|(_, wanted)| **wanted == Wanted::Everything);
        let mut oids: Vec<u32> = wholly.map(|(oid, _)| *oid).collect();
        oids.sort_unstable();
        Some(oids)
    }

    fn kind_is_left_out(&self, class: u32) -> bool {
        match class {
            class::PG_PUBLICATION | class::PG_PUBLICATION_REL | class::PG_PUBLICATION_NAMESPACE => {
                self.has(Switch::NoPublications)
            }
            class::PG_SUBSCRIPTION => self.has(Switch::NoSubscriptions),
            _ => false,
        }
    }
}

impl Restricted {
    fn wanted(&self, base: &Base) -> Wanted {
        let matches = &self.matches;
        match base.id.class {
            class::PG_CLASS => self.relations.get(&base.id.oid).copied().unwrap_or(Wanted::Nothing),
            _ if base.extension_member => matches.member(base.id),
            class::PG_NAMESPACE => matches.schema(&base.name),
            class::PG_EXTENSION => matches.extension(base.id.oid),
            _ => match &base.schema {
                Some(schema) => matches.schema(schema),
                None if !matches.outside => Wanted::Nothing,
                None if base.in_system_schema => Wanted::Privileges,
                None => Wanted::Everything,
            },
        }
    }
}

fn schema_of(base: &Base) -> &str {
    base.schema.as_deref().unwrap_or_default()
}

/// The sequence of an identity column is a part of its table; one that a column owns comes with the table, too.
fn follow_owners(wanted: &mut HashMap<u32, Wanted>, sequences: &HashMap<u32, Sequence>) {
    for sequence in sequences.values() {
        let Some(owner) = &sequence.owned_by else { continue };
        let of_table = wanted.get(&owner.table).copied().unwrap_or(Wanted::Nothing);
        if let Some(own) = wanted.get_mut(&sequence.oid) {
            *own = if sequence.is_identity() { of_table } else { of_table.max(*own) };
        }
    }
}

impl Matches {
    /// The contents of a schema, and the schema itself.
    fn schema(&self, name: &str) -> Wanted {
        if self.tables.is_some() || self.excluded_schemas.contains(name) {
            return Wanted::Nothing;
        }
        match &self.schemas {
            Some(included) => Wanted::wholly(included.contains(name)),
            None if name == "pg_catalog" => Wanted::Privileges,
            None => Wanted::wholly(!name.starts_with("pg_") && name != "information_schema"),
        }
    }

    fn extension(&self, oid: u32) -> Wanted {
        if oid < FIRST_NORMAL_OID {
            return Wanted::Privileges;
        }
        let included = self.extensions.as_ref().map_or(self.outside, |included| included.contains(&oid));
        Wanted::wholly(included && !self.excluded_extensions.contains(&oid))
    }

    fn member(&self, id: ObjectId) -> Wanted {
        let of = self.members.get(&id).map_or(Wanted::Nothing, |extension| self.extension(*extension));
        of.min(Wanted::Privileges)
    }

    /// Before owners of sequences are asked. Relations of the server itself follow their schema, as all do.
    fn relation(&self, oid: u32, schema: &str) -> Wanted {
        let id = ObjectId::new(class::PG_CLASS, oid);
        if self.members.contains_key(&id) {
            return self.member(id);
        }
        let wanted = match &self.tables {
            Some(included) => Wanted::wholly(included.contains(&oid)),
            None => self.schema(schema),
        };
        if self.excluded_tables.contains(&oid) { Wanted::Nothing } else { wanted }
    }

    fn leaves_rows_out(&self, relation: u32) -> bool {
        self.without_rows.contains(&relation)
    }

    /// Rows of an extension's own table come with the extension, or with what names the table or its schema.
    fn configuration(&self, oid: u32, schema: &str) -> bool {
        let Some(extension) = self.members.get(&ObjectId::new(class::PG_CLASS, oid)) else { return false };
        let not_listed = self.extensions.as_ref().is_some_and(|included| !included.contains(extension));
        let excluded = self.excluded_extensions.contains(extension)
            || self.excluded_tables.contains(&oid)
            || self.excluded_schemas.contains(schema);
        let named = self.tables.as_ref().is_some_and(|included| included.contains(&oid));
        let wanted =
            named || self.extension(*extension) == Wanted::Everything || self.schema(schema) == Wanted::Everything;
        wanted && !not_listed && !excluded && !self.leaves_rows_out(oid)
    }

    /// A table that may be read, and must not change under our hands.
    pub fn reads(&self, oid: u32, schema: &str) -> bool {
        self.relation(oid, schema) == Wanted::Everything || self.configuration(oid, schema)
    }
}

#[cfg(test)]
mod tests;
