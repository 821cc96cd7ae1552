//! `sandbox`: the business clock and the counterparties' faults.

use serde_json::{Value, json};

use crate::{
    cli::{Sandbox, SandboxAction},
    exit::{Failure, Outcome},
};

/// Asks the running platform, and prints what is so afterwards.
pub async fn run(arguments: &Sandbox) -> Outcome {
    let (mut client, _) = super::client(&arguments.target)?;
    let answer = match &arguments.action {
        SandboxAction::Clock => client.get("/sandbox/clock").await?,
        SandboxAction::Faults => client.get("/sandbox/faults").await?,
        SandboxAction::Advance { by } => {
            client.post("/sandbox/clock/advance", &[], &advance(by)?).await?
        }
        SandboxAction::Fault { rail, fault, count, duration } => {
            let mut body = json!({ "rail": rail, "fault": fault });
            if let Some(count) = count {
                body["count"] = (*count).into();
            }
            if let Some(duration) = duration {
                body["duration"] = duration.as_str().into();
            }
            client.post("/sandbox/faults", &[], &body).await?
        }
    };
    let value = answer.ok()?;
    let text = match &arguments.action {
        _ if arguments.json => format!("{value}\n"),
        SandboxAction::Clock | SandboxAction::Advance { .. } => clock(&value),
        SandboxAction::Fault { .. } | SandboxAction::Faults => faults(&value),
    };
    super::print(&text);
    Ok(())
}

/// The body for `2d` or `to 2026-12-01T00:00Z`.
fn advance(by: &[String]) -> Outcome<Value> {
    match by {
        [duration] => Ok(json!({ "duration": duration })),
        [to, moment] if to == "to" => Ok(json!({ "to": moment })),
        _ => Err(Failure::Usage("advance 2d, or advance to 2026-12-01T00:00Z".to_owned())),
    }
}

fn clock(value: &Value) -> String {
    let now = value["now"].as_str().unwrap_or_default();
    let ahead = value["offsetSeconds"].as_i64().unwrap_or(0);
    format!("business time {now}, {ahead} s ahead of the machine\n")
}

fn faults(value: &Value) -> String {
    let faults = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return "no fault is in force\n".to_owned();
    }
    let line = |fault: &Value| {
        let (rail, name) = (fault["rail"].as_str(), fault["fault"].as_str());
        let left = match (&fault["count"], &fault["seconds"]) {
            (Value::Number(count), _) => format!("{count} more"),
            (_, seconds) => format!("{:.1} s more", seconds.as_f64().unwrap_or(0.0)),
        };
        format!("{} {} {left}\n", rail.unwrap_or_default(), name.unwrap_or_default())
    };
    faults.iter().map(line).collect()
}
