//! What a table says itself and what it gets from its parents: columns, defaults, NOT NULL.
//!
//! A column that a child only inherits must not be named in its CREATE TABLE, or it would become the child's own.
//! Partitions are created as tables of their own and attached later, so they name everything.

use crate::pg::catalog::Catalog;
use crate::pg::catalog::column::Column;
use crate::pg::catalog::object::{ObjectId, class};
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::version::Capability;
use crate::text::Text;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DefaultPlan {
    None,
    /// In CREATE TABLE. The row of `pg_attrdef`, or 0 when we add `DEFAULT NULL` against a parent's default.
    Inline {
        oid: u32,
        expression: Box<str>,
    },
    /// By ALTER TABLE: the column is not in CREATE TABLE.
    Separate {
        oid: u32,
        expression: Box<str>,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotNullPlan {
    None,
    /// Behind the column, or as a table constraint when the column is not printed. No name: the server's choice.
    Inline {
        name: Option<Text>,
        no_inherit: bool,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ColumnPlan {
    pub print: bool,
    pub default: DefaultPlan,
    pub not_null: NotNullPlan,
}

/// What `parents` say about a column of the same name.
#[derive(Default)]
struct FromParents {
    not_null: bool,
    /// Some parent has a NOT NULL constraint, and none of those is validated.
    only_invalid_not_null: bool,
    default: bool,
    same_generated: bool,
    other_generated: bool,
}

impl Catalog {
    /// One plan a column of `relation`, in the columns' order. Made when they are asked for: the plans of a large schema
    /// would take as much memory as its columns.
    pub fn plan_columns(&self, relation: &Relation) -> Vec<ColumnPlan> {
        self.columns_of(relation.oid()).iter().map(|column| self.plan_column(relation, column)).collect()
    }

    pub fn plan_column(&self, relation: &Relation, column: &Column) -> ColumnPlan {
        if !relation.kind.is_table() {
            // Columns of views have no place for a default in CREATE VIEW.
            let default = match &column.default {
                Some(default) if relation.kind == RelationKind::View => {
                    DefaultPlan::Separate { oid: default.oid, expression: default.expression.clone() }
                }
                _ => DefaultPlan::None,
            };
            return ColumnPlan { print: true, default, not_null: NotNullPlan::None };
        }
        let print = column.is_local || relation.is_partition;
        let parents = self.inherited_by(relation, column);
        ColumnPlan {
            print,
            default: plan_default(relation, column, &parents, print),
            not_null: self.plan_not_null(relation, column, &parents),
        }
    }

    fn inherited_by(&self, relation: &Relation, column: &Column) -> FromParents {
        let mut found = FromParents::default();
        let (mut valid, mut invalid) = (false, false);
        for parent in self.inheritance.parents_of(relation.oid()) {
            let theirs = self.columns_of(*parent).iter().find(|theirs| theirs.name == column.name);
            let Some(theirs) = theirs else { continue };
            found.not_null |= theirs.not_null;
            if let Some(constraint) = self.not_null_of(*parent, theirs.number) {
                valid |= constraint.validated;
                invalid |= !constraint.validated;
            }
            let expression = theirs.default.as_ref().map(|default| &*default.expression);
            if theirs.is_generated() {
                let same = expression.is_some() && expression == column.default.as_ref().map(|d| &*d.expression);
                found.same_generated |= same;
                found.other_generated |= !same;
            } else {
                found.default |= expression.is_some_and(|expression| expression != "NULL");
            }
        }
        found.only_invalid_not_null = invalid && !valid;
        found
    }

    fn plan_not_null(&self, relation: &Relation, column: &Column, parents: &FromParents) -> NotNullPlan {
        let unnamed = NotNullPlan::Inline { name: None, no_inherit: false };
        if !self.version.has(Capability::NotNullConstraints) {
            let own = column.not_null && (!parents.not_null || relation.is_partition);
            return if own { unnamed } else { NotNullPlan::None };
        }
        let Some(constraint) = self.not_null_of(relation.oid(), column.number) else { return NotNullPlan::None };
        if !constraint.validated {
            return NotNullPlan::None;
        }
        if !(constraint.is_local || relation.is_partition || parents.only_invalid_not_null) {
            return NotNullPlan::None;
        }
        let chosen_by_server = format!("{}_{}_not_null", relation.base.name, column.name);
        let needs_name = constraint.name != *chosen_by_server
            || self.notes.comment(ObjectId::new(class::PG_CONSTRAINT, constraint.oid), 0).is_some();
        NotNullPlan::Inline { name: needs_name.then(|| constraint.name.clone()), no_inherit: constraint.no_inherit }
    }
}

fn plan_default(relation: &Relation, column: &Column, parents: &FromParents, print: bool) -> DefaultPlan {
    let inherits_generation = parents.same_generated && !parents.other_generated && !relation.is_partition;
    let (oid, expression) = match &column.default {
        Some(_) if inherits_generation => return DefaultPlan::None,
        Some(default) => (default.oid, default.expression.clone()),
        None if parents.default => (0, "NULL".into()),
        None => return DefaultPlan::None,
    };
    if print {
        DefaultPlan::Inline { oid, expression }
    } else if column.is_generated() {
        // There is no syntax to set a generation expression later; the column inherits its parent's.
        DefaultPlan::None
    } else {
        DefaultPlan::Separate { oid, expression }
    }
}
