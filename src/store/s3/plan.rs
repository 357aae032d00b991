//! How an object is cut into parts: pure numbers.
//!
//! Parts of one object are equal but for the last, as some stores demand. They are as small as the number of parts
//! allows, so that several are under way at once within the memory; where the memory does not hold two of the size that
//! is needed, the archive goes on in another object.

use super::settings::Settings;

const MIB: u64 = 1 << 20;
/// What a part has if nothing else decides.
const PART_BYTES: u64 = 8 << 20;
const UNDER_WAY_MAX: u64 = 16;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    pub(super) part_bytes: u64,
    pub(super) parts_max: u32,
    /// Beside the part that is being filled.
    pub(super) under_way: u32,
    part_bytes_max: u64,
    memory: u64,
}

impl Plan {
    /// For an object of about `expected` bytes. The estimate may be wrong by a quarter without another object.
    pub(super) fn new(expected: Option<u64>, settings: &Settings) -> Self {
        let parts_max = settings.parts_max.max(1);
        let part_bytes_max = (settings.memory / 2).max(settings.part_bytes_min);
        let needed = expected.unwrap_or(0).saturating_mul(5).div_ceil(4).div_ceil(u64::from(parts_max));
        let needed = needed.div_ceil(MIB).saturating_mul(MIB);
        let usual = PART_BYTES.min(settings.memory / 4);
        let part_bytes = needed.max(usual).clamp(settings.part_bytes_min, part_bytes_max);
        Plan { part_bytes, parts_max, under_way: 0, part_bytes_max, memory: settings.memory }.counted()
    }

    /// The same where so many objects share the memory.
    pub(super) fn shared(expected: Option<u64>, settings: &Settings, side_by_side: u32) -> Self {
        let memory = settings.memory / u64::from(side_by_side.max(1));
        Plan::new(expected, &Settings { memory, ..settings.clone() })
    }

    /// For the object that goes on where this one had no more parts.
    pub(super) fn next(self) -> Self {
        Plan { part_bytes: self.part_bytes.saturating_mul(2).min(self.part_bytes_max), ..self }.counted()
    }

    fn counted(self) -> Self {
        let fit = (self.memory / self.part_bytes.max(1)).saturating_sub(1);
        Plan { under_way: u32::try_from(fit.clamp(1, UNDER_WAY_MAX)).unwrap_or(1), ..self }
    }
}

/// The name of an archive's further files: `.001` for the first of them.
pub(super) fn part_name(name: &str, number: u16) -> String {
    match number {
        0 => name.to_owned(),
        number => format!("{name}.{number:03}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn settings(parts_max: u32) -> Settings {
        Settings { parts_max, ..Settings::usual() }
    }

    /// How many objects `bytes` take, and the most that is held at once.
    fn walk(bytes: u64, expected: Option<u64>, settings: &Settings) -> (u32, u64) {
        let (mut plan, mut left, mut objects, mut held) = (Plan::new(expected, settings), bytes, 1, 0);
        loop {
            held = held.max(plan.part_bytes * u64::from(plan.under_way + 1));
            let fits = plan.part_bytes * u64::from(plan.parts_max);
            if left <= fits {
                return (objects, held);
            }
            (left, objects, plan) = (left - fits, objects + 1, plan.next());
        }
    }

    #[test]
    fn what_is_expected_fits_one_object_where_the_memory_allows() {
        assert_eq!(Plan::new(None, &settings(10_000)).part_bytes, 8 << 20);
        assert_eq!(Plan::new(Some(0), &settings(10_000)).under_way, 7);
        assert_eq!(walk(60 * GIB, Some(60 * GIB), &settings(10_000)).0, 1);
        assert_eq!(walk(200 * GIB, Some(200 * GIB), &settings(10_000)).0, 1);
        assert_eq!(walk(25 * GIB, Some(25 * GIB), &settings(1000)).0, 1);
    }

    #[test]
    fn a_wrong_estimate_goes_on_in_further_objects() {
        for parts_max in [10_000, 1000] {
            let settings = settings(parts_max);
            let whole = Plan::new(Some(GIB), &settings).part_bytes * u64::from(parts_max);
            assert_eq!(walk(whole, Some(GIB), &settings).0, 1, "{parts_max} parts");
            assert_eq!(walk(whole + 1, Some(GIB), &settings).0, 2, "{parts_max} parts");
            // The second has twice as large parts, the third as large as the memory allows.
            assert_eq!(walk(3 * whole, Some(GIB), &settings).0, 2, "{parts_max} parts");
            assert_eq!(walk(3 * whole + 1, Some(GIB), &settings).0, 3, "{parts_max} parts");
        }
        // Five terabytes, nothing known.
        assert!(walk(5 << 40, None, &settings(10_000)).0 < 20);
        assert!(walk(5 << 40, None, &settings(1000)).0 < 200);
    }

    #[test]
    fn further_files_sort_behind_the_first() {
        let names: Vec<_> = (0..3).map(|number| part_name("x.sql.gz", number)).collect();
        assert_eq!(names, ["x.sql.gz", "x.sql.gz.001", "x.sql.gz.002"]);
    }

    proptest! {
        #[test]
        fn parts_never_pass_their_bounds(expected in 0u64..1 << 50, mib in 10u64..2000, parts_max in 1u32..20_000) {
            let settings = Settings { memory: mib << 20, parts_max, ..Settings::usual() };
            let (_, held) = walk(expected / (1 << 20), Some(expected), &settings);
            prop_assert!(held <= settings.memory, "{held} of {}", settings.memory);
            let plan = Plan::new(Some(expected), &settings);
            prop_assert!(plan.part_bytes >= settings.part_bytes_min && plan.next().part_bytes >= plan.part_bytes);
        }
    }
}
