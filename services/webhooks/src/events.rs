//! Every public event goes into the feeds of the accounts that may see it.

use contracts::Timestamp;
use runtime::{Delivered, Fault, HandleTogether, Work};
use store::{Engine, Error, Tx};

use crate::{
    Webhooks,
    domain::{Entry, Gathered, Public, number},
    store as tables,
};

impl HandleTogether<Public> for Webhooks {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Delivered<Public>]) -> Result<(), Fault> {
        if self.engine == Engine::Postgres {
            return Ok(write_at_once(work.tx, batch)?);
        }
        let mut gathering = self.gathering.lock();
        for event in batch {
            let entry = Entry { topic: event.data.topic, at: event.place };
            gathering.add(event.data.accounts(), entry, event.at);
        }
        Ok(())
    }
}

/// Where pages cost little and others may consume next, nothing waits in memory.
fn write_at_once(tx: &mut Tx<'_>, batch: &[Delivered<Public>]) -> Result<(), Error> {
    let mut gathered = Gathered::new();
    for event in batch {
        let entry = Entry { topic: event.data.topic, at: event.place };
        for account in event.data.accounts() {
            gathered.entry(account).or_default().push(entry);
        }
    }
    write(tx, &gathered)
}

fn write(tx: &mut Tx<'_>, gathered: &Gathered) -> Result<(), Error> {
    let last = tables::load_last(tx, gathered.keys())?;
    tables::insert_runs(tx, &number(gathered, &last))
}

impl Webhooks {
    /// Writes what was gathered long enough.
    pub fn write_gathered(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
        for taken in self.gathering.lock().take(now) {
            write(tx, taken.gathered)?;
            tables::save_marks(tx, &taken)?;
        }
        Ok(())
    }
}
