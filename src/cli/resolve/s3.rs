//! How buckets are reached: settings, credentials, certificates.

use super::values::{bytes, switch, unusable};
use crate::cli::config::{Config, Setting};
use crate::error::{Context, Kind, Result};
use crate::store::Lock;
use crate::store::s3::{Encryption, Login, MEMORY, PARTS_MAX, Settings};

/// Two of the smallest parts.
const MEMORY_MIN: u64 = 10 << 20;

pub fn settings(config: &Config) -> Result<Settings> {
    let text = |key: &str| config.get(key).map(|setting| setting.value.clone());
    Ok(Settings {
        endpoint: endpoint(config)?,
        region: text("places.s3_region"),
        path_style: config
            .get("places.s3_path_style")
            .map(|_| switch(config, "places.s3_path_style", true))
            .transpose()?,
        ca: ca(config)?,
        login: login(config),
        parts_max: parts_max(config)?,
        memory: memory(config)?,
        storage_class: text("places.s3_storage_class"),
        encryption: encryption(config)?,
        ..Settings::usual()
    })
}

pub fn lock(config: &Config) -> Result<Option<Lock>> {
    let Some(Setting { value, origin }) = config.get("places.s3_retain") else { return Ok(None) };
    match value.as_str() {
        "governance" => Ok(Some(Lock::Governance)),
        "compliance" => Ok(Some(Lock::Compliance)),
        _ => Err(unusable(origin, "governance or compliance", value)),
    }
}

fn endpoint(config: &Config) -> Result<Option<String>> {
    let Some(Setting { value, origin }) = config.get("places.s3_endpoint") else { return Ok(None) };
    let host = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    match host.filter(|host| !host.trim_matches('/').is_empty() && !host.contains(['@', '?', '#', ' '])) {
        Some(_) => Ok(Some(value.clone())),
        None => Err(unusable(origin, "a URL such as https://s3.example.org", value)),
    }
}

fn ca(config: &Config) -> Result<Option<Vec<u8>>> {
    let Some(setting) = config.get("places.s3_ca") else { return Ok(None) };
    let path = config.path(setting);
    std::fs::read(&path)
        .map(Some)
        .context(Kind::Usage, || format!("cannot use {}: cannot read {}", setting.origin, path.display()))
}

/// Keys of the environment or of `.env` are given as they are; all else is found as AWS tools find it.
fn login(config: &Config) -> Login {
    let variable = |name: &str| config.any_variable(name).map(str::to_owned);
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(key), Some(secret)) => Login::Keys { key, secret, token: variable("AWS_SESSION_TOKEN") },
        _ => Login::Found { profile: config.get("places.s3_profile").map(|setting| setting.value.clone()) },
    }
}

fn parts_max(config: &Config) -> Result<u32> {
    let Some(Setting { value, origin }) = config.get("places.s3_max_parts") else { return Ok(PARTS_MAX) };
    let count = value.parse().ok().filter(|count| (1..=PARTS_MAX).contains(count));
    count.ok_or_else(|| unusable(origin, "a number from 1 to 10000", value))
}

fn memory(config: &Config) -> Result<u64> {
    let Some(Setting { value, origin }) = config.get("places.s3_memory") else { return Ok(MEMORY) };
    let found = bytes(value).filter(|bytes| *bytes >= MEMORY_MIN);
    found.ok_or_else(|| unusable(origin, "10M or more, such as 64M or 1G", value))
}

fn encryption(config: &Config) -> Result<Option<Encryption>> {
    let Some(Setting { value, origin }) = config.get("places.s3_sse") else { return Ok(None) };
    match (value.as_str(), value.strip_prefix("aws:kms:")) {
        ("AES256", _) => Ok(Some(Encryption::Store)),
        ("aws:kms", _) => Ok(Some(Encryption::Kms { key: None })),
        (_, Some(key)) if !key.is_empty() => Ok(Some(Encryption::Kms { key: Some(key.to_owned()) })),
        _ => Err(unusable(origin, "AES256, aws:kms or aws:kms:KEY", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::testing::config;

    #[test]
    fn what_aws_tools_read_counts_here() {
        let environment = [
            ("AWS_ENDPOINT_URL", "https://s3.example.org"),
            ("AWS_REGION", "eu-west-3"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
        ];
        // The other half of the keys stands in the file.
        let (_, config) = config(&["backup"], &environment, "AWS_SECRET_ACCESS_KEY=s3cret\n", "");
        let settings = settings(&config).unwrap();
        assert_eq!(settings.endpoint.as_deref(), Some("https://s3.example.org"));
        assert_eq!(settings.region.as_deref(), Some("eu-west-3"));
        assert!(matches!(&settings.login, Login::Keys { key, .. } if key == "AKIA"));
        assert_eq!((settings.parts_max, settings.memory), (10_000, 64 << 20));
    }

    #[test]
    fn wrong_values_name_their_setting() {
        for (key, wrong) in [
            ("s3_endpoint", "s3.example.org"),
            ("s3_endpoint", "https://key:secret@s3.example.org"),
            ("s3_max_parts", "0"),
            ("s3_max_parts", "10001"),
            ("s3_memory", "1M"),
            ("s3_sse", "aes"),
            ("s3_path_style", "yes"),
            ("s3_ca", "/not/there.pem"),
        ] {
            let (_, config) = config(&["backup"], &[], "", &format!("[places]\n{key} = \"{wrong}\"\n"));
            let error = settings(&config).unwrap_err();
            assert!(error.kind() == Kind::Usage && error.chain().contains(key), "{key}: {error:?}");
        }
        let (_, config) = config(&["backup", "--s3-retain", "forever"], &[], "", "");
        assert!(lock(&config).unwrap_err().chain().contains("--s3-retain"));
    }

    #[test]
    fn encryption_is_named_as_amazon_names_it() {
        let sse = |value: &str| {
            let (_, config) = config(&["backup", "--s3-sse", value], &[], "", "");
            encryption(&config).unwrap().unwrap()
        };
        assert_eq!(sse("AES256"), Encryption::Store);
        assert_eq!(sse("aws:kms"), Encryption::Kms { key: None });
        assert_eq!(sse("aws:kms:arn:x"), Encryption::Kms { key: Some("arn:x".into()) });
    }
}
