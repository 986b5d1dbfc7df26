//! What a file of Parquet says of itself, looked through before its reader believes it.
//!
//! The footer and the header of each page are in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>). The reader makes room for what a
//! number says before it is there, calls itself once for each group within a group, and counts the elements of lists that
//! it does not know, of which booleans take it no byte: two thousand million of them are six bytes and some seconds. It
//! also takes a field for what it should be, whatever the field itself says that it is. So it is given only what both take
//! for the same, and in which each element takes a byte.

use Shape::{Any, Bool, Byte, Double, Int, List, Struct, Text, UpTo};

/// Columns that a file may have, and groups of them. S3's have some twenty, in none.
const COLUMNS_MAX: u16 = 256;
/// Bytes of a page, which is in memory whole. Writers make them of one mebibyte.
const PAGE_BYTES_MAX: i64 = 64 << 20;
/// Structs and lists within each other. Parquet has seven.
const DEPTH_MAX: u8 = 16;

/// What a field, or an element, may be.
pub(super) enum Shape {
    /// What the reader does not know, and passes over.
    Any,
    Bool,
    Byte,
    /// Of 16, 32 or 64 bits, which are written alike.
    Int,
    /// From nought to this.
    UpTo(i64),
    Double,
    /// Or bytes.
    Text,
    /// Of this many at most.
    List(usize, &'static Self),
    /// Or a union. The fields' numbers begin with 1.
    Struct(Fields),
}

type Fields = &'static [Shape];

// As in <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>, each field that the reader
// knows.

/// `FileMetaData`: the footer.
pub(super) const FOOTER: Fields = &[
    Int,
    List(COLUMNS_MAX as usize, &Struct(SCHEMA_ELEMENT)),
    Int,
    List(usize::MAX, &Struct(ROW_GROUP)),
    List(usize::MAX, &Struct(&[Text, Text])),
    Text,
    List(usize::MAX, &Struct(&[EMPTY, EMPTY, EMPTY])),
    Any,
    Text,
];
/// The last but three is how many of those that follow are within it.
const SCHEMA_ELEMENT: Fields =
    &[Int, Int, Int, Text, UpTo(COLUMNS_MAX as i64), Int, Int, Int, Int, Struct(LOGICAL_TYPE)];
const LOGICAL_TYPE: Fields = &[
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    Struct(&[Int, Int]),
    EMPTY,
    TIME,
    TIME,
    Any,
    Struct(&[Byte, Bool]),
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    Struct(&[Byte]),
    Struct(&[Text]),
    Struct(&[Text, Int]),
    EMPTY,
];
const EMPTY: Shape = Struct(&[]);
const TIME: Shape = Struct(&[Bool, Struct(&[EMPTY, EMPTY, EMPTY])]);
const ROW_GROUP: Fields = &[
    List(COLUMNS_MAX as usize, &Struct(COLUMN_CHUNK)),
    Int,
    Int,
    List(COLUMNS_MAX as usize, &Struct(&[Int, Bool, Bool])),
    Int,
    Int,
    Int,
];
const COLUMN_CHUNK: Fields = &[Text, Int, Struct(COLUMN_METADATA), Int, Int, Int, Int, Any, Text];
const COLUMN_METADATA: Fields = &[
    Int,
    INTS,
    Any,
    Int,
    Int,
    Int,
    Int,
    Any,
    Int,
    Int,
    Int,
    Struct(STATISTICS),
    List(usize::MAX, &Struct(&[Int, Int, Int])),
    Int,
    Int,
    Struct(&[Int, INTS, INTS]),
    Struct(&[Struct(&[Double, Double, Double, Double, Double, Double, Double, Double]), INTS]),
];
const INTS: Shape = List(usize::MAX, &Int);
const STATISTICS: Fields = &[Text, Text, Int, Int, Text, Text, Bool, Bool, Int];

/// `PageHeader`.
pub(super) const PAGE: Fields = &[
    Int,
    UpTo(PAGE_BYTES_MAX),
    UpTo(PAGE_BYTES_MAX),
    Int,
    Struct(&[Int, Int, Int, Int, Struct(STATISTICS)]),
    EMPTY,
    Struct(&[Int, Int, Bool]),
    Struct(&[Int, Int, Int, Int, Int, Int, Bool, Struct(STATISTICS)]),
];

/// Whether the reader may have these bytes, which begin with a struct of such fields; else why not.
pub(super) fn check(bytes: &[u8], fields: Fields) -> Result<(), String> {
    Walk(bytes).fields(fields, DEPTH_MAX)
}

/// What is left of the bytes.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn fields(&mut self, fields: Fields, depth: u8) -> Result<(), String> {
        let mut number = 0_i16;
        loop {
            let head = self.byte()?;
            if head & 0x0f == 0 {
                return Ok(());
            }
            let next = match head >> 4 {
                0 => i16::try_from(self.int()?).ok(),
                more => number.checked_add(more.into()),
            };
            number = next.ok_or("the number of a field is none")?;
            let shape = usize::try_from(number).ok().and_then(|number| fields.get(number.checked_sub(1)?));
            self.value(head & 0x0f, shape.unwrap_or(&Any), depth)?;
        }
    }

    /// A value of the type that the bytes say it has.
    fn value(&mut self, kind: u8, shape: &Shape, depth: u8) -> Result<(), String> {
        let within = depth.checked_sub(1).ok_or("lists are within each other without end")?;
        match (kind, shape) {
            // A field's value is in its type.
            (1 | 2, Bool | Any) => Ok(()),
            (3, Byte | Any) => self.skip(1),
            (4..=6, Int | Any) => self.int().map(drop),
            (4..=6, UpTo(max)) => match self.int()? {
                number if (0..=*max).contains(&number) => Ok(()),
                number => Err(format!("a count or size is {number}, and may be {max} at most")),
            },
            (7, Double | Any) => self.skip(8),
            (8, Text | Any) => {
                let length = self.number()?;
                self.skip(length)
            }
            (9, List(max, element)) => self.list(*max, element, within),
            (9 | 10, Any) => self.list(usize::MAX, &Any, within),
            (11, Any) => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                self.elements(count, usize::MAX, &[(kinds >> 4, &Any), (kinds & 0x0f, &Any)], within)
            }
            (12, Struct(fields)) => self.fields(fields, within),
            (12, Any) => self.fields(&[], within),
            (13, Any) => self.skip(16),
            _ => Err(format!("a field is of type {kind}, as it may not be")),
        }
    }

    fn list(&mut self, max: usize, element: &Shape, depth: u8) -> Result<(), String> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.number()?,
            count => count.into(),
        };
        self.elements(count, max, &[(head & 0x0f, element)], depth)
    }

    /// So many times one value of each of these types.
    fn elements(&mut self, count: u64, max: usize, kinds: &[(u8, &Shape)], depth: u8) -> Result<(), String> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > max.min(self.0.len()) || count > 0 && kinds.iter().any(|(kind, _)| matches!(kind, 1 | 2)) {
            return Err(format!("a list claims {count} elements, and has not room for them"));
        }
        for (kind, shape) in (0..count).flat_map(|_| kinds) {
            self.value(*kind, shape, depth)?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("it ends in the middle")?;
        self.0 = rest;
        Ok(*first)
    }

    fn skip(&mut self, length: u64) -> Result<(), String> {
        let rest = usize::try_from(length).ok().and_then(|length| self.0.get(length..));
        self.0 = rest.ok_or("a text is longer than all of it")?;
        Ok(())
    }

    /// Seven bits a byte, the lowest first, and ten bytes at most.
    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number does not end".to_owned())
    }

    /// The same, with the sign in the lowest bit.
    fn int(&mut self) -> Result<i64, String> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}
