//! `verify`: the invariants of everything that is stored, one line each.

use store::{Location, Options, Store};

use crate::{
    cli::Verify,
    client::Client,
    exit::{Context, Failure, Outcome},
    first_start::Credentials,
    verify::{self, Checked, Outside},
};

/// Faults of one invariant that are printed; `--json` has them all.
const FAULTS_SHOWN: usize = 10;

/// Checks, prints, and is wrong where any invariant is broken.
pub fn run(arguments: &Verify) -> Outcome {
    let location = match &arguments.database {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::Directory(arguments.data.clone()),
    };
    let outside = Outside {
        journal: arguments.journal.as_deref().map(verify::read_journal).transpose()?,
        books: match &arguments.books {
            Some(url) => Some(super::alone()?.block_on(books(arguments, url))?),
            None => None,
        },
    };
    let store = Store::open_read_only(location, Options::default()).context("nothing to verify")?;
    let checked = verify::run(&store, &outside)?;
    super::print(&if arguments.json { as_json(&checked) } else { as_text(&checked) });
    if checked.iter().all(|one| one.ok) { Ok(()) } else { Err(Failure::Wrong) }
}

async fn books(arguments: &Verify, url: &str) -> Outcome<Vec<verify::Booked>> {
    let key = match &arguments.key {
        Some(key) => key.clone(),
        None => Credentials::read(&arguments.data)?.key(),
    };
    let url = url.trim_end_matches("/sandbox/books");
    let mut client = Client::new(url, Some(&key))?;
    let value = client.get("/sandbox/books").await?.ok()?;
    serde_json::from_value(value).context("the books have another shape")
}

fn as_json(checked: &[Checked]) -> String {
    serde_json::to_string(checked).expect("results are plain data") + "\n"
}

fn as_text(checked: &[Checked]) -> String {
    let mut text = String::new();
    for one in checked {
        let verdict =
            if one.ok { "ok".to_owned() } else { format!("{} AT FAULT", one.faults.len()) };
        let note = one.note.map(|note| format!(" ({note})")).unwrap_or_default();
        text.push_str(&format!(
            "{:<4} {:<44} {:>12} {:<16} {verdict}{note}\n",
            one.invariant, one.name, one.counted, one.unit
        ));
        for fault in one.faults.iter().take(FAULTS_SHOWN) {
            text.push_str(&format!("       {fault}\n"));
        }
        if one.faults.len() > FAULTS_SHOWN {
            text.push_str(&format!("       and {} more\n", one.faults.len() - FAULTS_SHOWN));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{as_json, as_text};
    use crate::verify::Checked;

    fn one(faults: Vec<String>) -> Checked {
        Checked {
            invariant: "V1",
            name: "debits equal credits",
            counted: 12,
            unit: "postings",
            ok: faults.is_empty(),
            faults,
            note: None,
        }
    }

    #[test]
    fn a_line_says_what_was_counted_and_what_is_wrong() {
        let text = as_text(&[one(Vec::new()), one(vec!["shard 0 USD: 5 more debits".to_owned()])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with("ok"), "{text}");
        assert!(lines[1].ends_with("1 AT FAULT"), "{text}");
        assert_eq!(lines[2].trim(), "shard 0 USD: 5 more debits");
    }

    #[test]
    fn the_json_has_the_promised_names() {
        let value: serde_json::Value = serde_json::from_str(&as_json(&[one(Vec::new())])).unwrap();
        assert_eq!(value[0]["invariant"], "V1");
        assert_eq!(value[0]["counted"], 12);
        assert_eq!(value[0]["ok"], true);
        assert!(value[0]["faults"].as_array().unwrap().is_empty());
    }
}
