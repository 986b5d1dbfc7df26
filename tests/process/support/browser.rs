//! Chromium, driven as a person would: it types, clicks and looks.

use std::process::Stdio;
use std::time::Duration;

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use url::Url;

use super::daemon::free_address;
use super::{eventually, tool};

/// A browser with a window of its own. It ends with the test.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _driver: Child,
}

/// A command that only Chromium's driver knows.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    pub(crate) async fn new() -> Self {
        let (driver, chromium) = (tool("chromedriver"), tool("chromium"));
        let address = free_address();
        let mut command = Command::new(driver);
        command.arg(format!("--port={}", address.port())).kill_on_drop(true);
        let driver = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": chromium,
                // It may run as root here: pages are ours.
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--force-color-profile=srgb", "--hide-scrollbars"],
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities = capabilities.as_object().unwrap().clone();
        let client = eventually("a browser", async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone());
            builder.connect(&format!("http://{address}")).await.ok()
        })
        .await;
        Self { client, _driver: driver }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What a script answers.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// The text that is shown of the first thing of that kind.
    pub(crate) async fn text(&self, kind: &str) -> String {
        self.client.find(Locator::Css(kind)).await.unwrap().text().await.unwrap()
    }

    /// Clicks on the link to that address.
    pub(crate) async fn follow(&self, address: &str) {
        let kind = format!("main a[href=\"{address}\"]");
        self.client.find(Locator::Css(&kind)).await.unwrap().click().await.unwrap();
    }

    /// The addresses of the links of the page that begin like that.
    pub(crate) async fn links(&self, begin: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll('main a')].map((link) => link.getAttribute('href')).filter((link) => link.startsWith('{begin}'))"
        );
        let links = self.ask(&script).await;
        links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()).collect()
    }

    /// What the browser complained of since this was last asked.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.own("se/log", json!({"type": "browser"})).await;
        log.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Sets what the system prefers, and how wide the window is.
    pub(crate) async fn see_as(&self, scheme: &str, width: u32, height: u32) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let parameters = json!({"features": features});
        self.own("goog/cdp/execute", json!({"cmd": "Emulation.setEmulatedMedia", "params": parameters}))
            .await;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.own("goog/cdp/execute", json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size}))
            .await;
    }

    /// Types, wherever the focus is.
    pub(crate) async fn type_in(&self, text: &str) {
        self.client.active_element().await.unwrap().send_keys(text).await.unwrap();
    }

    /// Presses Tab until something of that kind has the focus: how often it took.
    pub(crate) async fn tab_to(&self, kind: &str) -> usize {
        let is_there = format!("return document.activeElement.matches('{kind}')");
        for stops in 0..1_000 {
            if self.ask(&is_there).await == json!(true) {
                return stops;
            }
            self.press_tab().await;
        }
        panic!("the keyboard reaches no {kind}");
    }

    async fn press_tab(&self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.own("goog/cdp/execute", json!({"cmd": "Input.dispatchKeyEvent", "params": key})).await;
        }
    }

    /// Presses Tab until the focus is back at the beginning; what had it on the way.
    pub(crate) async fn tab_through(&self) -> Vec<String> {
        const FOCUSED: &str = "const at = document.activeElement; return at === document.body ? null : \
             String([...document.querySelectorAll('*')].indexOf(at))";
        self.ask("document.activeElement.blur(); window.getSelection().removeAllRanges()").await;
        let mut stops: Vec<String> = Vec::new();
        for _ in 0..1_000 {
            self.press_tab().await;
            let Some(stop) = self.ask(FOCUSED).await.as_str().map(str::to_owned) else { break };
            if stops.first() == Some(&stop) {
                break;
            }
            stops.push(stop);
        }
        stops
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Own { path, body }).await.unwrap()
    }

    /// Keeps a picture of the page, whole, if somebody wants some: `SCREENSHOTS` names the folder.
    pub(crate) async fn picture(&self, name: &str) {
        // What is drawn last is the icon of the tab.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let picture = self.client.screenshot().await.unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name} is a picture");
        if let Ok(folder) = std::env::var("SCREENSHOTS") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(format!("{folder}/{name}.png"), picture).unwrap();
        }
    }
}
