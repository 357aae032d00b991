//! One row of a catalog query, its columns read as text, numbers and arrays. What the server deparsed is read as part of a
//! statement, which it must not be able to end.

use std::cell::Cell;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::types::{FromSql, Type};

use crate::error::{Context, Error, Kind, Result};
use crate::pg::encoding::Codec;
use crate::script::{check_fragment, check_single_statement, without_variables};
use crate::text::{List, Text, Texts};

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
    pub(super) fn new(row: tokio_postgres::Row, codec: Codec, texts: &Arc<Mutex<Texts>>) -> Self {
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
        self.texts().share(text)
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A `text[]` that other rows have as well.
    pub fn opt_shared_list(&self, column: &str) -> Result<Option<List>> {
        Ok(self.opt_text_array(column)?.map(|list| self.texts().share_list(list)))
    }

    /// The same, empty for NULL.
    pub fn shared_list(&self, column: &str) -> Result<List> {
        Ok(self.opt_shared_list(column)?.unwrap_or_default())
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
        Row::present(column, self.opt_shared_sql(column)?)
    }

    pub fn opt_shared_sql(&self, column: &str) -> Result<Option<Text>> {
        Ok(self.opt_sql(column)?.map(|text| self.share(&text)))
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
        self.present_elements(column, |raw| self.codec.decode(raw))
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
        self.present_elements(column, read)
    }

    /// An `int2[]` or `int2vector`.
    pub fn i16_array(&self, column: &str) -> Result<Vec<i16>> {
        Row::present(column, self.opt_i16_array(column)?)
    }

    pub fn opt_i16_array(&self, column: &str) -> Result<Option<Vec<i16>>> {
        let read = |raw: &[u8]| raw.try_into().map(i16::from_be_bytes).map_err(|_| mistyped(column));
        self.present_elements(column, read)
    }

    /// Of an array none of whose elements may be NULL.
    fn present_elements<T>(&self, column: &str, read: impl Fn(&[u8]) -> Result<T>) -> Result<Option<Vec<T>>> {
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
