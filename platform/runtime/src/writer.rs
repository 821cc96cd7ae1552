//! The one writer of a process: group commit of commands and consumers, one fsync for all.
//!
//! A cycle takes what is waiting, applies commands first and consumers after them in the order of
//! services, commits, and only then answers. The next cycle begins when the previous fsync has
//! returned; a lone request never waits for a timer. When a cycle fails, everything is rolled back:
//! commands are tried again without the consumers, then one by one; the consumer at fault goes on
//! one event at a time until the culprit is a dead letter.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use contracts::Refusal;
use eventlog::Log;
use store::{Engine, Store, Tx, Writer};

use crate::{
    access::CONSUMER,
    admission::Admission,
    consumers::{Consumer, SKIPPED_MOST},
    dead_letters::Parked,
    desk::{Desk, OfService, RowBound},
    elsewhere::{begin, process},
    exchanges,
    machine::Machine,
    metrics::{Behind, Metrics},
    platform::Settings,
    processes::Others,
    queues::{AnyQueue, internal, unavailable},
    replay::Repairs,
    schema::topics,
    service::{Due, Late, Start, Wiring},
    signal::{Ended, Signal},
    work::Fault,
};

/// Commands taken into one commit at most, of each kind.
const COMMANDS_MOST: usize = 512;
/// Events that a consumer at fault applies one by one in a cycle.
const CAREFUL: usize = 8;
/// How often a cycle lets consumers react to what others did in it.
const ROUNDS_MOST: usize = 4;
/// How long a look at the disk holds good.
const DISK_EVERY: Duration = Duration::from_secs(1);
/// From so many waiting commands on, others are on their way: half the time of a commit is waited
/// for them, as PostgreSQL's manual advises for `commit_delay`. So many at once are worth a commit
/// of their own without.
const SIBLINGS: std::ops::Range<usize> = 5..48;
/// However slow the disk, nobody waits longer for others.
const GATHER_MOST: Duration = Duration::from_millis(1);
/// The same on PostgreSQL, where a cycle is some twenty statements, each a way there and back: half of
/// it is waited.
const SIBLINGS_THERE: std::ops::Range<usize> = 2..48;
const GATHER_THERE: Duration = Duration::from_millis(8);
/// How long the writer leaves a failing store alone.
const STORE_PAUSE: Duration = Duration::from_millis(200);

/// What comes after a turn.
enum Turn {
    Again,
    /// Another turn after so long.
    Pause(Duration),
    /// A signal, for so long at most.
    Wait(Option<Duration>),
    End,
}

/// Where a cycle failed.
enum Failed {
    /// Nothing of the store works.
    Store(Fault),
    /// A command of this queue.
    Queue(Fault),
    /// This consumer.
    Consumer(usize, Fault),
}

/// The writer's state.
pub(crate) struct Writing {
    pub(crate) writer: Writer,
    pub(crate) desk: Desk,
    queues: Vec<Box<dyn AnyQueue>>,
    pub(crate) consumers: Vec<Consumer>,
    late: Vec<Late>,
    late_due: Vec<Due>,
    start: Vec<Start>,
    committed: Vec<Box<dyn Fn() + Send>>,
    /// By service: what to do where another process of it emitted events.
    pub(crate) elsewhere: Vec<OfService>,
    pub(crate) others: Arc<Others>,
    rolled_back: Vec<Box<dyn Fn() + Send>>,
    signal: Arc<Signal>,
    admission: Arc<Admission>,
    repairs: Arc<Repairs>,
    row_bound: RowBound,
    store: Store,
    /// When the disk was looked at, and whether it was nearly full.
    disk: Option<(contracts::Timestamp, bool)>,
    /// When the last cycle with commands ended.
    ended: contracts::Timestamp,
    /// How long a store that failed is left alone.
    pause: Option<Duration>,
    /// How long the last commit took to become durable.
    took: Duration,
    /// How long the last cycle took as a whole.
    cycle_took: Duration,
    /// The newest question for a look that a look has answered.
    pub(crate) looked: u64,
}

impl Writing {
    /// Opens the log and every consumer's position, and loads what services keep in memory.
    pub fn open(
        (store, mut writer, others): (Store, Writer, Arc<Others>),
        services: Vec<Wiring>,
        settings: &Settings,
        (signal, admission, repairs): (Arc<Signal>, Arc<Admission>, Arc<Repairs>),
        (metrics, latest): (Arc<Metrics>, Arc<exchanges::Latest>),
        machine: &Machine,
    ) -> Result<Self, Fault> {
        let own: Vec<&'static str> =
            services.iter().map(|service| service.name).filter(|name| *name != CONSUMER).collect();
        let topics = topics(&services);
        let mut tx = writer.begin()?;
        let mut log = Log::open(&mut tx, &topics, settings.shards).map_err(Fault::from)?;
        let consumers = Consumer::open_all(&mut tx, &log, &services, others.carried())?;
        let last_row = exchanges::last_row(&mut tx)?;
        let mut ids = machine.ids(last_row);
        let process = process(&mut tx, &mut ids)?;
        log.writes(process, &own);
        let recorder = exchanges::Recorder::open(&mut tx, process, latest)?;
        tx.commit()?;
        let desk = Desk {
            log,
            ids,
            recorder,
            clock: settings.clock.clone(),
            after: Vec::new(),
            metrics,
            forgets: Vec::new(),
        };
        let mut writing = Self {
            writer,
            desk,
            queues: Vec::new(),
            consumers,
            late: Vec::new(),
            late_due: Vec::new(),
            start: Vec::new(),
            committed: Vec::new(),
            elsewhere: Vec::new(),
            others,
            rolled_back: Vec::new(),
            signal,
            admission,
            repairs,
            row_bound: RowBound { stored: last_row, saving: last_row },
            store,
            disk: None,
            ended: settings.clock.machine(),
            pause: None,
            took: Duration::ZERO,
            cycle_took: Duration::ZERO,
            looked: 0,
        };
        for service in services {
            writing.queues.extend(service.queues.into_iter().map(|queue| queue.queue));
            writing.late.extend(service.late);
            writing.late_due.extend(service.due);
            writing.start.extend(service.start);
            let name = service.name;
            let named =
                |what: Vec<Box<dyn Fn() + Send>>| what.into_iter().map(move |one| (name, one));
            writing.desk.forgets.extend(named(service.forgets));
            writing.elsewhere.extend(named(service.elsewhere));
            writing.committed.extend(service.committed);
            writing.rolled_back.extend(service.rolled_back);
        }
        writing.says_what_it_hears();
        Ok(writing)
    }
    /// Loads what services and `also` keep in memory.
    pub fn load(
        &mut self,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut tx = self.writer.begin()?;
        also(&mut tx)?;
        for start in &mut self.start {
            start(&mut tx)?;
        }
        tx.commit()?;
        Ok(())
    }
    /// Cycles until stopped, then finishes what waits: on this thread.
    pub fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.signal));
        loop {
            match self.turn() {
                Turn::Again => {}
                Turn::Pause(time) => std::thread::park_timeout(time),
                Turn::Wait(most) => drop(self.signal.wait(most)),
                Turn::End => return,
            }
        }
    }
    /// The same as a task.
    pub async fn run_as_task(mut self) {
        let signal = Arc::clone(&self.signal);
        let _ended = Ended(Arc::clone(&signal));
        loop {
            match self.turn() {
                Turn::Again => tokio::task::yield_now().await,
                Turn::Pause(time) => tokio::time::sleep(time).await,
                Turn::Wait(most) => signal.called(most).await,
                Turn::End => return,
            }
        }
    }
    /// Does what is due.
    fn turn(&mut self) -> Turn {
        let full = self.look_at_disk();
        if self.others.have_news() {
            self.look();
        }
        let due = self.due();
        if due == Some(Duration::ZERO) {
            self.gather();
            self.step();
            self.checkpoint();
            return self.pause.take().map_or(Turn::Again, Turn::Pause);
        }
        if self.signal.stopped.load(Ordering::Acquire) && self.queued() == 0 {
            self.signal.ended.store(true, Ordering::Release);
            // What came in between is still answered.
            self.step();
            self.repairs.close();
            self.leave();
            return Turn::End;
        }
        // What came since the last commit may be nobody's business.
        self.look_at_lag(self.desk.clock.machine());
        // Nothing comes in while the disk is full: it is looked at again all the same.
        Turn::Wait(due.into_iter().chain(full.then_some(DISK_EVERY)).min())
    }
    /// Refuses new writes while the disk is nearly full: consumers and checkpoints still need room.
    fn look_at_disk(&mut self) -> bool {
        let now = self.desk.clock.machine();
        let every = i64::try_from(DISK_EVERY.as_micros()).expect("a short time");
        if let Some((at, full)) = self.disk
            && now < at.plus_micros(every)
        {
            return full;
        }
        let full = self.store.is_nearly_full();
        self.admission.disk(full);
        self.disk = Some((now, full));
        full
    }
    fn checkpoint(&mut self) {
        if let Err(error) = self.writer.checkpoint_if_due() {
            tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint failed");
        }
    }
    /// Waits for those on their way, where a commit would be made for few of many. A lone command
    /// never waits.
    fn gather(&self) {
        let (siblings, most) = match self.store.engine() {
            Engine::Sqlite => (SIBLINGS, GATHER_MOST.min(self.took / 2)),
            Engine::Postgres => (SIBLINGS_THERE, GATHER_THERE.min(self.cycle_took / 2)),
        };
        if siblings.contains(&self.queued()) {
            std::thread::park_timeout(most);
        }
    }
    fn queued(&self) -> usize {
        self.admission.waiting()
    }
    /// How long nothing has to be done: zero for now, `None` until a signal.
    fn due(&mut self) -> Option<Duration> {
        let asked = self.queued() > 0 || self.repairs.is_waiting();
        if asked || self.others.wait_for_a_look() {
            return Some(Duration::ZERO);
        }
        let now = self.desk.clock.machine();
        let (log, cycle) = (&self.desk.log, (now, self.cycle_took));
        let consumers = self.consumers.iter_mut().filter_map(|consumer| consumer.due(log, cycle));
        consumers.chain(self.late_due.iter().filter_map(|due| due(now))).min()
    }
    /// Writes positions that only skipped, so that the next start reads little.
    fn leave(&mut self) {
        let Ok(mut tx) = self.writer.begin() else { return };
        let moved =
            self.consumers.iter_mut().all(|c| c.save_skipped(&mut tx, &self.desk.log, 1).is_ok());
        if moved {
            // A failure here costs the next start some reading, nothing else.
            let _ = tx.commit();
        }
    }
    /// One cycle: everything that waits, in one commit.
    pub fn step(&mut self) {
        let taken: usize = self.queues.iter_mut().map(|queue| queue.take(COMMANDS_MOST)).sum();
        self.admission.taken(taken);
        self.desk.metrics.commands.fetch_add(taken as u64, Ordering::Relaxed);
        let began = self.desk.clock.machine();
        let done = match self.cycle(true, true) {
            // It lost a race or its connection before COMMIT: nothing of it was done.
            Err(Failed::Store(fault)) if fault.is_transient() => self.cycle(true, true),
            done => done,
        };
        match done {
            Ok(()) => self.answer(),
            Err(failed) => self.recover(failed),
        }
        let ended = self.desk.clock.machine();
        self.cycle_took = Duration::from_micros(ended.micros_since(began));
        if taken > 0 {
            // Where some still wait for a turn, the pace is that of the whole way, not the writer's.
            let from = if self.admission.in_line() > 0 { self.ended } else { began };
            self.admission.committed(taken, Duration::from_micros(ended.micros_since(from)));
            self.ended = ended;
        }
        self.look_at_lag(ended);
        for index in 0..self.consumers.len() {
            self.carefully(index);
        }
        let repairs = Arc::clone(&self.repairs);
        self.repair(&repairs);
        self.tell_how_far();
    }
    /// How far consumers are behind, for the metrics and for what is admitted.
    fn look_at_lag(&mut self, now: contracts::Timestamp) {
        let mut behind = Duration::ZERO;
        for consumer in &mut self.consumers {
            let lag = consumer.lag(&self.desk.log, now);
            let (group, may_lag) = consumer.group();
            if !may_lag {
                behind = behind.max(lag);
            }
            let parked = consumer.parked();
            self.desk.metrics.consumer(group, consumer.topic(), Behind { lag, parked });
        }
        self.admission.behind(behind);
    }
    fn answer(&mut self) {
        for queue in &mut self.queues {
            if queue.len() > 0 {
                queue.answer();
            }
        }
    }
    /// Applies and commits; on failure everything is as before.
    fn cycle(&mut self, commands: bool, consumers: bool) -> Result<(), Failed> {
        self.desk.starts();
        let mut tx = self.writer.begin().map_err(|error| Failed::Store(error.into()))?;
        let begun = begin(&mut self.desk, &mut self.consumers, &mut tx).and_then(|()| {
            let mut letters = Parked::default();
            let mut consumers = self.consumers.iter_mut();
            consumers.try_for_each(|one| one.reload((&mut tx, &mut letters), &self.desk.log))
        });
        let applied = begun.map_err(Failed::Store).and_then(|()| {
            Self::apply(
                &mut self.desk,
                &mut self.queues,
                &mut self.consumers,
                &mut tx,
                (commands, consumers),
            )
        });
        let applied = applied.and_then(|()| {
            self.desk.record(&mut tx, &mut self.row_bound).map_err(Failed::Store)?;
            let now = self.desk.clock.machine();
            for late in &mut self.late {
                late(&mut tx, now).map_err(|error| Failed::Store(error.into()))?;
            }
            Ok(())
        });
        let ready = self.desk.clock.machine();
        let ended = match applied {
            Ok(()) => tx.commit().map_err(|error| Failed::Store(error.into())),
            Err(failed) => {
                // The transaction ends with its connection where even this fails.
                let _ = tx.rollback();
                Err(failed)
            }
        };
        self.took = Duration::from_micros(self.desk.clock.machine().micros_since(ready));
        match ended {
            Ok(()) => self.durable(),
            Err(_) => self.undone(),
        }
        ended
    }
    fn apply(
        desk: &mut Desk,
        queues: &mut [Box<dyn AnyQueue>],
        consumers: &mut [Consumer],
        tx: &mut Tx<'_>,
        (commands, consume): (bool, bool),
    ) -> Result<(), Failed> {
        if commands {
            for queue in queues.iter_mut().filter(|queue| queue.len() > 0) {
                let (service, all) = (queue.service(), queue.len());
                desk.work(tx, service, |work| queue.commit(work, 0, all)).map_err(Failed::Queue)?;
            }
        }
        if !consume {
            return Ok(());
        }
        for _ in 0..ROUNDS_MOST {
            let mut handled = 0;
            for (index, consumer) in consumers.iter_mut().enumerate() {
                handled +=
                    consumer.consume(desk, tx).map_err(|fault| Failed::Consumer(index, fault))?;
            }
            if handled == 0 {
                break;
            }
        }
        for (index, consumer) in consumers.iter_mut().enumerate() {
            consumer
                .save_skipped(tx, &desk.log, SKIPPED_MOST)
                .map_err(|fault| Failed::Consumer(index, fault))?;
        }
        Ok(())
    }
    fn durable(&mut self) {
        let now = self.desk.clock.machine();
        self.desk.recorder.committed(now);
        self.row_bound.stored = self.row_bound.saving;
        self.ring();
        self.desk.log.committed();
        for consumer in &mut self.consumers {
            consumer.committed(now);
        }
        for committed in &self.committed {
            committed();
        }
        for then in self.desk.after.drain(..) {
            then();
        }
    }
    fn undone(&mut self) {
        self.desk.log.rolled_back();
        self.desk.after.clear();
        self.row_bound.saving = self.row_bound.stored;
        for consumer in &mut self.consumers {
            consumer.rolled_back();
        }
        for rolled_back in &self.rolled_back {
            rolled_back();
        }
    }
    fn recover(&mut self, failed: Failed) {
        match failed {
            Failed::Store(fault) => {
                tracing::error!(error = &fault as &dyn std::error::Error, "a commit failed");
                self.refuse_all(&unavailable());
                self.pause = Some(STORE_PAUSE);
            }
            Failed::Queue(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "commands one by one");
                self.commands_one_by_one();
            }
            Failed::Consumer(index, fault) => {
                self.consumers[index].at_fault(&fault, self.desk.clock.machine());
                // A consumer's poison never refuses a POST: commands first and alone.
                match self.cycle(true, false) {
                    Ok(()) => self.answer(),
                    Err(Failed::Queue(_)) => self.commands_one_by_one(),
                    Err(_) => self.refuse_all(&unavailable()),
                }
            }
        }
    }
    fn refuse_all(&mut self, refusal: &Refusal) {
        for queue in &mut self.queues {
            for index in 0..queue.len() {
                queue.refuse(index, refusal.clone());
            }
        }
        self.answer();
    }
    fn commands_one_by_one(&mut self) {
        for number in 0..self.queues.len() {
            for index in 0..self.queues[number].len() {
                match self.one_command(number, index) {
                    Ok(()) => self.durable(),
                    Err(fault) => {
                        self.undone();
                        let queue = &mut self.queues[number];
                        let name = queue.name();
                        tracing::error!(error = &fault as &dyn std::error::Error, name, "refused");
                        let transient = fault.is_transient();
                        let refusal = if transient { unavailable() } else { internal() };
                        queue.refuse(index, refusal);
                    }
                }
            }
        }
        self.answer();
    }
    fn one_command(&mut self, number: usize, index: usize) -> Result<(), Fault> {
        self.desk.starts();
        let mut tx = self.writer.begin()?;
        begin(&mut self.desk, &mut self.consumers, &mut tx)?;
        let queue = &mut self.queues[number];
        let service = queue.service();
        self.desk.work(&mut tx, service, |work| queue.commit(work, index, index + 1))?;
        self.desk.record(&mut tx, &mut self.row_bound)?;
        tx.commit()?;
        Ok(())
    }
    /// A consumer at fault goes on one event at a time until it has passed the batch that failed; a
    /// few a cycle, so that it holds up nobody else.
    fn carefully(&mut self, index: usize) {
        for _ in 0..CAREFUL {
            let now = self.desk.clock.machine();
            if !self.consumers[index].is_careful() || self.consumers[index].has_stopped(now) {
                return;
            }
            let done = self.one_event(index, None);
            let done = match done {
                // It was overtaken, or has to wait: no event is to blame.
                Err(fault) if !fault.is_poison() => {
                    self.undone();
                    return self.consumers[index].at_fault(&fault, now);
                }
                Err(fault) => {
                    self.undone();
                    self.one_event(index, Some(&fault.chain()))
                }
                done => done,
            };
            match done {
                Ok(()) => self.durable(),
                Err(_) => return self.undone(),
            }
        }
    }
    /// A commit with nothing in it but what `apply` does; its refusal rolls back.
    pub fn alone<T, E>(
        &mut self,
        apply: impl FnOnce(&mut [Consumer], &mut Desk, &mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, Fault> {
        self.desk.starts();
        let mut tx = self.writer.begin()?;
        begin(&mut self.desk, &mut self.consumers, &mut tx)?;
        let applied = apply(&mut self.consumers, &mut self.desk, &mut tx);
        let ended = match &applied {
            Ok(_) => self
                .desk
                .record(&mut tx, &mut self.row_bound)
                .and_then(|()| tx.commit().map_err(Fault::from)),
            // The transaction ends with its connection where even this fails.
            Err(_) => {
                let _ = tx.rollback();
                self.undone();
                return Ok(applied);
            }
        };
        match ended {
            Ok(()) => self.durable(),
            Err(fault) => {
                self.undone();
                return Err(fault);
            }
        }
        Ok(applied)
    }
    fn one_event(&mut self, index: usize, poison: Option<&str>) -> Result<(), Fault> {
        self.desk.starts();
        let mut tx = self.writer.begin()?;
        begin(&mut self.desk, &mut self.consumers, &mut tx)?;
        self.consumers[index].one(&mut self.desk, &mut tx, poison)?;
        self.desk.record(&mut tx, &mut self.row_bound)?;
        tx.commit()?;
        Ok(())
    }
}
