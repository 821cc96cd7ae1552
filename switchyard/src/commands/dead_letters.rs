//! `dead-letters`: events that wait for a person, on a running platform.

use contracts::operations::{DeadLetter, DeadLetterEnded, DeadLetterId};
use serde_json::json;

use crate::{
    cli::{DeadLetters, DeadLettersAction},
    client::Client,
    exit::{Context, Failure, Outcome},
};

/// A page of letters.
const PAGE: usize = 1_000;
const PATH: &str = "/operations/dead-letters";

/// Lists, shows, replays or drops. Wrong where a letter could not be replayed or dropped.
pub async fn run(arguments: &DeadLetters) -> Outcome {
    let (mut client, _) = super::client(&arguments.target)?;
    match &arguments.action {
        DeadLettersAction::List => {
            let letters = all(&mut client).await?;
            let line = |letter: &DeadLetter| match arguments.json {
                true => serde_json::to_string(letter).expect("letters are plain data") + "\n",
                false => as_line(letter),
            };
            super::print(&letters.iter().map(line).collect::<String>());
            Ok(())
        }
        DeadLettersAction::Show { id } => {
            let letter = client.get(&format!("{PATH}/{}", parsed(id)?)).await?.ok()?;
            let letter: DeadLetter =
                serde_json::from_value(letter).context("a letter has another shape")?;
            let text = serde_json::to_string_pretty(&letter).expect("letters are plain data");
            super::print(&if arguments.json { text + "\n" } else { as_page(&letter) });
            Ok(())
        }
        DeadLettersAction::Replay { ids, all: every } => {
            let ids = match every {
                true => first_of_keys(&all(&mut client).await?),
                false => ids.iter().map(|id| parsed(id)).collect::<Outcome<_>>()?,
            };
            end(&mut client, &ids, "replay", &json!({}), arguments.json).await
        }
        DeadLettersAction::Drop { id, reason } => {
            let body = json!({ "reason": reason });
            end(&mut client, &[parsed(id)?], "drop", &body, arguments.json).await
        }
    }
}

fn parsed(text: &str) -> Outcome<DeadLetterId> {
    let wrong = || Failure::Usage(format!("{text} is no dead letter's id (see `list`)"));
    text.parse().map_err(|()| wrong())
}

async fn all(client: &mut Client) -> Outcome<Vec<DeadLetter>> {
    let mut all: Vec<DeadLetter> = Vec::new();
    loop {
        let after = all.last().map(|last| format!("&after={}", last.dead_letter_id));
        let path = format!("{PATH}?count={PAGE}{}", after.unwrap_or_default());
        let page = client.get(&path).await?.ok()?;
        let page: Vec<DeadLetter> =
            serde_json::from_value(page).context("letters have another shape")?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// The letters that those behind them wait for.
fn first_of_keys(letters: &[DeadLetter]) -> Vec<DeadLetterId> {
    let poisoned = letters.iter().filter(|letter| letter.state == "poisoned");
    poisoned.map(|letter| letter.dead_letter_id.clone()).collect()
}

async fn end(
    client: &mut Client,
    ids: &[DeadLetterId],
    how: &str,
    body: &serde_json::Value,
    as_json: bool,
) -> Outcome {
    let mut all_ended = true;
    for id in ids {
        let answer = client.post(&format!("{PATH}/{id}/{how}"), &[], body).await?;
        if answer.status == 409 {
            let said = answer.json()?;
            eprintln!("{id}: {}", said["error"].as_str().unwrap_or("refused"));
            all_ended = false;
            continue;
        }
        let ended: DeadLetterEnded =
            serde_json::from_value(answer.ok()?).context("an answer has another shape")?;
        all_ended &= ended.next_id.is_none();
        super::print(&match as_json {
            true => serde_json::to_string(&ended).expect("answers are plain data") + "\n",
            false => ended_line(&ended),
        });
    }
    if all_ended { Ok(()) } else { Err(Failure::Wrong) }
}

fn ended_line(ended: &DeadLetterEnded) -> String {
    let (id, state) = (&ended.dead_letter_id, &ended.state);
    let mut line = format!("{id} {state}, {} applied", ended.applied);
    if let Some(next) = &ended.next_id {
        line.push_str(&format!("; {next} of the same key is the next that cannot be"));
    }
    line + "\n"
}

fn as_line(letter: &DeadLetter) -> String {
    let mut line = format!("{} {} {}", letter.dead_letter_id, letter.state, letter.event);
    if letter.behind > 0 {
        line.push_str(&format!(", {} behind it", letter.behind));
    }
    if !letter.error.is_empty() {
        line.push_str(&format!(": {}", one_line(&letter.error)));
    }
    line + "\n"
}

/// What somebody else wrote, fit for a terminal: no control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn as_page(letter: &DeadLetter) -> String {
    let mut page = as_line(letter);
    page.push_str(&format!("emitted {}\n", letter.at));
    if let Some(ended) = letter.ended_on {
        page.push_str(&format!("{} {ended}\n", letter.state));
    }
    if let Some(reason) = &letter.reason {
        page.push_str(&format!("reason: {}\n", one_line(reason)));
    }
    if let Some(data) = &letter.data {
        let data = serde_json::to_string_pretty(data).expect("an event is plain data");
        page.push_str(&data);
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use contracts::operations::DeadLetter;
    use serde_json::json;

    use super::{as_line, first_of_keys, parsed};

    fn letter(sequence: i64, state: &str, behind: u64, error: &str) -> DeadLetter {
        serde_json::from_value(json!({
            "deadLetterID": format!("rtp:ledger:0:{sequence}"), "consumer": "rtp",
            "stream": "ledger/0", "sequence": sequence, "event": "ledger.reserved", "key": 7,
            "state": state, "error": error, "at": "2026-11-26T00:00:00Z", "behind": behind,
        }))
        .unwrap()
    }

    #[test]
    fn a_line_says_what_waits_and_why() {
        let line = as_line(&letter(17, "poisoned", 2, "poison: bad\u{1b}[31m\nnews"));
        assert_eq!(
            line,
            "rtp:ledger:0:17 poisoned ledger.reserved, 2 behind it: poison: bad [31m news\n"
        );
        assert_eq!(
            as_line(&letter(18, "parked", 0, "")),
            "rtp:ledger:0:18 parked ledger.reserved\n"
        );
    }

    #[test]
    fn all_means_the_first_of_each_key() {
        let letters = [letter(1, "poisoned", 1, "x"), letter(2, "parked", 0, "")];
        assert_eq!(first_of_keys(&letters), [parsed("rtp:ledger:0:1").unwrap()]);
        assert!(parsed("rtp:ledger").is_err());
    }
}
