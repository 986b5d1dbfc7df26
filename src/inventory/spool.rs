//! A file of a report, fetched whole and checked before the first of its rows is believed.

use std::fs::File;
use std::io::{Seek, Write};

use md5::{Digest, Md5};

use super::broken::Broken;
use super::find::hex;
use super::{Source, manifest};
use crate::bucket::Objects;
use crate::fault::{Fault, Kind};
use crate::reconcile::Trouble;

/// Bytes asked for at a time: what is in memory of a file.
const CHUNK_BYTES: u64 = 4 << 20;
/// How often one of them is asked for, where the answer breaks off. The SDK itself tries again until
/// the first byte is there.
const READS_MAX: u32 = 3;

/// Fetches a file into one without a name, which goes with its handle, and checks that it is what
/// S3 wrote.
pub(super) async fn fetch<B: Objects>(source: &Source<B>, file: &manifest::File) -> Result<File, Trouble> {
    let place = source.url(&file.key);
    let mut spool = Spool { file: tempfile::tempfile().map_err(Trouble::Spool)?, md5: Md5::new() };
    let mut have = 0;
    while have < file.size {
        let length = CHUNK_BYTES.min(file.size - have);
        let bytes = match read(source, &file.key, have, length).await {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind == Kind::Absent => return Err(Broken::at(place, fault.answer).into()),
            Err(fault) => return Err(fault.into()),
        };
        if bytes.is_empty() {
            let reason = format!("it ends after {have} bytes, and its manifest says {}", file.size);
            return Err(Broken::at(place, reason).into());
        }
        have += bytes.len() as u64;
        spool = blocking(move || spool.add(&bytes)).await?;
    }
    let md5 = hex(&spool.md5.finalize());
    if !md5.eq_ignore_ascii_case(&file.md5) {
        let reason = format!("its MD5 is {md5}, and its manifest says {}", file.md5);
        return Err(Broken::at(place, reason).into());
    }
    spool.file.rewind().map_err(Trouble::Spool)?;
    Ok(spool.file)
}

async fn read<B: Objects>(source: &Source<B>, key: &str, from: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let mut reads = 1;
    loop {
        match source.bucket.read(key, from, length).await {
            Err(fault) if fault.kind == Kind::Unreachable && reads < READS_MAX => reads += 1,
            read => return read,
        }
    }
}

struct Spool {
    file: File,
    md5: Md5,
}

impl Spool {
    fn add(mut self, bytes: &[u8]) -> Result<Self, Trouble> {
        self.md5.update(bytes);
        self.file.write_all(bytes).map_err(Trouble::Spool)?;
        Ok(self)
    }
}

/// Does what takes a while away from the threads that ingest needs.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
