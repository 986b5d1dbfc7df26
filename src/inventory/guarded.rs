//! A file of Parquet for its reader, who gets no footer and no header of a page that was not looked through.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::thrift;

/// What a file ends with: how long the footer before it is, and these four letters.
const TAIL_BYTES: u64 = 8;
const MAGIC: &[u8] = b"PAR1";
/// Bytes of a footer. S3's have a few thousand; what the reader makes of one is fifty times as large at the worst.
const FOOTER_BYTES_MAX: u32 = 4 << 20;
/// Bytes of a page's header: at most, four keys and some numbers.
const HEADER_BYTES_MAX: u64 = 16 << 10;

/// The file.
pub(super) struct Guarded {
    file: File,
    length: u64,
}

impl Guarded {
    /// Looks through its footer.
    pub(super) fn new(file: File) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let guarded = Self { file, length };
        let tail =
            guarded.read(length.saturating_sub(TAIL_BYTES), TAIL_BYTES).map_err(|error| error.to_string())?;
        let footer =
            tail.strip_suffix(MAGIC).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        let footer = footer.ok_or("it does not end as a file of Parquet")?;
        let start =
            length.checked_sub(TAIL_BYTES + u64::from(footer)).ok_or("its footer is longer than itself")?;
        if footer > FOOTER_BYTES_MAX {
            return Err(format!("its footer has {footer} bytes, and may have {FOOTER_BYTES_MAX} at most"));
        }
        let footer = guarded.read(start, footer.into()).map_err(|error| error.to_string())?;
        thrift::check(&footer, thrift::FOOTER).map_err(|reason| format!("in its footer: {reason}"))?;
        Ok(guarded)
    }

    /// At most so many bytes from there on.
    fn read(&self, start: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Length for Guarded {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Guarded {
    type T = Header;

    /// Headers of pages are read in this way, and the tail.
    fn get_read(&self, start: u64) -> Result<Header> {
        let is_tail = start + TAIL_BYTES == self.length;
        let bytes = self.read(start, HEADER_BYTES_MAX)?;
        Ok(Header { bytes: Cursor::new(bytes), is_looked_through: is_tail })
    }

    /// Pages are, and the footer.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // The reader makes room for it before it sees that it is not there.
        if self.length.saturating_sub(start) < length as u64 {
            return Err(ParquetError::EOF("a page is longer than the file".to_owned()));
        }
        self.file.get_bytes(start, length)
    }
}

/// A page's header.
pub(super) struct Header {
    bytes: Cursor<Vec<u8>>,
    is_looked_through: bool,
}

impl Read for Header {
    // The reader may also ask for a place from which it then reads nothing.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_looked_through {
            let bytes = self.bytes.get_ref();
            thrift::check(bytes, thrift::PAGE)
                .map_err(|reason| io::Error::other(format!("in a page's header: {reason}")))?;
            self.is_looked_through = true;
        }
        self.bytes.read(buffer)
    }
}
