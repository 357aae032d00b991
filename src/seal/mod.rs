//! Encryption: bytes are sealed on their way into a place and unsealed where they are read, by age at any offset, by gpg in order.
//!
//! Whoever writes for age keys knows recipients only; nothing here that seals can unseal. A sealed archive is a file of age or of
//! gpg: `age -d`, `gpg -d` open it without us. age authenticates each 64 KiB with its place and the last one as the last, so a damaged,
//! reordered or truncated file is an error (`io::ErrorKind::InvalidData`), never other bytes. Of archives this module knows
//! nothing but how their first bytes differ from gpg's (`archive::sniff`), and of files only their bytes.

mod gpg;
mod keys;
mod read;
mod recipients;
mod sign;
mod write;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testkit"))]
pub use gpg::fuzz_gpg;
pub use keys::Keys;
pub use read::{InOrder, Unsealed, is_sealed, open, reads_in_order, unseal, unseal_stream};
pub use recipients::{Recipients, is_recipient};
pub use sign::{Signer, Verifier};
pub use write::Sink;
