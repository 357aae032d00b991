//! Encryption by age: bytes are sealed on their way into a place and unsealed where they are read, at any offset.
//!
//! Whoever writes knows recipients only; nothing here that seals can unseal. A sealed archive is an age file: `age -d`
//! opens it without us. age authenticates each 64 KiB with its place and the last one as the last, so a damaged,
//! reordered or truncated file is an error (`io::ErrorKind::InvalidData`), never other bytes. This module knows nothing of
//! archives, and of files only their bytes.

mod keys;
mod read;
mod recipients;
mod sign;
mod write;

#[cfg(test)]
mod tests;

pub use keys::Keys;
pub use read::{Unsealed, is_sealed, open, unseal, unseal_stream};
pub use recipients::{METHOD, Recipients, is_recipient};
pub use sign::{Signer, Verifier};
pub use write::Sink;
