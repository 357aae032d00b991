//! Every schedule ends, nothing runs before what it needs, and nothing runs beside what it would wait for.

use proptest::prelude::*;

use super::super::locks::Mode;
use super::*;

const MODES: [Mode; 5] =
    [Mode::Read, Mode::ShareUpdateExclusive, Mode::Share, Mode::ShareRowExclusive, Mode::AccessExclusive];

fn part(name: u32, locks: Locks, weight: u64) -> Part<u32> {
    Part { work: name, locks, weight, bytes: 100 }
}

fn on(tables: &[(TableId, Mode)]) -> Locks {
    Locks::On { tables: tables.to_vec(), runs_code: false }
}

fn planned(at: u32, depends: &[u32], tables: &[TableId], parts: Vec<Part<u32>>) -> Planned<u32> {
    Planned { at, depends: depends.into(), tables: tables.to_vec(), parts: parts.into() }
}

#[test]
fn an_index_waits_for_its_rows_and_a_key_for_its_index() {
    let mut schedule = Schedule::new(HashSet::from([1, 2]));
    let key = vec![part(10, on(&[(1, Mode::Share)]), 50), part(11, on(&[(1, Mode::AccessExclusive)]), 0)];
    schedule.add(planned(0, &[], &[1], key));
    schedule.add(planned(1, &[], &[1], vec![part(20, on(&[(1, Mode::Share)]), 90)]));
    schedule.add(planned(2, &[0], &[1, 2], vec![part(30, on(&[(2, Mode::ShareRowExclusive)]), 0)]));
    schedule.add(planned(3, &[], &[], vec![part(40, Locks::Alone, 0)]));
    schedule.complete();
    assert!(schedule.take().is_none(), "no rows are there");
    schedule.loaded(1);
    let (index, of_index) = schedule.take().unwrap().into_parts();
    let (key, of_key) = schedule.take().unwrap().into_parts();
    assert_eq!((index, key), (20, 10), "of two indexes of one table the larger goes first, and both at once");
    schedule.done(of_key);
    assert!(schedule.take().is_none(), "ALTER TABLE waits for the other index");
    schedule.done(of_index);
    let (key, of_key) = schedule.take().unwrap().into_parts();
    assert_eq!(key, 11);
    schedule.done(of_key);
    assert!(schedule.take().is_none(), "the foreign key waits for the rows of table 2, and so does what runs alone");
    schedule.loaded(2);
    let (foreign, of_foreign) = schedule.take().unwrap().into_parts();
    assert_eq!(foreign, 30);
    assert!(schedule.take().is_none(), "something runs");
    schedule.done(of_foreign);
    assert_eq!(schedule.take().unwrap().into_parts().0, 40);
}

#[derive(Clone, Debug)]
struct Made {
    depends: Vec<u32>,
    /// `None` runs alone.
    parts: Vec<Option<Vec<(TableId, usize)>>>,
}

fn made() -> impl Strategy<Value = Made> {
    let tables = proptest::collection::vec((0..5_usize, 0..MODES.len()), 1..3);
    let parts = proptest::collection::vec(proptest::option::weighted(0.8, tables), 1..3);
    (proptest::collection::vec(0..40_u32, 0..3), parts).prop_map(|(depends, parts)| Made { depends, parts })
}

fn locks(made: &Option<Vec<(TableId, usize)>>) -> Locks {
    match made {
        None => Locks::Alone,
        Some(tables) => on(&tables.iter().map(|(table, mode)| (*table, MODES[*mode])).collect::<Vec<_>>()),
    }
}

fn meet(one: &Locks, other: &Locks) -> bool {
    match (one, other) {
        (Locks::On { tables: one, .. }, Locks::On { tables: other, .. }) => {
            one.iter().any(|(table, mode)| other.iter().any(|(on, with)| table == on && mode.conflicts(*with)))
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn any_schedule_ends_in_an_order_that_holds(steps in proptest::collection::vec(made(), 1..40), order in any::<u64>(), jobs in 1..6_usize) {
        let mut schedule = Schedule::new(HashSet::from([0, 1]));
        let mut owed = Vec::new();
        for (at, step) in (0_u32..).zip(&steps) {
            // What runs alone is never cut in two.
            let alone = step.parts.iter().any(Option::is_none);
            let cut = if alone { &step.parts[..1] } else { &step.parts[..] };
            let held: Vec<Locks> = cut.iter().map(|one| if alone { Locks::Alone } else { locks(one) }).collect();
            let depends: Vec<u32> = step.depends.iter().copied().filter(|on| *on < at).collect();
            let tables = match held.first() { Some(Locks::On { tables, .. }) => tables.iter().map(|(table, _)| *table).collect(), _ => vec![] };
            let parts = held.iter().map(|locks| part(at, locks.clone(), u64::from(at % 3))).collect();
            schedule.add(planned(at, &depends, &tables, parts));
            owed.push((depends, held));
        }
        schedule.complete();
        let (mut running, mut done, mut seed) = (Vec::new(), vec![0_usize; steps.len()], order);
        let mut unloaded = vec![0, 1];
        for _ in 0..10_000 {
            if running.len() < jobs && let Some(started) = schedule.take() {
                let (at, finished) = started.into_parts();
                let (depends, held) = &owed[at as usize];
                let now = held[done[at as usize]].clone();
                for on in depends {
                    prop_assert_eq!(done[*on as usize], owed[*on as usize].1.len(), "{} ran before {}", at, on);
                }
                for (other, beside, _) in &running {
                    prop_assert!(!meet(&now, beside), "{} beside {}", at, other);
                }
                if now == Locks::Alone { prop_assert!(unloaded.is_empty()); }
                running.push((at, now, finished));
                continue;
            }
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let pick = (seed >> 33) as usize;
            if !unloaded.is_empty() && (running.is_empty() || pick.is_multiple_of(3)) {
                schedule.loaded(unloaded.remove(pick % unloaded.len()));
                continue;
            }
            if running.is_empty() { break; }
            let (at, _, finished) = running.swap_remove(pick % running.len());
            done[at as usize] += 1;
            schedule.done(finished);
        }
        prop_assert!(schedule.is_done(), "it came to a stop");
    }
}
