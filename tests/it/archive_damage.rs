//! Every single-bit flip and every cut of a small archive is found, and no reader releases a wrong row on the way.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use miyabi_backup::archive::testkit::{Sample, splice};
use miyabi_backup::archive::{
    Archive, ArchiveId, Codec, Libdeflate, PipeReader, SalvageOptions, SalvageReport, Stored, StreamKind, Zstd, check,
    salvage,
};
use miyabi_backup::checksum::RowDigest;
use miyabi_backup::error::Kind;

fn options() -> SalvageOptions {
    SalvageOptions {
        id: ArchiveId([0xab; 16]),
        now: jiff::Timestamp::UNIX_EPOCH,
        tool_version: "0.1.0".to_owned(),
        keep_torn_pages: false,
    }
}

/// Reads as a restore does. Everything released must be a member that was written; true if all of it was released.
fn open_releases_all(bytes: &[u8], blocks: &[Vec<u8>]) -> bool {
    let Ok(archive) = Archive::open(bytes) else { return false };
    let mut raw = Vec::new();
    let mut released = 0;
    for (member, block) in archive.members().zip(blocks) {
        match archive.read_member(&member, &mut raw) {
            Ok(_) => assert_eq!(&raw, block),
            Err(_) => {
                assert!(raw.is_empty(), "a damaged member was released");
                continue;
            }
        }
        released += 1;
    }
    released == blocks.len()
}

/// True if the pipe was read to a sound end.
fn pipe_releases_all(bytes: &[u8], blocks: &[Vec<u8>]) -> bool {
    let Ok(mut reader) = PipeReader::open(bytes) else { return false };
    let mut raw = Vec::new();
    let mut expected = blocks.iter();
    loop {
        match reader.next_member(&mut raw) {
            Ok(Some(_)) => assert_eq!(Some(&raw), expected.next(), "the pipe released other bytes"),
            Ok(None) => break,
            Err(_) => {
                assert!(raw.is_empty() && reader.next_member(&mut raw).is_err(), "the pipe went on after damage");
                return false;
            }
        }
    }
    reader.finish().is_ok() && expected.next().is_none()
}

/// The blocks of a sound archive.
fn blocks_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let archive = Archive::open(bytes).unwrap();
    let read = |member| {
        let mut raw = Vec::new();
        archive.read_member(&member, &mut raw).unwrap();
        raw
    };
    archive.members().map(read).collect()
}

/// Salvages and checks that the result is sound and holds nothing that was not written.
fn salvaged(bytes: &[u8], blocks: &[Vec<u8>]) -> Option<(SalvageReport, Vec<u8>)> {
    let mut out = Vec::new();
    let report = salvage(bytes, &mut out, &options()).ok()?;
    let after = check(out.as_slice(), &mut |_| {});
    assert!(after.is_sound(), "{:?}", after.findings);
    let written: BTreeSet<&Vec<u8>> = blocks.iter().collect();
    for block in blocks_of(&out) {
        assert!(written.contains(&block), "salvage made up {:?}", String::from_utf8_lossy(&block));
    }
    Some((report, out))
}

#[test]
fn every_flip_of_every_bit_is_found_in_gzip() {
    find_every_flip(&mut Libdeflate::new(5), &[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn every_flip_of_every_bit_is_found_in_zstd() {
    find_every_flip(&mut Zstd::new(1).unwrap(), &[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn every_flip_of_a_byte_is_found_in_stored_blocks() {
    find_every_flip(&mut Stored, &[0, 1]);
}

fn find_every_flip(codec: &mut dyn Codec, bits: &[usize]) {
    let sample = Sample::small();
    let good = sample.archive_by(codec);
    let blocks = blocks_of(&good);
    let rows: u64 = Archive::open(good.as_slice()).unwrap().streams().iter().map(|stream| stream.rows).sum();
    for at in 0..good.len() {
        for bit in bits {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let place = format!("bit {bit} of byte {at}");
            let report = check(bytes.as_slice(), &mut |_| {});
            assert!(!report.is_sound(), "check did not find {place}");
            assert!(!open_releases_all(&bytes, &blocks), "nothing was found by reading: {place}");
            assert!(!pipe_releases_all(&bytes, &blocks), "the pipe did not find {place}");
            // Salvage goes over the file twice: one bit of each byte will do.
            if *bit != at % bits.len() {
                continue;
            }
            let (report, _) = salvaged(&bytes, &blocks).unwrap_or_else(|| panic!("not salvaged: {place}"));
            let sum = |count: fn(&miyabi_backup::archive::SalvagedStream) -> u64| {
                report.streams.iter().map(count).sum::<u64>()
            };
            assert!(sum(|stream| stream.members_lost) <= 1, "more than one member was lost: {place}");
            if !report.index_lost {
                assert_eq!(
                    sum(|stream| stream.rows_kept + stream.rows_lost),
                    rows,
                    "rows are not accounted for: {place}"
                );
            }
        }
    }
}

#[test]
fn every_cut_of_gzip_is_found_and_whole_members_are_kept() {
    find_every_cut(&Sample::small().archive());
}

#[test]
fn every_cut_of_zstd_is_found_and_whole_members_are_kept() {
    find_every_cut(&zstd(&Sample::small()));
}

fn zstd(sample: &Sample) -> Vec<u8> {
    sample.archive_by(&mut Zstd::new(1).unwrap())
}

fn find_every_cut(good: &[u8]) {
    let blocks = blocks_of(good);
    let archive = Archive::open(good).unwrap();
    let ends: Vec<u64> = archive.members().map(|member| member.offset + member.stored).collect();
    for len in 0..good.len() {
        let bytes = &good[..len];
        let report = check(bytes, &mut |_| {});
        assert!(!report.is_sound(), "check did not find the cut at {len}");
        let error = Archive::open(bytes).expect_err("a cut archive was opened");
        assert!(matches!(error.kind(), Kind::Damaged | Kind::Unsupported), "{error:?}");
        // From the whole head on, nobody takes it for somebody else's file.
        assert!(len < 80 || error.kind() == Kind::Damaged, "cut at {len}: {error:?}");
        assert!(!pipe_releases_all(bytes, &blocks), "the pipe did not find the cut at {len}");
        let whole = ends.iter().filter(|end| **end <= len as u64).count() as u64;
        match salvaged(bytes, &blocks) {
            Some((report, _)) => assert_eq!(report.summary.members, whole, "cut at {len}"),
            None => assert_eq!(whole, 0, "cut at {len}"),
        }
    }
}

#[test]
fn without_index_the_names_come_from_the_rows() {
    for good in [Sample::small().archive(), zstd(&Sample::small())] {
        let index_at = Archive::open(good.as_slice()).unwrap().index_at() as usize;
        let (report, out) = salvaged(&good[..index_at], &blocks_of(&good)).unwrap();
        assert!(report.index_lost && !report.header_lost && !report.is_complete());
        let archive = Archive::open(out).unwrap();
        let orders = archive.streams().iter().find(|stream| stream.spec.name == "orders").unwrap();
        assert_eq!((orders.spec.schema.as_str(), orders.rows), ("public", 4));
        assert_eq!(*orders.spec.columns, ["id", "name"]);
        assert!(report.streams.iter().all(|stream| !stream.exact && stream.members_lost == 0));
    }
}

/// Neither end tells what it is: the members do.
#[test]
fn an_archive_without_head_and_tail_is_known_by_its_members() {
    for good in [Sample::small().archive(), zstd(&Sample::small())] {
        let archive = Archive::open(good.as_slice()).unwrap();
        let (first, index_at) = (archive.members().next().unwrap(), archive.index_at() as usize);
        let middle = &good[first.offset as usize + 1..index_at];
        let (report, _) = salvaged(middle, &blocks_of(&good)).unwrap();
        assert!(report.header_lost && report.index_lost);
        assert_eq!(report.summary.members, archive.members().count() as u64 - 1);
        assert_eq!(report.summary.framing, archive.framing());
    }
}

#[test]
fn a_lost_footer_costs_nothing() {
    let good = Sample::small().archive();
    let (report, out) = salvaged(&good[..good.len() - 5], &blocks_of(&good)).unwrap();
    assert!(report.is_complete(), "{report:?}");
    let (before, after) = (Archive::open(good).unwrap(), Archive::open(out).unwrap());
    assert_eq!(before.toc(), after.toc());
    assert_eq!(before.streams(), after.streams());
    assert_eq!(before.properties(), after.properties());
}

#[test]
fn a_footer_of_another_archive_costs_nothing() {
    let good = Sample::small().archive();
    let mut other = Sample::small();
    other.header.id = ArchiveId([7; 16]);
    let footer = other.archive().split_off(good.len() - 134);
    let bytes = [&good[..good.len() - 134], &footer].concat();
    assert!(!check(bytes.as_slice(), &mut |_| {}).is_sound());
    let (report, _) = salvaged(&bytes, &blocks_of(&good)).unwrap();
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn a_lost_script_member_takes_its_objects_along_and_nothing_else() {
    let good = Sample::small().archive();
    let blocks = blocks_of(&good);
    let first = Archive::open(good.as_slice()).unwrap().members().next().unwrap();
    let mut bytes = good;
    bytes[(first.offset + first.stored - 20) as usize] ^= 4;
    let (report, out) = salvaged(&bytes, &blocks).unwrap();
    assert_eq!(report.objects_lost, ["TABLE public.orders"]);
    let archive = Archive::open(out.as_slice()).unwrap();
    let (mut raw, mut script) = (Vec::new(), Vec::new());
    for member in archive.members_of(archive.toc()[0].stream) {
        archive.read_member(&member, &mut raw).unwrap();
        script.extend_from_slice(&raw);
    }
    let notes = &archive.toc()[0];
    let span = notes.offset as usize..(notes.offset + notes.len) as usize;
    assert!(script[span].starts_with(b"CREATE TABLE \"public\".\"notes\""));
    assert!(archive.toc()[1].depends.is_empty(), "a dependency points to a lost object");
}

#[test]
fn foreign_members_and_embedded_archives_are_not_taken_for_ours() {
    let mut other = Sample::small();
    other.header.id = ArchiveId([7; 16]);
    let other = other.archive_by(&mut Stored);
    let mut sample = Sample::small();
    // A row that holds a whole archive, stored without compression: its headers stand in our bytes as they are.
    let block = &mut sample.blocks[2];
    let value: Vec<u8> = other.iter().copied().filter(|byte| *byte != b'\n').collect();
    let rows = block.rows.clone().unwrap();
    block.raw.splice(rows.end..rows.end, [b"9\t", value.as_slice(), b"\n"].concat());
    block.rows = Some(rows.start..rows.end + value.len() + 3);
    let mut pages = Sample::pages();
    pages.blocks[1].raw.extend_from_slice(&other);
    let all = [sample.archive_by(&mut Stored), pages.archive_by(&mut Stored)];
    for good in all {
        assert!(check(good.as_slice(), &mut |_| {}).is_sound());
        let blocks = blocks_of(&good);
        let spliced = splice(&good, &other);
        assert!(!check(spliced.as_slice(), &mut |_| {}).is_sound());
        let (report, _) = salvaged(&spliced, &blocks).unwrap();
        assert!(report.is_complete(), "{report:?}");
        // The header of the member that holds the other archive is damaged: the search must pass over it.
        let members: Vec<_> = Archive::open(good.as_slice()).unwrap().members().collect();
        let holder = members.iter().find(|member| member.stored > 2000).unwrap();
        let mut bytes = good.clone();
        bytes[holder.offset as usize + 20] ^= 1;
        let keep = SalvageOptions { keep_torn_pages: true, ..options() };
        let mut out = Vec::new();
        let report = salvage(bytes.as_slice(), &mut out, &keep).unwrap();
        assert_eq!(report.summary.members, members.len() as u64 - 1);
        assert!(blocks_of(&out).iter().all(|block| blocks.contains(block)));
    }
}

#[test]
fn a_sqlite_file_with_lost_pages_is_refused_unless_asked_for() {
    let good = Sample::pages().archive();
    let second = Archive::open(good.as_slice()).unwrap().members().nth(1).unwrap();
    let mut bytes = good;
    bytes[(second.offset + second.stored - 12) as usize] ^= 1;
    let error = salvage(bytes.as_slice(), Vec::new(), &options()).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    let torn = SalvageOptions { keep_torn_pages: true, ..options() };
    let report = salvage(bytes.as_slice(), Vec::new(), &torn).unwrap();
    assert_eq!((report.streams[0].members_kept, report.streams[0].members_lost), (2, 1));
    assert_eq!(report.streams[0].spec.kind, StreamKind::Pages);
}

#[test]
fn random_damages_lose_what_they_hit_and_nothing_else() {
    let sample = big_sample();
    damage_at_random(&sample.archive());
    damage_at_random(&zstd(&sample));
}

fn damage_at_random(good: &[u8]) {
    let blocks = blocks_of(good);
    let members: Vec<_> = Archive::open(good).unwrap().members().collect();
    let mut state = 42u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..20 {
        let at = random(good.len() as u64 - 5000);
        let len = 1 + random(4000);
        let hit = |from: u64, to: u64| at < to && from < at + len;
        let mut bytes = good.to_vec();
        for byte in &mut bytes[at as usize..(at + len) as usize] {
            *byte = !*byte;
        }
        let (report, _) = salvaged(&bytes, &blocks).unwrap();
        let lost: Vec<_> = members.iter().filter(|member| hit(member.offset, member.offset + member.stored)).collect();
        let members_lost: u64 = report.streams.iter().map(|stream| stream.members_lost).sum();
        assert_eq!(report.summary.members, (members.len() - lost.len()) as u64, "round {round}");
        assert!(members_lost <= lost.len() as u64, "round {round}");
        if report.index_lost {
            assert!(report.streams.iter().any(|stream| !stream.exact), "round {round}: a lower bound is called exact");
        } else {
            assert_eq!(members_lost, lost.len() as u64, "round {round}");
            let rows_lost: u64 = report.streams.iter().map(|stream| stream.rows_lost).sum();
            assert_eq!(rows_lost, lost.iter().map(|member| member.rows).sum::<u64>(), "round {round}");
        }
        // The same place with bytes lost, then with bytes put in, instead of changed.
        let cut = [&good[..at as usize], &good[(at + len) as usize..]].concat();
        let (report, _) = salvaged(&cut, &blocks).unwrap();
        assert_eq!(report.summary.members, (members.len() - lost.len()) as u64, "round {round}, bytes lost");
        let put_in = [&good[..at as usize], &[0u8; 300], &good[at as usize..]].concat();
        let (report, _) = salvaged(&put_in, &blocks).unwrap();
        assert!(report.summary.members + 1 >= members.len() as u64, "round {round}, bytes put in");
    }
}

/// 200 members of two tables.
fn big_sample() -> Sample {
    let mut sample = Sample::small();
    let template = sample.blocks[2].clone();
    for number in 0..200u32 {
        let mut block = template.clone();
        let rows = (0..20).map(|row| format!("{number}\tname {}\n", row * number)).collect::<String>();
        let at = block.rows.clone().unwrap();
        block.raw.splice(at.clone(), rows.bytes());
        block.rows = Some(at.start..at.start + rows.len());
        sample.blocks.push(block);
    }
    sample
}

#[test]
fn stock_tools_read_the_same_bytes() {
    let good = big_sample().archive();
    let expected = blocks_of(&good).concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.sql.gz");
    std::fs::write(&file, &good).unwrap();
    let python = "import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
    let node = "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync(process.argv[1])))";
    let tools: [(&str, &[&str]); 4] =
        [("gunzip", &["-c"]), ("zcat", &[]), ("python3", &["-c", python]), ("node", &["-e", node])];
    for (tool, args) in tools {
        let output = Command::new(tool).args(args).arg(&file).output().unwrap_or_else(|e| panic!("{tool}: {e}"));
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{tool} is noisy: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == expected, "{tool} reads other bytes");
    }
    let test = Command::new("gunzip").arg("-t").arg(&file).output().unwrap();
    assert!(test.status.success() && test.stderr.is_empty());
}

#[test]
fn the_zstd_program_reads_the_same_bytes() {
    let good = zstd(&big_sample());
    let expected = blocks_of(&good).concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.sql.zst");
    std::fs::write(&file, &good).unwrap();
    for arguments in [&["-dc"][..], &["-tq"]] {
        let output = Command::new("zstd").args(arguments).arg(&file).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == if arguments == ["-dc"] { expected.as_slice() } else { b"" });
    }
    // What names files by their first bytes knows data frames, not skippable ones.
    assert!(good.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn one_member_cut_out_by_hand_is_a_gzip_file() {
    let good = big_sample().archive();
    let archive = Archive::open(good.as_slice()).unwrap();
    let member = archive.members().nth(17).unwrap();
    let mut raw = Vec::new();
    let digest = archive.read_member(&member, &mut raw).unwrap();
    assert_ne!(digest, RowDigest::default());
    let mut zcat = Command::new("zcat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let slice = &good[member.offset as usize..(member.offset + member.stored) as usize];
    zcat.stdin.take().unwrap().write_all(slice).unwrap();
    let mut out = Vec::new();
    zcat.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    assert!(zcat.wait().unwrap().success());
    assert_eq!(out, raw);
}

/// The commands of `docs/FORMAT.md` §10.1 and §12.3, on a file whose first data member is damaged.
#[test]
fn rows_behind_damage_are_had_by_hand() {
    get_rows_by_hand(Sample::small().archive(), "x.sql.gz");
    get_rows_by_hand(zstd(&Sample::small()), "x.sql.zst");
}

fn get_rows_by_hand(good: Vec<u8>, name: &str) {
    let members: Vec<_> = Archive::open(good.as_slice()).unwrap().members().collect();
    let mut bytes = good;
    bytes[(members[0].offset + members[0].stored - 15) as usize] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), &bytes).unwrap();
    let shell = |command: &str, offset: u64| {
        let mut sh = Command::new("sh");
        let sh = sh.args(["-c", command]).env("OFFSET", offset.to_string()).current_dir(folder.path());
        String::from_utf8(sh.output().unwrap().stdout).unwrap()
    };
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FORMAT.md")).unwrap();
    let of_this = |line: &&str| line.contains(name);
    let command = |word: &str| text.lines().filter(of_this).find(|line| line.contains(word)).unwrap().to_owned();
    let places = shell(&command("grep -abo"), 0);
    let places: Vec<u64> = places.lines().map(|line| line.parse().unwrap()).collect();
    assert!(members.iter().all(|member| places.contains(&member.offset)), "{places:?}");
    let rows = shell(&command("tail -c +"), members[2].offset);
    assert!(rows.starts_with("COPY \"public\".\"orders\"") && rows.contains("4\tquince\n"), "{rows}");
}
