//! The writer's part in what other processes do: it looks where their streams end, takes the shards
//! that are dealt out, and rings for them after a commit.

use store::{Engine, Tx};

use crate::{
    consumers::Consumer, desk::Desk, ids::Ids, processes::CHANNEL, work::Fault, writer::Writing,
};

/// A number for this process that no other on the database has.
pub(crate) fn process(tx: &mut Tx<'_>, ids: &mut Ids) -> Result<i64, Fault> {
    if tx.engine() == Engine::Postgres {
        return Ok(eventlog::process_number(tx)?);
    }
    let mut number = [0; 2];
    ids.secret(&mut number);
    Ok(i64::from(u16::from_le_bytes(number)))
}

/// Begins to write: services and consumers learn for which of them other processes wrote since.
pub(crate) fn begin(
    desk: &mut Desk,
    consumers: &mut [Consumer],
    tx: &mut Tx<'_>,
) -> Result<(), Fault> {
    let written = desk.begin(tx)?;
    consumers.iter_mut().for_each(|consumer| consumer.hears_of(&written));
    Ok(())
}

impl Writing {
    /// The number under which this process writes.
    pub(crate) fn process(&self) -> i64 {
        self.desk.log.process()
    }
    /// Says whose commits in other processes matter here: those of topics that are read from the
    /// outbox, and of the services that run here too.
    pub(crate) fn says_what_it_hears(&self) {
        let read = self.consumers.iter().filter(|one| one.reads_the_outbox());
        let own = self.elsewhere.iter().map(|(service, _)| *service);
        self.others.hears(read.map(Consumer::topic).chain(own).collect());
    }
    /// Learns where all streams end now, and which shards are this process's.
    pub(crate) fn look(&mut self) {
        let asked = self.others.asked();
        let seen = self.writer.begin().map_err(Fault::from).and_then(|mut tx| {
            let moved = self.desk.log.look(&mut tx)?;
            tx.rollback()?;
            Ok(moved)
        });
        let moved = match seen {
            Ok(moved) => moved,
            Err(fault) => {
                let error = &fault as &dyn std::error::Error;
                tracing::warn!(error, "what other processes wrote cannot be seen now");
                return;
            }
        };
        self.looked = asked;
        for (service, heard) in &self.elsewhere {
            if moved.contains(service) {
                heard();
            }
        }
        if let Some(shares) = self.others.new_shares() {
            for consumer in self.consumers.iter_mut().filter(|one| !one.in_memory()) {
                if let Some(share) = shares.get(consumer.of().0) {
                    consumer.takes(*share);
                }
            }
        }
        self.tell_how_far();
    }
    /// Tells those who wait for it that memory has what others wrote before the last look.
    pub(crate) fn tell_how_far(&self) {
        let log = &self.desk.log;
        if self.consumers.iter().all(|one| !one.in_memory() || !one.is_behind(log)) {
            self.others.caught_up(self.looked);
        }
    }
    /// Rings for the other processes, where there are any and this commit emitted events.
    pub(crate) fn ring(&mut self) {
        if self.others.are_none() {
            return;
        }
        let moved = self.desk.log.moved();
        if moved.is_empty() {
            return;
        }
        let moved = moved.join(" ");
        self.others.carried().call(&moved);
        if let Err(error) = self.writer.ring(CHANNEL, &moved) {
            // They look by themselves a second later.
            tracing::debug!(error = &error as &dyn std::error::Error, "nobody was rung for");
        }
    }
}
