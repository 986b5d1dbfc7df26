//! A bucket's notification configuration: which events of which keys it tells, and to whom.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The events without which the catalog would miss objects that come or go, in the form in which
/// rules name them
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>).
/// What lifecycle rules delete is told by none of the `ObjectRemoved` ones.
pub const NEEDED: [&str; 8] = [
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
];

/// The event that keeps storage classes up to date: all else is right without it.
pub const TRANSITION: &str = "s3:LifecycleTransition";

/// What a rule of ours subscribes to: all of these, by kind.
pub const SUBSCRIBED: [&str; 4] =
    ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*", TRANSITION];

/// The whole of it
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those for queues, then topics, then functions, each in S3's order.
    pub rules: Vec<Rule>,
    /// Whether `EventBridge` is told, which then hears of every event of every key.
    pub event_bridge: bool,
}

/// One configuration of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the bucket; S3 makes one up where nobody gives it.
    pub id: String,
    /// Who is told.
    pub destination: Destination,
    /// The events, each as `s3:ObjectCreated:Put` or, for all of a kind, `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// What a key must be like, as it is written in the bucket. All must hold.
    pub filters: Vec<Filter>,
}

/// Who is told, by its ARN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// A queue in SQS.
    Queue(String),
    /// A topic in SNS, which may lead to queues.
    Topic(String),
    /// A function in Lambda, which leads nowhere that we would know of.
    Function(String),
}

/// A condition on keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `prefix` or `suffix`, in whatever case.
    pub name: String,
    /// What keys begin or end with, encoded as in forms.
    pub value: String,
}

/// How far an event gets, of keys below some prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// It is told of every such key, by this rule.
    Whole(&'a Rule),
    /// It is told of those keys only that the filters of these rules let through.
    Partly(Vec<&'a Rule>),
    /// It is told of none.
    Nothing,
}

impl Rules {
    /// How far `event`, one of a single type, of keys below `prefix` gets by the rules that `is_ours`
    /// says yes to. Rules that each let some keys through never let all through together: there is
    /// always a key between them.
    pub fn reach(&self, event: &str, prefix: &str, is_ours: impl Fn(&Rule) -> bool) -> Reach<'_> {
        let telling = |rule: &&Rule| is_ours(rule) && rule.tells(event) && rule.concerns(prefix);
        let rules: Vec<&Rule> = self.rules.iter().filter(telling).collect();
        match rules.iter().find(|rule| rule.is_whole_below(prefix)) {
            Some(rule) => Reach::Whole(rule),
            None if rules.is_empty() => Reach::Nothing,
            None => Reach::Partly(rules),
        }
    }

    /// Those of `events` that are not told of every key below `prefix` by the rules that are ours, and how
    /// far they get.
    pub fn gaps<'a, 'b>(
        &'a self,
        events: &[&'b str],
        prefix: &str,
        is_ours: impl Fn(&Rule) -> bool,
    ) -> Vec<(&'b str, Reach<'a>)> {
        let reached = events.iter().map(|&event| (event, self.reach(event, prefix, &is_ours)));
        reached.filter(|(_, reach)| !matches!(reach, Reach::Whole(_))).collect()
    }

    /// What it says of keys below `prefix` to whoever may pass it on to us: the same text as long as that
    /// is the same, whatever the rules are called and in whatever order they, their events and their
    /// filters stand.
    pub fn canonical(&self, prefix: &str) -> String {
        let passes_on = |rule: &&Rule| !matches!(rule.destination, Destination::Function(_));
        let ours = self.rules.iter().filter(passes_on).filter(|rule| rule.concerns(prefix));
        let mut lines: BTreeSet<String> = ours.map(Rule::canonical).collect();
        if self.event_bridge {
            lines.insert("EventBridge: everything".to_owned());
        }
        lines.into_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Rule {
    /// What keys must begin with; empty for all.
    pub fn prefix(&self) -> Cow<'_, str> {
        self.filter("prefix")
    }

    /// What keys must end with; empty for all.
    pub fn suffix(&self) -> Cow<'_, str> {
        self.filter("suffix")
    }

    /// Whether it tells an event of this single type.
    pub fn tells(&self, event: &str) -> bool {
        self.events.iter().any(|pattern| includes(pattern, event))
    }

    /// Whether some key below `prefix` could be one of its keys.
    pub fn concerns(&self, prefix: &str) -> bool {
        let own = self.prefix();
        own.starts_with(prefix) || prefix.starts_with(&*own)
    }

    /// Whether every key below `prefix` is one of its keys.
    pub fn is_whole_below(&self, prefix: &str) -> bool {
        let is_known = |filter: &Filter| is_named(filter, "prefix") || is_named(filter, "suffix");
        prefix.starts_with(&*self.prefix()) && self.suffix().is_empty() && self.filters.iter().all(is_known)
    }

    /// Whether S3 would refuse to keep both in one bucket: for some event their prefixes overlap and so do
    /// their suffixes
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>).
    pub fn overlaps(&self, other: &Self) -> bool {
        let is_shared = |event: &String| {
            other.events.iter().any(|pattern| includes(pattern, event) || includes(event, pattern))
        };
        let (own, others) = (self.suffix(), other.suffix());
        self.events.iter().any(is_shared)
            && self.concerns(&other.prefix())
            && (own.ends_with(&*others) || others.ends_with(&*own))
    }

    fn filter(&self, name: &str) -> Cow<'_, str> {
        let filter = self.filters.iter().find(|filter| is_named(filter, name));
        filter.map_or(Cow::Borrowed(""), |filter| decode(&filter.value))
    }

    fn canonical(&self) -> String {
        let events: BTreeSet<&str> = self.events.iter().map(String::as_str).collect();
        let filters: BTreeSet<String> = self
            .filters
            .iter()
            .filter(|filter| !filter.value.is_empty())
            .map(|filter| format!(" {} {:?}", filter.name.to_ascii_lowercase(), decode(&filter.value)))
            .collect();
        let (events, filters): (Vec<_>, String) =
            (events.into_iter().collect(), filters.into_iter().collect());
        format!("{}: {}{filters}", self.destination, events.join(" "))
    }
}

impl Destination {
    /// Its ARN.
    pub fn arn(&self) -> &str {
        match self {
            Self::Queue(arn) | Self::Topic(arn) | Self::Function(arn) => arn,
        }
    }

    /// Whether it is the queue with this URL: account and name are the last two parts of that
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html>).
    /// Where the URL has no account, as those of some emulators, the name decides. Regions are not
    /// compared: S3 tells only queues in the bucket's own.
    pub fn is_queue(&self, url: &str) -> bool {
        let Self::Queue(arn) = self else { return false };
        let (mut arn, mut url) = (arn.rsplit(':'), url.trim_end_matches('/').rsplit('/'));
        let is_same_name = arn.next().is_some_and(|name| url.next() == Some(name));
        let account = url.next().filter(|account| account.len() == 12 && account.parse::<u64>().is_ok());
        is_same_name && account.is_none_or(|account| arn.next() == Some(account))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Queue(_) => "queue",
            Self::Topic(_) => "topic",
            Self::Function(_) => "function",
        };
        write!(formatter, "{kind} {}", self.arn())
    }
}

fn is_named(filter: &Filter, name: &str) -> bool {
    filter.name.eq_ignore_ascii_case(name)
}

/// Whether a pattern such as `s3:ObjectCreated:*` includes an event.
pub fn includes(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(kind) => event.starts_with(kind),
        None => pattern == event,
    }
}

/// Filters write a space as `+` and what else is special as `%` and two digits
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>).
fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains(['+', '%']) {
        return Cow::Borrowed(value);
    }
    let spaced = value.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned);
    decoded.map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake";

    fn rule(events: &[&str], filters: &[(&str, &str)]) -> Rule {
        let own = |&(name, value): &(&str, &str)| Filter { name: name.to_owned(), value: value.to_owned() };
        Rule {
            id: "1".to_owned(),
            destination: Destination::Queue(QUEUE.to_owned()),
            events: events.iter().map(|&event| event.to_owned()).collect(),
            filters: filters.iter().map(own).collect(),
        }
    }

    fn of(rules: &[Rule]) -> Rules {
        Rules { rules: rules.to_vec(), event_bridge: false }
    }

    /// `whole`, `partly` or `nothing`, of puts below `a/b/`.
    fn reach(filters: &[(&str, &str)]) -> &'static str {
        match of(&[rule(&["s3:ObjectCreated:*"], filters)]).reach(NEEDED[0], "a/b/", |_| true) {
            Reach::Whole(_) => "whole",
            Reach::Partly(_) => "partly",
            Reach::Nothing => "nothing",
        }
    }

    #[test]
    fn filters_decide_how_far_an_event_gets() {
        for (filters, expected) in [
            (&[][..], "whole"),
            (&[("prefix", "")], "whole"),
            (&[("Prefix", "a/")], "whole"),
            (&[("PREFIX", "a/b/")], "whole"),
            (&[("prefix", "a%2Fb%2F"), ("Suffix", "")], "whole"),
            (&[("prefix", "a/b/c")], "partly"),
            (&[("prefix", "a/"), ("Suffix", ".bam")], "partly"),
            (&[("infix", "x")], "partly"),
            (&[("prefix", "a/c")], "nothing"),
            (&[("prefix", "A/")], "nothing"),
        ] {
            assert_eq!(reach(filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn values_are_encoded_as_in_forms() {
        for (value, expected) in
            [("my+images%2F", "my images/"), ("100%/", "100%/"), ("%C3%A9", "é"), ("%ff+", "%ff+")]
        {
            assert_eq!(rule(&[], &[("prefix", value)]).prefix(), expected);
        }
    }

    #[test]
    fn each_needed_event_is_looked_for() {
        let all = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"];
        assert_eq!(of(&[rule(&all, &[])]).gaps(&NEEDED, "", |_| true), []);
        assert_eq!(of(&[rule(&NEEDED, &[])]).gaps(&NEEDED, "", |_| true), []);
        assert_eq!(of(&all.map(|event| rule(&[event], &[]))).gaps(&NEEDED, "", |_| true), []);

        let some = of(&[
            rule(&["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"], &[]),
            rule(&["s3:Life*"], &[("suffix", "x")]),
        ]);
        let gaps: Vec<_> = some.gaps(&NEEDED, "", |_| true);
        assert_eq!(gaps.iter().map(|(event, _)| *event).collect::<Vec<_>>(), NEEDED[5..]);
        assert_eq!(gaps[0].1, Reach::Nothing);
        assert_eq!(gaps[1].1, Reach::Partly(vec![&some.rules[1]]));
        assert_eq!(some.gaps(&NEEDED, "", |rule| rule.destination.is_queue("https://x/other")).len(), 8);
    }

    #[test]
    fn what_is_subscribed_to_is_what_is_looked_for() {
        for event in NEEDED.iter().chain([&TRANSITION]) {
            assert_eq!(SUBSCRIBED.iter().filter(|kind| includes(kind, event)).count(), 1, "{event}");
        }
        let is_idle = |kind: &&&str| !NEEDED.iter().chain([&TRANSITION]).any(|event| includes(kind, event));
        assert_eq!(SUBSCRIBED.iter().find(is_idle), None);
    }

    #[test]
    fn a_queue_is_known_by_account_and_name() {
        let queue = Destination::Queue(QUEUE.to_owned());
        for (url, expected) in [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake", true),
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake/", true),
            ("http://127.0.0.1:4567/123456789012/stocktake", true),
            ("http://localhost:9324/queue/stocktake", true),
            ("https://sqs.eu-central-1.amazonaws.com/210987654321/stocktake", false),
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/stock", false),
            ("", false),
        ] {
            assert_eq!(queue.is_queue(url), expected, "{url}");
        }
        let topic = Destination::Topic("arn:aws:sns:eu-central-1:123456789012:stocktake".to_owned());
        assert!(!topic.is_queue("https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake"));
    }

    #[test]
    fn overlaps_are_those_that_s3_refuses() {
        let created = &["s3:ObjectCreated:*"][..];
        for (one, other, expected) in [
            (rule(created, &[]), rule(&["s3:ObjectCreated:Put"], &[("prefix", "a")]), true),
            (rule(created, &[]), rule(&["s3:ObjectRemoved:*"], &[]), false),
            (rule(created, &[("prefix", "a/")]), rule(created, &[("prefix", "b/")]), false),
            (rule(created, &[("prefix", "a/")]), rule(created, &[("prefix", "a/b")]), true),
            (rule(created, &[("suffix", ".jpg")]), rule(created, &[("suffix", ".png")]), false),
            (rule(created, &[("suffix", "jpg")]), rule(created, &[("suffix", ".jpg")]), true),
            (rule(created, &[("prefix", "a"), ("suffix", "x")]), rule(created, &[("suffix", "y")]), false),
        ] {
            assert_eq!(
                (one.overlaps(&other), other.overlaps(&one)),
                (expected, expected),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn the_canonical_text_is_of_what_concerns_us() {
        let ours = rule(&["s3:ObjectRemoved:*", "s3:ObjectCreated:*"], &[("Suffix", ""), ("Prefix", "a%2F")]);
        let text = format!("queue {QUEUE}: s3:ObjectCreated:* s3:ObjectRemoved:* prefix \"a/\"");
        assert_eq!(of(std::slice::from_ref(&ours)).canonical("a/b/"), text);

        let mut same = ours.clone();
        same.id = "another".to_owned();
        same.events.reverse();
        same.filters = vec![Filter { name: "prefix".to_owned(), value: "a/".to_owned() }];
        let function = Rule { destination: Destination::Function("f".to_owned()), ..rule(&[], &[]) };
        let elsewhere = rule(&NEEDED, &[("prefix", "b/")]);
        assert_eq!(of(&[function, elsewhere, same]).canonical("a/b/"), text);

        assert_ne!(of(&[rule(&["s3:ObjectRemoved:*"], &[("prefix", "a/")])]).canonical("a/b/"), text);
        assert_eq!(Rules::default().canonical(""), "");
        assert_eq!(Rules { event_bridge: true, ..of(&[]) }.canonical(""), "EventBridge: everything");
    }
}
