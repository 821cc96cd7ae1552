//! `keys`: API keys of a running platform.

use contracts::accounts::Key;
use serde_json::json;

use crate::{
    cli::{Keys, KeysAction},
    exit::{Context, Outcome},
};

/// A page of keys.
const PAGE: usize = 1_000;

/// Makes, lists or revokes keys.
pub async fn run(arguments: &Keys) -> Outcome {
    let (mut client, _) = super::client(&arguments.target)?;
    let keys: Vec<Key> = match &arguments.action {
        KeysAction::Create { account, scopes } => {
            let body = json!({ "accountID": account, "scopes": scopes });
            vec![key(client.post("/operations/keys", &[], &body).await?.ok()?)?]
        }
        KeysAction::Revoke { id } => {
            let path = format!("/operations/keys/{id}");
            vec![key(client.send("DELETE", &path, &[], None).await?.ok()?)?]
        }
        KeysAction::List => {
            let mut all: Vec<Key> = Vec::new();
            loop {
                let path = format!("/operations/keys?skip={}&count={PAGE}", all.len());
                let page = client.get(&path).await?.ok()?;
                let page: Vec<Key> =
                    serde_json::from_value(page).context("keys have another shape")?;
                let last = page.len() < PAGE;
                all.extend(page);
                if last {
                    break all;
                }
            }
        }
    };
    let lines = keys.iter().map(|key| if arguments.json { as_json(key) } else { as_text(key) });
    super::print(&lines.collect::<String>());
    Ok(())
}

fn key(value: serde_json::Value) -> Outcome<Key> {
    serde_json::from_value(value).context("a key has another shape")
}

fn as_json(key: &Key) -> String {
    serde_json::to_string(key).expect("keys are plain data") + "\n"
}

fn as_text(key: &Key) -> String {
    let scopes = if key.scopes.is_empty() { "all".to_owned() } else { key.scopes.join(" ") };
    let mut line =
        format!("{} account {} {} scopes {scopes}", key.key_id, key.account_id, key.public_key);
    if let Some(revoked) = key.revoked_on {
        line.push_str(&format!(" revoked {revoked}"));
    }
    if let Some(secret) = &key.secret_key {
        line.push_str(&format!("\nsecret {secret} (shown this once)"));
    }
    line + "\n"
}
