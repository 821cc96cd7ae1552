//! Looks into the folder of the host's settlement files and takes in what is new, in the order of the
//! time that they are about.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use runtime::Platform;
use sha2::{Digest, Sha256};

use super::OWN_TROUBLE;
use crate::{
    Card,
    http::{Part, TakeIn},
    store,
    wire::{self, Settlements},
};

/// Lines applied in one commit.
const PART: usize = 500;
/// The extension of a file.
const EXTENSION: &str = "csv";

/// A file's name and size.
type Seen = (String, u64);

/// A file as it was read.
struct Found {
    seen: Seen,
    hash: String,
    content: Result<Settlements, String>,
}

struct Clerk {
    platform: Platform,
    done: BTreeSet<Seen>,
    /// Files that could not be read at the last look: they may have been growing.
    unread: BTreeSet<Seen>,
    /// What was said last of what is wrong.
    complained: Option<String>,
}

/// The task; ends at once where there is no folder.
pub async fn run(card: Arc<Card>, platform: Platform) {
    let Some(folder) = card.config.settlements.clone() else { return };
    let mut moved = platform.clock().moves();
    let (done, unread) = (BTreeSet::new(), BTreeSet::new());
    let mut clerk = Clerk { platform: platform.clone(), done, unread, complained: None };
    loop {
        moved.mark_unchanged();
        let pause = match clerk.look(&folder).await {
            Ok(()) => card.config.settlements_look,
            Err(_) => OWN_TROUBLE,
        };
        tokio::select! {
            biased;
            () = platform.stopping() => return,
            _ = moved.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Clerk {
    /// Takes in what is new; an error where the store is not there now.
    async fn look(&mut self, folder: &Path) -> Result<(), contracts::Refusal> {
        let (at, known) = (folder.to_owned(), self.done.clone());
        let read = tokio::task::spawn_blocking(move || read_new(&at, &known)).await;
        let mut found = match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(found) => found,
            Err(error) => {
                self.complain(format!("{}: {error}", folder.display()));
                return Ok(());
            }
        };
        // What cannot be read goes first: it is about no time.
        found.sort_by_key(|one| one.content.as_ref().map(|content| content.from).ok());
        let before = std::mem::take(&mut self.unread);
        for one in found {
            let seen = one.seen.clone();
            if one.content.is_err() && !before.contains(&seen) {
                self.unread.insert(seen);
            } else if self.take_in(one).await? {
                self.done.insert(seen);
            }
        }
        Ok(())
    }
    /// Says once what is wrong, until it is something else.
    fn complain(&mut self, why: String) {
        if self.complained.as_ref() != Some(&why) {
            tracing::error!(why, "card: settlement files are not taken in: a person must look");
            self.complained = Some(why);
        }
    }
    /// Takes in one file; whether it is done with.
    async fn take_in(&mut self, found: Found) -> Result<bool, contracts::Refusal> {
        let Found { seen: (name, _), hash, content } = found;
        let known = hash.clone();
        let read = move |tx: &mut ::store::Tx<'_>| {
            Ok((store::find_file(tx, &known)?, store::covered(tx)?))
        };
        let (there, covered) = self.platform.read(read).await?;
        if there.as_ref().is_some_and(|file| file.is_done) {
            return Ok(true);
        }
        let (from, until) = content.as_ref().map_or((0, 0), |read| (read.from, read.until));
        let of = |part| TakeIn { hash: hash.clone(), name: name.clone(), from, until, part };
        let begins = covered.filter(|_| there.is_none()).map(|covered| from.cmp(&covered));
        let lines = match (content, begins) {
            (Ok(_), Some(std::cmp::Ordering::Greater)) => {
                self.complain(format!("{name}: the file before it is missing"));
                return Ok(false);
            }
            (Ok(_), Some(std::cmp::Ordering::Less)) => {
                let why = "it is about a time that another file was about".to_owned();
                self.platform.commit(of(Part::Poison(why))).await?;
                return Ok(true);
            }
            (Err(why), _) => {
                self.platform.commit(of(Part::Poison(why))).await?;
                return Ok(true);
            }
            (Ok(content), _) => content.lines,
        };
        self.complained = None;
        let mut applied = there.map_or(0, |file| file.applied);
        loop {
            let at = usize::try_from(applied).unwrap_or(usize::MAX);
            let rest = lines.get(at..).unwrap_or_default();
            let next: Vec<_> = rest.iter().take(PART).cloned().collect();
            let part = if next.is_empty() { Part::Rest } else { Part::Lines(applied, next) };
            let file = self.platform.commit(of(part)).await?;
            if file.is_done {
                self.platform.observed_rail("card-host", "card", "settlement file");
                return Ok(true);
            }
            applied = file.applied;
        }
    }
}

/// The files that are not done with.
fn read_new(folder: &Path, done: &BTreeSet<Seen>) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let extension = path.extension().and_then(|end| end.to_str());
        let (Some(name), Some(EXTENSION)) = (name, extension) else { continue };
        let seen = (name.to_owned(), std::fs::metadata(&path)?.len());
        if done.contains(&seen) {
            continue;
        }
        let most = wire::SETTLEMENT_BYTES_MOST;
        found.push(if usize::try_from(seen.1).is_ok_and(|size| size <= most) {
            let bytes = std::fs::read(&path)?;
            Found { seen, hash: hash(&bytes), content: wire::read_settlements(&bytes) }
        } else {
            let why = format!("{} bytes, at most {most}", seen.1);
            Found { hash: hash(format!("{name}: {why}").as_bytes()), seen, content: Err(why) }
        });
    }
    Ok(found)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
