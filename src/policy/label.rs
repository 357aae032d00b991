//! A source's label as it stands in file names: percent-encoded, bounded, never a path of its own.
//!
//! Letters, digits, `.`, `_` and `-` stand for themselves; every other byte, and a leading `.` or `-`, is
//! written `%XX`. The encoding is injective. A label whose encoded form is longer than [`ENCODED_BYTES_MAX`]
//! is cut and ends in `~` and a hash of the whole label: `~` never occurs otherwise, so two labels that
//! differ only past the cut keep different names, and nobody takes a shortened label for a whole one.

use std::fmt::{self, Write};

use percent_encoding::percent_decode_str;

use crate::checksum::{Sha256, hex};

/// Leaves room for prefix, date, suffixes, `.meta` and the staging name below the 255 bytes of a file name.
pub const ENCODED_BYTES_MAX: usize = 128;
const HASH_DIGITS: usize = 16;
const CUT_MARK: char = '~';

/// The encoded form of a label. Two labels are equal exactly if their encoded forms are.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Label(String);

impl Label {
    /// `None` for the empty label: a name needs at least one character.
    pub fn encode(label: &str) -> Option<Self> {
        if label.is_empty() {
            return None;
        }
        let mut encoded = String::with_capacity(label.len());
        for (at, byte) in label.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || byte == b'_' || (at > 0 && (byte == b'.' || byte == b'-'));
            if plain {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        if encoded.len() > ENCODED_BYTES_MAX {
            shorten(&mut encoded, label);
        }
        Some(Label(encoded))
    }

    /// Accepts only what [`encode`](Label::encode) writes.
    pub fn parse(encoded: &str) -> Option<Self> {
        if encoded.is_empty() || encoded.len() > ENCODED_BYTES_MAX {
            return None;
        }
        match encoded.split_once(CUT_MARK) {
            Some((kept, hash)) => {
                let digits = hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let kept_is_ours = kept.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%".contains(&b));
                (digits && kept_is_ours && !kept.starts_with(['.', '-'])).then(|| Label(encoded.to_owned()))
            }
            None => {
                let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
                Label::encode(&decoded).filter(|label| label.0 == encoded)
            }
        }
    }

    /// The label itself; `None` if it was shortened (`.meta` holds the whole one).
    pub fn decode(&self) -> Option<String> {
        if self.is_shortened() {
            return None;
        }
        percent_decode_str(&self.0).decode_utf8().ok().map(|text| text.into_owned())
    }

    pub fn is_shortened(&self) -> bool {
        self.0.contains(CUT_MARK)
    }

    /// As it stands in file names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Labels with the same key would share a file on a file system that ignores case.
    pub fn clash_key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first two labels that cannot live in one tree, if any: equal, or equal but for the case of letters.
pub fn first_clash<'a>(labels: impl IntoIterator<Item = &'a Label>) -> Option<(&'a Label, &'a Label)> {
    let mut seen = std::collections::BTreeMap::new();
    for label in labels {
        if let Some(earlier) = seen.insert(label.clash_key(), label) {
            return Some((earlier, label));
        }
    }
    None
}

fn shorten(encoded: &mut String, label: &str) {
    let mut keep = ENCODED_BYTES_MAX - HASH_DIGITS - CUT_MARK.len_utf8();
    // A cut through `%XX` would leave something that decodes to another byte.
    for back in 1..=2 {
        if encoded.as_bytes().get(keep - back) == Some(&b'%') {
            keep -= back;
            break;
        }
    }
    encoded.truncate(keep);
    let hash = hex(&Sha256::digest(label.as_bytes()));
    encoded.push(CUT_MARK);
    encoded.push_str(hash.get(..HASH_DIGITS).unwrap_or(&hash));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(label: &str) -> String {
        Label::encode(label).unwrap().as_str().to_owned()
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(encoded("miyabi"), "miyabi");
        assert_eq!(encoded("shop_2.live-eu"), "shop_2.live-eu");
        assert_eq!(encoded("db.example.com:5432"), "db.example.com%3A5432");
    }

    #[test]
    fn names_that_are_paths_or_options_are_not() {
        assert_eq!(encoded("."), "%2E");
        assert_eq!(encoded(".."), "%2E.");
        assert_eq!(encoded("-rf"), "%2Drf");
        assert_eq!(encoded("../../etc/cron.d/x"), "%2E.%2F..%2Fetc%2Fcron.d%2Fx");
        assert_eq!(encoded("a\0b\nc"), "a%00b%0Ac");
        assert_eq!(Label::encode(""), None);
    }

    #[test]
    fn long_names_that_differ_past_the_cut_stay_apart() {
        let long = "数".repeat(62);
        let (one, two) = (Label::encode(&format!("{long}a")).unwrap(), Label::encode(&format!("{long}b")).unwrap());
        assert_ne!(one, two);
        assert!(one.is_shortened() && one.decode().is_none());
        assert_eq!(Label::parse(one.as_str()).as_ref(), Some(&one));
        let longest_plain = "a".repeat(63);
        assert_eq!(encoded(&longest_plain), longest_plain);
    }

    #[test]
    fn clashes_name_both() {
        let labels: Vec<Label> = ["shop", "web", "Shop"].iter().map(|name| Label::encode(name).unwrap()).collect();
        let (one, two) = first_clash(&labels).unwrap();
        assert_eq!((one.as_str(), two.as_str()), ("shop", "Shop"));
        assert!(first_clash(&labels[..2]).is_none());
    }

    #[test]
    fn foreign_spellings_are_not_labels() {
        for text in ["", "a%2fb", "a b", "%41", "%zz", "a/b", ".x", "-x", "x~123", "x~0123456789ABCDEF"] {
            assert_eq!(Label::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_reversible_and_safe(label in "\\PC{1,40}|[\\x00-\\x7f]{1,150}|\\PC{60,120}") {
            let encoded = Label::encode(&label).unwrap();
            prop_assert!(encoded.as_str().len() <= ENCODED_BYTES_MAX);
            prop_assert!(encoded.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%~".contains(&b)));
            prop_assert!(!encoded.as_str().starts_with(['.', '-']));
            prop_assert_eq!(Label::parse(encoded.as_str()), Some(encoded.clone()));
            match encoded.decode() {
                Some(decoded) => prop_assert_eq!(decoded, label),
                None => prop_assert!(encoded.is_shortened()),
            }
        }

        #[test]
        fn parsing_never_invents_a_label(text in "\\PC{0,60}|[a-z%0-9A-F~.-]{0,140}") {
            if let Some(label) = Label::parse(&text) {
                prop_assert_eq!(label.as_str(), text.as_str());
                if let Some(decoded) = label.decode() {
                    prop_assert_eq!(Label::encode(&decoded), Some(label));
                }
            }
        }
    }
}
