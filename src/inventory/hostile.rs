//! Files of Parquet that claim more than is in them, and those that writers make.

use std::sync::Arc;

use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics as Extent, WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use proptest::collection::vec;
use proptest::prelude::*;

use super::guarded::Guarded;
use super::tests::report::{self, Row};
use super::tests::{read_all, row, spooled};

/// A field of fifteen more than the last, which nobody knows: a list of 2³¹ - 1 booleans. Its reader takes seconds for it.
const BOOLEANS: [u8; 7] = [0xf9, 0xf2, 0xff, 0xff, 0xff, 0xff, 0x07];

/// A file with such a footer.
fn with_footer(footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).unwrap();
    [b"PAR1", footer, &length.to_le_bytes(), b"PAR1"].concat()
}

/// One with these elements of a schema, so many of them.
fn with_schema(elements: &[u8], count: u16) -> Vec<u8> {
    // Version 1; then a list of structs, whose length is in three bytes.
    let length = [0x80 | count as u8 & 0x7f, 0x80 | (count >> 7) as u8 & 0x7f, (count >> 14) as u8];
    with_footer(&[&[0x15, 0x02, 0x19, 0xfc], &length[..], elements, &[0]].concat())
}

/// A group of that name in which so many (below 64) follow.
fn group(within: u8) -> [u8; 7] {
    [0x35, 0x00, 0x18, 0x01, b'g', 0x15, within << 1]
}

#[track_caller]
fn refused(file: &[u8], reason: &str) {
    let broken = read_all(file, None).1.unwrap_err();
    assert!(broken.place.starts_with("a.parquet") && broken.reason.contains(reason), "{broken}");
}

#[test]
fn lists_claim_no_more_than_they_have() {
    let list = "a list claims 2147483647 elements, and has not room for them";
    refused(&with_footer(&BOOLEANS.repeat(200)), list);
    // Of lists, as a set, in a map, in a struct that nobody knows.
    for field in [&[0xf9, 0x29, 0xf2][..], &[0xfa, 0xf1], &[0xfc, 0x19, 0xf2]] {
        refused(&with_footer(&[field, &BOOLEANS[2..]].concat()), list);
    }
    refused(&with_footer(&[0xfb, 0xff, 0xff, 0xff, 0xff, 0x07, 0x11]), list);
    // Few of them take no byte, either.
    refused(&with_footer(&[0xf9, 0x32, 0x00, 0x00, 0x00]), "a list claims 3 elements");
    let mut file = report::parquet(&[row("a", "v")], 1);
    file[4..11].copy_from_slice(&BOOLEANS);
    refused(&file, &format!("in a page's header: {list}"));
}

#[test]
fn a_field_is_what_its_reader_takes_it_for() {
    // Text, to who believes what it says; a list of columns, with booleans in the first, to who knows better.
    let column = [&[0x1c][..], &BOOLEANS, &[0, 0]].concat();
    let footer = [&[0x15, 0x02, 0x18, column.len() as u8], &column[..], &[0]].concat();
    refused(&with_footer(&footer), "a field is of type 8, as it may not be");
}

#[test]
fn columns_and_pages_have_limits() {
    let many = 100_000_u32;
    let (low, high) = (0x80 | many as u8 & 0x7f, 0x80 | (many >> 7) as u8 & 0x7f);
    let elements = [&group(1)[..], &[0]].concat().repeat(many as usize);
    let footer = [&[0x15, 0x02, 0x19, 0xfc, low, high, (many >> 14) as u8][..], &elements, &[0]].concat();
    refused(&with_footer(&footer), "a list claims 100000 elements");
    // As many as may be are no stack overflow.
    refused(&with_schema(&[&group(1)[..], &[0]].concat().repeat(256), 256), "");
    // Room would be made for them.
    let claims = [&group(0)[..6], &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]].concat();
    refused(&with_schema(&claims, 1), "a count or size is 2147483647, and may be 256 at most");
    // This is 2³¹ - 1 to who takes it for 32 bits.
    let claims = [&group(0)[..6], &[0x81, 0x80, 0x80, 0x80, 0x10, 0]].concat();
    refused(&with_schema(&claims, 1), "a count or size is -");
    let mut file = report::parquet(&[row("a", "v")], 1);
    file[4..12].copy_from_slice(&[0x15, 0x00, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f]);
    refused(&file, "a count or size is 2147483647, and may be 67108864 at most");
}

#[test]
fn what_ends_nowhere_is_refused() {
    refused(
        &with_footer(&[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        "a number does not end",
    );
    refused(&with_footer(&[&[0xf9], &[0x19; 100][..]].concat()), "lists are within each other without end");
    refused(&with_footer(&[0xff; 3]), "in its footer: ");
    refused(&[b"PAR1", &[0xff; 4][..], b"PAR1"].concat(), "its footer is longer than itself");
}

#[test]
fn rows_are_no_more_than_there_can_be() {
    let same = vec![row("a", "v"); 200_000];
    refused(&report::parquet(&same, same.len()), "it claims more rows than there can be in so few bytes");
}

/// A column of each type that there is, and each kind of group.
const EACH_TYPE: &str = "message m {
    required boolean a; optional int32 b (DATE); required int32 c (INTEGER(8,true)); required int32 d (TIME(MILLIS,true));
    required int64 e (TIMESTAMP(NANOS,false)); required int32 f (DECIMAL(5,2)); required int96 g; required float h;
    required double i; required binary j (JSON); required binary k (BSON); required binary l (ENUM); required binary m (UTF8);
    required fixed_len_byte_array(16) n (UUID); required fixed_len_byte_array(2) o (FLOAT16);
    required group p (LIST) { repeated group list { optional binary element; } }
    required group q (MAP) { repeated group key_value { required binary key; optional int32 value; } }
}";

#[test]
fn columns_of_each_type_pass() {
    let schema = Arc::new(parse_message_type(EACH_TYPE).unwrap());
    let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    Guarded::new(spooled(&writer.into_inner().unwrap())).map(drop).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_writers_make_passes(
        keys in vec("[^\\x00]{1,40}", 1..40),
        group in 1_usize..40,
        is_second in any::<bool>(),
        extent in prop_oneof![Just(Extent::None), Just(Extent::Chunk), Just(Extent::Page)],
        note in ".{0,20}",
    ) {
        let way = WriterProperties::builder()
            .set_writer_version(if is_second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
            .set_statistics_enabled(extent)
            .set_write_page_header_statistics(true)
            .set_bloom_filter_enabled(is_second)
            .set_key_value_metadata(Some(vec![KeyValue { key: note, value: None }]))
            .set_data_page_row_count_limit(7)
            .set_write_batch_size(3);
        let rows: Vec<Row> = keys.iter().map(|key| row(key, "v")).collect();
        let (read, told) = read_all(&report::parquet_as(&rows, group, way), None);
        prop_assert_eq!(told, Ok(()));
        prop_assert_eq!(read.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    }
}
