//! PostgreSQL's notifications: how a process hears at once that another one committed.
//!
//! A notification is only a hint: who misses one looks by itself after a while.

use crate::store::{Location, Shared};
use crate::tx::{Line, Tx};
use crate::{Error, Result, Store};
use postgres::fallible_iterator::FallibleIterator;
use std::sync::Arc;
use std::time::Duration;

/// A connection of its own that waits for what others ring. It belongs to one thread.
pub struct Bell {
    line: Line,
    /// `None`: it listens to nothing.
    channel: Option<&'static str>,
    shared: Arc<Shared>,
}

impl Bell {
    /// Listens on a channel; `None` where there is one process by nature (SQLite).
    pub fn open(store: &Store, channel: &'static str) -> Result<Option<Bell>> {
        Self::connect(store, Some(channel))
    }

    /// A connection of its own that listens to nothing, and whose commits do not wait for the disk:
    /// for what may be lost with the server's last moments.
    pub fn deaf(store: &Store) -> Result<Option<Bell>> {
        Self::connect(store, None)
    }

    fn connect(store: &Store, channel: Option<&'static str>) -> Result<Option<Bell>> {
        let shared = store.shared_handle();
        let Location::Postgres(url) = shared.location() else { return Ok(None) };
        let line = line(&shared, url, channel)?;
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
        self.mend()?;
        Tx::begin(&mut self.line, &self.shared, false)
    }

    /// Statements on this connection of which each is a transaction of its own.
    pub fn each(&mut self) -> Result<Tx<'_>> {
        self.mend()?;
        match &mut self.line {
            Line::Postgres(pg) => Ok(Tx::each(pg, &self.shared, false, None)),
            Line::Sqlite(_) => Err(Error::Other("there is one process by nature".into())),
        }
    }

    fn mend(&mut self) -> Result<()> {
        let lost = matches!(&self.line, Line::Postgres(pg) if pg.is_closed());
        if let (true, Location::Postgres(url)) = (lost, self.shared.location()) {
            self.line = line(&self.shared, url, self.channel)?;
        }
        Ok(())
    }
}

fn line(shared: &Shared, url: &str, channel: Option<&str>) -> Result<Line> {
    let mut pg = shared.connect(url, true)?;
    match channel {
        Some(name)
            if name.is_empty() || name.bytes().any(|b| !b.is_ascii_lowercase() && b != b'_') =>
        {
            return Err(Error::Other(format!("{name} is no name of a channel")));
        }
        Some(name) => pg.simple(&format!("LISTEN {name}"))?,
        None => pg.simple("SET synchronous_commit = off")?,
    }
    Ok(Line::Postgres(Box::new(pg)))
}
