//! PostgreSQL's notifications: how a process hears at once that another one committed.
//!
//! A notification is only a hint: who misses one looks by itself after a while.

use crate::pg::Pg;
use crate::store::{Location, Shared};
use crate::tx::{Line, Tx};
use crate::{Error, Result, Store};
use postgres::fallible_iterator::FallibleIterator;
use std::sync::Arc;
use std::time::Duration;

/// A connection of its own that waits for what others ring. It belongs to one thread.
pub struct Bell {
    line: Line,
    channel: &'static str,
    shared: Arc<Shared>,
}

impl Bell {
    /// Listens on a channel; `None` where there is one process by nature (SQLite).
    pub fn open(store: &Store, channel: &'static str) -> Result<Option<Bell>> {
        let shared = store.shared_handle();
        let Location::Postgres(url) = shared.location() else { return Ok(None) };
        let line = Line::Postgres(Box::new(listening(&shared, url, channel)?));
        Ok(Some(Bell { line, channel, shared }))
    }

    /// Waits for the first ring, for so long at most; then takes all that have come. A connection
    /// that was lost is made anew by the next call of [`Bell::begin`].
    pub fn wait(&mut self, most: Duration) -> Result<Vec<String>> {
        let Line::Postgres(pg) = &mut self.line else { return Ok(Vec::new()) };
        let mut notifications = pg.client().notifications();
        let mut rung = Vec::new();
        let first = notifications.timeout_iter(most).next()?;
        rung.extend(first.map(|one| one.payload().to_owned()));
        while !rung.is_empty() {
            match notifications.iter().next()? {
                Some(one) => rung.push(one.payload().to_owned()),
                None => break,
            }
        }
        drop(notifications);
        if rung.is_empty() && pg.is_closed() {
            return Err(Error::Other("the connection that listens was lost".into()));
        }
        Ok(rung)
    }

    /// A short transaction on this connection.
    pub fn begin(&mut self) -> Result<Tx<'_>> {
        let lost = matches!(&self.line, Line::Postgres(pg) if pg.is_closed());
        if let (true, Location::Postgres(url)) = (lost, self.shared.location()) {
            self.line = Line::Postgres(Box::new(listening(&self.shared, url, self.channel)?));
        }
        Tx::begin(&mut self.line, &self.shared, false)
    }
}

fn listening(shared: &Shared, url: &str, channel: &str) -> Result<Pg> {
    if channel.is_empty() || !channel.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    {
        return Err(Error::Other(format!("{channel} is no name of a channel")));
    }
    let mut pg = shared.connect(url, true)?;
    pg.simple(&format!("LISTEN {channel}"))?;
    Ok(pg)
}
