//! Privileges on configuration parameters, which servers have from 15 on.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ident::Ident;
use crate::pg::ddl::acl::{AclKind, between};
use crate::pg::session::Session;
use crate::pg::version::Capability;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameter {
    pub name: String,
    pub acl: Vec<String>,
    pub default_acl: Vec<String>,
}

pub async fn read(session: &Session) -> Result<Vec<Parameter>> {
    if !session.version().has(Capability::ParameterAcls) {
        return Ok(Vec::new());
    }
    let sql = "SELECT p.parname, p.paracl::pg_catalog.text[] AS acl,
           pg_catalog.acldefault('p', 10)::pg_catalog.text[] AS default_acl
         FROM pg_catalog.pg_parameter_acl p ORDER BY p.parname";
    let mut parameters = Vec::new();
    for row in session.rows(sql).await? {
        parameters.push(Parameter {
            name: row.text("parname")?,
            acl: row.text_array("acl")?,
            default_acl: row.text_array("default_acl")?,
        });
    }
    Ok(parameters)
}

impl Parameter {
    /// `founder` owns every parameter.
    pub fn grants(&self, founder: &str) -> Result<String> {
        let name = Ident::new(self.name.as_str()).to_string();
        between(AclKind::Parameter, &name, Some(founder), &self.default_acl, &self.acl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_founder_granted_needs_no_other_session() {
        let one = Parameter {
            name: "my.param".into(),
            acl: vec!["boss=sA/boss".into(), "app=s*/boss".into(), "other=s/app".into()],
            default_acl: vec!["boss=sA/boss".into()],
        };
        assert_eq!(
            one.grants("boss").unwrap(),
            "GRANT SET ON PARAMETER \"my.param\" TO \"app\" WITH GRANT OPTION;\nSET SESSION AUTHORIZATION \"app\";\n\
             GRANT SET ON PARAMETER \"my.param\" TO \"other\";\nRESET SESSION AUTHORIZATION;\n"
        );
    }
}
