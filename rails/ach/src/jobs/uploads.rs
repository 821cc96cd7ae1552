//! Bringing one file: what the bank has is looked at first, and whatever may have effects there is
//! durably begun before.

use std::sync::Arc;

use super::{commit, courier::Courier, reveal};
use crate::{
    domain::files::{self, Changed, FileState, Next, Step, There},
    http::Advance,
    link::{Lease, Session, Trouble},
    store,
    wire::{self, Built},
};

/// How often one file is looked at anew in one visit: a look that follows a refusal.
const LOOKS_MOST: u32 = 3;

impl Courier {
    /// Brings a file as far as it comes. An error is about the session; a refusal by the bank only
    /// holds back the next attempt.
    pub(super) async fn bring(
        &mut self,
        session: &Session,
        mut file: store::File,
        lease: Lease,
    ) -> Result<(), Trouble> {
        for _ in 0..LOOKS_MOST {
            let there = self.seen(session, &file).await?;
            let size = u64::try_from(file.size).unwrap_or(0);
            let tried = match files::next(file.state, there, size) {
                Next::Done => {
                    self.step(&file, lease, Step::Arrive).await;
                    return Ok(());
                }
                Next::Hold(why) => {
                    self.step(&file, lease, Step::Hold { why: why.to_owned() }).await;
                    return Ok(());
                }
                Next::Rename => self.hand_over(session, &file, lease).await,
                Next::Write => match self.rebuilt(&file, lease).await {
                    Some(built) => self.write(session, &mut file, &built, lease).await,
                    None => return Ok(()),
                },
            };
            match tried {
                Ok(Some(next)) if next.state == FileState::Sent => {
                    self.uploads.succeeded();
                    return Ok(());
                }
                // Its state was changed by somebody else, or the lease is lost.
                Ok(None) => return Ok(()),
                Ok(Some(next)) => file = next,
                Err(Trouble::Refused(why)) => {
                    tracing::warn!(why, file = file.name, "ach: a file was not taken, it waits");
                    let now = self.platform.monotonic().micros();
                    self.uploads.failed(now, now);
                    return Ok(());
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let now = self.platform.monotonic().micros();
        self.uploads.failed(now, now);
        Ok(())
    }
    /// What the bank has of a file.
    async fn seen(&self, session: &Session, file: &store::File) -> Result<There, Trouble> {
        let config = &self.ach.config;
        let outbound = format!("{}/{}", config.outbound, file.name);
        // The whole file first: a rename that is under way moves the part there.
        let part = session.size(&format!("{outbound}.part")).await?;
        let whole = session.size(&format!("{outbound}.ach")).await?;
        let ack = format!("{}/{}.ack", config.acknowledgements, file.name);
        let acknowledged = session.size(&ack).await?.is_some();
        Ok(There { part, whole, acknowledged })
    }
    /// The file's bytes, rebuilt from its rows and the opened methods; `None` where that is not to be
    /// had now, or the bytes are others than those that were fixed and a person must decide.
    async fn rebuilt(&self, file: &store::File, lease: Lease) -> Option<Built> {
        let of = file.clone();
        let rows = self.platform.read(move |tx| {
            Ok((store::list_batches(tx, of.number)?, store::list_of_file(tx, &of)?))
        });
        let (batches, entries) = rows.await.ok()?;
        let methods = reveal(&self.platform, &entries, true).await?;
        let ach = Arc::clone(&self.ach);
        let of = file.clone();
        let building = tokio::task::spawn_blocking(move || {
            let opened = entries.iter().map(|one| {
                let method = methods.get(&(one.method, one.version));
                method.map(|method| (one, method)).ok_or("a method that cannot be opened")
            });
            let opened = opened.collect::<Result<Vec<_>, _>>()?;
            wire::build(&ach.config.us, &of, &batches, opened)
        });
        let built = building.await.unwrap_or_else(|error| Err(error.to_string()));
        match built {
            Ok(built) if built.hash == file.hash => Some(built),
            Ok(built) if files::changed(file.state) == Changed::Fix => {
                let size = i64::try_from(built.bytes.len()).ok()?;
                let hash = built.hash.clone();
                tracing::info!(
                    file = file.name,
                    "ach: what a file is made of changed, it is fixed"
                );
                // The next pass brings it.
                self.step(file, lease, Step::Fix { hash, size }).await;
                None
            }
            Ok(_) => {
                let why = "what it is made of changed after a part of it was sent".to_owned();
                self.step(file, lease, Step::Hold { why }).await;
                None
            }
            Err(why) => {
                let why = format!("it cannot be rebuilt: {why}");
                self.step(file, lease, Step::Hold { why }).await;
                None
            }
        }
    }
    /// Writes the part, checks it, and hands it over.
    async fn write(
        &self,
        session: &Session,
        file: &mut store::File,
        built: &Built,
        lease: Lease,
    ) -> Result<Option<store::File>, Trouble> {
        let Some(begun) = self.step(file, lease, Step::Begin).await else { return Ok(None) };
        *file = begun;
        self.platform.observed_rail("ach", "bank", "NACHA file");
        let part = format!("{}/{}.part", self.ach.config.outbound, file.name);
        session.write(&part, &built.bytes).await?;
        let size = session.size(&part).await?;
        if size != Some(built.bytes.len() as u64) {
            let bytes = size.map_or("nothing".to_owned(), |size| format!("{size} bytes"));
            return Err(Trouble::Refused(format!("of {} bytes {bytes} arrived", file.size)));
        }
        self.hand_over(session, file, lease).await
    }
    /// Renames the whole part; from here on only the bank knows whether it has the file.
    async fn hand_over(
        &self,
        session: &Session,
        file: &store::File,
        lease: Lease,
    ) -> Result<Option<store::File>, Trouble> {
        let Some(begun) = self.step(file, lease, Step::Rename).await else { return Ok(None) };
        let path = format!("{}/{}", self.ach.config.outbound, file.name);
        session.rename(&format!("{path}.part"), &format!("{path}.ach")).await?;
        Ok(self.step(&begun, lease, Step::Arrive).await)
    }
    async fn step(&self, file: &store::File, lease: Lease, step: Step) -> Option<store::File> {
        let advance = Advance { epoch: Some(lease.epoch), number: file.number, step };
        commit(&self.platform, advance).await.ok().flatten()
    }
}
