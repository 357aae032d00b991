//! What only a folder can do wrong: modes, links, leftovers, and a system call that fails.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::error::Kind;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every file below, as `path = content`, dot-files included.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read_to_string(&path).unwrap();
                found.push(format!("{} = {content}", path.strip_prefix(root).unwrap().display()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn only_the_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/root");
    let store = LocalStore::new(&root);
    let mut upload = store.begin(&name("postgres/daily/x")).unwrap();
    upload.write_all(b"secret").unwrap();
    assert_eq!(mode(&root.join("postgres/daily/.x.partial")), 0o600);
    upload.publish(&mut |_| Ok(())).unwrap();
    assert_eq!(mode(&root.join("postgres/daily/x")), 0o600);
    for folder in [root.join("postgres/daily"), root.join("postgres"), root.clone(), folder.path().join("new")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
}

#[test]
fn tiers_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    store.put_new(&name("daily/x"), b"bytes").unwrap();
    store.link(&name("daily/x"), &name("weekly/x")).unwrap();
    let inode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().ino();
    assert_eq!(inode("daily/x"), inode("weekly/x"));
    store.copy(&name("daily/x"), &name("monthly/x")).unwrap();
    assert_ne!(inode("daily/x"), inode("monthly/x"));
    assert_eq!(tree(folder.path()), ["daily/x = bytes", "monthly/x = bytes", "weekly/x = bytes"]);
}

#[test]
fn links_inside_of_the_tree_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    fs::create_dir_all(root.join("daily")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "precious").unwrap();
    symlink(&outside, root.join("weekly")).unwrap();
    symlink(outside.join("victim"), root.join("daily/file")).unwrap();
    symlink(outside.join("victim"), root.join("daily/.new.partial")).unwrap();
    let store = LocalStore::new(&root);

    assert_eq!(store.open(&name("daily/file")).err().unwrap().kind(), Kind::Place);
    assert_eq!(store.open(&name("weekly/victim")).err().unwrap().kind(), Kind::Place);
    let error = store.put_new(&name("weekly/x"), b"1").unwrap_err();
    assert_eq!(error.kind(), Kind::Place);
    assert!(error.hint_text().unwrap().contains("symbolic link"), "{error:?}");
    assert_eq!(store.put_new(&name("daily/file"), b"1").unwrap_err().kind(), Kind::Refused);
    assert!(store.link(&name("daily/file"), &name("daily/copy")).is_err());
    // A planted staging link is removed, not written through.
    store.put_new(&name("daily/new"), b"mine").unwrap();

    let kinds: Vec<(String, EntryKind)> =
        store.list("").unwrap().into_iter().map(|entry| (entry.name.to_string(), entry.kind)).collect();
    let expected = [("daily/file", EntryKind::Link), ("daily/new", EntryKind::File), ("weekly", EntryKind::Link)];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(tree(&outside), ["victim = precious"]);
}

#[test]
fn a_pipe_does_not_hang_and_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let store = LocalStore::new(folder.path());
    assert!(store.open(&name("pipe")).err().unwrap().chain().contains("not a regular file"));
    assert_eq!(store.list("").unwrap()[0].kind, EntryKind::Other);
}

#[test]
fn sweeping_removes_what_is_dead_and_ours() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    let mut live = store.begin(&name("daily/live")).unwrap();
    live.write_all(b"still going").unwrap();
    for leaf in [".dead.partial", ".theirs.partial", ".profile", ".partial"] {
        fs::write(folder.path().join("daily").join(leaf), "x").unwrap();
    }
    let swept = store.sweep(&|path| path.starts_with("daily/") && !path.ends_with("theirs")).unwrap();
    assert_eq!(swept, ["daily/.dead.partial"]);
    assert!(store.sweep(&|path| path == "daily/live").unwrap().is_empty());
    live.publish(&mut |_| Ok(())).unwrap();
    let left = ["daily/.partial = x", "daily/.profile = x", "daily/.theirs.partial = x", "daily/live = still going"];
    assert_eq!(tree(folder.path()), left);
}

#[test]
fn a_dead_staging_file_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    fs::write(folder.path().join(".x.partial"), "half of an older, longer run").unwrap();
    store.put_new(&name("x"), b"whole").unwrap();
    assert_eq!(tree(folder.path()), ["x = whole"]);
}

#[test]
fn bytes_that_somebody_else_adds_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    let mut upload = store.begin(&name("x")).unwrap();
    upload.write_all(b"mine").unwrap();
    fs::write(folder.path().join(".x.partial"), "mine and yours").unwrap();
    assert_eq!(upload.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Damaged);
    assert!(tree(folder.path()).is_empty());
}

#[test]
fn what_is_missing_is_missing_and_what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("absent"));
    assert!(store.list("").unwrap().is_empty());
    assert!(store.sweep(&|_| true).unwrap().is_empty());
    assert!(store.space().unwrap().unwrap().total > 0);
    assert!(!folder.path().join("absent").exists(), "reading made a folder");
    for outside in ["..", "a/../..", "./.."] {
        assert_eq!(LocalStore::new(folder.path()).list(outside).unwrap_err().kind(), Kind::Place);
    }
    fs::write(folder.path().join("file"), "x").unwrap();
    let error = LocalStore::new(folder.path().join("file/tree")).put_new(&name("x"), b"1").unwrap_err();
    assert_eq!(error.kind(), Kind::Place);
    assert!(error.chain().contains("file/tree"), "{}", error.chain());
}

#[test]
fn without_hard_links_names_are_given_by_renames_that_overwrite_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::with_fuse(folder.path(), Fuse::without_links());
    run(&store).unwrap();
    assert_eq!(tree(folder.path()), COMPLETE);
    let inode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().ino();
    assert_ne!(inode("daily/archive"), inode("weekly/archive"));
    let late = store.begin(&name("late")).unwrap();
    fs::write(folder.path().join("late"), "somebody's").unwrap();
    assert_eq!(late.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
    assert_eq!(store.link(&name("late"), &name("daily/archive")).unwrap_err().kind(), Kind::Refused);
    assert_eq!(fs::read_to_string(folder.path().join("late")).unwrap(), "somebody's");
    assert!(!folder.path().join(".late.partial").exists());
}

#[test]
fn a_full_disk_says_how_much_is_missing() {
    let told = (0..40).any(|n| {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = run(&LocalStore::with_fuse(folder.path(), Fuse::full(n))) else { return false };
        assert_eq!(error.kind(), Kind::Place, "call {n}: {error:?}");
        let chain = error.chain();
        chain.contains("free, at least") && chain.contains("daily/archive") && error.hint_text().is_some()
    });
    assert!(told, "no write met the full disk");
}

#[test]
fn an_error_from_inside_of_a_write_comes_back_to_the_surface() {
    let folder = tempfile::tempdir().unwrap();
    let inner = (0..40).find_map(|n| {
        let store = LocalStore::with_fuse(folder.path().join(n.to_string()), Fuse::full(n));
        let mut upload = store.begin(&name("x")).ok()?;
        // More than waits in memory for its turn.
        let cause = upload.write_all(&vec![b'x'; 5 << 20]).err()?;
        assert!(upload.write_all(b"more").unwrap_err().to_string().contains("abandoned"));
        assert_eq!(upload.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Place);
        Some(cause)
    });
    let outer = Error::new(Kind::Bug, "cannot write the archive").because(inner.unwrap()).note("a note");
    let chain = outer.chain();
    let explained = error::explain(outer);
    assert_eq!(explained.kind(), Kind::Place);
    assert!(explained.hint_text().unwrap().contains("free some space"));
    assert_eq!((explained.chain(), explained.notes()), (chain, ["a note".to_owned()].as_slice()));
    let other = error::explain(Error::new(Kind::Source, "x").because(io::Error::other("y")).hint("z"));
    assert_eq!((other.kind(), other.chain().as_str(), other.hint_text()), (Kind::Source, "x: y", Some("z")));
}

/// One of everything, in the order of a run: archive, `.meta`, second tier.
fn run(store: &LocalStore) -> Result<()> {
    let archive = name("daily/archive");
    let mut upload = store.begin(&archive)?;
    for piece in [b"whole ".as_slice(), b"archive"] {
        upload.write_all(piece).map_err(error::from_write)?;
    }
    upload.publish(&mut |stored| {
        let mut bytes = vec![0; 13];
        error::compared(stored.read_at(0, &mut bytes), bytes == b"whole archive")
    })?;
    store.put_new(&name("daily/archive.meta"), b"meta")?;
    store.link(&archive, &name("weekly/archive"))
}

const COMPLETE: [&str; 3] =
    ["daily/archive = whole archive", "daily/archive.meta = meta", "weekly/archive = whole archive"];

fn fails_everywhere(fuse_at: impl Fn(u64) -> Fuse, check: impl Fn(u64, &Path, bool)) -> u64 {
    for n in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let fuse = fuse_at(n);
        let done = run(&LocalStore::with_fuse(&root, fuse.clone()));
        if !fuse.has_blown() {
            done.unwrap();
            assert_eq!(tree(&root), COMPLETE);
            return n;
        }
        check(n, &root, done.is_ok());
    }
    unreachable!("the loop ends by returning")
}

#[test]
fn a_failed_call_leaves_whole_files_or_none() {
    let calls = fails_everywhere(Fuse::fail_once, |n, root, succeeded| {
        let left = tree(root);
        if succeeded {
            // Only a staging name that could not be removed may be forgiven.
            let visible: Vec<&String> = left.iter().filter(|line| !line.contains(".partial")).collect();
            assert_eq!(visible, COMPLETE, "call {n}");
        }
        for line in &left {
            assert!(COMPLETE.contains(&line.as_str()) || line.contains(".partial"), "call {n} left {line}");
        }
        let listed = LocalStore::new(root).list("").unwrap();
        assert!(listed.iter().all(|entry| !entry.name.as_str().contains("partial")), "call {n}");
    });
    assert!(calls > 30, "the run made {calls} calls only: does every call pass the fuse?");
}

#[test]
fn a_killed_run_leaves_nothing_that_the_next_does_not_clean_up() {
    fails_everywhere(Fuse::crash, |n, root, succeeded| {
        let store = LocalStore::new(root);
        assert!(!succeeded || tree(root).iter().filter(|line| !line.contains(".partial")).eq(COMPLETE), "call {n}");
        for line in tree(root) {
            assert!(COMPLETE.contains(&line.as_str()) || line.contains(".partial"), "call {n} left {line}");
        }
        store.sweep(&|_| true).unwrap();
        for line in tree(root) {
            assert!(COMPLETE.contains(&line.as_str()), "call {n}: {line} was not swept");
        }
        // The next run: what stands is deleted here as a new name would be chosen there.
        for entry in store.list("").unwrap() {
            store.delete(&entry.name).unwrap();
        }
        run(&store).unwrap();
        assert_eq!(tree(root), COMPLETE, "call {n}");
    });
}
