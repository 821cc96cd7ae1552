//! Looking into the bank's folders: each file once it has stopped growing, each content once. One that
//! cannot be read is set aside and holds up no other.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    commit,
    courier::{Courier, Sizes},
};
use crate::{
    http::{Content, TakeIn},
    link::{Lease, Session, Trouble},
    wire,
};

/// What former looks found.
#[derive(Default)]
pub struct Looked {
    /// Sizes at the last look, of what was not yet taken in.
    growing: Sizes,
    /// Taken in, or set aside, and still there.
    done: BTreeSet<(String, u64)>,
    /// Business time at which the last look that found nothing unread began.
    clear_at: Option<i64>,
}

/// What an inbound file is for us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Acknowledgement,
    Answers,
}

impl Courier {
    /// Looks into both folders, and takes in what is whole.
    pub(super) async fn look(&mut self, session: &Session, lease: Lease) -> Result<(), Trouble> {
        let began = session.now().0;
        let folders = [
            (self.ach.config.acknowledgements.clone(), "ack", Kind::Acknowledgement),
            (self.ach.config.returned.clone(), "ach", Kind::Answers),
        ];
        let (mut unread, mut still, mut growing) = (false, BTreeSet::new(), Sizes::new());
        for (folder, extension, kind) in folders {
            for (name, size) in session.list(&folder).await? {
                if !is_name(&name, extension) {
                    continue;
                }
                let path = format!("{folder}/{name}");
                if self.looked.done.contains(&(path.clone(), size)) {
                    still.insert((path, size));
                    continue;
                }
                let whole = self.looked.growing.get(&path) == Some(&size);
                if !whole || !self.take_in(session, &path, size, kind, lease).await? {
                    unread |= kind == Kind::Answers;
                    growing.insert(path, size);
                } else {
                    still.insert((path, size));
                }
            }
        }
        // What is gone from the folder is forgotten here: its content is known to the store.
        (self.looked.done, self.looked.growing) = (still, growing);
        // A look clears the time of the one before it: after a moved clock the bank needs a moment to
        // say what has become due.
        let cleared = if unread { None } else { self.looked.clear_at };
        if let Some(at) = cleared {
            self.ach.link.saw(at);
            self.ach.link.clerk.notify_one();
        }
        self.looked.clear_at = (!unread).then_some(began);
        Ok(())
    }
    /// Takes in one file; whether it is done with.
    async fn take_in(
        &self,
        session: &Session,
        path: &str,
        size: u64,
        kind: Kind,
        lease: Lease,
    ) -> Result<bool, Trouble> {
        let too_large = usize::try_from(size).map_or(true, |size| size > nacha::MAX_BYTES);
        let read = if too_large {
            Some((wire::hash(format!("{path} of {size} bytes").as_bytes()), None))
        } else {
            match session.read(path, nacha::MAX_BYTES).await {
                Ok(Some(bytes)) if bytes.len() as u64 == size => {
                    Some((wire::hash(&bytes), Some(bytes)))
                }
                // It grew, or is gone: the next look tells.
                Ok(_) => None,
                Err(Trouble::Refused(why)) => {
                    tracing::warn!(why, path, "ach: a file cannot be read");
                    None
                }
                Err(trouble) => return Err(trouble),
            }
        };
        let Some((hash, bytes)) = read else { return Ok(false) };
        let mut content = match bytes {
            None => Content::Poison(format!("{size} bytes; at most {}", nacha::MAX_BYTES)),
            Some(bytes) => {
                let reading = tokio::task::spawn_blocking(move || content(kind, &bytes));
                reading.await.unwrap_or_else(|error| Content::Poison(error.to_string()))
            }
        };
        if let Content::Answers(answers, uncorrected) = &mut content {
            // Before the file counts as taken in: a crash between the two repeats this.
            match self.correct(&hash, answers).await {
                Some(refused) => *uncorrected = refused,
                None => return Ok(false),
            }
        }
        let poison = matches!(content, Content::Poison(_));
        let heard = match &content {
            Content::Acknowledgement(_) => Some("ack"),
            Content::Answers(answers, _) => answers.first().map(|answer| match answer.said {
                wire::Said::Changed(_) => "change",
                _ => "return",
            }),
            Content::Poison(_) => None,
        };
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let taken = TakeIn { epoch: lease.epoch, hash, name, content };
        let Ok(Some(new)) = commit(&self.platform, taken).await else { return Ok(false) };
        if let Some(heard) = heard.filter(|_| new) {
            self.platform.observed_rail("bank", "ach", heard);
        }
        // It is durable here. What could not be read stays there, for a person.
        if !poison && let Err(trouble) = session.remove(path).await {
            match trouble {
                Trouble::Refused(why) => tracing::debug!(why, path, "ach: it stays at the bank"),
                trouble => return Err(trouble),
            }
        }
        Ok(true)
    }
}

fn content(kind: Kind, bytes: &[u8]) -> Content {
    let read = match kind {
        Kind::Acknowledgement => wire::read_acknowledgement(bytes).map(Content::Acknowledgement),
        Kind::Answers => {
            wire::read_answers(bytes).map(|answers| Content::Answers(answers, BTreeMap::new()))
        }
    };
    read.unwrap_or_else(Content::Poison)
}

/// Whether a name is one of a file in its folder, and of the kind that is read.
fn is_name(name: &str, extension: &str) -> bool {
    let stem = name.strip_suffix(extension).and_then(|stem| stem.strip_suffix('.'));
    let plain = !name.contains(['/', '\\', '\0']) && name.len() <= 255;
    plain && stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_read() {
        assert!(is_name("return-000001.ach", "ach"));
        for bad in
            ["", ".ach", "ach", "../x.ach", "a/b.ach", "..ach", "x.ach.gz", "x.part", ".x.ach"]
        {
            assert!(!is_name(bad, "ach"), "{bad}");
        }
        assert!(!is_name(&format!("{}.ach", "x".repeat(252)), "ach"));
    }
}
