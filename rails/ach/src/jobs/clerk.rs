//! The clerk: at a cut-off puts what is collected into files; releases what is due. It also holds the
//! lease for both tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contracts::{Timestamp, payment_methods::RevealedMethod, rails::Direction};
use runtime::Platform;

use super::{Methods, OWN_TROUBLE, SHARED_STORE_LOOK, commit, reveal, unsigned, until};
use crate::{
    Ach,
    domain::{self, Entry, Key, News, Place, State, files::FileState},
    http::{Allocate, Allocated, Claim, Defer, Hold, Release, Tell, micros},
    link::Lease,
    store,
    wire::{self, Class},
};

/// Who holds the directory's lock needs no lease: a century of one costs a commit, not one each few
/// seconds.
const EMBEDDED_LEASE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// After a day's last file name was given.
const EXHAUSTED: Duration = Duration::from_secs(60);
/// Entries looked at in one pass.
const PASS_MOST: usize = 20_000;

pub struct Clerk {
    ach: Arc<Ach>,
    platform: Platform,
    lease_length: Duration,
}

/// An entry that can go now.
struct Going {
    entry: Entry,
    class: Class,
    cutoff: calendar::Cutoff,
}

impl Clerk {
    pub fn new(ach: Arc<Ach>, platform: Platform) -> Self {
        let embedded = platform.store().engine() == ::store::Engine::Sqlite;
        let lease_length = if embedded { EMBEDDED_LEASE } else { ach.config.lease };
        Self { ach, platform, lease_length }
    }
    pub async fn run(self) {
        let link = Arc::clone(&self.ach.link);
        let mut moved = self.platform.clock().moves();
        loop {
            moved.mark_unchanged();
            let pause = self.pass().await;
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.platform.stopping() => return,
                () = link.clerk.notified() => {}
                _ = moved.changed() => {}
                () = due => {}
            }
        }
    }
    /// Does what is due; how long nothing more is.
    async fn pass(&self) -> Option<Duration> {
        let embedded = self.platform.store().engine() == ::store::Engine::Sqlite;
        let idle = (!embedded).then(|| SHARED_STORE_LOOK.min(self.lease_length / 4));
        let Some(lease) = self.hold().await else { return Some(self.ach.config.lease / 4) };
        let now = self.platform.clock().now().0;
        let found = self.platform.read(move |tx| {
            let ready = store::list_ready(tx, now, PASS_MOST)?;
            let originated = store::list_due(tx, State::Originated, 1)?.pop();
            Ok((ready, originated))
        });
        let Ok(((due, later), originated)) = found.await else { return Some(OWN_TROUBLE) };
        let next_release = self.release(originated).await;
        let full = due.len() == PASS_MOST;
        let next_cutoff = later.map(|due| until(&self.platform, due));
        let more = if due.is_empty() {
            None
        } else {
            match self.cut(due, lease).await {
                Ok(()) => full.then_some(Duration::ZERO),
                Err(pause) => Some(pause),
            }
        };
        [idle, next_release, next_cutoff, more].into_iter().flatten().min()
    }
    /// The lease, taken or renewed where it has less than half of its time left.
    async fn hold(&self) -> Option<Lease> {
        let (length, began) = (unsigned(self.lease_length), self.platform.monotonic().micros());
        let link = &self.ach.link;
        let held = link.lease();
        if let Some(lease) = held.filter(|lease| began + length / 2 < lease.until) {
            return Some(lease);
        }
        let epoch = held.map(|lease| lease.epoch);
        let hold = Hold { epoch, micros: micros(self.lease_length) };
        match commit(&self.platform, hold).await {
            // Counted from before the commit: the stored time is never earlier than ours.
            Ok(epoch) => link.set_lease(epoch.map(|epoch| Lease { epoch, until: began + length })),
            Err(_) => return None,
        }
        link.lease()
    }
    /// Releases what is due; how long nothing more is. What waits for a look waits for the courier,
    /// which wakes us after it.
    async fn release(&self, first: Option<Entry>) -> Option<Duration> {
        let first = first?.due;
        if first > self.platform.clock().now().0 {
            return Some(until(&self.platform, first));
        }
        match commit(&self.platform, Release).await {
            Ok(next) => {
                let pause = until(&self.platform, next?);
                (pause > Duration::ZERO).then_some(pause)
            }
            Err(_) => Some(OWN_TROUBLE),
        }
    }
    /// Makes files of what is due.
    async fn cut(&self, due: Vec<Entry>, lease: Lease) -> Result<(), Duration> {
        let methods = reveal(&self.platform, &due, false).await.ok_or(OWN_TROUBLE)?;
        let now = self.platform.clock().now();
        let (mut going, mut later, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for entry in due {
            match self.sort(entry, &methods, now) {
                Sorted::Goes(one) => going.push(*one),
                Sorted::Waits(key, at) => later.push((key, at)),
                Sorted::Fails(key, news) => told.push((key, news)),
            }
        }
        if !told.is_empty() {
            commit(&self.platform, Tell(told)).await.map_err(|_| OWN_TROUBLE)?;
        }
        if !later.is_empty() {
            commit(&self.platform, Defer(later)).await.map_err(|_| OWN_TROUBLE)?;
        }
        // A batch has one class and one cut-off; within them the order of arrival.
        going.sort_by_key(|one| (one.class, one.cutoff.at, one.entry.queued, one.entry.key));
        for part in self.split(going) {
            self.make(part, &methods, lease).await?;
        }
        Ok(())
    }
    /// Whether an entry goes now: nothing is written for a method that was revoked.
    fn sort(&self, entry: Entry, methods: &Methods, now: Timestamp) -> Sorted {
        let key = entry.key;
        let method = methods.get(&(entry.method, entry.version)).filter(|one| !one.revoked);
        let Some(method) = method else {
            let why = "the payment method was disabled".to_owned();
            return Sorted::Fails(key, News::Unsendable { failure: "other", why });
        };
        let fails = |why: String| {
            tracing::error!(transfer = %key.transfer, why, "ach: an entry that cannot be written");
            Sorted::Fails(key, News::Unsendable { failure: "processing-error", why })
        };
        let kind = match domain::kind(entry.direction, &method.payment_method_type) {
            Ok(kind) => kind,
            Err(why) => return fails(why),
        };
        let windows = &self.ach.config.windows;
        let forced = entry.queued < 0;
        let cutoff = if forced {
            windows.next_cutoff(now, kind)
        } else {
            windows.cutoff_of(Timestamp(entry.queued), now, kind)
        };
        if !forced && windows.next_cutoff(Timestamp(entry.queued), kind).at > now {
            return Sorted::Waits(key, cutoff.at.0);
        }
        let class = Class::of(kind, method.holder_type == "business", entry.verifies);
        if entry.amount.value > self.ach.config.cents_most {
            return fails(format!("{} is more than a file may have", entry.amount));
        }
        // Its number comes with the claim; whether it can be written is known before.
        let tried = Entry { number: 1, ..entry.clone() };
        match wire::entry(&self.ach.config.us, &tried, class, method) {
            Ok(_) => Sorted::Goes(Box::new(Going { entry, class, cutoff })),
            Err(why) => fails(why),
        }
    }
    /// Parts that each fit into a file.
    fn split(&self, going: Vec<Going>) -> Vec<Vec<Going>> {
        let config = &self.ach.config;
        let mut parts: Vec<Vec<Going>> = Vec::new();
        let mut sums = [0_i64; 2];
        for one in going {
            let side = usize::from(one.entry.direction == Direction::In);
            let sum = sums[side].saturating_add(one.entry.amount.value);
            match parts.last_mut() {
                Some(part) if part.len() < config.entries_most && sum <= config.cents_most => {
                    sums[side] = sum;
                    part.push(one);
                }
                _ => {
                    sums = [0; 2];
                    sums[side] = one.entry.amount.value;
                    parts.push(vec![one]);
                }
            }
        }
        parts
    }
    /// Makes one file: its names first, then its bytes, then all of it in one commit.
    async fn make(
        &self,
        mut part: Vec<Going>,
        methods: &Methods,
        lease: Lease,
    ) -> Result<(), Duration> {
        let allocate = Allocate { epoch: lease.epoch, entries: part.len() };
        let allocated = commit(&self.platform, allocate).await.map_err(|_| OWN_TROUBLE)?;
        let Some(allocated) = allocated else {
            self.ach.link.set_lease(None);
            return Err(Duration::ZERO);
        };
        let Allocated::File { number, first, day, slot, created } = allocated else {
            tracing::error!("ach: a person must look: the day's last file name was given");
            return Err(EXHAUSTED);
        };
        loop {
            let mut file = store::File {
                number,
                name: format!("switchyard-{day}-{number:06}"),
                state: FileState::Fixed,
                day,
                slot,
                created,
                first,
                last: first,
                entries: 0,
                debit: 0,
                credit: 0,
                hash: String::new(),
                size: 0,
                attempts: 0,
                at: 0,
                micros: 0,
                heard: 0,
                reason: None,
            };
            let (batches, places) = place(&mut file, &part, methods);
            let numbered = number_all(&part, &places);
            let claim = self.build(file, batches, places, &numbered, methods);
            let claim = match claim {
                Ok(claim) => Claim { epoch: lease.epoch, ..claim },
                Err(why) => {
                    // Each entry was tried alone: this is a fault of ours, and nothing was claimed.
                    tracing::error!(why, "ach: a person must look: a file cannot be written");
                    return Err(EXHAUSTED);
                }
            };
            match commit(&self.platform, claim).await.map_err(|_| OWN_TROUBLE)? {
                Some(true) => return Ok(()),
                Some(false) => part = self.still_ready(part).await?,
                None => {
                    self.ach.link.set_lease(None);
                    return Err(Duration::ZERO);
                }
            }
            if part.is_empty() {
                return Ok(());
            }
        }
    }
    fn build(
        &self,
        mut file: store::File,
        batches: Vec<store::Batch>,
        places: Vec<(Key, Place)>,
        numbered: &[Entry],
        methods: &Methods,
    ) -> Result<Claim, String> {
        let opened: Vec<(&Entry, &RevealedMethod)> = numbered
            .iter()
            .filter_map(|one| Some((one, methods.get(&(one.method, one.version))?)))
            .collect();
        let built = wire::build(&self.ach.config.us, &file, &batches, opened)?;
        file.hash = built.hash;
        file.size = i64::try_from(built.bytes.len()).map_err(|_| "too large")?;
        Ok(Claim { epoch: 0, file, batches, places })
    }
    /// Those that were not cancelled meanwhile.
    async fn still_ready(&self, part: Vec<Going>) -> Result<Vec<Going>, Duration> {
        let keys: Vec<Key> = part.iter().map(|one| one.entry.key).collect();
        let there = self.platform.read(move |tx| store::load_many(tx, keys)).await;
        let there = there.map_err(|_| OWN_TROUBLE)?;
        let ready = |key: &Key| there.get(key).is_some_and(|one| one.state == State::Ready);
        Ok(part.into_iter().filter(|one| ready(&one.entry.key)).collect())
    }
}

enum Sorted {
    Goes(Box<Going>),
    /// Until this business time.
    Waits(Key, i64),
    Fails(Key, News),
}

/// The batches of a file, and the place of each entry in it.
fn place(
    file: &mut store::File,
    part: &[Going],
    methods: &Methods,
) -> (Vec<store::Batch>, Vec<(Key, Place)>) {
    let mut batches: Vec<store::Batch> = Vec::new();
    let mut places = Vec::with_capacity(part.len());
    for (number, one) in (file.first..).zip(part) {
        let (class, cutoff) = (one.class.number(), one.cutoff.at.0);
        let same = |batch: &store::Batch| batch.class == class && batch.cutoff == cutoff;
        if !batches.last().is_some_and(same) {
            let settles = one.cutoff.settles_at.0;
            let next = i64::try_from(batches.len()).expect("some thousands") + 1;
            batches.push(store::Batch { file: file.number, number: next, class, cutoff, settles });
        }
        let batch = batches.last().expect("it was just pushed").number;
        let method = methods.get(&(one.entry.method, one.entry.version));
        let rdfi = method.and_then(|method| method.routing_number.get(..8)?.parse().ok());
        let rdfi = rdfi.expect("it was written before as a routing number");
        places.push((one.entry.key, Place { file: file.number, batch, number, rdfi }));
        file.last = number;
        file.entries += 1;
        match one.entry.direction {
            Direction::In => file.debit += one.entry.amount.value,
            Direction::Out => file.credit += one.entry.amount.value,
        }
    }
    (batches, places)
}

/// The entries as they will be once they are claimed.
fn number_all(part: &[Going], places: &[(Key, Place)]) -> Vec<Entry> {
    let places: BTreeMap<Key, Place> = places.iter().copied().collect();
    let claimed = part.iter().filter_map(|one| {
        let mut entry = one.entry.clone();
        entry.claim(*places.get(&entry.key)?).then_some(entry)
    });
    claimed.collect()
}
