//! What would make a restore fail half-way, or end otherwise than expected, looked for before anything is touched.
//!
//! Everything that is found is told at once: whoever mends one thing should not run into the next.

mod locale;
mod offers;
mod rights;
mod roles;
mod space;
mod tables;

use crate::archive::{Archive, ArchiveHeader, ReadAt};
use crate::error::{Error, Kind, Result};
use crate::job::Adaptation;
use crate::pg::connect::{Reached, Server};
use crate::pg::database::{Shape, Target};
use crate::pg::properties::Properties;
use crate::pg::session::Session;

pub use rights::may_be_replaced;
pub use space::free_on_server;

use super::fitting::Fitting;
use super::select::Chosen;
use super::source_version;
use super::survey::{self, Needs};
use rights::Rights;

/// What is to be restored, as far as it can be looked into.
pub struct Wanted<'a, R> {
    pub header: Option<&'a ArchiveHeader>,
    /// The archive, where it can be read at any offset, and what of it is wanted; without it everything is.
    pub part: Option<(&'a Archive<R>, &'a Chosen)>,
    pub adaptation: &'a Adaptation,
}

/// What stands in the way, and what somebody should know.
#[derive(Default)]
struct Findings {
    refusals: Vec<Error>,
    warnings: Vec<String>,
}

impl Findings {
    /// A refusal is kept for the end; any other error ends the look.
    fn take(&mut self, found: Result<()>) -> Result<()> {
        match found {
            Err(error) if error.kind() == Kind::Refused => self.refusals.push(error),
            other => return other,
        }
        Ok(())
    }

    fn refuse(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.refusals.push(Error::new(Kind::Refused, what).hint(hint));
    }

    fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }

    fn end(mut self) -> Result<Vec<String>> {
        if self.refusals.len() < 2 {
            return self.refusals.pop().map_or(Ok(self.warnings), Err);
        }
        let what = format!("{} things stand in the way of this restore", self.refusals.len());
        let told = |error: &Error| match error.hint_text() {
            Some(hint) => format!("{}\n{hint}", error.chain()),
            None => error.chain(),
        };
        Err(self.refusals.iter().fold(Error::new(Kind::Refused, what), |all, one| all.note(told(one))))
    }
}

/// One look at the server from a database beside the target.
struct Place<'a> {
    admin: Session,
    server: &'a Server,
    target: &'a Target,
    rights: Rights,
    /// Nothing of a part: the whole database is wanted.
    whole: bool,
}

impl Place<'_> {
    /// Whether the restore creates the database that it fills.
    fn is_created(&self) -> bool {
        match self.target {
            Target::Missing => true,
            Target::Filled(_) => self.whole,
            Target::Empty => false,
        }
    }
}

/// Refuses what cannot end well. Returns what deserves a look before the answer is yes.
pub async fn first_look<R: ReadAt>(server: &Server, target: &Target, wanted: &Wanted<'_, R>) -> Result<Vec<String>> {
    let admin = Session::open_maintenance(server).await?;
    let rights = Rights::of(&admin, &server.database).await?;
    let whole = wanted.part.is_none_or(|(_, chosen)| chosen.is_whole());
    let place = Place { admin, server, target, rights, whole };
    let mut findings = Findings::default();
    findings.warnings.extend(place.admin.reached().and_then(Reached::warning));
    may_take_its_place(&place, &mut findings)?;
    locale::look(&place, &shape(wanted.header), wanted.header, &mut findings).await?;
    if let Some((archive, chosen)) = wanted.part {
        let fitting = fitting(&place, wanted);
        let needs = survey::of(archive, chosen, &fitting)?;
        let properties = Properties::from_archive(archive.properties())?;
        roles::look(&place, &needs, &properties, wanted.adaptation, &fitting, &mut findings).await?;
        offers::look(&place, &needs, wanted.adaptation, &mut findings).await?;
        space::look(&place, chosen.row_streams(archive.streams()), &mut findings).await?;
        if !whole {
            let taken = tables::tables_take_it(server, target, archive, chosen).await;
            findings.take(taken)?;
        }
        tell_of_other_major(&place, &needs, &fitting, wanted.header, &mut findings);
    } else {
        tell_of_other_major(&place, &Needs::default(), &fitting(&place, wanted), wanted.header, &mut findings);
    }
    findings.end()
}

fn shape(header: Option<&ArchiveHeader>) -> Shape {
    header.map(|header| Shape::from_source(&header.source)).unwrap_or_default()
}

fn fitting<R>(place: &Place<'_>, wanted: &Wanted<'_, R>) -> Fitting {
    let source = wanted.header.and_then(source_version);
    Fitting::new(wanted.adaptation, source, place.admin.version())
}

/// Whether a database may be created, and one that stands be replaced.
fn may_take_its_place(place: &Place<'_>, findings: &mut Findings) -> Result<()> {
    let database = &place.server.database;
    match place.target {
        Target::Filled(filled) if place.whole => {
            findings.take(rights::refuse_templates_of_the_server(database))?;
            findings.take(may_be_replaced(database, filled))?;
            findings.take(place.rights.may_create(database))?;
            findings.take(place.rights.may_rename(database, filled))
        }
        Target::Missing => findings.take(place.rights.may_create(database)),
        Target::Filled(_) | Target::Empty => Ok(()),
    }
}

fn tell_of_other_major(
    place: &Place<'_>,
    needs: &Needs,
    fitting: &Fitting,
    header: Option<&ArchiveHeader>,
    findings: &mut Findings,
) {
    let (Some(target), Some(source)) = (fitting.other_major(), header.and_then(source_version)) else { return };
    let relation = if target.major() < source.major() { "older" } else { "newer" };
    findings.warn(format!(
        "the server is {relation} than the source: PostgreSQL {}, not {}; what {} cannot take is left out and listed",
        target.major(),
        source.major(),
        place.server.database,
    ));
    findings.warnings.extend(needs.misfits.iter().cloned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_stands_in_the_way_is_told_at_once() {
        let mut findings = Findings::default();
        findings.warn("slow");
        assert_eq!(findings.end().unwrap(), ["slow"]);
        let mut findings = Findings::default();
        findings.refuse("no roles", "make some");
        let one = findings.end().unwrap_err();
        assert_eq!((one.chain().as_str(), one.hint_text()), ("no roles", Some("make some")));
        let mut findings = Findings::default();
        findings.refuse("no roles", "make some");
        findings.refuse("no space", "buy some");
        let all = findings.end().unwrap_err();
        assert_eq!(all.kind(), Kind::Refused);
        assert_eq!(all.notes(), ["no roles\nmake some", "no space\nbuy some"]);
        assert!(Findings::default().take(Err(Error::new(Kind::Target, "x"))).is_err());
    }
}
