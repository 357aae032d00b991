//! What the fuzz target `url` asserts; the committed seeds run as a test, too.

use crate::error::{Error, Kind};
use crate::pg::server::{Secret, Server};

/// No URL of the seeds holds it, and nothing that is shown may.
const PASSWORD: &str = "Xq7-hunter2-pW";

/// Any text as a URL; then text around a password, where the user has it and where a parameter has it.
pub fn fuzz_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(PASSWORD) {
        return;
    }
    look_at(text);
    let (before, after) = text.split_once('\n').unwrap_or((text, ""));
    look_at(&format!("postgres://ann:{PASSWORD}{before}@{after}"));
    look_at(&format!("postgresql://ann@db/shop?{before}&password={PASSWORD}{after}"));
    let login = before.strip_prefix("postgres://").unwrap_or(before);
    look_at(&format!("postgres://ann:{PASSWORD}@{login}"));
}

fn look_at(url: &str) {
    match Server::from_url(url) {
        Ok(server) => {
            assert!(!server.hosts.is_empty() && server.hosts.iter().all(|host| host.port > 0));
            assert!(!server.user.is_empty() && !server.database.is_empty());
            hides(&format!("{server:?}"));
            hides(&server.describe());
            hides(&server.describe_hosts());
            let password = server.password.as_ref().map_or("", Secret::reveal);
            assert!(!password.contains('\0') && !server.user.contains('\0') && !server.database.contains('\0'));
            let other = server.with_database("other");
            assert_eq!((&other.hosts, &other.user, &other.password), (&server.hosts, &server.user, &server.password));
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Usage);
            shown(&error).iter().for_each(|text| hides(text));
        }
    }
}

fn shown(error: &Error) -> [String; 3] {
    [error.chain(), format!("{error:?}"), error.hint_text().unwrap_or_default().to_owned()]
}

fn hides(text: &str) {
    assert!(!text.contains(PASSWORD), "a password is shown: {text}");
}
