//! The login, by somebody who has only a keyboard.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use fantoccini::key::Key;
use serde_json::json;

use super::{FAINT, PHONE, TOO_WIDE};
use crate::support::{Browser, Stage};

const TOKEN: &str = "a-token-of-twenty-or-more";
const WRONG: &str = "a-token-of-somebody-else";

#[tokio::test]
async fn one_logs_in_and_out_by_the_keyboard() {
    let stage = Stage::new().await;
    let bucket = stage.name("locked");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.start_with(&config, &[("STOCKTAKE_ADMIN__TOKEN", TOKEN)], &["serve"]);
    daemon.until_ready().await;
    let browser = Browser::new().await;
    let at = |path: &str| format!("http://{}{path}", daemon.address());
    let path = async || browser.client.current_url().await.unwrap().path().to_owned();

    browser.see_as("light", 1_280, 700).await;
    let wanted = format!("/changes?bucket={bucket}");
    browser.open(&at(&wanted)).await;
    assert_eq!((path().await.as_str(), browser.text("h1").await.as_str()), ("/login", "Log in"));
    // The field has the focus from the start.
    browser.type_in(WRONG).await;
    browser.type_in(&char::from(Key::Enter).to_string()).await;
    assert_eq!(browser.text("[role=alert]").await, "That is not the token.");
    for scheme in ["light", "dark"] {
        browser.see_as(scheme, PHONE.0, PHONE.1).await;
        assert_eq!(browser.ask(FAINT).await, json!([]), "in the {scheme}");
        assert_eq!(browser.ask(TOO_WIDE).await, json!(false));
    }
    browser.type_in(TOKEN).await;
    browser.type_in(&char::from(Key::Enter).to_string()).await;
    assert_eq!(browser.text("h1").await, format!("Changes of {bucket}"), "where one wanted to go");

    let cookie = browser.client.get_named_cookie("stocktake").await.unwrap();
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.same_site().map(|site| site.to_string()).as_deref(), Some("Strict"));
    assert_eq!((cookie.path(), cookie.secure()), (Some("/"), Some(false)), "no TLS here");
    assert!(!cookie.value().contains(TOKEN));
    assert_eq!(browser.ask("return document.cookie").await, json!(""), "no script sees it");
    let refused = browser.complaints().await;
    assert!(refused.len() == 1 && refused[0].contains("403"), "of the wrong token: {refused:?}");

    // All links lead on without another login, and the first thing behind those to where one is logs out.
    browser.open(&at("/")).await;
    assert_eq!(path().await, "/");
    let stops = browser.tab_to("button").await;
    assert!(stops < 10, "{stops}");
    browser.type_in(&char::from(Key::Enter).to_string()).await;
    assert_eq!((path().await.as_str(), browser.text("h1").await.as_str()), ("/login", "Log in"));
    browser.open(&at("/")).await;
    assert_eq!(path().await, "/login");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.client.clone().close().await.unwrap();

    let log = daemon.log();
    assert!(
        log.contains("somebody tried to log in to the status page") && log.contains("127.0.0.1"),
        "{log}"
    );
    assert!(log.contains("somebody logged in to the status page"), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(WRONG), "{log}");
    daemon.stop().await;
}
