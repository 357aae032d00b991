//! Who is a member of whom: in an order in which every grantor holds the admin option before it grants, and in words
//! that servers before and from 16 on take.

use std::collections::{BTreeMap, BTreeSet};

use super::Globals;
use crate::ident::{Ident, Literal};
use crate::pg::ddl::text::dollar_quoted;
use crate::pg::role::Membership;

/// All of them, role by role. Where grantors wait for each other, which only servers before 16 let happen, the
/// first one goes first.
pub fn ordered(globals: &Globals) -> Vec<&Membership> {
    let mut roles: BTreeMap<&str, Vec<&Membership>> = BTreeMap::new();
    for membership in &globals.memberships {
        roles.entry(&membership.role).or_default().push(membership);
    }
    roles.into_values().flat_map(|grants| of_role(globals, grants)).collect()
}

fn of_role<'a>(globals: &Globals, grants: Vec<&'a Membership>) -> Vec<&'a Membership> {
    let mut admins: BTreeSet<&str> = BTreeSet::new();
    let (mut done, mut waiting) = (Vec::new(), grants);
    while !waiting.is_empty() {
        let is_ready = |one: &&Membership| grantor(globals, one).is_none_or(|grantor| admins.contains(grantor));
        let (mut ready, mut later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            ready.push(later.remove(0));
        }
        admins.extend(ready.iter().filter(|one| one.admin).map(|one| one.member.as_str()));
        done.append(&mut ready);
        waiting = later;
    }
    done
}

/// Who has to be named: the server itself grants where nobody is.
pub fn grantor<'a>(globals: &Globals, membership: &'a Membership) -> Option<&'a str> {
    membership.grantor.as_deref().filter(|name| !globals.is_founder(name))
}

/// Whether a server that knows no options of memberships would give no more than there was.
fn fits_old_servers(globals: &Globals, one: &Membership) -> bool {
    let inherits = globals.role(&one.member).is_none_or(|member| member.inherit);
    one.set != Some(false) && (one.inherit != Some(false) || !inherits)
}

pub fn make(globals: &Globals, one: &Membership) -> String {
    let grantor = grantor(globals, one);
    let old = match fits_old_servers(globals, one) {
        true => grant(one, &options(one, false), grantor),
        false => {
            "    RAISE EXCEPTION 'this server knows no membership that is not inherited or cannot be SET';\n".to_owned()
        }
    };
    let body = format!(
        "BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_attribute
             WHERE attrelid = 'pg_catalog.pg_auth_members'::pg_catalog.regclass AND attname = 'inherit_option') THEN
{}  ELSE
{old}  END IF;
END",
        grant(one, &options(one, true), grantor)
    );
    format!("DO {};\n", dollar_quoted(&body))
}

/// ` WITH …`, or nothing.
fn options(one: &Membership, named: bool) -> String {
    let word = |name: &str, value: bool| format!("{name} {}", if value { "TRUE" } else { "FALSE" });
    let admin = one.admin.then(|| "ADMIN OPTION".to_owned());
    let others = [one.inherit.map(|value| word("INHERIT", value)), one.set.map(|value| word("SET", value))];
    let others = others.into_iter().flatten().filter(|_| named);
    let all: Vec<String> = admin.into_iter().chain(others).collect();
    if all.is_empty() { String::new() } else { format!(" WITH {}", all.join(", ")) }
}

/// A grantor that may not, or is not there, does not cost the membership.
fn grant(one: &Membership, options: &str, grantor: Option<&str>) -> String {
    let (role, member) = (Ident::new(one.role.as_str()), Ident::new(one.member.as_str()));
    let plain = format!("GRANT {role} TO {member}{options}");
    let Some(grantor) = grantor else { return format!("    EXECUTE {};\n", Literal(&plain)) };
    let named = format!("{plain} GRANTED BY {}", Ident::new(grantor));
    format!(
        "    BEGIN
      EXECUTE {};
    EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation OR undefined_object THEN
      RAISE WARNING 'membership of % in % cannot be granted by %: %', {}, {}, {}, SQLERRM;
      EXECUTE {};
    END;
",
        Literal(&named),
        Literal(&one.member),
        Literal(&one.role),
        Literal(grantor),
        Literal(&plain)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::role::Role;

    fn membership(member: &str, admin: bool, grantor: Option<&str>) -> Membership {
        Membership {
            role: "r".into(),
            member: member.into(),
            admin,
            inherit: Some(true),
            set: Some(true),
            grantor: grantor.map(str::to_owned),
        }
    }

    fn globals(memberships: Vec<Membership>) -> Globals {
        Globals { bootstrap_superuser: "boss".into(), memberships, ..Globals::default() }
    }

    fn order(globals: &Globals) -> Vec<&str> {
        ordered(globals).iter().map(|one| one.member.as_str()).collect()
    }

    #[test]
    fn a_grantor_holds_its_option_before_it_grants() {
        let chain = globals(vec![
            membership("a", false, Some("b")),
            membership("b", true, Some("c")),
            membership("c", true, Some("boss")),
            membership("d", false, None),
        ]);
        let order = order(&chain);
        let at = |name: &str| order.iter().position(|one| *one == name).unwrap();
        assert!(at("c") < at("b") && at("b") < at("a"), "{order:?}");
        assert_eq!(order.len(), 4);
    }

    #[test]
    fn circles_and_strangers_lose_no_membership() {
        let circle = globals(vec![
            membership("a", true, Some("b")),
            membership("b", true, Some("a")),
            membership("c", false, Some("nobody")),
        ]);
        assert_eq!(order(&circle), ["a", "b", "c"]);
    }

    #[test]
    fn an_old_server_is_never_given_more_than_there_was() {
        let mut one = membership("a", true, Some("b"));
        one.inherit = Some(false);
        let mut all = globals(vec![]);
        assert!(make(&all, &one).contains("RAISE EXCEPTION"));
        all.roles.push(Role { name: "a".into(), inherit: false, ..Role::default() });
        let text = make(&all, &one);
        assert!(!text.contains("RAISE EXCEPTION"), "{text}");
        assert!(
            text.contains(r#"'GRANT "r" TO "a" WITH ADMIN OPTION, INHERIT FALSE, SET TRUE GRANTED BY "b"'"#),
            "{text}"
        );
        assert!(text.contains(r#"'GRANT "r" TO "a" WITH ADMIN OPTION GRANTED BY "b"'"#), "{text}");
    }
}
