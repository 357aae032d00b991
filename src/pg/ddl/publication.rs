//! CREATE PUBLICATION, and the statements that put tables and schemas into it.

use crate::ident::Ident;
use crate::pg::catalog::publication::{Publication, PublicationSchema, PublicationTable};
use crate::pg::ddl::text;

pub fn identity(publication: &Publication) -> String {
    format!("PUBLICATION {}", Ident::new(publication.base.name.as_str()))
}

pub fn create(publication: &Publication) -> String {
    let all = if publication.all_tables { " FOR ALL TABLES" } else { "" };
    let mut options = vec![format!("publish = '{}'", publication.publishes.join(", "))];
    if publication.via_partition_root {
        options.push("publish_via_partition_root = true".to_owned());
    }
    if publication.generated_columns_stored {
        options.push("publish_generated_columns = stored".to_owned());
    }
    format!("CREATE {}{all} WITH ({});\n", identity(publication), options.join(", "))
}

pub fn alter_owner(publication: &Publication) -> String {
    text::alter_owner(&identity(publication), &publication.base)
}

pub fn add_table(table: &PublicationTable) -> String {
    let publication = Ident::new(table.publication.as_str());
    let mut sql = format!("ALTER PUBLICATION {publication} ADD TABLE ONLY {}", table.table);
    if let Some(columns) = &table.columns {
        let columns: Vec<String> = columns.iter().map(|name| Ident::new(name.as_str()).to_string()).collect();
        sql.push_str(&format!(" ({})", columns.join(", ")));
    }
    if let Some(filter) = &table.filter {
        sql.push_str(&format!(" WHERE ({filter})"));
    }
    sql + ";\n"
}

pub fn add_schema(schema: &PublicationSchema) -> String {
    let publication = Ident::new(schema.publication.as_str());
    format!("ALTER PUBLICATION {publication} ADD TABLES IN SCHEMA {};\n", Ident::new(schema.schema.as_str()))
}

/// pg_dump's name for a member in its table of contents.
pub fn tag(publication: &str, member: &str) -> String {
    format!("{publication} {member}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::QualifiedName;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn publications_and_members() {
        let publication = Publication {
            base: base(class::PG_PUBLICATION, None, "p"),
            all_tables: true,
            publishes: vec!["insert", "truncate"],
            via_partition_root: true,
            generated_columns_stored: true,
        };
        assert_eq!(
            create(&publication),
            "CREATE PUBLICATION \"p\" FOR ALL TABLES WITH (publish = 'insert, truncate', \
             publish_via_partition_root = true, publish_generated_columns = stored);\n"
        );
        let mut table = PublicationTable {
            base: base(class::PG_PUBLICATION_REL, None, "p"),
            publication: "p".into(),
            relation: 1,
            table: QualifiedName::new("s", "t"),
            columns: Some(vec!["a".into(), "B".into()]),
            filter: Some("(a > 1)".into()),
        };
        assert_eq!(
            add_table(&table),
            "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"s\".\"t\" (\"a\", \"B\") WHERE ((a > 1));\n"
        );
        (table.columns, table.filter) = (None, None);
        assert_eq!(add_table(&table), "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"s\".\"t\";\n");
        let schema = PublicationSchema {
            base: base(class::PG_PUBLICATION_NAMESPACE, None, "p"),
            publication: "p".into(),
            schema: "s".into(),
        };
        assert_eq!(add_schema(&schema), "ALTER PUBLICATION \"p\" ADD TABLES IN SCHEMA \"s\";\n");
        assert_eq!(tag("p", "s"), "p s");
    }
}
