//! Pages with keys that the catalog cannot hold.

use super::*;

const MORE: &str = "<IsTruncated>true</IsTruncated>";

/// Answers, one for each page: its keys as they stand in the document, and how it ends.
fn pages<const N: usize>(pages: [(&[&str], &str); N]) -> [String; N] {
    pages.map(|(keys, end)| {
        let entries: String = keys.iter().map(|key| entry("Version", key, "1")).collect();
        answer(200, &listing(&format!("{entries}{end}")))
    })
}

/// Lists all there is: the keys in the order in which they came, and those that are no text.
async fn list_all(bucket: &Bucket) -> (Vec<String>, Vec<Vec<u8>>) {
    let (mut keys, mut raw, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = bucket.list("", after.as_ref()).await.unwrap();
        keys.extend(page.keys.iter().map(|key| key.name.to_owned()));
        raw.extend(page.unrepresentable.into_iter().map(|key| key.bytes));
        match page.next {
            Some(next) => after = Some(next),
            None => return (keys, raw),
        }
    }
}

/// What `name` was in each request.
fn sent(server: &Server, name: &str) -> Vec<Option<String>> {
    let value = |index| query(server, index).into_iter().find(|(known, _)| known == name);
    (0..server.asked().len()).map(|index| value(index).map(|(_, value)| value)).collect()
}

#[tokio::test]
async fn a_page_ends_with_a_key_that_is_no_text() {
    let answers = pages([(&["a", "b%FF1"], MORE), (&["b%FF1", "b%FF2", "c"], END)]);
    let (server, bucket) = serve(answers).await;
    let (keys, raw) = list_all(&bucket).await;
    assert_eq!(keys, ["a", "c"]);
    assert_eq!(raw, [b"b\xFF1", b"b\xFF2"], "each is told once");
    assert_eq!(sent(&server, "key-marker"), [None, Some("b\u{10FFFF}".to_owned())]);
}

#[tokio::test]
async fn a_row_longer_than_a_page_is_passed_over_and_nothing_else() {
    let answers = pages([(&["a", "b%FF1"], MORE), (&["b%FF1"], MORE), (&["c", "cx"], END), (&["d"], END)]);
    let (server, bucket) = serve(answers).await;
    let (keys, raw) = list_all(&bucket).await;
    assert_eq!(keys, ["a", "c", "cx", "d"]);
    assert_eq!(raw, [b"b\xFF1"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(sent(&server, "key-marker"), [None, text("b\u{10FFFF}"), None, text("cx")]);
    assert_eq!(sent(&server, "prefix").get(2), Some(&text("c")));
}

#[tokio::test]
async fn a_bucket_of_nothing_else_comes_to_an_end() {
    let answers = pages([(&["%FF1"], MORE), (&["%FF1"], MORE)]);
    let (_server, bucket) = serve(answers).await;
    assert_eq!(list_all(&bucket).await, (vec![], vec![b"\xFF1".to_vec()]));
}

#[tokio::test]
async fn texts_before_a_row_come_once() {
    // The last text stays the place to go on from, also while pages have nothing but keys that are none.
    let answers = pages([
        (&["b%F4%8F%BF%BFx", "b%FF1"], MORE),
        (&["b%FF1", "b%FF2"], MORE),
        (&["b%FF1", "b%FF2", "b%FF3"], END),
    ]);
    let (server, bucket) = serve(answers).await;
    let (keys, raw) = list_all(&bucket).await;
    assert_eq!((keys.len(), raw.len()), (1, 3));
    let marker = Some("b\u{10FFFF}x".to_owned());
    assert_eq!(sent(&server, "key-marker"), [None, marker.clone(), marker]);
}
