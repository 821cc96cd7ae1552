//! A headless Chromium with a chromedriver of its own, both gone when it is dropped.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{By, Capabilities, WebDriver, WebElement};

/// How long chromedriver may take to start, and a page to show what is waited for.
const START_MOST: Duration = Duration::from_secs(20);
const SHOWN_MOST: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A browser with one window.
pub struct Browser {
    pub driver: WebDriver,
    server: String,
    child: Child,
    /// Its profile, which goes with it.
    _profile: TempDir,
}

/// The first of these programs that is on the path.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        folders.iter().map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
    })
}

impl Browser {
    /// A browser that runs scripts; `None` (said loudly) where there is none.
    pub async fn start() -> Option<Self> {
        Self::start_with(true).await
    }
    /// A browser, with or without scripts.
    pub async fn start_with(scripts: bool) -> Option<Self> {
        let driver = program(&["chromedriver"]);
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"]);
        let (Some(driver), Some(chromium)) = (driver, chromium) else {
            println!("SKIPPED: no chromium with chromedriver (Debian: chromium, chromium-driver)");
            return None;
        };
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("it is bound").port()
        };
        let child = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let server = format!("http://127.0.0.1:{port}");
        let profile = tempfile::tempdir().expect("a temporary directory");
        let capabilities = capabilities(&chromium, &profile, scripts);
        let begun = tokio::time::Instant::now();
        let driver = loop {
            match WebDriver::new(server.as_str(), capabilities.clone()).await {
                Ok(driver) => break driver,
                Err(error) if begun.elapsed() > START_MOST => panic!("no session: {error}"),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        Some(Self { driver, server, child, _profile: profile })
    }
    /// A command of chromedriver that WebDriver does not have.
    async fn extended(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/session/{}/{path}", self.server, self.driver.session_id());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        let answer = client.post(url).json(body).send().await.expect("chromedriver answers");
        let mut answer: Value = answer.json().await.expect("it answers JSON");
        answer["value"].take()
    }
    /// What the console said since it was last asked: what a policy blocked, what a script threw.
    pub async fn console(&self) -> Vec<String> {
        let log = self.extended("se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }
    /// Shows pages as for somebody whose system is dark, or light.
    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        let body =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.extended("goog/cdp/execute", &body).await;
    }
    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
    /// The element that a CSS selector finds, waited for.
    pub async fn find(&self, css: &str) -> WebElement {
        let begun = tokio::time::Instant::now();
        loop {
            match self.driver.find(By::Css(css)).await {
                Ok(element) => return element,
                Err(error) if begun.elapsed() > SHOWN_MOST => {
                    panic!("no {css}: {error}\n{}", self.text().await)
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
    /// Writes into a field, instead of what is there.
    pub async fn write(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }
    /// Presses a button or follows a link.
    pub async fn press(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }
    /// The text of the page as it is shown.
    pub async fn text(&self) -> String {
        match self.driver.find(By::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
    /// Waits until the page shows this text.
    pub async fn shows(&self, expected: &str) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < SHOWN_MOST {
            if self.text().await.contains(expected) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("never shown: {expected}\n{}", self.text().await);
    }
    /// The value of a script that runs in the page.
    pub async fn value_of(&self, script: &str) -> Value {
        let value = self.driver.execute(script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }
    /// Signs in with a key.
    pub async fn sign_in(&self, base: &str, (public, secret): (&str, &str)) {
        self.open(&format!("{base}/dashboard")).await;
        self.write("#public", public).await;
        self.write("#secret", secret).await;
        self.press("main button[type=submit]").await;
        self.find("header.top").await;
    }
    /// Ends the session in order.
    pub async fn quit(self) {
        // A browser that is gone already is as good.
        let _ = self.driver.clone().quit().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The test is over either way; chromedriver takes its browser with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn capabilities(chromium: &std::path::Path, profile: &TempDir, scripts: bool) -> Capabilities {
    let mut capabilities = Capabilities::new();
    let options = json!({
        "binary": chromium,
        "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--window-size=1360,900", "--hide-scrollbars", "--force-device-scale-factor=1",
            "--no-first-run", "--disable-background-networking",
            // Nothing from the network: a page that wanted something would be seen failing.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            format!("--user-data-dir={}", profile.path().display()),
        ],
        "prefs": {
            "profile.managed_default_content_settings.javascript": if scripts { 1 } else { 2 },
        },
    });
    let set = capabilities
        .set("browserName", "chrome")
        .and_then(|()| capabilities.set("goog:chromeOptions", options))
        .and_then(|()| capabilities.set("goog:loggingPrefs", json!({ "browser": "ALL" })));
    set.expect("capabilities are plain data");
    capabilities
}
