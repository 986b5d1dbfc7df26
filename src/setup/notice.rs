//! A bucket's notification configuration as S3 wrote it: our entry goes in and out, and not a byte
//! of what is anybody else's changes. The SDK's types would drop what they do not know.

use quick_xml::Reader;
use quick_xml::events::Event;

const ROOT: &str = "NotificationConfiguration";
const OURS: &str = "QueueConfiguration";

/// One entry of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// `QueueConfiguration`, `TopicConfiguration`, `EventBridgeConfiguration`.
    pub(super) kind: String,
    /// Its `Id`.
    pub(super) id: String,
    /// All of it.
    pub(super) text: &'a str,
    from: usize,
}

impl<'a> Entry<'a> {
    /// Whom it tells, by ARN, where it says so.
    pub(super) fn destination(&self) -> Option<&'a str> {
        ["Queue", "Topic", "CloudFunction"].iter().find_map(|kind| {
            let (_, rest) = self.text.split_once(&format!("<{kind}>"))?;
            Some(rest.split_once('<')?.0)
        })
    }
}

/// All entries, in S3's order.
///
/// # Errors
/// When it is no such configuration.
pub(super) fn entries(text: &str) -> Result<Vec<Entry<'_>>, String> {
    read(text).map(|read| read.entries)
}

/// The same with one entry more, after the last of its kind.
///
/// # Errors
/// When it is no such configuration.
pub(super) fn with(text: &str, entry: &str) -> Result<String, String> {
    let Read { entries, inside } = read(text)?;
    let Some((from, to)) = inside else {
        // There was nothing in it, and it was written as one tag.
        let open = text.trim_end().strip_suffix("/>").unwrap_or_default().trim_end();
        return Ok(if open.is_empty() {
            format!("<{ROOT} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{entry}</{ROOT}>")
        } else {
            format!("{open}>{entry}</{ROOT}>")
        });
    };
    let before = |kind: &str| kind == OURS || kind == "TopicConfiguration";
    let place =
        entries.iter().filter(|entry| before(&entry.kind)).map(|entry| entry.from + entry.text.len()).max();
    let place = place.unwrap_or(from).min(to);
    Ok(format!("{}{entry}{}", &text[..place], &text[place..]))
}

/// The same without the queue's entry of this name.
///
/// # Errors
/// When it is no such configuration.
pub(super) fn without(text: &str, id: &str) -> Result<String, String> {
    let entries = entries(text)?;
    let ours = entries.iter().find(|entry| entry.kind == OURS && entry.id == id);
    Ok(ours.map_or(text.to_owned(), |ours| {
        format!("{}{}", &text[..ours.from], &text[ours.from + ours.text.len()..])
    }))
}

/// An entry that tells a queue of events of keys below a prefix.
pub(super) fn entry(id: &str, queue: &str, events: &[&str], prefix: &str) -> String {
    let events: String = events.iter().map(|event| format!("<Event>{event}</Event>")).collect();
    let filter = if prefix.is_empty() {
        String::new()
    } else {
        let rule = format!("<FilterRule><Name>prefix</Name><Value>{}</Value></FilterRule>", encode(prefix));
        format!("<Filter><S3Key>{rule}</S3Key></Filter>")
    };
    format!("<{OURS}><Id>{id}</Id><Queue>{queue}</Queue>{events}{filter}</{OURS}>")
}

/// As filters want it: a space is `+`, and what is special is `%` and two digits
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>).
/// A slash and what names commonly have stays as it is.
pub(super) fn encode(prefix: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.!~*'()".contains(&byte);
    prefix
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if is_plain(byte) && byte != b'\'' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

struct Read<'a> {
    entries: Vec<Entry<'a>>,
    /// Where what is in the root begins and ends; none if it is one tag.
    inside: Option<(usize, usize)>,
}

fn read(text: &str) -> Result<Read<'_>, String> {
    if text.trim().is_empty() {
        return Ok(Read { entries: Vec::new(), inside: None });
    }
    let wrong = |what: String| format!("the notification configuration cannot be read: {what}");
    let mut reader = Reader::from_str(text);
    let mut read = Read { entries: Vec::new(), inside: None };
    let mut path: Vec<String> = Vec::new();
    loop {
        let from = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        let to = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match event {
            Event::Start(tag) => {
                let name = AsRef::<str>::as_ref(&tag.local_name()).to_owned();
                match path.len() {
                    0 if name != ROOT => return Err(wrong(format!("it is a <{name}>"))),
                    0 => read.inside = Some((to, to)),
                    1 => read.entries.push(Entry { kind: name.clone(), id: String::new(), text: "", from }),
                    _ => {}
                }
                path.push(name);
            }
            Event::Empty(tag) => {
                let name = AsRef::<str>::as_ref(&tag.local_name()).to_owned();
                match path.len() {
                    0 if name != ROOT => return Err(wrong(format!("it is a <{name}>"))),
                    1 => read.entries.push(Entry {
                        kind: name,
                        id: String::new(),
                        text: &text[from..to],
                        from,
                    }),
                    _ => {}
                }
            }
            Event::Text(content) if path.len() == 3 && path[2] == "Id" => {
                if let Some(entry) = read.entries.last_mut() {
                    entry.id.push_str(content.as_ref());
                }
            }
            Event::End(_) => {
                path.pop();
                match path.len() {
                    0 => read.inside = read.inside.map(|(begin, _)| (begin, from)),
                    1 => {
                        if let Some(entry) = read.entries.last_mut() {
                            entry.text = &text[entry.from..to];
                        }
                    }
                    _ => {}
                }
            }
            Event::Eof if path.is_empty() => return Ok(read),
            Event::Eof => return Err(wrong("it ends early".to_owned())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "<TopicConfiguration><Id>t</Id><Topic>arn:t</Topic><Event>s3:ObjectCreated:*</Event>\
        <Novelty x='1'>&amp;</Novelty></TopicConfiguration>\n  <QueueConfiguration>\n<Id>q &amp; a</Id></QueueConfiguration>\
        <CloudFunctionConfiguration><Id>ours</Id></CloudFunctionConfiguration><EventBridgeConfiguration/>";

    fn full(inner: &str) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{ROOT} xmlns=\"http://x/\">{inner}</{ROOT}>")
    }

    #[test]
    fn what_goes_in_comes_out_and_nothing_else_changes() {
        let ours = entry("ours", "arn:q", &["s3:ObjectCreated:*"], "a b/");
        for before in [full(THEIRS), full(""), full("<EventBridgeConfiguration></EventBridgeConfiguration>")]
        {
            let between = with(&before, &ours).unwrap();
            assert!(between.contains(&ours), "{between}");
            assert_eq!(entries(&between).unwrap().len(), entries(&before).unwrap().len() + 1);
            assert_eq!(without(&between, "ours").unwrap(), before);
            assert_eq!(without(&before, "ours").unwrap(), before, "a function of that name stays");
        }
    }

    #[test]
    fn entries_are_told_apart() {
        let text = full(THEIRS);
        let told: Vec<_> =
            entries(&text).unwrap().iter().map(|entry| (entry.kind.clone(), entry.id.clone())).collect();
        let expected = [
            ("TopicConfiguration", "t"),
            (OURS, "q  a"),
            ("CloudFunctionConfiguration", "ours"),
            ("EventBridgeConfiguration", ""),
        ];
        assert_eq!(
            told.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(),
            expected.map(|(kind, _)| kind)
        );
        assert_eq!(told[0].1, "t");
        assert_eq!(entries(&text).unwrap()[3].text, "<EventBridgeConfiguration/>");
    }

    #[test]
    fn an_empty_one_has_several_forms() {
        let ours = entry("o", "arn:q", &["e"], "");
        assert_eq!(
            with(&format!("<{ROOT} xmlns=\"u\" />"), &ours).unwrap(),
            format!("<{ROOT} xmlns=\"u\">{ours}</{ROOT}>")
        );
        assert!(with("", &ours).unwrap().ends_with(&format!("\">{ours}</{ROOT}>")));
        for broken in ["<html/>", "<html></html>", "<NotificationConfiguration>", "no"] {
            assert!(entries(broken).is_err() || broken == "no", "{broken}");
        }
    }

    #[test]
    fn prefixes_are_encoded_as_filters_want_them() {
        for (prefix, value) in
            [("projects/alpha/", "projects/alpha/"), ("a b+c/", "a+b%2Bc/"), ("é&<'/", "%C3%A9%26%3C%27/")]
        {
            assert!(entry("i", "q", &[], prefix).contains(&format!("<Value>{value}</Value>")), "{prefix}");
        }
    }
}
