//! Deflate at the level that the data need: as fast as can be while all of it together is no larger than `gzip` makes it.
//!
//! How much a level gains depends on the data: of some tables the fastest one is smaller than by `gzip -9` by a tenth, of others
//! a slow one is needed. So now and then a sample of a stream is compressed by each level and by a reference, and what
//! one stream saves another may spend.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;

use super::{Codec, Libdeflate, Packed, ZlibNg, wide};

/// From the fastest on. What is beyond gains half a percent as a rule, for a third more time and more.
const LEVELS: [u32; 3] = [5, 6, 7];

/// Of zlib-ng. Of rows between 0.2 and 2 % smaller than `gzip -9`, in a third to a half of its time; 9 of zlib-ng is up to 3 % larger.
const REFERENCE: u32 = 6;

/// In thousandths of the reference: within one percent of `gzip -9`. The last percent would cost a fifth more time.
const ALLOWED_OF_ROWS: usize = 1008;
/// Of SQLite's pages the reference is no smaller than `gzip -9`.
const ALLOWED_OF_PAGES: usize = 1000;

/// What is looked at of a block: of a quarter of it the reference seems too large by 2 %, since what it finds far back is
/// not there yet.
pub const SAMPLE_BYTES: usize = 256 << 10;

/// Blocks of one stream from one sample to the next.
const BLOCKS_PER_SAMPLE: u32 = 64;

/// Of all blocks so many for one sample, so that many small tables do not cost more time than they could gain.
const SAMPLE_OF_BLOCKS: u64 = 32;

/// Saved so far, in thousandths of what all may be, from which on nothing needs to be spent on size.
const AT_EASE: i64 = 5;

/// What all codecs of one archive know together.
#[derive(Debug, Default)]
pub struct Fit(Mutex<Ledger>);

impl Fit {
    /// Of a source that can be looked at beforehand: samples of [`SAMPLE_BYTES`] from all over it, which stand for all that
    /// is no row. Its beginning does not have to guess what the rest will save.
    pub fn seeded(samples: &[Vec<u8>]) -> Result<Fit> {
        let mut sampler = Sampler::new();
        let mut all = Sizes::default();
        for sample in samples {
            all.add(&sampler.sizes(sample, ALLOWED_OF_PAGES, false)?);
        }
        let mut ledger = Ledger::default();
        if !samples.is_empty() {
            ledger.streams.insert(key_of(&[], None), Stream { sizes: all, blocks: None });
        }
        Ok(Fit(Mutex::new(ledger)))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Ledger {
    streams: HashMap<u64, Stream>,
    blocks: u64,
    samples: u64,
    /// Bytes that what was made may be, by estimate.
    allowed: i64,
    /// Those less the bytes that were made.
    saved: i64,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    sizes: Sizes,
    /// Since the last sample; nothing where no other is wanted.
    blocks: Option<u32>,
}

enum Known {
    Sizes(Sizes),
    Nothing,
    SampleIsDue,
}

/// Of a sample.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sizes {
    allowed: usize,
    levels: [usize; LEVELS.len()],
}

impl Sizes {
    fn add(&mut self, other: &Sizes) {
        self.allowed = self.allowed.saturating_add(other.allowed);
        for (sum, size) in self.levels.iter_mut().zip(other.levels) {
            *sum = sum.saturating_add(size);
        }
    }

    /// The fastest level that is allowed, or else the last: its place in [`LEVELS`].
    fn fitting(&self) -> usize {
        self.levels.iter().position(|size| *size <= self.allowed).unwrap_or(LEVELS.len().saturating_sub(1))
    }

    /// What a block may be of which this level made `bytes`.
    fn allowed_of(&self, at: usize, bytes: usize) -> i64 {
        let level = self.levels.get(at).copied().unwrap_or(self.allowed);
        i64::try_from(wide(bytes).saturating_mul(wide(self.allowed)).checked_div(wide(level)).unwrap_or(0))
            .unwrap_or(i64::MAX)
    }
}

impl Ledger {
    /// The level for the next block of a stream: its place in [`LEVELS`].
    fn choose(&self, sizes: &Sizes) -> usize {
        let fitting = sizes.fitting();
        match self.saved {
            saved if saved < 0 => fitting,
            saved if saved < self.allowed.saturating_div(1000).saturating_mul(AT_EASE) => fitting.saturating_sub(1),
            _ => 0,
        }
    }

    /// What is known of a stream, one block of which is taken.
    fn known(&mut self, key: u64, can_sample: bool) -> Known {
        self.blocks = self.blocks.saturating_add(1);
        let has_time = can_sample && self.samples.saturating_mul(SAMPLE_OF_BLOCKS) <= self.blocks;
        match self.streams.get_mut(&key) {
            None if has_time => Known::SampleIsDue,
            None => Known::Nothing,
            Some(Stream { blocks: Some(BLOCKS_PER_SAMPLE..), .. }) if has_time => Known::SampleIsDue,
            Some(stream) => {
                stream.blocks = stream.blocks.map(|blocks| blocks.saturating_add(1));
                Known::Sizes(stream.sizes)
            }
        }
    }

    fn made(&mut self, sizes: &Sizes, at: usize, bytes: usize) {
        let allowed = sizes.allowed_of(at, bytes);
        self.allowed = self.allowed.saturating_add(allowed);
        self.saved = self.saved.saturating_add(allowed).saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

struct Sampler {
    levels: [Libdeflate; LEVELS.len()],
    reference: ZlibNg,
    scratch: Vec<u8>,
}

impl Sampler {
    fn new() -> Self {
        Sampler { levels: LEVELS.map(Libdeflate::new), reference: ZlibNg::new(REFERENCE), scratch: Vec::new() }
    }

    /// `allowed`: in thousandths of the reference. `until_fit` leaves out levels that are not needed.
    fn sizes(&mut self, sample: &[u8], allowed: usize, until_fit: bool) -> Result<Sizes> {
        let Sampler { levels, reference, scratch } = self;
        let size = |codec: &mut dyn Codec, scratch: &mut Vec<u8>| {
            scratch.clear();
            codec.compress(sample, scratch).map(|()| scratch.len())
        };
        let reference = size(reference, scratch)?;
        let mut sizes = Sizes { allowed: reference.saturating_mul(allowed).saturating_div(1000), ..Sizes::default() };
        for (into, codec) in sizes.levels.iter_mut().zip(levels) {
            *into = size(codec, scratch)?;
            if until_fit && *into <= sizes.allowed {
                break;
            }
        }
        Ok(sizes)
    }
}

pub struct Fitted {
    fit: Arc<Fit>,
    sampler: Sampler,
}

impl Fitted {
    /// Those of one archive share one `fit`.
    pub fn new(fit: &Arc<Fit>) -> Self {
        Fitted { fit: Arc::clone(fit), sampler: Sampler::new() }
    }

    /// What is known of the block's stream; nothing if it was never sampled.
    fn sizes(&mut self, raw: &[u8], rows: Option<&Range<usize>>) -> Result<Option<Sizes>> {
        let key = key_of(raw, rows);
        let from = raw.len().saturating_sub(SAMPLE_BYTES) / 2;
        let sample = raw.get(from..).and_then(|rest| rest.get(..SAMPLE_BYTES));
        let known = self.fit.ledger().known(key, sample.is_some());
        let sample = match (known, sample) {
            (Known::Sizes(sizes), _) => return Ok(Some(sizes)),
            (Known::SampleIsDue, Some(sample)) => sample,
            (Known::Nothing | Known::SampleIsDue, _) => return Ok(None),
        };
        let allowed = if rows.is_some() { ALLOWED_OF_ROWS } else { ALLOWED_OF_PAGES };
        // Meanwhile others may sample the same stream: that costs them a little time.
        let sizes = self.sampler.sizes(sample, allowed, true)?;
        let mut ledger = self.fit.ledger();
        ledger.samples = ledger.samples.saturating_add(1);
        ledger.streams.insert(key, Stream { sizes, blocks: Some(1) });
        Ok(Some(sizes))
    }

    fn level(&mut self, at: usize) -> &mut Libdeflate {
        let [fast, middle, slow] = &mut self.sampler.levels;
        match at {
            0 => fast,
            1 => middle,
            _ => slow,
        }
    }
}

/// Blocks of a table begin with the same statement.
fn key_of(raw: &[u8], rows: Option<&Range<usize>>) -> u64 {
    xxh3_64(rows.and_then(|rows| raw.get(..rows.start)).unwrap_or_default())
}

impl Codec for Fitted {
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        self.level(0).compress(raw, into)
    }

    fn pack_into(&mut self, raw: &[u8], rows: Option<Range<usize>>, buffer: Vec<u8>) -> Result<Packed> {
        let Some(sizes) = self.sizes(raw, rows.as_ref())? else {
            return self.level(0).pack_into(raw, rows, buffer);
        };
        let at = self.fit.ledger().choose(&sizes);
        let packed = self.level(at).pack_into(raw, rows, buffer)?;
        self.fit.ledger().made(&sizes, at, packed.bytes.len());
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of few words, which slow levels make much smaller, or numbers, of which they make nothing.
    fn rows(table: &str, wordy: bool, seed: u64) -> (Vec<u8>, Range<usize>) {
        const WORDS: [&str; 8] = ["customer", "order", "invoice", "shipped", "pending", "agent", "result", "model"];
        let mut block = format!("COPY \"s\".\"{table}\" (\"a\") FROM stdin;\n").into_bytes();
        let start = block.len();
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        while block.len() < 1_000_000 {
            let line = match wordy {
                true => {
                    let (id, tokens) = (next(), next() % 5000);
                    let words: Vec<&str> = (0..9).map(|_| WORDS[next() % WORDS.len()]).collect();
                    let [status, tool, kind, note @ ..] = &words[..] else { unreachable!() };
                    let note = note.join(" ");
                    format!(
                        "{{\"id\": {id}, \"status\": \"{status}\", \"tool\": \"{tool}_{kind}\", \"tokens\": {tokens}, \"note\": \"{note}\"}}\n"
                    )
                }
                false => format!("{}\t{}\n", next(), next()),
            };
            block.extend_from_slice(line.as_bytes());
        }
        let end = block.len();
        block.extend_from_slice(b"\\.\n");
        (block, start..end)
    }

    fn packed_by(codec: &mut dyn Codec, blocks: &[(Vec<u8>, Range<usize>)]) -> usize {
        blocks.iter().map(|(raw, rows)| codec.pack(raw, Some(rows.clone())).unwrap().bytes.len()).sum()
    }

    #[test]
    fn what_needs_a_slow_level_gets_it_and_nothing_else() {
        let wordy: Vec<_> = (0..12).map(|seed| rows("wordy", true, seed)).collect();
        let numbers: Vec<_> = (0..12).map(|seed| rows("numbers", false, seed)).collect();
        let by = |level: u32, blocks: &[_]| packed_by(&mut Libdeflate::new(level), blocks);
        let fitted = |blocks: &[_]| packed_by(&mut Fitted::new(&Arc::default()), blocks);
        let allowed = packed_by(&mut ZlibNg::new(REFERENCE), &wordy);
        let allowed = allowed * (ALLOWED_OF_ROWS + 3) / 1000;
        assert!(by(5, &wordy) > allowed, "these data do not tell levels apart");
        assert!(fitted(&wordy) <= allowed, "{} of {allowed}", fitted(&wordy));
        assert_eq!(fitted(&numbers), by(5, &numbers), "time was spent on what gains nothing");
    }

    #[test]
    fn what_one_stream_saves_another_spends() {
        let sizes = |allowed, levels| Sizes { allowed, levels };
        let (saves, spends) = (sizes(1000, [900, 900, 900]), sizes(1000, [1050, 1010, 980]));
        let mut ledger = Ledger::default();
        let mut total = 0;
        for _ in 0..10 {
            assert_eq!(ledger.choose(&saves), 0);
            ledger.made(&saves, 0, 900);
            total += 900;
        }
        // A thousand bytes in hand: twenty blocks of the other one at the fastest level, then what keeps the balance.
        let mut chosen = Vec::new();
        for _ in 0..200 {
            let at = ledger.choose(&spends);
            ledger.made(&spends, at, spends.levels[at]);
            total += spends.levels[at];
            chosen.push(at);
        }
        assert!(chosen[..15].iter().all(|at| *at == 0), "{chosen:?}");
        assert!(chosen[60..].iter().all(|at| *at > 0), "{chosen:?}");
        assert!(total <= 210 * 1000 + 1000, "{total}");
        assert!(chosen.contains(&1) && chosen.contains(&2));
    }

    #[test]
    fn many_small_tables_are_not_sampled_to_death() {
        let fit = Arc::default();
        let mut codec = Fitted::new(&fit);
        for table in 0..70 {
            let (raw, rows) = rows(&format!("t{table}"), false, table);
            codec.pack(&raw, Some(rows)).unwrap();
        }
        assert_eq!(fit.ledger().samples, 3);
        let statement = b"COPY \"s\".\"t\" (\"a\") FROM stdin;\n";
        let tiny = [&statement[..], b"1\n\\.\n"].concat();
        assert_eq!(codec.pack(&tiny, Some(statement.len()..statement.len() + 2)).unwrap().rows, 1);
    }

    #[test]
    fn a_seed_stands_for_all_pages() {
        let (page, _) = rows("t", true, 1);
        let fit = Arc::new(Fit::seeded(&[page[..SAMPLE_BYTES].to_vec(), vec![0; SAMPLE_BYTES]]).unwrap());
        let mut codec = Fitted::new(&fit);
        for _ in 0..2 * BLOCKS_PER_SAMPLE {
            codec.pack(&page, None).unwrap();
        }
        assert_eq!(fit.ledger().samples, 0);
        assert!(fit.ledger().allowed > 0);
    }
}
