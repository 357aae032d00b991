//! The only backslash lines that a foreign script may hold: `\restrict KEY` and its matching `\unrestrict KEY`.
//!
//! pg_dump frames its scripts with them, so that psql refuses every other command between. We refuse every other
//! command anywhere; the key is only compared, never expanded.

use super::fault::Fault;

/// Follows the backslash lines of one script.
#[derive(Debug, Default)]
pub struct Restrict {
    key: Option<Vec<u8>>,
}

impl Restrict {
    pub fn new() -> Self {
        Restrict::default()
    }

    /// `line` is an [`Item::Meta`](super::Item::Meta).
    pub fn accept(&mut self, line: &[u8]) -> Result<(), Fault> {
        let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let (Some(command), Some(key), None) = (words.next(), words.next(), words.next()) else {
            return Err(Fault::Command);
        };
        if !key.iter().all(u8::is_ascii_alphanumeric) {
            return Err(Fault::Command);
        }
        match (command, &self.key) {
            (b"\\restrict", None) => self.key = Some(key.to_vec()),
            (b"\\unrestrict", Some(open)) if open == key => self.key = None,
            _ => return Err(Fault::Command),
        }
        Ok(())
    }

    /// Whether every `\restrict` has had its `\unrestrict`.
    pub fn is_closed(&self) -> bool {
        self.key.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_matching_pair_passes() {
        let mut guard = Restrict::new();
        guard.accept(b"\\restrict aB3").unwrap();
        assert!(!guard.is_closed());
        assert_eq!(guard.accept(b"\\unrestrict other"), Err(Fault::Command));
        assert_eq!(guard.accept(b"\\restrict again"), Err(Fault::Command));
        guard.accept(b"\\unrestrict aB3").unwrap();
        assert!(guard.is_closed());
    }

    #[test]
    fn every_other_command_is_refused() {
        let lines: [&[u8]; 8] = [
            b"\\! touch /tmp/x",
            b"\\restrict",
            b"\\restrict a b",
            b"\\restrict `id`",
            b"\\restrict :HOME",
            b"\\unrestrict a",
            b"\\restrictx a",
            b"\\connect other",
        ];
        for line in lines {
            assert_eq!(Restrict::new().accept(line), Err(Fault::Command), "{}", line.escape_ascii());
        }
    }
}
