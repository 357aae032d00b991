//! The control session: catalog queries whose columns are read as text, numbers and arrays.
//!
//! A thin wrapper of a `tokio_postgres` client. Its first statement empties `search_path`. Text goes through the
//! database's [`Codec`], so that names of any encoding arrive unharmed. Queries cast what has no binary
//! form (`aclitem`, `regproc`, expressions) to `text`.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::error::{Context, Error, Kind, Result};
use crate::pg::connect::{self, Control, Driver, Reached, Server};
use crate::pg::encoding::Codec;
use crate::pg::settings::Purpose;
use crate::pg::version::ServerVersion;

mod row;

pub use row::Row;

pub struct Session {
    client: Client,
    version: ServerVersion,
    codec: Codec,
    /// Moves the client's bytes; `None` where whoever opened the connection does.
    driver: Option<Driver>,
    reached: Option<Reached>,
}

/// Databases that every server has, for statements about other databases.
const MAINTENANCE_DATABASES: [&str; 2] = ["postgres", "template1"];

impl Session {
    /// Connects, pins what the purpose needs, and keeps the connection moving.
    pub async fn open(server: &Server, purpose: Purpose) -> Result<Self> {
        let Control { client, reached, driver } = connect::client(server, purpose).await?;
        let session = Session::start(client).await?;
        Ok(Session { driver: Some(driver), reached: Some(reached), ..session })
    }

    /// A session on the server that is in none of the databases it is to change.
    pub async fn open_maintenance(server: &Server) -> Result<Self> {
        let mut first = None;
        for name in MAINTENANCE_DATABASES.into_iter().filter(|name| *name != server.database) {
            match Session::open(&server.with_database(name), Purpose::Write).await {
                Ok(session) => return Ok(session),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| Error::new(Kind::Connect, "no maintenance database can be reached")))
    }

    /// Which server answered; more connections for the same snapshot must go there.
    pub fn reached(&self) -> Option<&Reached> {
        self.reached.as_ref()
    }

    /// Ends the session and says how it ended.
    pub async fn close(self) -> Result<()> {
        drop(self.client);
        match self.driver {
            Some(driver) => driver.finish().await,
            None => Ok(()),
        }
    }

    /// Takes over a fresh connection. Whoever opened it drives it.
    pub async fn start(client: Client) -> Result<Self> {
        let pin = "SELECT pg_catalog.set_config('search_path', '', false)";
        client.batch_execute(pin).await.context(Kind::Connect, || "cannot set up the session".to_owned())?;
        let sql = "SELECT pg_catalog.current_setting('server_version_num'), \
                   pg_catalog.current_setting('server_encoding')";
        let row =
            client.query_one(sql, &[]).await.context(Kind::Connect, || "cannot identify the server".to_owned())?;
        let (num, encoding): (String, String) = (row.get(0), row.get(1));
        let num = num.parse().context(Kind::Connect, || format!("cannot read the server's version `{num}`"))?;
        let codec = Codec::converted(&encoding);
        let version = ServerVersion::from_num(num);
        let mut session = Session { client, version, codec, driver: None, reached: None };
        session.speak(codec).await?;
        session.execute("SET standard_conforming_strings = on").await?;
        Ok(session)
    }

    /// From now on text is read in this encoding.
    pub async fn speak(&mut self, codec: Codec) -> Result<()> {
        self.execute(&format!("SET client_encoding = '{}'", codec.client_encoding())).await?;
        self.codec = codec;
        Ok(())
    }

    /// From now on text is read as the database holds it, without a conversion that could fail or not lead back.
    pub async fn speak_own(&mut self) -> Result<()> {
        let row = self.row("SELECT pg_catalog.current_setting('server_encoding') AS encoding").await?;
        self.speak(Codec::of_server_encoding(&row.text("encoding")?)).await
    }

    pub fn version(&self) -> ServerVersion {
        self.version
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Text as a literal that is ASCII whatever it holds: the client can only send UTF-8, which the bytes of the
    /// database need not be.
    pub fn literal(&self, text: &str) -> Result<String> {
        let mut literal = String::from("E'");
        for byte in self.codec.encode(text)? {
            match byte {
                b'\'' => literal.push_str("''"),
                b'\\' => literal.push_str("\\\\"),
                0..=0x7f => literal.push(char::from(byte)),
                _ => literal.push_str(&format!("\\{byte:03o}")),
            }
        }
        literal.push('\'');
        Ok(literal)
    }

    /// Whether a statement can hold this name as it is.
    pub fn can_send(&self, name: &str) -> bool {
        self.codec == Codec::Utf8 || name.is_ascii()
    }

    /// All rows of a query of ours.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Row>> {
        self.query(sql, &[]).await
    }

    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let rows = self.client.query(sql, params).await.context(Kind::Source, || doing(sql))?;
        let texts = Arc::default();
        Ok(rows.into_iter().map(|row| Row::new(row, self.codec, &texts)).collect())
    }

    /// Reads a result that may have a row for each object of a large database, without holding its rows.
    pub async fn each(&self, sql: &str, mut read: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let no_params: [&(dyn ToSql + Sync); 0] = [];
        let stream = self.client.query_raw(sql, no_params).await.context(Kind::Source, || doing(sql))?;
        let mut stream = std::pin::pin!(stream);
        let texts = Arc::default();
        while let Some(row) = stream.try_next().await.context(Kind::Source, || doing(sql))? {
            read(&Row::new(row, self.codec, &texts))?;
        }
        Ok(())
    }

    /// The same, kept as what is read of each row.
    pub async fn all<T>(&self, sql: &str, mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        self.some(sql, |row| read(row).map(Some)).await
    }

    /// The same, without the rows of which nothing is kept.
    pub async fn some<T>(&self, sql: &str, mut read: impl FnMut(&Row) -> Result<Option<T>>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(sql, |row| {
            all.extend(read(row)?);
            Ok(())
        })
        .await?;
        // Of a large database up to half of it would never be used.
        all.shrink_to_fit();
        Ok(all)
    }

    /// The single row of a query that always has one.
    pub async fn row(&self, sql: &str) -> Result<Row> {
        let mut rows = self.rows(sql).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Error::new(Kind::Source, format!("{}: expected one row", doing(sql)))),
        }
    }

    /// Statements without a result, separated by semicolons.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.context(Kind::Source, || doing(sql))
    }
}

/// The first line of a statement says well enough which one failed.
fn doing(sql: &str) -> String {
    let line: String = sql.trim_start().lines().next().unwrap_or_default().chars().take(120).collect();
    format!("cannot run `{line}`")
}
