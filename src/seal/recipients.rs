//! For whom bytes are sealed.

use std::fmt;

use age::secrecy::SecretString;
use age::{Encryptor, ssh, x25519};

use crate::error::{Error, Kind, Result};
use crate::policy::Seal;

/// Public keys, or one passphrase: age mixes them with nothing else, and of gpg only the passphrase is used.
pub struct Recipients(Method);

enum Method {
    Keys(Vec<(Recipient, String)>),
    Passphrase(SecretString),
    Gpg(SecretString),
}

pub(super) enum Encryption<'a> {
    Age(Box<Encryptor>),
    Gpg(&'a SecretString),
}

enum Recipient {
    X25519(x25519::Recipient),
    Ssh(ssh::Recipient),
}

/// Whether this is a key as it is written, and not the name of a file of keys.
pub fn is_recipient(text: &str) -> bool {
    text.starts_with("age1") || text.starts_with("ssh-")
}

impl Recipients {
    /// One key: `age1…`, or `ssh-ed25519 …` or `ssh-rsa …` as in `authorized_keys`.
    pub fn of(keys: impl IntoIterator<Item = String>) -> Result<Self> {
        let keys = keys.into_iter().map(|key| Ok((parse(key.trim())?, shown(key.trim()))));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        match keys.is_empty() {
            true => Err(Error::new(Kind::Usage, "nobody is named who could decrypt the backups")),
            false => Ok(Recipients(Method::Keys(keys))),
        }
    }

    /// Whoever knows the passphrase. It is stretched for about a second.
    pub fn of_passphrase(passphrase: String) -> Self {
        Recipients(Method::Passphrase(passphrase.into()))
    }

    /// The same, in the form that gpg reads.
    pub fn of_passphrase_by_gpg(passphrase: String) -> Self {
        Recipients(Method::Gpg(passphrase.into()))
    }

    pub fn seal(&self) -> Seal {
        match self.0 {
            Method::Keys(_) | Method::Passphrase(_) => Seal::Age,
            Method::Gpg(_) => Seal::Gpg,
        }
    }

    /// The public keys, for people; empty for a passphrase.
    pub fn shown(&self) -> Vec<String> {
        match &self.0 {
            Method::Keys(keys) => keys.iter().map(|(_, shown)| shown.clone()).collect(),
            Method::Passphrase(_) | Method::Gpg(_) => Vec::new(),
        }
    }

    pub(super) fn encryptor(&self) -> Result<Encryption<'_>> {
        let keys = match &self.0 {
            Method::Passphrase(passphrase) => {
                return Ok(Encryption::Age(Box::new(Encryptor::with_user_passphrase(passphrase.clone()))));
            }
            Method::Gpg(passphrase) => return Ok(Encryption::Gpg(passphrase)),
            Method::Keys(keys) => keys,
        };
        let recipients = keys.iter().map(|(key, _)| match key {
            Recipient::X25519(key) => key as &dyn age::Recipient,
            Recipient::Ssh(key) => key as &dyn age::Recipient,
        });
        Encryptor::with_recipients(recipients)
            .map(|encryptor| Encryption::Age(Box::new(encryptor)))
            .map_err(|cause| Error::new(Kind::Usage, "cannot encrypt for these recipients").because(cause))
    }
}

/// Without the passphrase.
impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Method::Keys(_) => f.debug_tuple("Recipients").field(&self.shown()).finish(),
            Method::Passphrase(_) | Method::Gpg(_) => f.write_str("Recipients(passphrase)"),
        }
    }
}

fn parse(key: &str) -> Result<Recipient> {
    if key.starts_with("AGE-SECRET-KEY-") {
        let error = Error::new(Kind::Usage, "cannot encrypt for a secret key: it does not belong on this machine");
        return Err(error.hint("give its public key: age-keygen -y FILE prints it"));
    }
    let parsed = match key.starts_with("ssh-") {
        true => key.parse::<ssh::Recipient>().ok().map(Recipient::Ssh),
        false => key.parse::<x25519::Recipient>().ok().map(Recipient::X25519),
    };
    parsed.ok_or_else(|| {
        Error::new(Kind::Usage, format!("`{}` is not a recipient", shown(key)))
            .hint("a recipient is an age1… key, or a line of an ssh-ed25519 or ssh-rsa public key file")
    })
}

/// A public key without its comment, which often holds a name.
fn shown(key: &str) -> String {
    match key.starts_with("ssh-") {
        true => key.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" "),
        false => key.chars().take(200).collect(),
    }
}
