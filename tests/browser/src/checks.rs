//! What every page has to pass: axe-core finds nothing, the console is quiet; and pictures of pages.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Browser;

/// A picture in `docs/` is small.
const PICTURE_BYTES_MOST: usize = 200_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of axe-core, where it was downloaded.
fn axe() -> Option<String> {
    let fetched = root().join("target/browser/node_modules/axe-core/axe.min.js");
    let path = std::env::var_os("SWITCHYARD_TEST_AXE").map_or(fetched, PathBuf::from);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(_) => {
            println!(
                "SKIPPED: axe-core: run npm ci with tests/browser/package.json (scripts/test does)"
            );
            None
        }
    }
}

/// Nothing that axe-core knows of is wrong with the page, light and dark.
pub async fn accessible(browser: &Browser) {
    let Some(axe) = axe() else { return };
    for dark in [false, true] {
        browser.dark(dark).await;
        browser.value_of(&format!("{axe}; return true;")).await;
        let found = browser
            .driver
            .execute_async(
                "const done = arguments[0];
                 axe.run(document, { resultTypes: ['violations'] }).then((found) => done(
                   found.violations.map((v) => v.id + ': ' + v.help + ' '
                     + v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; '))),
                   (error) => done(['axe: ' + error]));",
                Vec::new(),
            )
            .await
            .expect("axe runs");
        let found: Vec<Value> = found.json().as_array().cloned().unwrap_or_default();
        let url = browser.driver.current_url().await.map(|url| url.to_string());
        assert!(found.is_empty(), "{url:?} dark {dark}: {found:#?}");
    }
    browser.dark(false).await;
}

/// The console said nothing since it was last asked: no policy blocked anything, nothing was thrown.
pub async fn quiet(browser: &Browser) {
    let mut said = browser.console().await;
    // A refusal that the test asked for is no fault of the page.
    said.retain(|line| !line.contains("the server responded with a status of 4"));
    assert!(said.is_empty(), "{said:#?}");
}

/// Writes a picture of the page into `docs/`, where `SWITCHYARD_SCREENSHOTS=1` asks for it.
pub async fn screenshot(browser: &Browser, name: &str, (width, height): (u32, u32)) {
    if std::env::var("SWITCHYARD_SCREENSHOTS").as_deref() != Ok("1") {
        return;
    }
    browser.driver.set_window_rect(0, 0, width, height).await.expect("a window of this size");
    let picture = browser.driver.screenshot_as_png().await.expect("a picture");
    assert!(picture.len() < PICTURE_BYTES_MOST, "{name} has {} bytes", picture.len());
    std::fs::write(root().join("docs").join(name), picture).expect("docs/ can be written");
}
