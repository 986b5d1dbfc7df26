//! Prefixes like ours, where nothing is below ours: those that differ in what is easily overlooked.

use unicode_normalization::UnicodeNormalization;

use super::{Clients, call, told};
use crate::aws::Watch;
use crate::setup::estate::Looked;

/// The most pages of folders that are listed, of a thousand each.
const REQUESTS_MAX: usize = 12;
/// The most neighbours that are named.
const FOUND_MAX: usize = 5;
/// Slashes in a row that are followed.
const SLASHES: &str = "///";

/// What keys begin with that differs from `prefix` only in Unicode normalization, case, or a slash more or less.
pub(super) async fn neighbours(clients: &Clients, name: &str, prefix: &str) -> Looked<Vec<String>> {
    let wanted: Vec<String> = prefix.split('/').filter(|part| !part.is_empty()).map(fold).collect();
    let mut folders = vec![(String::new(), 0)];
    let mut found = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let Some((folder, depth)) = folders.pop() else { break };
        let entries = entries(clients, name, &folder).await?;
        for entry in entries {
            match like(&entry, &folder, &wanted[depth..]) {
                Likeness::Same if entry != prefix => found.push(entry),
                Likeness::Folder(parts) => folders.push((entry, depth + parts)),
                Likeness::Same | Likeness::None => {}
            }
        }
        if found.len() >= FOUND_MAX {
            break;
        }
    }
    found.truncate(FOUND_MAX);
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    None,
    /// The way to it goes on there, so many parts further.
    Folder(usize),
    Same,
}

/// What an entry of a folder is to the rest of a prefix. An entry is a folder, which ends in a slash, or a key.
fn like(entry: &str, folder: &str, rest: &[String]) -> Likeness {
    let name = fold(entry.strip_prefix(folder).unwrap_or(entry).trim_matches('/'));
    let is_folder = entry.ends_with('/');
    match rest {
        _ if name.is_empty() && is_folder && !entry.ends_with(SLASHES) => Likeness::Folder(0),
        [last] if name == *last || (!is_folder && name.starts_with(last.as_str())) => Likeness::Same,
        [part, _, ..] if is_folder && name == *part => Likeness::Folder(1),
        [_, _, ..] if name == rest.concat() => Likeness::Same,
        _ => Likeness::None,
    }
}

/// One spelling of all that look alike.
fn fold(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// The folders and keys right below a folder: a page of them.
async fn entries(clients: &Clients, name: &str, folder: &str) -> Looked<Vec<String>> {
    let watch = Watch::counting("ListObjectsV2");
    let action = format!("look for prefixes of {name:?} below {folder:?}");
    let call = call(action, "s3:ListBucket", &format!("arn:aws:s3:::{name}"));
    let request = clients.s3.list_objects_v2().bucket(name).prefix(folder).delimiter("/");
    let page = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
    let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
    let keys = page.contents().iter().filter_map(|object| object.key());
    Ok(folders.chain(keys).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_found() {
        let check = |entry: &str, folder: &str, rest: &[&str], expected| {
            let rest: Vec<String> = rest.iter().map(|part| fold(part)).collect();
            assert_eq!(like(entry, folder, &rest), expected, "{entry:?} in {folder:?}");
        };
        check("cafe\u{301}/", "", &["caf\u{E9}"], Likeness::Same);
        check("Logs/", "", &["logs"], Likeness::Same);
        check("a/Logs/", "a/", &["logs", "2026"], Likeness::Folder(1));
        check("a//", "a/", &["logs"], Likeness::Folder(0));
        check("///", "//", &["logs"], Likeness::None);
        check("/", "", &["logs"], Likeness::Folder(0));
        check("logs2026/", "", &["logs", "2026"], Likeness::Same);
        check("logs-1.txt", "", &["logs"], Likeness::Same);
        check("logs-1/", "", &["logs"], Likeness::None);
        check("other/", "", &["logs"], Likeness::None);
    }
}
