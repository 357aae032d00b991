//! What opens sealed bytes: identities, and a passphrase.

use std::fmt;

use age::secrecy::SecretString;
use age::{Identity, scrypt, ssh, x25519};

use crate::error::{Error, Kind, Result};

#[derive(Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// The passphrases among them, as gpg stretches them.
    passphrases: Vec<SecretString>,
}

enum Key {
    X25519(x25519::Identity),
    Ssh(Box<ssh::Identity>),
    Passphrase(scrypt::Identity),
}

impl Keys {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The contents of an identity file of age, or of a private key of ssh without a passphrase. `named` is for messages.
    pub fn add_identities(&mut self, text: &str, named: &str) -> Result<()> {
        let unusable = |what: &str| Error::new(Kind::Usage, format!("cannot use the identity {named}: {what}"));
        if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
            let identity = ssh::Identity::from_buffer(text.as_bytes(), Some(named.to_owned()));
            return match identity.map_err(|cause| unusable("it is no private key").because(cause))? {
                identity @ ssh::Identity::Unencrypted(_) => {
                    self.keys.push(Key::Ssh(Box::new(identity)));
                    Ok(())
                }
                ssh::Identity::Encrypted(_) => {
                    Err(unusable("it has a passphrase of its own").hint("a copy without one: ssh-keygen -p"))
                }
                ssh::Identity::Unsupported(_) => Err(unusable("it is of a kind that age does not know")),
            };
        }
        if text.starts_with("age-encryption.org/") {
            return Err(unusable("it is encrypted itself").hint("decrypt it first: age -d"));
        }
        let before = self.keys.len();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let identity = line.parse::<x25519::Identity>();
            self.keys.push(Key::X25519(identity.map_err(|_| unusable("a line of it is no AGE-SECRET-KEY-1…"))?));
        }
        if self.keys.len() > before { Ok(()) } else { Err(unusable("it is empty")) }
    }

    pub fn add_passphrase(&mut self, passphrase: String) {
        let passphrase = SecretString::from(passphrase);
        self.keys.push(Key::Passphrase(scrypt::Identity::new(passphrase.clone())));
        self.passphrases.push(passphrase);
    }

    pub(super) fn passphrases(&self) -> &[SecretString] {
        &self.passphrases
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = &dyn Identity> {
        self.keys.iter().map(|key| match key {
            Key::X25519(key) => key as &dyn Identity,
            Key::Ssh(key) => key.as_ref() as &dyn Identity,
            Key::Passphrase(key) => key as &dyn Identity,
        })
    }
}

/// How many there are; never what they are.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}
