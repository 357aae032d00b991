//! Whose globals are backed up: one source for each distinct server among the databases of a run.
//!
//! A server is its hosts and ports, whoever logs in and to whichever database. Its label is its host's name, with the
//! port where it is not 5432; behind a socket it is this machine's name.

use std::collections::BTreeMap;

use super::{machine, values};
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::{GlobalsSource, PostgresSource};
use crate::pg::connect::{Host, Place, Server};
use crate::pg::globals::PasswordPolicy;
use crate::policy::Label;

const USUAL_PORT: u16 = 5432;

/// In the order in which the databases name them; the first login to a server is used.
pub fn of_databases(config: &Config, databases: &[PostgresSource]) -> Result<Vec<GlobalsSource>> {
    let passwords = match values::switch(config, "role_passwords", true)? {
        true => PasswordPolicy::Include,
        false => PasswordPolicy::LeaveOut,
    };
    let mut all: Vec<GlobalsSource> = Vec::new();
    for PostgresSource { server, .. } in databases {
        if !all.iter().any(|other| identity(&other.server) == identity(server)) {
            all.push(GlobalsSource { label: label(server, &machine::host_name()), server: server.clone(), passwords });
        }
    }
    tell_apart(&mut all);
    Ok(all)
}

/// The name that a server's globals have unless another server of the run would have it as well.
pub fn usual_label(server: &Server) -> String {
    label(server, &machine::host_name())
}

fn identity(server: &Server) -> String {
    server.describe_hosts().to_ascii_lowercase()
}

fn label(server: &Server, machine: &str) -> String {
    let one = |host: &Host| {
        let name = match &host.place {
            Place::Tcp(name) => name.as_str(),
            Place::Socket(_) => machine,
        };
        if host.port == USUAL_PORT { name.to_owned() } else { format!("{name}-{}", host.port) }
    };
    server.hosts.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Two sockets of one port, or a host whose name ends like a port: then the whole address is the name.
fn tell_apart(all: &mut [GlobalsSource]) {
    let key = |label: &str| Label::encode(label).map(|label| label.clash_key());
    let mut seen: BTreeMap<Option<String>, u32> = BTreeMap::new();
    for source in all.iter() {
        *seen.entry(key(&source.label)).or_default() += 1;
    }
    for source in all.iter_mut().filter(|source| seen.get(&key(&source.label)).is_some_and(|count| *count > 1)) {
        source.label = source.server.describe_hosts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::testing::config;
    use crate::pg::filter::Filter;

    fn sources(urls: &[&str]) -> Vec<(String, String)> {
        let (_, config) = config(&["backup"], &[], "", "");
        let databases = urls.iter().map(|url| {
            let server = Server::from_url(url).unwrap();
            PostgresSource { label: server.database.clone(), server, filter: Filter::default() }
        });
        let all = of_databases(&config, &databases.collect::<Vec<_>>()).unwrap();
        all.into_iter().map(|one| (one.label, one.server.user)).collect()
    }

    #[test]
    fn a_server_is_its_hosts_and_ports() {
        let urls = ["postgres://a@db/x", "postgres://b@DB/y", "postgres://a@db:6000/x", "postgres://a@h1,h2:1/x"];
        let pairs = [("db", "a"), ("db-6000", "a"), ("h1,h2-1", "a")].map(|(l, u)| (l.to_owned(), u.to_owned()));
        assert_eq!(sources(&urls), pairs);
    }

    #[test]
    fn sockets_are_this_machine_unless_two_would_be() {
        let machine = machine::host_name();
        assert_eq!(sources(&["postgres://a@%2Frun%2Fpg/x"])[0].0, machine);
        let two = sources(&["postgres://a@%2Frun%2Fone/x", "postgres://a@%2Frun%2Ftwo/x"]);
        assert_eq!([&two[0].0, &two[1].0], ["/run/one/.s.PGSQL.5432", "/run/two/.s.PGSQL.5432"]);
    }
}
