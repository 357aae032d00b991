//! The control session: catalog queries whose columns are read as text, numbers and arrays.
//!
//! A thin wrapper of a `tokio_postgres` client. Its first statement empties `search_path`. Text goes through the
//! database's [`Codec`], so that names of any encoding arrive unharmed. Queries cast what has no binary
//! form (`aclitem`, `regproc`, expressions) to `text`.

use std::cell::Cell;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::error::{Context, Error, Kind, Result};
use crate::pg::connect::{self, Control, Driver, Reached, Server};
use crate::pg::encoding::Codec;
use crate::pg::settings::Purpose;
use crate::pg::version::ServerVersion;
use crate::script::{check_fragment, check_single_statement, without_variables};
use crate::text::{Text, Texts};

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
    pub async fn all<T>(&self, sql: &str, read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(sql, |row| {
            all.push(read(row)?);
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

pub struct Row {
    row: tokio_postgres::Row,
    codec: Codec,
    /// Behind the column that was read last: columns are mostly read in their order, and need no search then.
    next: Cell<usize>,
    /// Of all rows of the query.
    texts: Arc<Mutex<Texts>>,
}

/// What a function's body is checked behind, so that `BEGIN ATOMIC` is read as one.
const BODY_HEAD: &str = "CREATE FUNCTION f() ";

/// One value as it came, with the type that says how to read it.
struct Value<'a> {
    raw: &'a [u8],
    ty: Type,
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Value { raw, ty: ty.clone() })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Value<'_> {
    fn integer(&self) -> Option<i64> {
        match (self.raw.len(), &self.ty) {
            (2, _) => Some(i64::from(i16::from_be_bytes(self.raw.try_into().ok()?))),
            (4, &Type::INT4) => Some(i64::from(i32::from_be_bytes(self.raw.try_into().ok()?))),
            (4, _) => Some(i64::from(u32::from_be_bytes(self.raw.try_into().ok()?))),
            (8, _) => Some(i64::from_be_bytes(self.raw.try_into().ok()?)),
            _ => None,
        }
    }
}

impl Row {
    fn new(row: tokio_postgres::Row, codec: Codec, texts: &Arc<Mutex<Texts>>) -> Self {
        Row { row, codec, next: Cell::new(0), texts: Arc::clone(texts) }
    }

    /// The value of a column, however it is read.
    fn get<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T> {
        let columns = self.row.columns();
        let is_next = columns.get(self.next.get()).is_some_and(|next| next.name() == column);
        let position = match is_next {
            true => Some(self.next.get()),
            false => columns.iter().position(|one| one.name() == column),
        };
        let Some(position) = position else {
            return Err(Error::new(Kind::Bug, format!("{}: there is none", unreadable(column))));
        };
        self.next.set(position + 1);
        self.row.try_get(position).context(Kind::Source, || unreadable(column))
    }

    fn cell(&self, column: &str) -> Result<Option<Value<'_>>> {
        self.get(column)
    }

    fn present<T>(column: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::new(Kind::Source, format!("{}: it is null", unreadable(column))))
    }

    pub fn text(&self, column: &str) -> Result<String> {
        Row::present(column, self.opt_text(column)?)
    }

    pub fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self.cell(column)? {
            Some(cell) => self.codec.decode(cell.raw).map(Some),
            None => Ok(None),
        }
    }

    /// Text that other rows have as well.
    pub fn shared(&self, column: &str) -> Result<Text> {
        Row::present(column, self.opt_shared(column)?)
    }

    pub fn opt_shared(&self, column: &str) -> Result<Option<Text>> {
        Ok(self.opt_text(column)?.map(|text| self.share(&text)))
    }

    fn share(&self, text: &str) -> Text {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).share(text)
    }

    /// Whether a value is text in the session's encoding. `"char"` values beyond ASCII are not on servers before 15.
    pub fn is_text(&self, column: &str) -> Result<bool> {
        Ok(self.cell(column)?.is_none_or(|cell| self.codec.decode(cell.raw).is_ok()))
    }

    /// Part of a statement that the server deparsed: an expression, a type, names. It is refused if it could end the
    /// statement that it is put into, and changed where psql could put a variable in place of a name.
    pub fn sql(&self, column: &str) -> Result<String> {
        Row::present(column, self.opt_sql(column)?)
    }

    pub fn opt_sql(&self, column: &str) -> Result<Option<String>> {
        let Some(text) = self.opt_text(column)? else { return Ok(None) };
        check_fragment(&text).map_err(|cause| self.harmful(column).because(cause))?;
        Ok(Some(without_variables(&text).into_owned()))
    }

    /// The same, of which other rows have as well.
    pub fn shared_sql(&self, column: &str) -> Result<Text> {
        self.sql(column).map(|text| self.share(&text))
    }

    /// A `text[]` of such parts.
    pub fn sql_array(&self, column: &str) -> Result<Vec<String>> {
        let parts = self.text_array(column)?;
        for part in &parts {
            check_fragment(part).map_err(|cause| self.harmful(column).because(cause))?;
        }
        Ok(parts.iter().map(|part| without_variables(part).into_owned()).collect())
    }

    /// A whole statement that the server deparsed, without its `;`. It must be a single one and begin with one of `verbs`.
    pub fn opt_statement(&self, column: &str, verbs: &[&str]) -> Result<Option<String>> {
        let Some(text) = self.opt_text(column)? else { return Ok(None) };
        let text = text.trim_end();
        let text = text.strip_suffix(';').unwrap_or(text);
        check_single_statement(text, verbs).map_err(|cause| self.harmful(column).because(cause))?;
        Ok(Some(without_variables(text).into_owned()))
    }

    pub fn statement(&self, column: &str, verbs: &[&str]) -> Result<String> {
        Row::present(column, self.opt_statement(column, verbs)?)
    }

    /// The body of an SQL function, `RETURN …` or `BEGIN ATOMIC …`.
    pub fn opt_sql_body(&self, column: &str) -> Result<Option<String>> {
        let Some(body) = self.opt_text(column)? else { return Ok(None) };
        let whole = format!("{BODY_HEAD}{body}");
        check_single_statement(&whole, &["CREATE FUNCTION"]).map_err(|cause| self.harmful(column).because(cause))?;
        Ok(Some(without_variables(&whole).into_owned().split_off(BODY_HEAD.len())))
    }

    /// Names the object by the row's columns of type `name`: the schema and its own, as a rule.
    fn harmful(&self, column: &str) -> Error {
        let names = self.row.columns().iter().filter(|one| *one.type_() == Type::NAME);
        let names: Vec<String> = names.filter_map(|one| self.opt_text(one.name()).ok().flatten()).collect();
        let what = format!("cannot use catalog column `{column}` of {}", names.join("."));
        Error::new(Kind::Source, what)
            .hint("its text would run as more than one statement when restored: look at the object")
    }

    pub fn bool(&self, column: &str) -> Result<bool> {
        Row::present(column, self.opt_bool(column)?)
    }

    pub fn opt_bool(&self, column: &str) -> Result<Option<bool>> {
        match self.cell(column)? {
            None => Ok(None),
            Some(Value { raw: &[byte], ty: Type::BOOL }) => Ok(Some(byte != 0)),
            Some(_) => Err(mistyped(column)),
        }
    }

    /// A `"char"` column: one byte.
    pub fn char(&self, column: &str) -> Result<char> {
        Row::present(column, self.opt_char(column)?)
    }

    pub fn opt_char(&self, column: &str) -> Result<Option<char>> {
        match self.cell(column)? {
            None => Ok(None),
            Some(Value { raw: &[byte], ty: Type::CHAR }) => Ok(Some(char::from(byte))),
            Some(_) => Err(mistyped(column)),
        }
    }

    pub fn i16(&self, column: &str) -> Result<i16> {
        Row::present(column, self.integer(column)?)
    }

    pub fn opt_i16(&self, column: &str) -> Result<Option<i16>> {
        self.integer(column)
    }

    pub fn i32(&self, column: &str) -> Result<i32> {
        Row::present(column, self.integer(column)?)
    }

    pub fn opt_i32(&self, column: &str) -> Result<Option<i32>> {
        self.integer(column)
    }

    pub fn i64(&self, column: &str) -> Result<i64> {
        Row::present(column, self.integer(column)?)
    }

    pub fn opt_i64(&self, column: &str) -> Result<Option<i64>> {
        self.integer(column)
    }

    /// An `oid`.
    pub fn u32(&self, column: &str) -> Result<u32> {
        Row::present(column, self.integer(column)?)
    }

    pub fn opt_u32(&self, column: &str) -> Result<Option<u32>> {
        self.integer(column)
    }

    pub fn f32(&self, column: &str) -> Result<f32> {
        self.get(column)
    }

    /// A `text[]` or `name[]` without NULL elements.
    pub fn text_array(&self, column: &str) -> Result<Vec<String>> {
        Row::present(column, self.opt_text_array(column)?)
    }

    pub fn opt_text_array(&self, column: &str) -> Result<Option<Vec<String>>> {
        let elements = self.elements(column, |raw| self.codec.decode(raw))?;
        elements.map(|all| all.into_iter().map(|one| Row::present(column, one)).collect()).transpose()
    }

    /// A `text[]` whose elements may be NULL.
    pub fn opt_text_elements(&self, column: &str) -> Result<Vec<Option<String>>> {
        Row::present(column, self.elements(column, |raw| self.codec.decode(raw))?)
    }

    /// An `oid[]` or `oidvector`.
    pub fn oid_array(&self, column: &str) -> Result<Vec<u32>> {
        Row::present(column, self.opt_oid_array(column)?)
    }

    pub fn opt_oid_array(&self, column: &str) -> Result<Option<Vec<u32>>> {
        let read = |raw: &[u8]| raw.try_into().map(u32::from_be_bytes).map_err(|_| mistyped(column));
        let elements = self.elements(column, read)?;
        elements.map(|all| all.into_iter().map(|one| Row::present(column, one)).collect()).transpose()
    }

    /// An `int2[]` or `int2vector`.
    pub fn i16_array(&self, column: &str) -> Result<Vec<i16>> {
        Row::present(column, self.opt_i16_array(column)?)
    }

    pub fn opt_i16_array(&self, column: &str) -> Result<Option<Vec<i16>>> {
        let read = |raw: &[u8]| raw.try_into().map(i16::from_be_bytes).map_err(|_| mistyped(column));
        let elements = self.elements(column, read)?;
        elements.map(|all| all.into_iter().map(|one| Row::present(column, one)).collect()).transpose()
    }

    fn elements<T>(&self, column: &str, read: impl Fn(&[u8]) -> Result<T>) -> Result<Option<Vec<Option<T>>>> {
        let cells: Option<Vec<Option<Value>>> = self.get(column)?;
        let read_one = |cell: Option<Value>| cell.map(|cell| read(cell.raw)).transpose();
        cells.map(|cells| cells.into_iter().map(read_one).collect()).transpose()
    }

    fn integer<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>> {
        let Some(cell) = self.cell(column)? else { return Ok(None) };
        let number = cell.integer().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| mistyped(column))
    }
}

fn unreadable(column: &str) -> String {
    format!("cannot read catalog column `{column}`")
}

fn mistyped(column: &str) -> Error {
    Error::new(Kind::Source, format!("{}: it has another type than expected", unreadable(column)))
}
