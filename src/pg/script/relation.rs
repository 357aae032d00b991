//! Entries of relations and of what hangs on them.

use super::Draft;
use super::column_acl;
use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, QualifiedName};
use crate::pg::catalog::Catalog;
use crate::pg::catalog::column::Column;
use crate::pg::catalog::constraint::{Constraint, ConstraintKind};
use crate::pg::catalog::local::DefaultPlan;
use crate::pg::catalog::object::{ObjectId, class};
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::{comment, constraint, index, policy, rule, sequence, statistics, table, text, trigger, view};
use crate::pg::graph::{Node, NodeId, NodeKind, Ordered};
use crate::pg::version::Capability;
use crate::text::Text;

/// The entries of a node: none for what stands inside another's statement, or is not the user's.
pub fn drafts(catalog: &Catalog, ordered: &Ordered, id: NodeId) -> Result<Vec<Draft>> {
    let Some(node) = ordered.node(id) else { return Ok(Vec::new()) };
    if node.is_inline() {
        return Ok(Vec::new());
    }
    let maker = Maker { catalog, ordered, node, id };
    match node.kind {
        NodeKind::Table | NodeKind::View | NodeKind::MaterializedView | NodeKind::OtherRelation => maker.relation(),
        NodeKind::Default => maker.default(),
        NodeKind::AttachPartition => maker.attach_partition(),
        NodeKind::Check | NodeKind::Constraint | NodeKind::ForeignKey => maker.constraint(),
        NodeKind::Index => maker.index(),
        NodeKind::AttachIndex => maker.attach_index(),
        NodeKind::Statistics => maker.statistics(),
        NodeKind::ReturnRule => maker.replaced_view(),
        NodeKind::Rule => maker.rule(),
        NodeKind::Trigger => maker.trigger(),
        NodeKind::Policy => maker.policy(),
        NodeKind::Refresh => maker.refresh(),
        _ => Ok(Vec::new()),
    }
}

struct Maker<'a> {
    catalog: &'a Catalog,
    ordered: &'a Ordered,
    node: &'a Node,
    id: NodeId,
}

fn lost(what: &str) -> Error {
    Error::new(Kind::Bug, format!("cannot find {what} in the catalog that was read"))
}

/// The words for a relation in COMMENT ON and ALTER … OWNER TO, and the kind of its entry.
fn word(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::Table | RelationKind::Partitioned => "TABLE",
        RelationKind::Foreign => "FOREIGN TABLE",
        RelationKind::View => "VIEW",
        RelationKind::MaterializedView => "MATERIALIZED VIEW",
        RelationKind::Sequence => "SEQUENCE",
        RelationKind::Composite => "TYPE",
    }
}

fn draft(kind: &'static str, relation: &Relation, name: impl Into<Text>, sql: String) -> Draft {
    Draft {
        kind,
        schema: relation.base.schema.clone().unwrap_or_default(),
        name: name.into(),
        owner: relation.base.owner.clone().unwrap_or_default(),
        sql,
        table: Some(relation.oid()),
    }
}

impl<'a> Maker<'a> {
    fn about<T>(&self, list: &'a [T]) -> Result<&'a T> {
        self.node.pick(list).ok_or_else(|| lost(&format!("{:?} {}", self.node.kind, self.node.about)))
    }

    fn find(&self, relation: u32) -> Result<&'a Relation> {
        self.catalog.relation(relation).ok_or_else(|| lost("a relation"))
    }

    /// An entry for a part of a relation, named `relation part` in tables of contents, and its comment.
    fn part(&self, kind: &'static str, relation: &Relation, part: &str, sql: String) -> Draft {
        draft(kind, relation, format!("{} {part}", relation.base.name), sql)
    }

    fn notes(&self, id: ObjectId, relation: &Relation, on: &str, name: &str) -> Option<Draft> {
        let sql = comment::notes(&self.catalog.notes, id, 0, on);
        (!sql.is_empty()).then(|| draft("COMMENT", relation, name, sql))
    }

    /// An entry for a part whose comment is `ON <word> "part" ON "relation"`.
    fn noted(&self, kind: &'static str, id: ObjectId, relation: &Relation, part: &str, sql: String) -> Vec<Draft> {
        let word = match kind {
            "FK CONSTRAINT" | "CHECK CONSTRAINT" => "CONSTRAINT",
            word => word,
        };
        let on = format!("{word} {} ON {}", Ident::new(part), relation.qualified());
        let notes = self.notes(id, relation, &on, &format!("{word} {part} ON {}", relation.base.name));
        [Some(self.part(kind, relation, part, sql)), notes].into_iter().flatten().collect()
    }

    fn relation(&self) -> Result<Vec<Draft>> {
        let relation = self.about(&self.catalog.relations)?;
        if !self.catalog.selection.defines(&relation.base) || relation.kind == RelationKind::Composite {
            return Ok(Vec::new());
        }
        let name = || relation.base.name.clone();
        let mut drafts = vec![draft(word(relation), relation, name(), self.create(relation)?)];
        let sequence = self.catalog.sequences.get(&relation.oid());
        if !sequence.is_some_and(|sequence| sequence.is_identity()) {
            let on = format!("{} {}", word(relation), relation.qualified());
            drafts.push(draft("OWNER", relation, name(), text::alter_owner(&on, &relation.base)));
        }
        if let Some(owner) = sequence.filter(|one| !one.is_identity()).and_then(|one| one.owned_by.as_ref())
            && let Some(table) = self.catalog.defined_relation(owner.table)
        {
            let sql = sequence::owned_by(relation, &table.qualified(), &owner.column);
            drafts.push(draft("SEQUENCE OWNED BY", relation, name(), sql));
        }
        drafts.extend(self.relation_notes(relation));
        // Rows of an owned sequence's table, for whoever restores that table alone.
        if let Some(owner) = sequence.and_then(|sequence| sequence.owned_by.as_ref()) {
            drafts.iter_mut().for_each(|draft| draft.table = Some(owner.table));
        }
        Ok(drafts)
    }

    fn create(&self, relation: &Relation) -> Result<String> {
        let columns = self.catalog.columns_of(relation.oid());
        let definition = || self.catalog.views.get(&relation.oid()).ok_or_else(|| lost(&relation.base.name));
        let sql = match relation.kind {
            RelationKind::View if self.node.repair.stand_in => view::stand_in(relation, columns),
            RelationKind::View => view::create(relation, definition()?, false),
            RelationKind::MaterializedView => {
                view::create_materialized(relation, definition()?) + &table::settings(relation, columns)
            }
            RelationKind::Sequence => return self.create_sequence(relation),
            _ => self.create_table(relation) + &table::settings(relation, columns),
        };
        Ok(within_storage(relation, &sql) + &self.inline_notes(relation))
    }

    fn create_table(&self, relation: &Relation) -> String {
        let oid = relation.oid();
        let inline: Vec<&Node> = self.inline_parts().collect();
        let checks: Vec<&Constraint> = inline
            .iter()
            .filter(|node| node.kind == NodeKind::Check)
            .filter_map(|node| node.pick(&self.catalog.constraints))
            .collect();
        let defaults = self.parts_of_owner().filter(|node| node.kind == NodeKind::Default && node.repair.separate);
        let separate_defaults: Vec<u32> = defaults.filter_map(|node| node.id.map(|id| id.oid)).collect();
        let parents: Vec<QualifiedName> = self
            .catalog
            .inheritance
            .parents_of(oid)
            .iter()
            .filter_map(|parent| self.catalog.relation(*parent))
            .map(Relation::qualified)
            .collect();
        let refuses_unlogged = self.catalog.version.has(Capability::NoUnloggedPartitionedTables);
        table::create(&table::Table {
            relation,
            columns: self.catalog.columns_of(oid),
            plans: &self.catalog.plan_columns(relation),
            checks: &checks,
            parents: &parents,
            partition_key: self.catalog.inheritance.keys.get(&oid).map(String::as_str),
            separate_defaults: &separate_defaults,
            unlogged_allowed: relation.kind != RelationKind::Partitioned || !refuses_unlogged,
        })
    }

    fn parts_of_owner(&self) -> impl Iterator<Item = &'a Node> {
        self.ordered.parts_of(self.id).filter_map(|part| self.ordered.node(part))
    }

    fn inline_parts(&self) -> impl Iterator<Item = &'a Node> {
        self.parts_of_owner().filter(|node| node.is_inline())
    }

    /// Comments of constraints that have no entry of their own.
    fn inline_notes(&self, relation: &Relation) -> String {
        let inline = self.inline_parts().filter(|node| node.kind == NodeKind::Check);
        let inline = inline.filter_map(|node| node.pick(&self.catalog.constraints));
        let of_columns = self.catalog.not_nulls_of(relation.oid()).filter(|constraint| constraint.validated);
        let mut sql = String::new();
        for constraint in inline.chain(of_columns) {
            let on = format!("CONSTRAINT {} ON {}", Ident::new(constraint.name.as_str()), relation.qualified());
            let id = ObjectId::new(class::PG_CONSTRAINT, constraint.oid);
            sql.push_str(&comment::notes(&self.catalog.notes, id, 0, &on));
        }
        sql
    }

    fn create_sequence(&self, relation: &Relation) -> Result<String> {
        let sequence = self.catalog.sequences.get(&relation.oid()).ok_or_else(|| lost(&relation.base.name))?;
        match &sequence.owned_by {
            Some(owner) if sequence.is_identity() => {
                let table = self.find(owner.table)?;
                Ok(sequence::add_identity(relation, sequence, table, owner, self.catalog.version))
            }
            _ => Ok(sequence::create(relation, sequence)),
        }
    }

    fn relation_notes(&self, relation: &Relation) -> Vec<Draft> {
        let on = format!("{} {}", word(relation), relation.qualified());
        let name = format!("{} {}", word(relation), relation.base.name);
        let mut drafts: Vec<Draft> = self.notes(relation.base.id, relation, &on, &name).into_iter().collect();
        for column in self.catalog.columns_of(relation.oid()) {
            let on = format!("COLUMN {}.{}", relation.qualified(), Ident::new(column.name.as_str()));
            let sql = comment::notes(&self.catalog.notes, relation.base.id, i32::from(column.number), &on);
            if !sql.is_empty() {
                drafts.push(draft("COMMENT", relation, format!("COLUMN {}.{}", relation.base.name, column.name), sql));
            }
        }
        drafts
    }

    fn default(&self) -> Result<Vec<Draft>> {
        let relation = self.about(&self.catalog.relations)?;
        let is_own = |column: &&Column| {
            let default = column.default.as_ref().map(|default| default.oid);
            default.is_some() && default == self.node.id.map(|id| id.oid)
        };
        let column = self.catalog.columns_of(relation.oid()).iter().find(is_own).ok_or_else(|| lost("a default"))?;
        let plan = self.catalog.plan_column(relation, column).default;
        let (DefaultPlan::Inline { expression, .. } | DefaultPlan::Separate { expression, .. }) = plan else {
            return Ok(Vec::new());
        };
        let sql = table::set_default(relation, &column.name, &expression);
        Ok(vec![self.part("DEFAULT", relation, &column.name, sql)])
    }

    fn attach_partition(&self) -> Result<Vec<Draft>> {
        let relation = self.about(&self.catalog.relations)?;
        let parent = self.catalog.inheritance.parents_of(relation.oid()).first().ok_or_else(|| lost("a parent"))?;
        let bound = self.catalog.inheritance.bounds.get(&relation.oid()).ok_or_else(|| lost("a bound"))?;
        let sql = table::attach_partition(self.find(*parent)?, relation, bound);
        Ok(vec![draft("TABLE ATTACH", relation, relation.base.name.clone(), sql)])
    }

    fn constraint(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.constraints)?;
        let relation = self.find(one.relation)?;
        let id = ObjectId::new(class::PG_CONSTRAINT, one.oid);
        let made = |kind, sql| Ok(self.noted(kind, id, relation, &one.name, sql));
        match one.kind {
            ConstraintKind::Check => made("CHECK CONSTRAINT", constraint::add_check(relation, one)),
            ConstraintKind::ForeignKey => made("FK CONSTRAINT", constraint::add_foreign_key(relation, one)),
            ConstraintKind::NotNull => {
                let column = one.key.first().and_then(|number| self.column(relation, *number));
                let column = column.ok_or_else(|| lost("a column"))?;
                made("CONSTRAINT", constraint::add_not_null(relation, one, column))
            }
            ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
                let of = self.catalog.index(one.index).ok_or_else(|| lost(&one.name))?;
                let columns = self.catalog.columns_of(relation.oid());
                let sql = constraint::add_key(relation, one, of, columns).ok_or_else(|| lost(&one.name))?;
                let sql = within_tablespace(of.tablespace.as_deref(), sql) + &index::settings(of, relation);
                made("CONSTRAINT", sql)
            }
        }
    }

    fn column(&self, relation: &Relation, number: i16) -> Option<&'a Column> {
        self.catalog.columns_of(relation.oid()).iter().find(|column| column.number == number)
    }

    fn index(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.indexes)?;
        let relation = self.find(one.table)?;
        let on = format!("INDEX {}", one.qualified());
        let id = ObjectId::new(class::PG_CLASS, one.oid);
        let notes = self.notes(id, relation, &on, &format!("INDEX {}", one.name));
        if self.catalog.is_of_constraint(one.oid) {
            return Ok(notes.into_iter().collect());
        }
        let columns = self.catalog.columns_of(relation.oid());
        let create = index::create(one, relation, columns, &self.catalog.index_names).ok_or_else(|| lost(&one.name))?;
        let sql = within_tablespace(one.tablespace.as_deref(), create) + &index::settings(one, relation);
        let made = draft("INDEX", relation, one.name.clone(), sql);
        Ok([Some(made), notes].into_iter().flatten().collect())
    }

    fn attach_index(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.indexes)?;
        let parent = self.catalog.index(one.parent).ok_or_else(|| lost(&one.name))?;
        let sql = index::attach(parent, one);
        Ok(vec![draft("INDEX ATTACH", self.find(one.table)?, one.name.clone(), sql)])
    }

    fn statistics(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.statistics)?;
        let relation = self.find(one.table)?;
        let on = format!("STATISTICS {}", text::full_name(&one.base));
        let made = [
            ("STATISTICS", statistics::create(one)),
            ("OWNER", text::alter_owner(&on, &one.base)),
            ("COMMENT", comment::notes(&self.catalog.notes, one.base.id, 0, &on)),
        ];
        let made = made.into_iter().filter(|(_, sql)| !sql.is_empty()).map(|(kind, sql)| Draft {
            kind,
            schema: one.base.schema.clone().unwrap_or_default(),
            name: one.base.name.clone(),
            owner: one.base.owner.clone().unwrap_or_default(),
            sql,
            table: Some(relation.oid()),
        });
        Ok(made.collect())
    }

    /// The view itself, after a stand-in had its place.
    fn replaced_view(&self) -> Result<Vec<Draft>> {
        let of = self.about(&self.catalog.rules)?;
        let relation = self.find(of.relation)?;
        let definition = self.catalog.views.get(&relation.oid()).ok_or_else(|| lost(&relation.base.name))?;
        let sql = view::create(relation, definition, true);
        Ok(vec![self.part("RULE", relation, &of.name, sql)])
    }

    fn rule(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.rules)?;
        let relation = self.find(one.relation)?;
        let Some(definition) = &one.definition else { return Ok(Vec::new()) };
        let id = ObjectId::new(class::PG_REWRITE, one.oid);
        Ok(self.noted("RULE", id, relation, &one.name, rule::create(one, definition, relation)))
    }

    fn trigger(&self) -> Result<Vec<Draft>> {
        let one = self.about(&self.catalog.triggers)?;
        let relation = self.find(one.table)?;
        let id = ObjectId::new(class::PG_TRIGGER, one.oid);
        Ok(self.noted("TRIGGER", id, relation, &one.name, trigger::create(one, relation)))
    }

    fn policy(&self) -> Result<Vec<Draft>> {
        if self.node.id.is_none() {
            let relation = self.about(&self.catalog.relations)?;
            let sql = table::enable_row_security(relation);
            return Ok(vec![draft("ROW SECURITY", relation, relation.base.name.clone(), sql)]);
        }
        let one = self.about(&self.catalog.policies)?;
        let relation = self.find(one.table)?;
        let id = ObjectId::new(class::PG_POLICY, one.oid);
        Ok(self.noted("POLICY", id, relation, &one.name, policy::create(one, relation)))
    }

    fn refresh(&self) -> Result<Vec<Draft>> {
        let relation = self.about(&self.catalog.relations)?;
        let name = relation.base.name.clone();
        Ok(vec![draft("MATERIALIZED VIEW DATA", relation, name, view::refresh(relation))])
    }
}

/// The statement under the tablespace and access method that it was made with. Both settings start out as the
/// defaults and go back to them: no entry leaves anything behind.
fn within_storage(relation: &Relation, sql: &str) -> String {
    let method = match (relation.kind, relation.access_method.as_deref()) {
        (RelationKind::Table | RelationKind::MaterializedView, Some(method)) if method != "heap" => Some(method),
        _ => None,
    };
    let sql = within_tablespace(relation.tablespace.as_deref(), sql.to_owned());
    match method {
        Some(method) => format!(
            "SET default_table_access_method = {};\n{sql}SET default_table_access_method = heap;\n",
            Ident::new(method)
        ),
        None => sql,
    }
}

fn within_tablespace(tablespace: Option<&str>, sql: String) -> String {
    match tablespace {
        Some(name) => format!("SET default_tablespace = {};\n{sql}SET default_tablespace = '';\n", Ident::new(name)),
        None => sql,
    }
}

pub fn privileges(catalog: &Catalog, ordered: &Ordered, id: NodeId) -> Result<Vec<Draft>> {
    let Some(node) = ordered.node(id) else { return Ok(Vec::new()) };
    match node.kind {
        NodeKind::Table | NodeKind::View | NodeKind::MaterializedView | NodeKind::OtherRelation => {
            let relation = node.pick(&catalog.relations).ok_or_else(|| lost("a relation"))?;
            relation_privileges(catalog, relation)
        }
        _ => Ok(Vec::new()),
    }
}

/// Privileges on a relation and, behind them, on its columns.
pub fn relation_privileges(catalog: &Catalog, relation: &Relation) -> Result<Vec<Draft>> {
    if !catalog.selection.grants(&relation.base) {
        return Ok(Vec::new());
    }
    let (kind, word) = match relation.kind {
        RelationKind::Composite => return Ok(Vec::new()),
        RelationKind::Sequence => (AclKind::Sequence, "SEQUENCE"),
        _ => (AclKind::Table, "TABLE"),
    };
    let sql = acl::of_object(&relation.base, kind, &relation.qualified().to_string())?;
    let mut drafts = Vec::new();
    if !sql.is_empty() {
        drafts.push(draft("ACL", relation, format!("{word} {}", relation.base.name), sql));
    }
    for (column, sql) in column_acl::statements(relation, catalog.columns_of(relation.oid()))? {
        drafts.push(draft("ACL", relation, format!("COLUMN {}.{column}", relation.base.name), sql));
    }
    if let Some(owner) = catalog.sequences.get(&relation.oid()).and_then(|sequence| sequence.owned_by.as_ref()) {
        drafts.iter_mut().for_each(|draft| draft.table = Some(owner.table));
    }
    Ok(drafts)
}
