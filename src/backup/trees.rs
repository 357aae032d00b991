//! One tree of a run, in a folder or a bucket: what lies in it already, and how a new archive is filed there.
//!
//! Several trees are written in one pass. Each has tiers and `.meta` of its own, and its own outcome: one that fails
//! does not spoil the others. Where a key may not list, nothing can be copied there afterwards: the tiers that are due
//! by what this machine remembers are written along with the daily one, in the same pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{ToSpan, Zoned};

use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{Context, Retain};
use crate::listing::Listing;
use crate::manifest::meta::{BackupType, Content, Meta, Source};
use crate::policy::naming::{further_name, meta_name};
use crate::policy::tiers::due;
use crate::policy::{ArchiveName, Tier};
use crate::seal::Signer;
use crate::state::TreeKey;
use crate::state::tiers::{self, Filled};
use crate::store::{Lanes, Name, Places, Published, Store, Tee, Upload, is_denied};

#[derive(Clone)]
pub struct Tree {
    root: PathBuf,
    store: Arc<dyn Store>,
    key: TreeKey,
    state_dir: PathBuf,
    /// `None` if this key may not list: then nobody knows which names stand.
    listing: Option<Arc<Listing>>,
    /// Tiers that are written along, the daily one first, and what has come of them.
    along: Option<(Vec<Tier>, Lanes)>,
}

/// Whose backups these are, as the state folder has it; `None` for what goes into no tier but the daily one.
#[derive(Clone, Debug)]
pub struct Series(Option<String>);

impl Series {
    pub fn of(source: &Source, content: Content, part: Option<&str>) -> Result<Self> {
        if content != Content::All {
            return Ok(Series(None));
        }
        let text = serde_json::to_string(&(source, part));
        text.map(|text| Series(Some(text))).context(Kind::Bug, || "cannot name a series".to_owned())
    }
}

/// A tree's upload, and the lanes of its tiers if there are several.
pub type Begun = (Box<dyn Upload>, Option<(Vec<Tier>, Lanes)>);

/// What has come of an archive in one tree.
pub struct Filed {
    pub path: PathBuf,
    pub tiers: Vec<Tier>,
    pub warnings: Vec<String>,
}

impl Tree {
    pub fn open(root: &Path, state_dir: &Path, started: &Zoned, context: &Context) -> Result<Self> {
        let store = context.places.open(root)?;
        let key = match Places::bucket(root) {
            Some(location) => TreeKey::of_url(&location?.to_string()),
            None => TreeKey::of_folder(root)?,
        };
        let listing = match Listing::of(store.as_ref(), started.time_zone()) {
            Ok(listing) => Some(Arc::new(listing)),
            Err(error) if is_denied(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Tree { root: root.to_owned(), store, key, state_dir: state_dir.to_owned(), listing, along: None })
    }

    pub fn is_taken(&self, stem: &str) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.is_taken(stem))
    }

    pub fn begin(&self, name: &ArchiveName, expected: Option<u64>, series: &Series, started: &Zoned) -> Result<Begun> {
        let tiers = match (&self.listing, &series.0) {
            (None, Some(series)) => due(started, &tiers::of(&self.state_dir, &self.key, series)?),
            _ => vec![Tier::Daily],
        };
        let side_by_side = u32::try_from(tiers.len()).unwrap_or(1);
        let begin = |tier: &Tier| self.store.begin_one_of(&Name::new(name.path(*tier))?, expected, side_by_side);
        if tiers.len() == 1 {
            return Ok((begin(&Tier::Daily)?, None));
        }
        let (tee, lanes) = Tee::led(tiers.iter().map(begin).collect())?;
        Ok((Box::new(tee), Some((tiers, lanes))))
    }

    pub fn goes_along(&mut self, along: Option<(Vec<Tier>, Lanes)>) {
        self.along = along;
    }

    /// `.meta` of the daily one, then second name and `.meta` of each further tier that is due.
    pub fn file(&self, name: &ArchiveName, published: Published, meta: &Meta, how: &Filing<'_>) -> Result<Filed> {
        let mut warnings = Vec::new();
        let (tiers, is_written) = match (&self.along, &self.listing, published.read_back) {
            _ if !meta.is_regular() => (vec![Tier::Daily], true),
            (Some((tiers, lanes)), ..) => (written(tiers, lanes, &mut warnings), true),
            (None, None, _) => (vec![Tier::Daily], true),
            (None, Some(listing), true) => (due(how.started, &listing.tiers_of(&meta.source(), meta.part())), false),
            (None, Some(_), false) => {
                let root = self.root.display();
                warnings.push(format!("the key for {root} may list and not read: no weekly or monthly copy was made"));
                (vec![Tier::Daily], true)
            }
        };
        for (at, &tier) in tiers.iter().enumerate() {
            if tier != Tier::Daily && !is_written {
                self.link(name, tier, published.further)?;
            }
            let archive = name.path(tier);
            let json = signed(meta.with_type(backup_type(tier)).to_json(), how.signer)?;
            if let Err(error) = self.store.put_new(&Name::new(meta_name(&archive))?, &json) {
                // Without its .meta it is no backup, and it would be paid for; so would those that were written along.
                let left = if is_written { tiers.get(at..) } else { tiers.get(at..=at) };
                let left = left.unwrap_or_default().iter().map(|tier| name.path(*tier));
                return Err(left.fold(error, |error, archive| self.remove(&archive, published.further, error)));
            }
            if let Some(retain) = how.retain {
                self.retain(&archive, published.further, retain, tier, how.started)?;
            }
        }
        if self.along.is_some()
            && let Err(error) = self.remember(&tiers, meta, how.started)
        {
            warnings.push(error.while_doing("further weekly and monthly copies will be made too early").chain());
        }
        Ok(Filed { path: PathBuf::from(self.store.shown(&name.path(Tier::Daily))), tiers, warnings })
    }

    /// What nobody can find out there.
    fn remember(&self, tiers: &[Tier], meta: &Meta, started: &Zoned) -> Result<()> {
        let Series(Some(series)) = Series::of(&meta.source(), Content::All, meta.part())? else { return Ok(()) };
        let filled = |tier: &Tier| Filled {
            at: started.timestamp(),
            tree: self.key.as_str().to_owned(),
            series: series.clone(),
            tier: *tier,
        };
        let longer = tiers.iter().filter(|tier| **tier != Tier::Daily);
        tiers::record(&self.state_dir, &longer.map(filled).collect::<Vec<_>>())
    }

    /// The archive's own name last: a set without it is none.
    fn link(&self, name: &ArchiveName, tier: Tier, further: u16) -> Result<()> {
        let (from, to) = (name.path(Tier::Daily), name.path(tier));
        for number in (0..=further).rev() {
            let (from, to) = (further_name(&from, number), further_name(&to, number));
            if let Err(error) = self.store.link(&Name::new(from)?, &Name::new(to)?) {
                return Err(self.remove_from(&name.path(tier), number + 1..=further, error));
            }
        }
        Ok(())
    }

    fn remove(&self, archive: &str, further: u16, error: Error) -> Error {
        self.remove_from(archive, 0..=further, error)
    }

    fn remove_from(&self, archive: &str, numbers: std::ops::RangeInclusive<u16>, mut error: Error) -> Error {
        for number in numbers {
            let path = further_name(archive, number);
            if let Err(left) = Name::new(path.as_str()).and_then(|name| self.store.delete(&name)) {
                error = error.note(format!("{} could not be removed: {}", self.store.shown(&path), left.chain()));
            }
        }
        error
    }

    fn retain(&self, archive: &str, further: u16, retain: &Retain, tier: Tier, started: &Zoned) -> Result<()> {
        let until = started
            .checked_add(i64::from(retain.days(tier)).days())
            .map_err(|cause| Error::new(Kind::Usage, "cannot keep a backup for so many days").because(cause))?
            .timestamp();
        let files = (0..=further).map(|number| further_name(archive, number)).chain([meta_name(archive)]);
        for path in files {
            self.store.retain(&Name::new(path)?, retain.lock, until)?;
        }
        Ok(())
    }
}

/// The tiers that were written along with the daily one, which stands.
fn written(tiers: &[Tier], lanes: &Lanes, warnings: &mut Vec<String>) -> Vec<Tier> {
    let mut done = Vec::new();
    for (tier, outcome) in tiers.iter().zip(lanes.take()) {
        match outcome {
            Ok(_) => done.push(*tier),
            Err(error) => warnings.push(format!("no {tier} copy was made: {}", error.chain())),
        }
    }
    done
}

/// What decides the tiers of an archive and how long they are locked.
pub struct Filing<'a> {
    pub started: &'a Zoned,
    pub retain: Option<&'a Retain>,
    pub signer: Option<&'a Signer>,
}

/// A `.meta` as it is kept.
pub fn signed(json: Vec<u8>, signer: Option<&Signer>) -> Result<Vec<u8>> {
    match signer {
        Some(signer) => signer.sign(&json),
        None => Ok(json),
    }
}

fn backup_type(tier: Tier) -> BackupType {
    match tier {
        Tier::Daily => BackupType::Daily,
        Tier::Weekly => BackupType::Weekly,
        Tier::Monthly => BackupType::Monthly,
    }
}
