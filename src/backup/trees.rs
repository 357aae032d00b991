//! One tree of a run, in a folder or a bucket: what lies in it already, and how a new archive is filed there.
//!
//! Several trees are written in one pass. Each has tiers and `.meta` of its own, and its own outcome: one that fails
//! does not spoil the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{ToSpan, Zoned};

use crate::error::{Error, Kind, Result};
use crate::job::{Context, Retain};
use crate::listing::Listing;
use crate::manifest::meta::{BackupType, Meta};
use crate::policy::naming::{further_name, meta_name};
use crate::policy::tiers::due;
use crate::policy::{ArchiveName, Tier};
use crate::seal::Signer;
use crate::store::{Name, Published, Store, Upload, is_denied};

#[derive(Clone)]
pub struct Tree {
    root: PathBuf,
    store: Arc<dyn Store>,
    /// `None` if this key may not list: then nobody knows which names stand and which tiers are due.
    listing: Option<Arc<Listing>>,
}

/// What has come of an archive in one tree.
pub struct Filed {
    pub path: PathBuf,
    pub tiers: Vec<Tier>,
    pub warnings: Vec<String>,
}

impl Tree {
    pub fn open(root: &Path, started: &Zoned, context: &Context) -> Result<Self> {
        let store = context.places.open(root)?;
        let listing = match Listing::of(store.as_ref(), started.time_zone()) {
            Ok(listing) => Some(Arc::new(listing)),
            Err(error) if is_denied(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Tree { root: root.to_owned(), store, listing })
    }

    pub fn is_taken(&self, stem: &str) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.is_taken(stem))
    }

    pub fn begin(&self, name: &ArchiveName, expected: Option<u64>) -> Result<Box<dyn Upload>> {
        self.store.begin_sized(&Name::new(name.path(Tier::Daily))?, expected)
    }

    /// `.meta` of the daily one, then second name and `.meta` of each further tier that is due.
    pub fn file(&self, name: &ArchiveName, published: Published, meta: &Meta, how: &Filing<'_>) -> Result<Filed> {
        let mut warnings = Vec::new();
        let tiers = match (&self.listing, published.read_back) {
            _ if !meta.is_regular() => vec![Tier::Daily],
            (Some(listing), true) => due(how.started, &listing.tiers_of(&meta.source(), meta.part())),
            _ => {
                let root = self.root.display();
                warnings.push(format!("the key for {root} may not list or read: no weekly or monthly copy was made"));
                vec![Tier::Daily]
            }
        };
        for &tier in &tiers {
            if tier != Tier::Daily {
                self.link(name, tier, published.further)?;
            }
            let archive = name.path(tier);
            let json = signed(meta.with_type(backup_type(tier)).to_json(), how.signer)?;
            if let Err(error) = self.store.put_new(&Name::new(meta_name(&archive))?, &json) {
                // Without its .meta it is no backup, and it would be paid for.
                return Err(self.remove(&archive, published.further, error));
            }
            if let Some(retain) = how.retain {
                self.retain(&archive, published.further, retain, tier, how.started)?;
            }
        }
        Ok(Filed { path: PathBuf::from(self.store.shown(&name.path(Tier::Daily))), tiers, warnings })
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
