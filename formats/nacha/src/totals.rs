//! The sums of controls: of a batch (record 8) and of a file (record 9).

use crate::code::Direction;
use crate::{Batch, File};

/// Counts and sums of entries. A sum is checked; one that its field cannot hold is an error of the
/// writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records 6 and 7.
    pub records: u64,
    /// Sum of the receiving banks' eight digits, its last ten digits.
    pub hash: u64,
    /// Cents debited.
    pub debit_cents: u64,
    /// Cents credited.
    pub credit_cents: u64,
}

/// One more than an entry hash can be.
const HASH_MODULUS: u64 = 10_000_000_000;

impl Totals {
    /// The totals of a batch.
    pub fn of_batch(batch: &Batch) -> Self {
        let mut totals = Self::default();
        for entry in &batch.entries {
            let bank = u64::from(entry.rdfi.dfi().number());
            totals.add_entry(bank, entry.transaction_code.direction(), entry.amount.cents());
            totals.records += entry.addenda.len() as u64;
        }
        totals
    }

    /// The totals of a file: of its batches together.
    pub fn of_file(file: &File) -> Self {
        let mut totals = Self::default();
        for batch in &file.batches {
            totals.add(&Self::of_batch(batch));
        }
        totals
    }

    // Sums of at most 64 MiB of records, each below ten digits, are far below 64 bits.
    pub(crate) fn add_entry(&mut self, bank: u64, direction: Direction, cents: u64) {
        self.records += 1;
        self.hash = (self.hash + bank) % HASH_MODULUS;
        match direction {
            Direction::Credit => self.credit_cents += cents,
            Direction::Debit => self.debit_cents += cents,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.hash = (self.hash + other.hash) % HASH_MODULUS;
        self.debit_cents += other.debit_cents;
        self.credit_cents += other.credit_cents;
    }
}
