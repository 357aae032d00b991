//! The server's version and what depends on it: the only file that compares versions.
//!
//! Queries ask `version.has(Capability::…)` and leave a column out, or read it as a constant, where a server lacks it:
//! one unknown column would fail the whole query. A newer major than [`NEWEST_KNOWN`] is treated as that one.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// `server_version_num`: 150004 is 15.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct ServerVersion(u32);

/// Majors that this program was tested with.
pub const OLDEST_KNOWN: u32 = 13;
pub const NEWEST_KNOWN: u32 = 18;

/// `server_version_num` of the first server that takes planner statistics without reading those of multiranges wrongly.
pub const FIRST_TO_TAKE_STATISTICS: u32 = 180_006;

/// Something that servers have from some major on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// `pg_attribute.attcompression`.
    ColumnCompression,
    /// `pg_range.rngmultitypid` and implicit casts from ranges.
    Multiranges,
    /// `pg_proc.prosqlbody`, `pg_get_function_sqlbody`.
    SqlBodies,
    /// `pg_type.typsubscript`.
    Subscripting,
    /// `pg_statistic_ext.stxexprs`.
    StatisticsExpressions,
    /// `pg_subscription.subbinary`, `substream`.
    SubscriptionBinaryStream,
    /// Reading ctid ranges of a table costs no full scan.
    TidRangeScans,
    /// Sequences and TOAST tables have no row in `pg_type`.
    SequencesWithoutType,
    /// The initial owner of schema `public` is `pg_database_owner`, and PUBLIC may not create in it.
    PublicOwnedByDatabaseOwner,
    /// `pg_publication_namespace`, `pg_publication_rel.prqual` and `prattrs`.
    PublicationFilters,
    /// `pg_subscription.subtwophasestate`, `subdisableonerr`.
    SubscriptionTwoPhase,
    /// `pg_index.indnullsnotdistinct`.
    NullsNotDistinct,
    /// `pg_database.datlocprovider`, `daticulocale`, `pg_collation.colliculocale`.
    DatabaseIcuLocale,
    /// `"char"` prints bytes beyond ASCII as `\\ooo`, and reads that.
    EscapedCharType,
    /// `CREATE UNLOGGED SEQUENCE`.
    UnloggedSequences,
    /// Clones of a parent's trigger are not `tgisinternal`.
    VisibleTriggerClones,
    /// `pg_parameter_acl`.
    ParameterAcls,
    /// `pg_database.daticurules`, `pg_collation.collicurules`.
    IcuRules,
    /// `pg_subscription.subpasswordrequired`, `subrunasowner`, `suborigin`; `substream` has the value `p`.
    SubscriptionOrigin,
    /// `pg_auth_members.inherit_option`, `set_option`.
    MembershipOptions,
    /// `datlocale`, `colllocale` instead of `daticulocale`, `colliculocale`; the builtin provider.
    BuiltinLocale,
    /// The MAINTAIN privilege, `m` in ACLs.
    Maintain,
    /// Domain NOT NULL is a row of `pg_constraint`.
    DomainNotNullConstraints,
    /// `attstattarget` and `stxstattarget` are NULL, not -1, for the default.
    NullableStatisticsTargets,
    /// `pg_subscription.subfailover`.
    SubscriptionFailover,
    /// A partitioned table can have an access method of its own.
    PartitionedAccessMethods,
    /// `transaction_timeout`.
    TransactionTimeout,
    /// Column NOT NULL is a row of `pg_constraint`.
    NotNullConstraints,
    /// `pg_constraint.conenforced`.
    NotEnforced,
    /// `pg_constraint.conperiod`: WITHOUT OVERLAPS and PERIOD.
    PeriodConstraints,
    /// `attgenerated = 'v'`.
    VirtualColumns,
    /// `pg_publication.pubgencols`.
    PublicationGeneratedColumns,
    /// `pg_get_sequence_data()`.
    SequenceData,
    /// UNLOGGED is refused for partitioned tables.
    NoUnloggedPartitionedTables,
    /// Default privileges on large objects.
    LargeObjectDefaultAcls,
    /// `pg_class.reltuples` is -1, not 0, where nothing is known.
    UnknownTuples,
    /// `pg_stats` has the columns of ranges.
    RangeStatistics,
    /// `pg_class.relallfrozen`.
    AllFrozenPages,
    /// Event triggers on `login`.
    LoginEvents,
    /// `WITH (security_invoker)` of views.
    SecurityInvokerViews,
}

impl Capability {
    /// The first major that has it.
    pub fn since(self) -> u32 {
        use Capability::*;
        match self {
            ColumnCompression | Multiranges | SqlBodies | Subscripting | StatisticsExpressions => 14,
            SubscriptionBinaryStream | TidRangeScans | SequencesWithoutType => 14,
            PublicOwnedByDatabaseOwner | PublicationFilters | SubscriptionTwoPhase | NullsNotDistinct => 15,
            DatabaseIcuLocale | EscapedCharType | UnloggedSequences | VisibleTriggerClones | ParameterAcls => 15,
            SecurityInvokerViews => 15,
            IcuRules | SubscriptionOrigin | MembershipOptions => 16,
            BuiltinLocale | Maintain | DomainNotNullConstraints | NullableStatisticsTargets => 17,
            SubscriptionFailover | PartitionedAccessMethods | TransactionTimeout | LoginEvents => 17,
            NotNullConstraints | NotEnforced | PeriodConstraints | VirtualColumns => 18,
            PublicationGeneratedColumns | SequenceData | NoUnloggedPartitionedTables => 18,
            LargeObjectDefaultAcls | AllFrozenPages => 18,
            UnknownTuples => 14,
            RangeStatistics => 17,
        }
    }
}

impl ServerVersion {
    pub fn from_num(server_version_num: u32) -> Self {
        ServerVersion(server_version_num)
    }

    pub fn num(self) -> u32 {
        self.0
    }

    pub fn major(self) -> u32 {
        self.0 / 10_000
    }

    pub fn has(self, capability: Capability) -> bool {
        self.major() >= capability.since()
    }

    /// `then` where the server has the capability, else `otherwise`: for a column in a query.
    pub fn pick<T>(self, capability: Capability, then: T, otherwise: T) -> T {
        if self.has(capability) { then } else { otherwise }
    }

    /// Whether PostgreSQL itself no longer has this extension in this major: nobody can install it there.
    pub fn has_dropped(self, extension: &str) -> bool {
        let until = match extension {
            "plpythonu" | "plpython2u" | "hstore_plpythonu" | "hstore_plpython2u" => 14,
            "jsonb_plpythonu" | "jsonb_plpython2u" | "ltree_plpythonu" | "ltree_plpython2u" => 14,
            "adminpack" | "old_snapshot" => 16,
            _ => return false,
        };
        self.major() > until
    }

    /// Older than anything that this program can read.
    pub fn is_too_old(self) -> bool {
        self.major() < OLDEST_KNOWN
    }

    /// Newer than anything that this program was tested with: a warning, no refusal.
    pub fn is_unknown(self) -> bool {
        self.major() > NEWEST_KNOWN
    }

    /// Refuses a server that is too old; warns of one that is too new to be read whole.
    pub fn check(self) -> Result<Option<String>> {
        if self.is_too_old() {
            let what = format!("cannot read PostgreSQL {self}: the oldest version that is read is {OLDEST_KNOWN}");
            return Err(Error::new(Kind::Unsupported, what));
        }
        let newer = || format!("PostgreSQL {self} is newer than this program: what it does not know it cannot save");
        Ok(self.is_unknown().then(newer))
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_begin_with_their_major() {
        let (old, new) = (ServerVersion::from_num(140_023), ServerVersion::from_num(150_000));
        assert!(!old.has(Capability::NullsNotDistinct));
        assert!(new.has(Capability::NullsNotDistinct));
        assert_eq!(old.pick(Capability::ParameterAcls, "acl", "NULL"), "NULL");
        assert_eq!(old.to_string(), "14.23");
    }

    #[test]
    fn an_extension_that_nobody_can_install_is_known() {
        assert!(ServerVersion::from_num(170_000).has_dropped("adminpack"));
        assert!(!ServerVersion::from_num(160_009).has_dropped("adminpack"));
        assert!(!ServerVersion::from_num(180_000).has_dropped("postgis"));
    }

    #[test]
    fn majors_outside_the_tested_range_are_told_apart() {
        assert!(ServerVersion::from_num(120_001).is_too_old());
        assert!(ServerVersion::from_num(190_000).is_unknown());
        assert!(ServerVersion::from_num(190_000).has(Capability::VirtualColumns));
    }
}
