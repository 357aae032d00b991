//! What tests share: where the servers are, names that do not clash.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every major that we support; `make test` starts one server of each.
pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// `postgres://postgres@127.0.0.1:PORT` of the test server of this major, without a database.
/// The folder holds one `<major>/url` file a server; `scripts/servers.sh start` writes them.
pub fn server_url(major: u32) -> String {
    let folder = std::env::var_os("MIYABI_TEST_SERVERS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".servers"), PathBuf::from);
    let file = folder.join(major.to_string()).join("url");
    match std::fs::read_to_string(&file) {
        Ok(url) => url.trim().to_owned(),
        Err(cause) => panic!("no PostgreSQL {major} to test with ({}: {cause}); run `make test`", file.display()),
    }
}

/// A database or folder name that no other test of this or another run uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
