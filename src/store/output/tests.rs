//! `--output` writes two files, never half of one, and `--force` never loses the old before the new is whole.

use std::fs;

use super::*;
use crate::error::Kind;

fn write(output: &Output, archive: &[u8], meta: &[u8]) -> Result<()> {
    let mut upload = output.begin()?;
    upload.write_all(archive).map_err(error::from_write)?;
    upload.publish(&mut |stored| same_bytes(stored, archive))?;
    output.put_meta(meta).map(|_| ())
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn pair(archive: &str, meta: &str) -> Vec<(String, String)> {
    vec![("x.sql.gz".to_owned(), archive.to_owned()), ("x.sql.gz.meta".to_owned(), meta.to_owned())]
}

#[test]
fn it_writes_exactly_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::new(&folder.path().join("x.sql.gz"), Existing::Refuse).unwrap();
    write(&output, b"new", b"{}").unwrap();
    assert_eq!(files(folder.path()), pair("new", "{}"));
    assert_eq!(output.meta_path(), folder.path().join("x.sql.gz.meta"));
}

#[test]
fn it_refuses_if_either_stands() {
    for leaf in ["x.sql.gz", "x.sql.gz.meta"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(leaf), "old").unwrap();
        let error = Output::new(&folder.path().join("x.sql.gz"), Existing::Refuse).err().unwrap();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.chain().contains(leaf) && error.hint_text().unwrap().contains("--force"), "{error:?}");
        assert_eq!(files(folder.path()), [(leaf.to_owned(), "old".to_owned())]);
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::new(&folder.path().join("x.sql.gz"), Existing::Refuse).unwrap();
    let upload = output.begin().unwrap();
    fs::write(folder.path().join("x.sql.gz"), "somebody's").unwrap();
    assert_eq!(upload.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
    assert_eq!(files(folder.path()), [("x.sql.gz".to_owned(), "somebody's".to_owned())]);
}

#[test]
fn a_failed_check_keeps_the_old_pair() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sql.gz");
    write(&Output::new(&path, Existing::Refuse).unwrap(), b"old", b"old meta").unwrap();
    let mut upload = Output::new(&path, Existing::Replace).unwrap().begin().unwrap();
    upload.write_all(b"wrong").unwrap();
    assert!(upload.publish(&mut |_| Err(Error::new(Kind::Damaged, "no footer"))).is_err());
    assert_eq!(files(folder.path()), pair("old", "old meta"));
}

#[test]
fn links_pipes_and_folders_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("precious");
    fs::write(&target, "precious").unwrap();
    let link = folder.path().join("x.sql.gz");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(Output::new(&link, Existing::Replace).err().unwrap().kind(), Kind::Refused);
    assert_eq!(Output::new(folder.path(), Existing::Replace).err().unwrap().kind(), Kind::Usage);
    assert_eq!(Output::new(Path::new("/dev/null"), Existing::Replace).err().unwrap().kind(), Kind::Refused);
    let missing = folder.path().join("no/such/folder/x.sql.gz");
    assert_eq!(Output::new(&missing, Existing::Refuse).err().unwrap().kind(), Kind::Place);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn whatever_fails_an_archive_never_stands_beside_a_meta_of_another() {
    for n in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sql.gz");
        write(&Output::new(&path, Existing::Refuse).unwrap(), b"old", b"old meta").unwrap();
        let fuse = Fuse::fail_once(n);
        let done = Output::with_fuse(&path, Existing::Replace, fuse.clone())
            .and_then(|output| write(&output, b"new", b"new meta"));
        let found: Vec<(String, String)> =
            files(folder.path()).into_iter().filter(|(leaf, _)| !leaf.ends_with(".partial")).collect();
        if !fuse.has_blown() {
            done.unwrap();
            assert_eq!(files(folder.path()), pair("new", "new meta"));
            assert!(n > 10, "only {n} calls passed the fuse");
            return;
        }
        let without_meta = vec![("x.sql.gz".to_owned(), "new".to_owned())];
        let states = [pair("old", "old meta"), pair("new", "new meta"), without_meta];
        assert!(states.contains(&found), "call {n} left {found:?}");
        assert!(done.is_err() || found == states[1], "call {n} succeeded and left {found:?}");
    }
}
