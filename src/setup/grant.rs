//! Whether a policy that somebody wrote lets a service do something
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>).

use serde_json::Value;

/// What a service of AWS is about to do on behalf of something.
#[derive(Clone, Debug)]
pub(super) struct Act<'a> {
    /// `s3.amazonaws.com`.
    pub(super) service: &'a str,
    /// `sqs:SendMessage`.
    pub(super) action: &'a str,
    /// What it is done to, by its ARN.
    pub(super) resource: &'a str,
    /// On behalf of what, by its ARN.
    pub(super) source: &'a str,
    /// On behalf of whom, where that is known.
    pub(super) account: Option<&'a str>,
}

/// What a policy says to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It may.
    Allowed,
    /// Nothing lets it.
    NotAllowed,
    /// A statement forbids it: its name, or its place.
    Forbidden(String),
    /// It depends on what cannot be known here.
    Unsure(String),
}

/// Whether `policy` lets it happen.
///
/// # Errors
/// When the policy is none.
pub(super) fn answer(policy: &str, act: &Act<'_>) -> Result<Answer, String> {
    let mut answer = Answer::NotAllowed;
    for (place, statement) in statements(policy)?.iter().enumerate() {
        let name = name(statement, place);
        let is_deny = statement["Effect"] == "Deny";
        match (concerns(statement, act), is_deny) {
            (Fit::No, _) => {}
            (Fit::Yes, true) => return Ok(Answer::Forbidden(name)),
            (Fit::Yes, false) => answer = Answer::Allowed,
            // What may forbid it outweighs what allows it, and is outweighed by nothing known.
            (Fit::Perhaps(on), true) => {
                answer = Answer::Unsure(format!("{name} forbids it depending on {on}"))
            }
            (Fit::Perhaps(on), false) if answer == Answer::NotAllowed => {
                answer = Answer::Unsure(format!("{name} allows it depending on {on}"));
            }
            (Fit::Perhaps(_), false) => {}
        }
    }
    Ok(answer)
}

/// The statements that let anybody at all, or a service on behalf of anybody, do `action`.
///
/// # Errors
/// When the policy is none.
pub(super) fn too_open(policy: &str, action: &str) -> Result<Vec<String>, String> {
    let statements = statements(policy)?;
    let open = statements.iter().enumerate().filter(|(_, statement)| {
        let principals = texts(&statement["Principal"]["AWS"]).chain(texts(&statement["Principal"]));
        let is_anybody = principals.into_iter().any(|principal| principal == "*");
        let is_service = texts(&statement["Principal"]["Service"]).next().is_some();
        let conditions = statement["Condition"].as_object().into_iter().flatten();
        let keys = conditions.flat_map(|(_, keys)| keys.as_object().into_iter().flatten());
        let is_bound = keys.into_iter().any(|(key, values)| {
            let key = key.to_ascii_lowercase();
            let binds =
                ["sourcearn", "sourceaccount", "principal", "sourceorg", "sourceowner", "vpc", "sourceip"];
            // Account and name are the last two parts: `arn:aws:s3:::*` is anybody's bucket.
            let is_open = |value: &str| {
                value == "*"
                    || (key.contains("sourcearn")
                        && value.splitn(6, ':').skip(4).all(|part| part.is_empty() || part == "*"))
            };
            binds.iter().any(|bind| key.contains(bind)) && !texts(values).any(is_open)
        });
        statement["Effect"] == "Allow"
            && texts(&statement["Action"]).any(|pattern| is_action(pattern, action))
            && (is_anybody || is_service)
            && !is_bound
    });
    Ok(open.map(|(place, statement)| name(statement, place)).collect())
}

/// Whom else a policy lets do the same to the same thing: the name of each statement, and who that is. Its owner is
/// nobody else.
///
/// # Errors
/// When the policy is none.
pub(super) fn others(policy: &str, act: &Act<'_>) -> Result<Vec<(String, String)>, String> {
    let owner = act.resource.split(':').nth(4).unwrap_or_default();
    let is_owner = |who: &str| who == owner || who.ends_with(&format!(":iam::{owner}:root"));
    let mut others = Vec::new();
    for (place, statement) in statements(policy)?.iter().enumerate() {
        let principal = &statement["Principal"];
        let all = [principal, &principal["AWS"], &principal["Service"]].into_iter().flat_map(texts);
        let who: Vec<&str> = all.filter(|who| !is_owner(who)).collect();
        if statement["Effect"] == "Allow"
            && texts(&statement["Action"]).any(|pattern| is_action(pattern, act.action))
            && !matches!(concerns(statement, act), Fit::Yes)
            && !who.is_empty()
        {
            others.push((name(statement, place), who.join(", ")));
        }
    }
    Ok(others)
}

fn statements(policy: &str) -> Result<Vec<Value>, String> {
    let mut policy: Value = serde_json::from_str(policy).map_err(|error| format!("not JSON: {error}"))?;
    match policy["Statement"].take() {
        Value::Array(statements) => Ok(statements),
        statement @ Value::Object(_) => Ok(vec![statement]),
        _ => Err("it has no Statement".to_owned()),
    }
}

fn name(statement: &Value, place: usize) -> String {
    match statement["Sid"].as_str() {
        Some(sid) if !sid.is_empty() => format!("statement {sid:?}"),
        _ => format!("statement {}", place + 1),
    }
}

enum Fit {
    Yes,
    No,
    Perhaps(String),
}

fn concerns(statement: &Value, act: &Act<'_>) -> Fit {
    let who = |principal: &Value| {
        texts(principal).any(|text| text == "*")
            || texts(&principal["AWS"]).any(|text| text == "*")
            || texts(&principal["Service"]).any(|text| text.eq_ignore_ascii_case(act.service))
    };
    let is_ours = match (&statement["Principal"], &statement["NotPrincipal"]) {
        (Value::Null, Value::Null) => false,
        (Value::Null, others) => !who(others),
        (principal, _) => who(principal),
    };
    let one_of = |yes: &str, no: &str, is: &dyn Fn(&str) -> bool| match (&statement[yes], &statement[no]) {
        (Value::Null, Value::Null) => true,
        (Value::Null, others) => !texts(others).any(is),
        (list, _) => texts(list).any(is),
    };
    if !is_ours
        || !one_of("Action", "NotAction", &|pattern| is_action(pattern, act.action))
        || !one_of("Resource", "NotResource", &|pattern| is_like(pattern, act.resource))
    {
        return Fit::No;
    }
    let mut fit = Fit::Yes;
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            match condition(operator, key, values, act) {
                Some(true) => {}
                Some(false) => return Fit::No,
                None => fit = Fit::Perhaps(key.clone()),
            }
        }
    }
    fit
}

/// Whether a condition holds; none if that depends on what is not known.
fn condition(operator: &str, key: &str, values: &Value, act: &Act<'_>) -> Option<bool> {
    let actual = match key.to_ascii_lowercase().as_str() {
        "aws:sourcearn" => Some(act.source),
        "aws:sourceaccount" => Some(act.account?),
        "aws:securetransport" | "aws:principalisawsservice" => Some("true"),
        // Services act as themselves, and have no account, organisation, address or network.
        "aws:principalaccount"
        | "aws:principalorgid"
        | "aws:principalarn"
        | "aws:sourceip"
        | "aws:sourcevpc"
        | "aws:sourcevpce" => None,
        _ => return None,
    };
    let operator = operator.to_ascii_lowercase();
    let (operator, if_exists) = match operator.strip_suffix("ifexists") {
        Some(operator) => (operator, true),
        None => (operator.as_str(), false),
    };
    let is_not = operator.contains("not");
    let Some(actual) = actual else {
        let wants_none = texts(values).any(|value| value == "true");
        return Some(if operator == "null" { wants_none } else { if_exists || is_not });
    };
    let mut values = texts(values);
    let holds = match operator {
        "stringequals" | "stringnotequals" => values.any(|value| value == actual),
        "stringequalsignorecase" | "stringnotequalsignorecase" | "bool" => {
            values.any(|value| value.eq_ignore_ascii_case(actual))
        }
        "stringlike" | "stringnotlike" | "arnlike" | "arnequals" | "arnnotlike" | "arnnotequals" => {
            values.any(|value| is_like(value, actual))
        }
        "null" => values.any(|value| value == "false"),
        _ => return None,
    };
    Some(holds != is_not)
}

/// A text, or the texts of a list; `true` and `false` as such.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(value));
    list.iter().filter_map(|value| match value {
        Value::String(text) => Some(text.as_str()),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        _ => None,
    })
}

fn is_action(pattern: &str, action: &str) -> bool {
    is_like(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

/// Whether a text is like a pattern of `*` and `?`.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            // Let the last star take one more.
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake";
    const ACT: Act<'_> = Act {
        service: "s3.amazonaws.com",
        action: "sqs:SendMessage",
        resource: QUEUE,
        source: "arn:aws:s3:::genomics",
        account: Some("210987654321"),
    };

    /// A statement for S3 with the parts of `more` laid over it.
    fn statement(more: &Value) -> Value {
        let mut statement = json!({
            "Sid": "s", "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
            "Action": "SQS:SendMessage", "Resource": QUEUE,
        });
        for (key, value) in more.as_object().unwrap() {
            statement[key] = value.clone();
        }
        statement
    }

    fn answered(statements: &[Value]) -> Answer {
        answer(&json!({ "Statement": statements }).to_string(), &ACT).unwrap()
    }

    #[test]
    fn statements_are_read_as_aws_reads_them() {
        for (more, expected) in [
            (json!({}), Answer::Allowed),
            (json!({ "Principal": "*" }), Answer::Allowed),
            (json!({ "Principal": { "AWS": ["*"] } }), Answer::Allowed),
            (json!({ "Principal": { "Service": "sns.amazonaws.com" } }), Answer::NotAllowed),
            (json!({ "Principal": { "AWS": "arn:aws:iam::123456789012:root" } }), Answer::NotAllowed),
            (json!({ "Action": ["sqs:*"] }), Answer::Allowed),
            (json!({ "Action": "sqs:ReceiveMessage" }), Answer::NotAllowed),
            (json!({ "Resource": "arn:aws:sqs:*:123456789012:stock*" }), Answer::Allowed),
            (json!({ "Resource": "arn:aws:sqs:eu-west-1:123456789012:stocktake" }), Answer::NotAllowed),
            (
                json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:*:*:genomics" } } }),
                Answer::Allowed,
            ),
            (
                json!({ "Condition": { "ArnLike": { "aws:sourcearn": ["x", "arn:aws:s3:::geno*"] } } }),
                Answer::Allowed,
            ),
            (
                json!({ "Condition": { "ArnEquals": { "aws:SourceArn": "arn:aws:s3:::other" } } }),
                Answer::NotAllowed,
            ),
            (
                json!({ "Condition": { "StringEquals": { "aws:SourceAccount": "210987654321" } } }),
                Answer::Allowed,
            ),
            (
                json!({ "Condition": { "StringEquals": { "aws:SourceAccount": "123456789012" } } }),
                Answer::NotAllowed,
            ),
            (json!({ "Condition": { "Bool": { "aws:SecureTransport": "true" } } }), Answer::Allowed),
            (json!({ "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-1" } } }), Answer::NotAllowed),
            (
                json!({ "Condition": { "StringEquals": { "aws:SourceOrgID": "o-1" } } }),
                Answer::Unsure("statement \"s\" allows it depending on aws:SourceOrgID".to_owned()),
            ),
        ] {
            assert_eq!(answered(&[statement(&more)]), expected, "{more}");
        }
    }

    #[test]
    fn what_forbids_outweighs_what_allows() {
        let insecure = json!({ "Bool": { "aws:SecureTransport": false } });
        let harmless = statement(&json!({ "Effect": "Deny", "Principal": "*", "Condition": insecure }));
        assert_eq!(answered(&[harmless, statement(&json!({}))]), Answer::Allowed);
        let outsiders = json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } });
        let deny =
            statement(&json!({ "Sid": "d", "Effect": "Deny", "Principal": "*", "Condition": outsiders }));
        assert_eq!(answered(&[statement(&json!({})), deny]), Answer::Forbidden("statement \"d\"".to_owned()));
        let but_us =
            json!({ "Effect": "Deny", "Principal": null, "NotPrincipal": { "Service": "s3.amazonaws.com" } });
        assert_eq!(answered(&[statement(&but_us), statement(&json!({}))]), Answer::Allowed);
        assert!(answer("{}", &ACT).is_err() && answer("no", &ACT).is_err());
    }

    #[test]
    fn whoever_else_is_let_in_is_told() {
        let told =
            |more: Value| others(&json!({ "Statement": [statement(&more)] }).to_string(), &ACT).unwrap();
        let by = |source: &str| json!({ "Condition": { "ArnLike": { "aws:SourceArn": source } } });
        assert_eq!(told(by("arn:aws:s3:::genomics")), []);
        let other = ("statement \"s\"".to_owned(), "s3.amazonaws.com".to_owned());
        assert_eq!(told(by("arn:aws:s3:::other")), [other]);
        let topic = told(json!({ "Principal": { "Service": "sns.amazonaws.com" } }));
        assert_eq!(topic[0].1, "sns.amazonaws.com");
        assert_eq!(told(json!({ "Principal": { "AWS": "arn:aws:iam::210987654321:root" } })).len(), 1);
        // What the console writes into the policy of every queue.
        assert_eq!(
            told(json!({ "Principal": { "AWS": "arn:aws:iam::123456789012:root" }, "Action": "SQS:*" })),
            []
        );
        assert_eq!(told(json!({ "Principal": { "Service": "sns.amazonaws.com" }, "Effect": "Deny" })), []);
    }

    #[test]
    fn an_open_door_is_seen() {
        let open = |more: Value| {
            let policy = json!({ "Statement": [statement(&more)] }).to_string();
            !too_open(&policy, "sqs:SendMessage").unwrap().is_empty()
        };
        assert!(open(json!({ "Principal": "*" })));
        assert!(open(json!({})), "anybody's bucket could send");
        assert!(open(
            json!({ "Principal": { "AWS": "*" }, "Condition": { "ArnLike": { "aws:SourceArn": "*" } } })
        ));
        assert!(open(json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:*:*:*" } } })));
        assert!(open(
            json!({ "Condition": { "ArnLike": { "aws:SourceArn": ["arn:aws:s3:::*", "arn:aws:s3:::b"] } } })
        ));
        assert!(!open(json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:::genomics" } } })));
        assert!(!open(
            json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:sns:*:123456789012:*" } } })
        ));
        assert!(!open(json!({ "Condition": { "StringEquals": { "aws:SourceAccount": "1" } } })));
        assert!(!open(json!({ "Principal": { "AWS": "123456789012" } })));
        assert!(!open(json!({ "Action": "sqs:ReceiveMessage" })));
        assert!(!open(json!({ "Effect": "Deny", "Principal": "*" })));
    }
}
