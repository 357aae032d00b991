//! CREATE FUNCTION and CREATE PROCEDURE.

use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, Literal};
use crate::pg::catalog::function::{Body, Function, FunctionKind};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::text::{self, dollar_quoted, full_name};

pub fn identity(function: &Function) -> String {
    let word = if function.kind == FunctionKind::Procedure { "PROCEDURE" } else { "FUNCTION" };
    format!("{word} {}", signature(function))
}

fn signature(function: &Function) -> String {
    format!("{}({})", full_name(&function.base), function.identity_arguments)
}

/// pg_dump's name for it in its table of contents.
pub fn tag(function: &Function) -> String {
    format!("{}({})", function.base.name, function.argument_types.join(", "))
}

pub fn create(function: &Function) -> Result<String> {
    let word = if function.kind == FunctionKind::Procedure { "PROCEDURE" } else { "FUNCTION" };
    let mut sql = format!("CREATE {word} {}({})", full_name(&function.base), function.arguments);
    if let Some(result) = &function.result {
        sql.push_str(&format!(" RETURNS {result}"));
    }
    sql.push_str(&format!("\n    LANGUAGE {}", Ident::new(function.language.as_str())));
    if !function.transforms.is_empty() {
        let types: Vec<String> = function.transforms.iter().map(|ty| format!("FOR TYPE {ty}")).collect();
        sql.push_str(&format!(" TRANSFORM {}", types.join(", ")));
    }
    sql.push_str(&properties(function));
    for item in &function.settings {
        let setting = text::setting(item).ok_or_else(|| {
            Error::new(Kind::Unsupported, format!("cannot read setting `{item}` of {}", identity(function)))
        })?;
        sql.push_str(&format!("\n    SET {setting}"));
    }
    sql.push_str(&match &function.body {
        Body::Sql(body) => format!("\n    {body};\n"),
        Body::Library { file, symbol } => format!("\n    AS {}, {};\n", Literal(file), Literal(symbol)),
        Body::Source(source) => format!("\n    AS {};\n", dollar_quoted(source)),
    });
    for extension in &function.depends_on_extensions {
        let extension = Ident::new(extension.as_str());
        sql.push_str(&format!("ALTER {} DEPENDS ON EXTENSION {extension};\n", identity(function)));
    }
    Ok(sql)
}

/// What differs from what CREATE FUNCTION assumes.
fn properties(function: &Function) -> String {
    let mut sql = String::new();
    let mut add = |text: &str| {
        sql.push(' ');
        sql.push_str(text);
    };
    if function.kind == FunctionKind::Window {
        add("WINDOW");
    }
    match function.volatility {
        'i' => add("IMMUTABLE"),
        's' => add("STABLE"),
        _ => {}
    }
    if function.strict {
        add("STRICT");
    }
    if function.security_definer {
        add("SECURITY DEFINER");
    }
    if function.leakproof {
        add("LEAKPROOF");
    }
    let usual_cost = if matches!(function.language.as_str(), "internal" | "c") { 1.0 } else { 100.0 };
    if function.cost != usual_cost && function.kind != FunctionKind::Procedure {
        add(&format!("COST {}", function.cost));
    }
    if function.returns_set && function.rows != 0.0 && function.rows != 1000.0 {
        add(&format!("ROWS {}", function.rows));
    }
    if let Some(support) = &function.support {
        add(&format!("SUPPORT {support}"));
    }
    match function.parallel {
        's' => add("PARALLEL SAFE"),
        'r' => add("PARALLEL RESTRICTED"),
        _ => {}
    }
    sql
}

pub fn alter_owner(function: &Function) -> String {
    text::alter_owner(&identity(function), &function.base)
}

pub fn acl(function: &Function) -> Result<String> {
    let kind = if function.kind == FunctionKind::Procedure { AclKind::Procedure } else { AclKind::Function };
    acl::of_object(&function.base, kind, &signature(function))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    fn function() -> Function {
        Function {
            base: base(class::PG_PROC, Some("s"), "f"),
            kind: FunctionKind::Function,
            arguments: "a text DEFAULT 'x'::text, VARIADIC b integer[]".into(),
            identity_arguments: "a text, VARIADIC b integer[]".into(),
            argument_types: vec!["text".into(), "integer[]".into()],
            result: Some("SETOF text".into()),
            returns_set: true,
            language: "plpgsql".into(),
            transforms: vec!["public.hstore".into()],
            volatility: 's',
            strict: true,
            security_definer: true,
            leakproof: true,
            cost: 0.5,
            rows: 7.0,
            support: Some("s.support".into()),
            parallel: 'r',
            settings: vec!["search_path=\"A b\", pg_temp".into(), "work_mem=8MB".into()],
            body: Body::Source("BEGIN $$ END".into()),
            depends_on_extensions: vec!["hstore".into()],
        }
    }

    #[test]
    fn every_clause_is_written() {
        assert_eq!(
            create(&function()).unwrap(),
            "CREATE FUNCTION \"s\".\"f\"(a text DEFAULT 'x'::text, VARIADIC b integer[]) RETURNS SETOF text\n    \
             LANGUAGE \"plpgsql\" TRANSFORM FOR TYPE public.hstore STABLE STRICT SECURITY DEFINER LEAKPROOF COST 0.5 \
             ROWS 7 SUPPORT s.support PARALLEL RESTRICTED\n    \
             SET \"search_path\" TO 'A b', 'pg_temp'\n    SET \"work_mem\" TO '8MB'\n    AS $_$BEGIN $$ END$_$;\n\
             ALTER FUNCTION \"s\".\"f\"(a text, VARIADIC b integer[]) DEPENDS ON EXTENSION \"hstore\";\n"
        );
        assert_eq!(tag(&function()), "f(text, integer[])");
    }

    #[test]
    fn a_procedure_and_other_bodies() {
        let mut procedure = function();
        procedure.kind = FunctionKind::Procedure;
        procedure.result = None;
        procedure.returns_set = false;
        procedure.language = "sql".into();
        procedure.transforms.clear();
        procedure.settings.clear();
        procedure.depends_on_extensions.clear();
        (procedure.volatility, procedure.parallel, procedure.support) = ('v', 'u', None);
        (procedure.strict, procedure.leakproof, procedure.security_definer) = (false, false, false);
        procedure.body = Body::Sql("BEGIN ATOMIC\n SELECT 1;\nEND".into());
        assert_eq!(
            create(&procedure).unwrap(),
            "CREATE PROCEDURE \"s\".\"f\"(a text DEFAULT 'x'::text, VARIADIC b integer[])\n    LANGUAGE \"sql\"\n    \
             BEGIN ATOMIC\n SELECT 1;\nEND;\n"
        );
        procedure.body = Body::Library { file: "$libdir/x".into(), symbol: "sym".into() };
        assert!(create(&procedure).unwrap().ends_with("\n    AS '$libdir/x', 'sym';\n"));
        assert_eq!(
            alter_owner(&procedure),
            "ALTER PROCEDURE \"s\".\"f\"(a text, VARIADIC b integer[]) OWNER TO \"own\";\n"
        );
    }

    #[test]
    fn a_setting_without_a_value_is_refused() {
        let mut odd = function();
        odd.settings = vec!["work_mem".into()];
        assert_eq!(create(&odd).unwrap_err().kind(), Kind::Unsupported);
    }
}
