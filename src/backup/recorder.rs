//! One archive being written: the queue, the packer threads and the staged upload behind them.
//!
//! Producers get a [`FeedSender`]; `finish` says that all of them are done, `abandon` that one failed. Until
//! `finish` has returned there is nothing under a final name.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::archive::{
    ArchiveHeader, Codec, Fit, Fitted, Libdeflate, Stored, StreamSpec, Summary, Trailer, Writer, ZlibNg, Zstd,
};
use crate::cancel::Cancel;
use crate::checksum::HashingWriter;
use crate::error::{Error, Kind, Result, first_cause};
use crate::ident::StreamId;
use crate::job::{BackupJob, Compress, GzipEngine};
use crate::pipeline::{FeedSender, QUEUE_BYTES, feed, joined, pack_into};
use crate::progress::Progress;
use crate::seal::{self, Recipients};
use crate::store::{Upload, explain};

type Sink = seal::Sink<HashingWriter<Box<dyn Upload>>>;

/// How an archive is packed, and for whom it is sealed.
#[derive(Clone, Debug)]
pub struct Packing {
    pub compress: Compress,
    pub threads: usize,
    pub recipients: Option<Arc<Recipients>>,
    /// What is known of the data before.
    pub fit: Arc<Fit>,
}

impl Packing {
    pub fn of(job: &BackupJob) -> Self {
        let (compress, threads) = (job.compress, job.threads);
        Packing { compress, threads, recipients: job.recipients.clone(), fit: Arc::default() }
    }
}

#[must_use = "an archive that is not finished is not an archive"]
pub struct Recorder {
    sender: FeedSender,
    packer: JoinHandle<Result<Writer<Sink>>>,
    cancel: Cancel,
    streams: Vec<StreamId>,
}

/// A complete archive that still stands in staging.
pub struct Recorded {
    pub upload: Box<dyn Upload>,
    pub summary: Summary,
    pub sha256: String,
    pub bytes: u64,
    /// The end of the stored bytes of a sealed archive, which nobody here can open.
    pub sealed_tail: Option<Vec<u8>>,
}

impl Recorder {
    /// Writes the header member and starts the packers; `streams` are opened in the given order.
    pub fn start(
        upload: Box<dyn Upload>,
        header: &ArchiveHeader,
        streams: Vec<StreamSpec>,
        packing: Packing,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Self> {
        let first = codec(packing.compress, &packing.fit)?;
        let framing = first.framing();
        // As many for producers that pack themselves.
        let threads = packing.threads.max(1);
        let more = (1..2 * threads).map(|_| codec(packing.compress, &packing.fit));
        let codecs = std::iter::once(Ok(first)).chain(more).collect::<Result<Vec<_>>>()?;
        let recipients = packing.recipients.as_deref();
        let sink = seal::Sink::begin(HashingWriter::new(upload), recipients).map_err(explain)?;
        let mut writer = Writer::begin(sink, header, framing).map_err(explain)?;
        let streams = streams.into_iter().map(|spec| writer.open_stream(spec)).collect();
        let (sender, receiver) = feed(QUEUE_BYTES);
        let (packer_cancel, progress) = (cancel.clone(), progress.clone());
        let packer = tokio::task::spawn_blocking(move || {
            pack_into(receiver, writer, threads, codecs, &packer_cancel, &progress)
        });
        Ok(Recorder { sender, packer, cancel: cancel.clone(), streams })
    }

    pub fn feed(&self) -> &FeedSender {
        &self.sender
    }

    /// The streams in the order in which they were given to `start`.
    pub fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    /// Waits for the packers; all producers must have sent their ends. Index and footer are written here.
    pub async fn finish(self, trailer: Trailer) -> Result<Recorded> {
        drop(self.sender);
        let writer = joined(self.packer.await).map_err(explain)?;
        let finishing = move || {
            let (sink, summary) = writer.finish(trailer)?;
            let is_sealed = sink.is_sealed();
            Ok((sink.finish()?, is_sealed, summary))
        };
        let (sink, is_sealed, summary) = joined(tokio::task::spawn_blocking(finishing).await).map_err(explain)?;
        let sealed_tail = is_sealed.then(|| sink.tail().to_vec());
        let (upload, bytes, sha256) = sink.finish();
        Ok(Recorded { upload, summary, sha256, bytes, sealed_tail })
    }

    /// A producer failed: stops the packers, drops the staged bytes, and returns the error that came first.
    pub async fn abandon(self, producer: Error) -> Error {
        self.cancel.cancel();
        drop(self.sender);
        let packer = joined(self.packer.await).map(drop).map_err(explain);
        match first_cause([Err(producer), packer]) {
            Err(error) => error,
            Ok(_) => Error::new(Kind::Bug, "an archive was abandoned without an error"),
        }
    }
}

fn codec(compress: Compress, fit: &Arc<Fit>) -> Result<Box<dyn Codec>> {
    Ok(match compress {
        Compress::Fitted => Box::new(Fitted::new(fit)),
        Compress::Gzip { level, engine: GzipEngine::Libdeflate } => Box::new(Libdeflate::new(level)),
        Compress::Gzip { level, engine: GzipEngine::ZlibNg } => Box::new(ZlibNg::new(level)),
        Compress::Zstd(level) => Box::new(Zstd::new(level)?),
        Compress::Stored => Box::new(Stored),
    })
}
