//! How many tables the rows of a bucket are spread over.

use crate::setup::finding::{Finding, Subject};

/// What is said of a bucket that is to be in so many tables, and is in `found`.
pub(in crate::setup) fn partitions(bucket: &str, wanted: u32, found: u32) -> Finding {
    let subject = Subject(format!("bucket {bucket}"));
    if found == wanted {
        return subject.ok("partitions", found.to_string());
    }
    subject.warning(
        "partitions",
        format!("its rows are in {found}, and bucket.partitions is {wanted}, which is obeyed only when a bucket is connected"),
        format!(
            "set bucket.partitions = {found}; or stop the daemons, `stocktake disconnect --bucket {bucket} --drop-rows --apply`, \
             and start them: the bucket is listed anew"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Verdict;

    #[test]
    fn only_what_was_connected_otherwise_is_a_warning() {
        assert_eq!(partitions("genomics", 4, 4).verdict, Verdict::Ok);
        let Finding { verdict, found, remedy, .. } = partitions("genomics", 8, 1);
        assert_eq!(verdict, Verdict::Warning);
        assert!(found.contains("in 1, and bucket.partitions is 8"), "{found}");
        assert!(remedy.contains("set bucket.partitions = 1;"), "{remedy}");
    }
}
