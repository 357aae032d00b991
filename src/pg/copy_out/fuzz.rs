//! What the fuzz target `copy_framing` asserts; the committed seeds run as a test, too.
//!
//! Bytes of a server go through the same two rooms as in a backup: the walk over messages and the assembler.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, ReadBuf};

use super::assemble::Assembler;
use crate::archive::{Codec, Stored};
use crate::pg::fault::Failure;
use crate::pg::wire::input::{Input, READ_BYTES, Reading};
use crate::pg::wire::{CopyStep, read_rows};
use crate::pipeline::{RowSpan, feed::BLOCK_BYTES};
use crate::script::{Item, Lexer};

const PREFIX: &[u8] = b"COPY \"s\".\"a;\nb\" (\"c\"\"d\") FROM stdin;\n";

/// Of all long rows together: more than a block.
const PADDING: usize = 5 << 18;

/// First byte: bit 0 says whether the rest is messages or rows to put into messages, the others how they arrive.
/// Second byte: the highest makes rows long, so that they fill blocks; that is slow, so the others do not.
pub fn fuzz_copy_framing(data: &[u8]) {
    let Some(([mode, pad], rest)) = data.split_first_chunk::<2>() else { return };
    let piece = 1 + usize::from(mode >> 1).pow(2);
    if mode & 1 == 0 {
        drop(read(rest, piece));
    } else {
        round_trip(rest, *pad == u8::MAX, piece);
    }
}

/// Whole rows come out as they went in, and are counted; others end the copy.
fn round_trip(data: &[u8], is_long: bool, piece: usize) {
    let texts: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
    let pad = if is_long { vec![b'x'; (16 << 10).min(PADDING / texts.len().max(1))] } else { Vec::new() };
    let rows: Vec<Vec<u8>> = texts.iter().map(|text| [&pad, *text].concat()).collect();
    let mut messages: Vec<u8> = rows.iter().flat_map(|row| message(b'd', row)).collect();
    messages.extend(message(b'c', b""));
    messages.extend(message(b'C', format!("COPY {}\0", rows.len()).as_bytes()));
    messages.extend(message(b'Z', b"T"));
    let fits = |row: &Vec<u8>| row.ends_with(b"\n") && !row.contains(&b'\r') && row != b"\\.\n";
    match read(&messages, piece) {
        Ok((blocks, counted)) => {
            assert!(rows.iter().all(fits), "a row that no script can hold came through");
            assert_eq!(counted, rows.len() as u64);
            assert_eq!(blocks.iter().map(|(_, span)| span.count).sum::<u64>(), counted);
            let out: Vec<u8> = blocks.iter().flat_map(|(bytes, span)| &bytes[span.at.clone()]).copied().collect();
            assert_eq!(out, rows.concat());
        }
        Err(failure) => assert!(!rows.iter().all(fits), "sound rows were refused: {failure:?}"),
    }
}

type Blocks = Vec<(Vec<u8>, RowSpan)>;

/// What a worker does with the messages: the blocks, and the server's own count.
fn read(messages: &[u8], piece: usize) -> Result<(Blocks, u64), Failure> {
    let (mut input, mut reading) = (Input::default(), Reading::default());
    let mut socket = Socket { rest: messages, piece };
    let mut assembler = Assembler::new(PREFIX.to_vec(), Vec::new());
    let mut blocks = Vec::new();
    loop {
        let step = read_rows(&mut input, &mut socket, &mut assembler, &mut reading).now_or_never();
        assert!(input.capacity() <= READ_BYTES.max(2 * messages.len()), "a length was believed before its bytes came");
        // A row that failed in its middle stays where it is: a block is taken only after a good step.
        let step = step.expect("the socket is always ready")?;
        if let Some(block) = assembler.take(Vec::new())? {
            check_block(&block, messages.len());
            blocks.push(block);
        }
        match step {
            (CopyStep::Full, _) if assembler.oversize_next() => assembler.allow_oversize(),
            (CopyStep::Full, _) => {}
            (CopyStep::Done(_), Some(error)) => return Err(Failure::Server(Box::new(error))),
            (CopyStep::Done(counted), None) => {
                let rows = blocks.iter().map(|(_, span)| span.count).sum::<u64>();
                assert_eq!(rows, assembler.rows_total(), "rows were lost between the server and the blocks");
                return Ok((blocks, counted));
            }
        }
    }
}

/// One whole COPY statement: to the script's lexer, and to the archive, which counts its rows again.
fn check_block((bytes, span): &(Vec<u8>, RowSpan), sent: usize) {
    assert!(bytes.len() <= BLOCK_BYTES || span.count == 1, "a block of several rows outgrew its target");
    assert!(bytes.capacity() <= BLOCK_BYTES.max(4 * (sent + PREFIX.len())), "a block takes more than was sent");
    let mut lexer = Lexer::new();
    lexer.feed(bytes);
    lexer.finish();
    assert_eq!(lexer.next(), Ok(Some(Item::CopyIn { statement: PREFIX.trim_ascii_end() })));
    let mut rows = Vec::new();
    while let Some(Item::CopyRows(part)) = lexer.next().expect("a block is sound") {
        rows.extend_from_slice(part);
    }
    assert_eq!(lexer.next(), Ok(None), "something follows the end of the rows");
    assert_eq!(rows, bytes[span.at.clone()]);
    let packed = Stored.pack(bytes, Some(span.at.clone())).expect("the archive takes the block");
    assert_eq!(packed.rows, span.count);
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Gives `piece` bytes at a time, then the end.
struct Socket<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl AsyncRead for Socket<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = self.piece.min(buf.remaining()).min(self.rest.len());
        let (now, later) = self.rest.split_at(len);
        buf.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}
