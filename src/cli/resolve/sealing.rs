//! For whom backups are encrypted, and what opens them.

use std::fs;
use std::sync::Arc;

use crate::cli::config::{Config, Setting};
use crate::error::{Context, Error, Kind, Result};
use crate::policy::Seal;
use crate::seal::{Keys, Recipients, Signer, Verifier, is_recipient};

/// Recipients go before a passphrase, which then only opens older backups. gpg is asked for by name.
pub fn recipients(config: &Config) -> Result<Option<Arc<Recipients>>> {
    let wanted = config.get("encrypt");
    let seal = wanted.map(seal_of).transpose()?;
    if let Some(setting) = config.get("encrypt_to") {
        if let (Some(Seal::Gpg), Some(wanted)) = (seal, wanted) {
            let what = format!("{} encrypts by a passphrase, and {} names keys of age", wanted.origin, setting.origin);
            return Err(Error::new(Kind::Usage, what).hint("give one of the two"));
        }
        let mut keys = Vec::new();
        for one in parts(setting) {
            match is_recipient(one) || one.starts_with("AGE-SECRET-KEY-") {
                true => keys.push(one.to_owned()),
                false => keys.extend(lines(&read(config, setting, one)?)),
            }
        }
        let named = |error: Error| error.while_doing(format!("cannot use {}", setting.origin));
        return Recipients::of(keys).map(|recipients| Some(Arc::new(recipients))).map_err(named);
    }
    let passphrase = if seal == Some(Seal::Gpg) { passphrase_for_gpg(config)? } else { passphrase(config)? };
    match (seal, passphrase) {
        (Some(Seal::Gpg), Some(passphrase)) => Ok(Some(Arc::new(Recipients::of_passphrase_by_gpg(passphrase)))),
        (_, Some(passphrase)) => Ok(Some(Arc::new(Recipients::of_passphrase(passphrase)))),
        (None, None) => Ok(None),
        (Some(seal), None) => {
            let origin = wanted.map(|setting| setting.origin.to_string()).unwrap_or_default();
            let error =
                Error::new(Kind::Usage, format!("{origin} asks for encryption, and there is nothing to encrypt by"));
            Err(error.hint(match seal {
                Seal::Gpg => "--passphrase-file FILE (passphrase_file) names the file of the passphrase",
                Seal::Age => {
                    "--encrypt-to (encrypt_to) names keys, --passphrase-file (passphrase_file) the file of a passphrase"
                }
            }))
        }
    }
}

fn seal_of(setting: &Setting) -> Result<Seal> {
    Seal::ALL.into_iter().find(|seal| seal.name() == setting.value).ok_or_else(|| {
        Error::new(Kind::Usage, format!("cannot use {}: `{}` is neither age nor gpg", setting.origin, setting.value))
    })
}

pub fn keys(config: &Config) -> Result<Keys> {
    let mut keys = Keys::default();
    if let Some(setting) = config.get("identity") {
        for path in parts(setting) {
            let text = read(config, setting, path)?;
            keys.add_identities(&text, path)?;
        }
    }
    if let Some(passphrase) = passphrase(config)? {
        keys.add_passphrase(passphrase);
    }
    Ok(keys)
}

/// Who signs what is backed up.
pub fn signer(config: &Config) -> Result<Option<Arc<Signer>>> {
    let Some(setting) = config.get("sign_key") else { return Ok(None) };
    let named = |error: Error| error.while_doing(format!("cannot use {}", setting.origin));
    Signer::from_pem(&read(config, setting, &setting.value)?).map(|signer| Some(Arc::new(signer))).map_err(named)
}

/// Whose signature is asked for.
pub fn signed_by(config: &Config) -> Result<Option<Verifier>> {
    let Some(setting) = config.get("require_signature") else { return Ok(None) };
    let named = |error: Error| error.while_doing(format!("cannot use {}", setting.origin));
    Verifier::from_pem(&read(config, setting, &setting.value)?).map(Some).map_err(named)
}

fn passphrase(config: &Config) -> Result<Option<String>> {
    Ok(first_line(config)?.map(|line| line.trim_end_matches('\r').to_owned()))
}

/// gpg takes a carriage return for a part of the passphrase, and would not open what is encrypted without.
fn passphrase_for_gpg(config: &Config) -> Result<Option<String>> {
    let line = first_line(config)?;
    match (&line, config.get("passphrase_file")) {
        (Some(line), Some(setting)) if line.ends_with('\r') => {
            let (origin, path) = (&setting.origin, &setting.value);
            let what = format!("cannot use {origin}: the first line of {path} ends with a carriage return");
            Err(Error::new(Kind::Usage, what)
                .hint("gpg would take it for a part of the passphrase: save the file with \\n alone"))
        }
        _ => Ok(line),
    }
}

/// Of the file that holds the passphrase, without its newline.
fn first_line(config: &Config) -> Result<Option<String>> {
    let Some(setting) = config.get("passphrase_file") else { return Ok(None) };
    let text = read(config, setting, &setting.value)?;
    let line = text.split('\n').next().unwrap_or_default();
    match line.trim_end_matches('\r').is_empty() {
        true => Err(Error::new(Kind::Usage, format!("cannot use {}: {} is empty", setting.origin, setting.value))),
        false => Ok(Some(line.to_owned())),
    }
}

/// One value may hold several, separated by commas.
fn parts(setting: &Setting) -> impl Iterator<Item = &str> {
    setting.value.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
}

/// A file that a setting names: relative to where the setting was written.
fn read(config: &Config, setting: &Setting, path: &str) -> Result<String> {
    let path = config.path(&Setting { value: path.to_owned(), origin: setting.origin.clone() });
    let doing = || format!("cannot use {}: cannot read {}", setting.origin, path.display());
    fs::read_to_string(&path).context(Kind::Usage, doing)
}
