//! Which server, from flags, variables and the configuration file.
//!
//! Every level is a set of libpq parameters. Stronger levels win parameter by parameter. Two families of variables on
//! one level that name different servers are never mixed: the stronger one is used alone and the other is reported,
//! because one server's password is not another one's. The same holds for whatever stands below a URL.

use std::path::{Path, PathBuf};

use super::machine;
use crate::cli::config::{Config, Entry, Setting, Variables};
use crate::error::{Context, Error, Kind, Result};
use crate::pg::connect::{Params, Server};

/// One family of variables of one level, one entry of the file, or one URL.
pub struct Layer {
    /// As messages name it.
    name: String,
    /// Layers of one level are rivals; lower numbers are stronger.
    level: usize,
    is_url: bool,
    params: Params,
}

/// Two layers of one level that name different servers; the first one is used.
pub struct Conflict {
    pub used: String,
    pub ignored: String,
}

pub struct Merged {
    pub server: Server,
    pub conflicts: Vec<Conflict>,
}

const FLAG_LEVEL: usize = 0;
const VARIABLES_LEVEL: usize = 1;
const FILE_LEVEL: usize = 100;

const DATABASE_FAMILY: &[(&str, &str)] = &[
    ("DATABASE_HOST", "host"),
    ("DATABASE_PORT", "port"),
    ("DATABASE_NAME", "dbname"),
    ("DATABASE_USER", "user"),
    ("DATABASE_PASSWORD", "password"),
];

/// What we do not support is passed on as well: to ignore it could connect where libpq refuses to.
const PG_FAMILY: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGAPPNAME", "application_name"),
    ("PGOPTIONS", "options"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGSERVICE", "service"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
];

/// Keys of a `[[postgres]]` entry that are one libpq parameter; the flag says whether it is a path.
const ENTRY_KEYS: &[(&str, &str, bool)] = &[
    ("host", "host", false),
    ("port", "port", false),
    ("database", "dbname", false),
    ("user", "user", false),
    ("passfile", "passfile", true),
    ("sslmode", "sslmode", false),
    ("sslrootcert", "sslrootcert", true),
    ("sslcert", "sslcert", true),
    ("sslkey", "sslkey", true),
    ("channel_binding", "channel_binding", false),
    ("connect_timeout", "connect_timeout", false),
    ("application_name", "application_name", false),
    ("options", "options", false),
    ("target_session_attrs", "target_session_attrs", false),
];

impl Layer {
    pub fn from_flag(url: &str) -> Result<Layer> {
        let params = Params::from_url(url).map_err(|fault| fault.while_doing("cannot use --url"))?;
        Ok(Layer { name: "--url".to_owned(), level: FLAG_LEVEL, is_url: true, params })
    }

    /// All families of all levels of variables, strongest first.
    pub fn from_variables(config: &Config) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        for (depth, variables) in config.levels.iter().enumerate() {
            let level = VARIABLES_LEVEL.saturating_add(depth);
            if let Some(url) = variables.get("DATABASE_URL") {
                let params = Params::from_url(&url.value).map_err(|fault| cannot_use(url, fault))?;
                layers.push(Layer { name: url.origin.to_string(), level, is_url: true, params });
            }
            for family in [DATABASE_FAMILY, PG_FAMILY] {
                layers.extend(from_family(config, variables, family, level)?);
            }
        }
        Ok(layers)
    }

    /// One `[[postgres]]` entry. Its password file is read here.
    pub fn from_entry(config: &Config, entry: &Entry) -> Result<Layer> {
        let mut params = Params::new();
        let mut is_url = false;
        if let Some(url) = entry.get("url") {
            if let Some(rival) = ["host", "port", "database"].iter().find_map(|key| entry.get(key)) {
                let what = format!("cannot use {}: the entry has a url as well", rival.origin);
                return Err(Error::new(Kind::Usage, what).hint("give either url, or host, port and database"));
            }
            params = Params::from_url(&url.value).map_err(|fault| cannot_use(url, fault))?;
            is_url = true;
        }
        for (key, parameter, is_path) in ENTRY_KEYS {
            if let Some(setting) = entry.get(key) {
                let path = *is_path && setting.value != "system";
                let value = if path { text_of(&config.path(setting)) } else { setting.value.clone() };
                params.set(parameter, value).map_err(|fault| cannot_use(setting, fault))?;
            }
        }
        if let Some(setting) = entry.get("password_file") {
            params.set("password", read_password(&machine::credential(config, &config.path(setting)), setting)?)?;
        }
        Ok(Layer { name: entry_name(config, entry), level: FILE_LEVEL, is_url, params })
    }

    pub fn has_password(&self) -> bool {
        self.params.has_password()
    }

    pub fn database(&self) -> Option<&str> {
        self.params.get("dbname")
    }

    fn host(&self) -> Option<&str> {
        self.params.get("host").or_else(|| self.params.get("hostaddr"))
    }

    /// Says which server or database is meant, and not only how to log in.
    pub fn names_a_source(&self) -> bool {
        self.is_url || ["host", "hostaddr", "port", "dbname"].iter().any(|name| self.params.get(name).is_some())
    }

    /// Both say which host or port, and they differ.
    fn is_other_server(&self, other: &Layer) -> bool {
        let differ = |one: Option<&str>, two: Option<&str>| matches!((one, two), (Some(one), Some(two)) if one != two);
        differ(self.host().map(plain_local), other.host().map(plain_local))
            || differ(self.params.get("port"), other.params.get("port"))
    }

    /// Says of an entry of the file that another server or database is meant.
    pub fn contradicts(&self, entry: &Layer) -> bool {
        let databases = (self.database(), entry.database());
        self.is_other_server(entry) || matches!(databases, (Some(one), Some(two)) if one != two)
    }

    /// `DATABASE_HOST (environment): db.internal:5432`, for messages.
    pub fn describe(&self) -> String {
        let host = self.host().unwrap_or("the default host");
        match self.params.get("port") {
            Some(port) => format!("{} names {host}:{port}", self.name),
            None => format!("{} names {host}", self.name),
        }
    }
}

/// Merges layers, strongest first, and fills in what libpq takes from the machine: user, home folder's files.
pub fn merge(config: &Config, layers: &[&Layer]) -> Result<Merged> {
    let mut params = Params::new();
    let mut used: Vec<&Layer> = Vec::new();
    let mut conflicts = Vec::new();
    for layer in layers {
        let rival = used
            .iter()
            .find(|stronger| (stronger.level == layer.level || stronger.is_url) && stronger.is_other_server(layer));
        if let Some(stronger) = rival {
            if stronger.level == layer.level {
                conflicts.push(Conflict { used: stronger.describe(), ignored: layer.describe() });
            }
            continue;
        }
        params.fill_from(&layer.params);
        used.push(layer);
    }
    from_machine(config, &mut params)?;
    Ok(Merged { server: params.server()?, conflicts })
}

fn from_machine(config: &Config, params: &mut Params) -> Result<()> {
    if let Some(user) = super::machine::user(config) {
        params.set_default("user", user)?;
    }
    let Some(home) = config.variable("HOME").map(PathBuf::from) else { return Ok(()) };
    params.set_default("passfile", text_of(&home.join(".pgpass")))?;
    let folder = home.join(".postgresql");
    for (parameter, file) in [("sslrootcert", "root.crt"), ("sslcert", "postgresql.crt"), ("sslkey", "postgresql.key")]
    {
        let path = folder.join(file);
        if path.is_file() {
            params.set_default(parameter, text_of(&path))?;
        }
    }
    Ok(())
}

fn from_family(config: &Config, variables: &Variables, family: &[(&str, &str)], level: usize) -> Result<Option<Layer>> {
    let mut params = Params::new();
    let mut first: Option<&Setting> = None;
    for (variable, parameter) in family {
        let Some(setting) = variables.get(variable) else { continue };
        let is_path = matches!(*parameter, "passfile" | "sslrootcert" | "sslcert" | "sslkey");
        let value =
            if is_path && setting.value != "system" { text_of(&config.path(setting)) } else { setting.value.clone() };
        params.set(parameter, value).map_err(|fault| cannot_use(setting, fault))?;
        first = first.or(Some(setting));
    }
    Ok(first.map(|setting| Layer { name: setting.origin.to_string(), level, is_url: false, params }))
}

fn cannot_use(setting: &Setting, fault: Error) -> Error {
    fault.while_doing(format!("cannot use {}", setting.origin))
}

fn entry_name(config: &Config, entry: &Entry) -> String {
    let file = config.file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
    match entry.get("name") {
        Some(name) => format!("[[postgres]] {} ({file}, line {})", name.value, entry.line),
        None => format!("[[postgres]] ({file}, line {})", entry.line),
    }
}

/// The first line; editors end a file with a newline.
fn read_password(path: &Path, setting: &Setting) -> Result<String> {
    let doing = || format!("cannot read the password for {} from {}", setting.origin, path.display());
    let text = std::fs::read_to_string(path).context(Kind::Usage, doing)?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Error::new(Kind::Usage, format!("the password file {} is empty", path.display())));
    }
    Ok(password.to_owned())
}

fn plain_local(host: &str) -> &str {
    if matches!(host, "127.0.0.1" | "::1") { "localhost" } else { host }
}

/// Connection parameters are text; our paths come from text.
fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
