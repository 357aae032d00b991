//! Parts of a table by `ctid`: cut by the bytes that they stand for, TOAST included. Pure.
//!
//! A place counts line pointers, not pages: the rows of a few pages can hold gigabytes in TOAST, and then a page is cut,
//! too. Larger parts end with a page. The last part has no end, so rows of pages that were added since are in it.

use std::fmt;

/// Line pointers of a page that are told apart. A row with a value in TOAST takes 52 bytes of a page of 8 KiB, so no
/// page has more of them; rows of smaller ones are never cut within a page.
const PLACES_OF_PAGE: u64 = 157;

/// From one place to before another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    from: u64,
    to: Option<u64>,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tid = |place: u64| format!("'({},{})'::pg_catalog.tid", place / PLACES_OF_PAGE, place % PLACES_OF_PAGE);
        write!(f, "ctid OPERATOR(pg_catalog.>=) {}", tid(self.from))?;
        match self.to {
            Some(to) => write!(f, " AND ctid OPERATOR(pg_catalog.<) {}", tid(to)),
            None => Ok(()),
        }
    }
}

/// What is left of a table, from a place on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rest {
    at: u64,
    end: u64,
    /// What it stands for on the server's disk.
    pub bytes: u64,
}

impl Rest {
    pub fn whole(pages: u64, bytes: u64) -> Self {
        Rest { at: 0, end: pages.saturating_mul(PLACES_OF_PAGE), bytes }
    }

    /// Whether a part was taken already.
    pub fn is_begun(self) -> bool {
        self.at > 0
    }

    /// All of it.
    pub fn range(self) -> Range {
        Range { from: self.at, to: None }
    }

    /// A first part that stands for about so many bytes, and what is left; nothing if that would be all.
    pub fn cut(self, bytes: u64) -> Option<(Range, u64, Rest)> {
        let places = self.end.saturating_sub(self.at);
        let share = u128::from(places) * u128::from(bytes) / u128::from(self.bytes.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX).max(1);
        let mut to = self.at.saturating_add(share);
        if share >= PLACES_OF_PAGE {
            to = to.next_multiple_of(PLACES_OF_PAGE);
        }
        if to >= self.end {
            return None;
        }
        let part = u128::from(self.bytes) * u128::from(to.saturating_sub(self.at)) / u128::from(places.max(1));
        let part = u64::try_from(part).unwrap_or(self.bytes);
        let rest = Rest { at: to, end: self.end, bytes: self.bytes.saturating_sub(part) };
        Some((Range { from: self.at, to: Some(to) }, part, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_cut_by_bytes_and_end_with_a_page() {
        let (range, bytes, rest) = Rest::whole(1000, 8_192_000).cut(819_000).unwrap();
        let first = "ctid OPERATOR(pg_catalog.>=) '(0,0)'::pg_catalog.tid \
                     AND ctid OPERATOR(pg_catalog.<) '(100,0)'::pg_catalog.tid";
        assert_eq!((range.to_string().as_str(), bytes), (first, 819_200));
        assert_eq!(rest.range().to_string(), "ctid OPERATOR(pg_catalog.>=) '(100,0)'::pg_catalog.tid");
    }

    #[test]
    fn a_page_whose_rows_are_huge_is_cut_within() {
        let (range, bytes, _) = Rest::whole(1, 157 << 20).cut(10 << 20).unwrap();
        assert!(range.to_string().ends_with("'(0,10)'::pg_catalog.tid"), "{range}");
        assert_eq!(bytes, 10 << 20);
    }

    #[test]
    fn what_has_no_pages_is_never_cut() {
        assert_eq!(Rest::whole(0, 1 << 30).cut(1), None);
        assert_eq!(Rest::whole(1, 0).cut(1), None);
    }

    proptest! {
        #[test]
        fn parts_join_without_gap_and_lose_no_bytes(pages in 0_u64..100_000, bytes in 0_u64..1 << 40, cuts in prop::collection::vec(1_u64..1 << 32, 0..20)) {
            let mut rest = Rest::whole(pages, bytes);
            let (mut at, mut sum) = (0, 0);
            for cut in cuts {
                let Some((range, part, left)) = rest.cut(cut) else { break };
                prop_assert_eq!(range.from, at);
                at = range.to.unwrap();
                prop_assert!(at > range.from && left.is_begun());
                sum += part;
                rest = left;
            }
            prop_assert_eq!(rest.range(), Range { from: at, to: None });
            prop_assert_eq!(sum + rest.bytes, bytes);
        }
    }
}
