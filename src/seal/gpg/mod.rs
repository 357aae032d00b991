//! Encryption by passphrase in the form of OpenPGP that every `gpg` reads and writes: AES-256 in an integrity protected packet.
//!
//! Nothing in such a file can be read before what precedes it, and whether it is whole says a digest behind the last byte.
//! So there is a writer and a reader from front to back, and whoever reads must read to the end before it believes any of it.

#[cfg(any(test, feature = "testkit"))]
mod fuzz;
mod read;
mod write;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_gpg;
pub use read::Reader;
pub use write::Writer;
