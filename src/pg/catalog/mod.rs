//! What a database contains, read from `pg_catalog`: one set-wise query a kind, never one an object.
//!
//! Each kind has a file with its struct and `load(&Session) -> Result<Vec<…>>`; `pg::ddl` has the file of the same
//! name that turns it into statements. Queries name everything with `pg_catalog.` and rely on nothing in the path.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::pg::filter::Switch;
use crate::pg::selection::Selection;
use crate::pg::session::Session;
use crate::pg::version::ServerVersion;

pub mod access_method;
pub mod aggregate;
pub mod cast;
pub mod collation;
pub mod column;
pub mod comment;
pub mod constraint;
pub mod conversion;
pub mod default_acl;
pub mod depend;
pub mod event_trigger;
pub mod extension;
pub mod foreign;
pub mod function;
pub mod index;
pub mod inheritance;
pub mod language;
pub mod large_object;
pub mod local;
mod nameless;
pub mod object;
pub mod operator;
pub mod operator_class;
pub mod planner_statistics;
pub mod policy;
pub mod publication;
pub mod relation;
pub mod rule;
pub mod schema;
pub mod scope;
pub mod sequence;
pub mod statistics;
pub mod subscription;
pub mod text_search;
pub mod transform;
pub mod trigger;
pub mod types;
pub mod view;

/// Relations and everything that hangs on them, the dependencies of all kinds, and what people noted.
pub struct Catalog {
    pub version: ServerVersion,
    pub selection: Selection,
    pub relations: Vec<relation::Relation>,
    by_oid: HashMap<u32, usize>,
    pub columns: HashMap<u32, Vec<column::Column>>,
    pub constraints: Vec<constraint::Constraint>,
    constraint_indexes: HashSet<u32>,
    /// NOT NULL constraints by table and column, as positions in `constraints`.
    not_nulls: BTreeMap<(u32, i16), usize>,
    pub indexes: Vec<index::Index>,
    pub index_names: index::Names,
    index_by_oid: HashMap<u32, usize>,
    pub sequences: HashMap<u32, sequence::Sequence>,
    pub inheritance: inheritance::Inheritance,
    pub triggers: Vec<trigger::Trigger>,
    pub rules: Vec<rule::Rule>,
    pub policies: Vec<policy::Policy>,
    pub views: HashMap<u32, String>,
    pub statistics: Vec<statistics::Statistics>,
    pub dependencies: Vec<depend::Dependency>,
    pub notes: comment::Notes,
}

impl Catalog {
    /// Reads what is selected, by two sessions at once (or twice the same one): most of the time goes into the
    /// server's deparsing of expressions. Both must see one snapshot, and the tables must be locked: the
    /// server deparses what is there now, not what was at the snapshot.
    pub async fn load(
        readers: (&Session, &Session),
        relations: Vec<relation::Relation>,
        sequences: HashMap<u32, sequence::Sequence>,
        selection: Selection,
    ) -> Result<Self> {
        let (session, other) = readers;
        let scope = scope::Scope::load(session, &selection).await?;
        let (first, second) =
            tokio::try_join!(FirstHalf::load(session, &scope, &selection), SecondHalf::load(other, &scope))?;
        Ok(Catalog::of(session.version(), relations, sequences, selection, first, second))
    }

    fn of(
        version: ServerVersion,
        relations: Vec<relation::Relation>,
        sequences: HashMap<u32, sequence::Sequence>,
        selection: Selection,
        first: FirstHalf,
        second: SecondHalf,
    ) -> Self {
        let mut catalog = Catalog {
            version,
            by_oid: relations.iter().enumerate().map(|(index, relation)| (relation.oid(), index)).collect(),
            relations,
            columns: first.columns,
            constraints: second.constraints,
            constraint_indexes: HashSet::new(),
            not_nulls: BTreeMap::new(),
            indexes: first.indexes,
            index_names: first.index_names,
            index_by_oid: HashMap::new(),
            sequences,
            inheritance: second.inheritance,
            triggers: second.triggers,
            rules: second.rules,
            policies: second.policies,
            views: second.views,
            statistics: second.statistics,
            dependencies: first.dependencies,
            notes: first.notes,
            selection,
        };
        if catalog.selection.has(Switch::NoTablespaces) {
            catalog.forget_tablespaces();
        }
        catalog.index_by_oid = catalog.indexes.iter().enumerate().map(|(position, one)| (one.oid, position)).collect();
        for (position, one) in catalog.constraints.iter().enumerate() {
            match one.kind {
                constraint::ConstraintKind::NotNull => {
                    catalog.not_nulls.extend(one.key.first().map(|column| ((one.relation, *column), position)));
                }
                constraint::ConstraintKind::Check => {}
                // A foreign key names the index that it refers to, which is not its own.
                constraint::ConstraintKind::ForeignKey => {}
                _ => _ = catalog.constraint_indexes.insert(one.index),
            }
        }
        catalog
    }

    /// How many columns have a default or are generated.
    pub fn defaults(&self) -> usize {
        self.columns.values().flatten().filter(|column| column.default.is_some()).count()
    }

    pub fn relation(&self, oid: u32) -> Option<&relation::Relation> {
        self.by_oid.get(&oid).and_then(|index| self.relations.get(*index))
    }

    /// The relation, if it is to be made.
    pub fn defined_relation(&self, oid: u32) -> Option<&relation::Relation> {
        self.relation(oid).filter(|relation| self.selection.defines(&relation.base))
    }

    /// Parts of relations that only a wanted relation has in the order of things, and that are no surprise without.
    pub fn known_parts(&self) -> HashSet<object::ObjectId> {
        let policies = self.policies.iter();
        let policies = policies.map(|policy| object::ObjectId::new(object::class::PG_POLICY, policy.oid));
        policies.chain(self.statistics.iter().map(|one| one.base.id)).collect()
    }

    fn forget_tablespaces(&mut self) {
        self.relations.iter_mut().for_each(|relation| relation.tablespace = None);
        self.indexes.iter_mut().for_each(|index| index.tablespace = None);
    }

    pub fn index(&self, oid: u32) -> Option<&index::Index> {
        self.index_by_oid.get(&oid).and_then(|position| self.indexes.get(*position))
    }

    /// Whether a constraint made this index.
    pub fn is_of_constraint(&self, index: u32) -> bool {
        self.constraint_indexes.contains(&index)
    }

    /// NOT NULL constraints of a table, by column.
    pub fn not_nulls_of(&self, relation: u32) -> impl Iterator<Item = &constraint::Constraint> {
        let positions = self.not_nulls.range((relation, i16::MIN)..=(relation, i16::MAX));
        positions.filter_map(|(_, position)| self.constraints.get(*position))
    }

    pub fn not_null_of(&self, relation: u32, column: i16) -> Option<&constraint::Constraint> {
        self.not_nulls.get(&(relation, column)).and_then(|position| self.constraints.get(*position))
    }

    pub fn columns_of(&self, relation: u32) -> &[column::Column] {
        self.columns.get(&relation).map_or(&[], Vec::as_slice)
    }
}

/// What one of the two sessions reads; both halves take about the same time.
struct FirstHalf {
    columns: HashMap<u32, Vec<column::Column>>,
    indexes: Vec<index::Index>,
    index_names: index::Names,
    dependencies: Vec<depend::Dependency>,
    notes: comment::Notes,
}

impl FirstHalf {
    async fn load(session: &Session, scope: &scope::Scope, selection: &Selection) -> Result<Self> {
        Ok(FirstHalf {
            columns: column::load(session, scope).await?,
            indexes: index::load(session, scope).await?,
            index_names: index::Names::load(session).await?,
            dependencies: depend::load(session).await?,
            notes: comment::Notes::load(session, selection).await?,
        })
    }
}

/// What the other one reads.
struct SecondHalf {
    constraints: Vec<constraint::Constraint>,
    inheritance: inheritance::Inheritance,
    triggers: Vec<trigger::Trigger>,
    rules: Vec<rule::Rule>,
    policies: Vec<policy::Policy>,
    views: HashMap<u32, String>,
    statistics: Vec<statistics::Statistics>,
}

impl SecondHalf {
    async fn load(session: &Session, scope: &scope::Scope) -> Result<Self> {
        Ok(SecondHalf {
            constraints: constraint::load(session, scope).await?,
            inheritance: inheritance::load(session, scope).await?,
            triggers: trigger::load(session, scope).await?,
            rules: rule::load(session, scope).await?,
            policies: policy::load(session, scope).await?,
            views: view::load(session, scope).await?,
            statistics: statistics::load(session).await?,
        })
    }
}
