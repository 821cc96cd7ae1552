//! Payment methods in memory: this service's own rows, for the look-up on the way of every write.
//!
//! Exact, not a cache that may be stale: only the one writer of an embedded store changes methods,
//! and what it committed is here before its answer leaves. Where other processes write too (a
//! database), it is not used.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
};

use contracts::ids::PaymentMethodId;
use parking_lot::{Mutex, RwLock};

use crate::domain::Method;

/// Methods in memory at most: about 20 MB. Above it a part of them is forgotten.
const MOST: usize = 65_536;
const PARTS: usize = 64;

type Part = HashMap<PaymentMethodId, Method, BuildHasherDefault<DefaultHasher>>;

#[derive(Default)]
struct Methods {
    /// Raised by every commit that changed a method.
    generation: u64,
    parts: Vec<Part>,
    count: usize,
    /// The next part to forget.
    hand: usize,
}

/// The methods that were asked for.
pub struct Known {
    methods: RwLock<Methods>,
    /// Changed by the transaction under way.
    staged: Mutex<Vec<Method>>,
}

/// What was found in memory.
pub enum Found {
    /// All that were asked for.
    All(Vec<Method>),
    /// Not all: read the rows, and [`Known::fill`] under this generation.
    Read(u64),
}

fn part(id: PaymentMethodId) -> usize {
    usize::from(id.as_bytes()[15]) % PARTS
}

impl Default for Known {
    fn default() -> Self {
        let parts = std::iter::repeat_with(Part::default).take(PARTS).collect();
        let methods = Methods { parts, ..Methods::default() };
        Self { methods: RwLock::new(methods), staged: Mutex::default() }
    }
}

impl Known {
    /// These methods, in the order asked.
    pub fn get(&self, ids: &[PaymentMethodId]) -> Found {
        let known = self.methods.read();
        let all = ids.iter().map(|id| known.parts[part(*id)].get(id).cloned());
        all.collect::<Option<Vec<_>>>().map_or(Found::Read(known.generation), Found::All)
    }
    /// Keeps rows that were read after this generation was seen, unless a commit came between.
    pub fn fill(&self, generation: u64, methods: &[Method]) {
        let mut known = self.methods.write();
        if known.generation != generation {
            return;
        }
        for method in methods {
            if known.count >= MOST {
                let hand = known.hand;
                known.count -= known.parts[hand].len();
                known.parts[hand].clear();
                known.hand = (hand + 1) % PARTS;
            }
            let before = known.parts[part(method.id)].insert(method.id, method.clone());
            known.count += usize::from(before.is_none());
        }
    }
    /// The transaction changes these.
    pub fn stage(&self, methods: &[Method]) {
        self.staged.lock().extend_from_slice(methods);
    }
    /// The transaction is durable.
    pub fn committed(&self) {
        let mut staged = self.staged.lock();
        if staged.is_empty() {
            return;
        }
        let mut known = self.methods.write();
        known.generation += 1;
        for method in staged.drain(..) {
            if let Some(kept) = known.parts[part(method.id)].get_mut(&method.id) {
                *kept = method;
            }
        }
    }
    /// The transaction is gone.
    pub fn rolled_back(&self) {
        self.staged.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use contracts::{
        Currency, Timestamp,
        ids::{AccountId, WalletId},
    };

    use super::*;

    fn method(number: u128) -> Method {
        let wallet = WalletId(uuid::Uuid::from_u128(number));
        let account = AccountId(uuid::Uuid::from_u128(1));
        Method::of_wallet(wallet, account, Currency::USD, Timestamp(0))
    }
    fn versions(known: &Known, ids: &[PaymentMethodId]) -> Option<Vec<i64>> {
        match known.get(ids) {
            Found::All(all) => Some(all.iter().map(|method| method.version).collect()),
            Found::Read(_) => None,
        }
    }
    fn read(known: &Known, ids: &[PaymentMethodId]) -> u64 {
        match known.get(ids) {
            Found::Read(generation) => generation,
            Found::All(_) => panic!("it is not in memory yet"),
        }
    }

    #[test]
    fn a_change_is_seen_once_it_is_durable_and_never_where_it_is_gone() {
        let (known, one) = (Known::default(), method(7));
        let generation = read(&known, &[one.id]);
        known.fill(generation, std::slice::from_ref(&one));
        let changed = Method { version: 2, ..one.clone() };
        known.stage(std::slice::from_ref(&changed));
        assert_eq!(versions(&known, &[one.id]), Some(vec![one.version]));
        known.rolled_back();
        known.committed();
        assert_eq!(versions(&known, &[one.id]), Some(vec![one.version]));
        known.stage(std::slice::from_ref(&changed));
        known.committed();
        assert_eq!(versions(&known, &[one.id]), Some(vec![2]));
        assert_eq!(versions(&known, &[one.id, method(8).id]), None);
    }

    #[test]
    fn rows_read_before_a_commit_are_not_kept_after_it() {
        let (known, one) = (Known::default(), method(7));
        let generation = read(&known, &[one.id]);
        known.stage(&[Method { version: 2, ..one.clone() }]);
        known.committed();
        known.fill(generation, std::slice::from_ref(&one));
        assert_eq!(versions(&known, &[one.id]), None, "the row read is older than the commit");
    }

    #[test]
    fn memory_is_bounded() {
        let known = Known::default();
        for number in 0..u128::try_from(MOST + 5_000).unwrap() {
            known.fill(0, &[method(number)]);
        }
        let count = known.methods.read().count;
        assert!(count <= MOST && count > MOST / 2, "{count}");
    }
}
