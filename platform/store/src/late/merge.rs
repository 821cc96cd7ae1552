//! The writer's side of a late index: staging, merging, and what follows a commit or a rollback.

use super::slice::{hash, slice_of};
use super::{EachEntry, Entry, LateIndex, Slice};
use crate::tx::Tx;
use crate::{Engine, Error, Result};
use std::collections::VecDeque;

/// Slices that one call merges at most, when that much is owed.
const SLICES_PER_CALL: usize = 4;
/// Empty slices that one step passes at most; the mark of each is moved up.
const EMPTY_PER_STEP: usize = 8;

/// What only the writer changes.
pub(super) struct WriterSide {
    /// The slices that this transaction has added to, in order.
    staged: Vec<u8>,
    last_staged: i64,
    last_committed: i64,
    /// Rows that have come and are not paid for by merges yet.
    credit: usize,
    spent: usize,
    /// Rows in the tree, about, and those that this transaction adds.
    rows: u64,
    merging: u64,
    /// The next slice to merge; `kept` is its value if this transaction is rolled back.
    cursor: u8,
    kept: u8,
    /// Merged by this transaction: the slice and the index its merge reaches.
    pending: Vec<(u8, u64)>,
    /// Merged durably, and kept while an older reader may need it: the commit that did it.
    retired: VecDeque<(u64, u8, u64)>,
}

impl Default for WriterSide {
    fn default() -> Self {
        WriterSide {
            staged: Vec::new(),
            last_staged: i64::MIN,
            last_committed: i64::MIN,
            credit: 0,
            spent: 0,
            rows: 0,
            merging: 0,
            cursor: 0,
            kept: 0,
            pending: Vec::new(),
            retired: VecDeque::new(),
        }
    }
}

/// A piece of a slice, copied out to be sorted.
struct Piece {
    /// Key, id and payload of each row.
    rows: Vec<(Vec<u8>, i64)>,
    upto: u64,
    /// Nothing committed is left in the slice.
    whole: bool,
    last: i64,
}

impl LateIndex {
    pub(super) fn stage(&self, entries: &[Entry<'_>]) -> Result<()> {
        let mut writer = self.0.writer.lock();
        for entry in entries {
            if entry.id < writer.last_staged || entry.id <= writer.last_committed {
                let last = writer.last_staged;
                return Err(self.misuse(format!("ids must ascend: {} after {last}", entry.id)));
            }
            let h = hash(entry.key);
            let number = slice_of(h);
            let mut slice = self.0.slices[usize::from(number)].write();
            if self.0.spec.unique && slice.of_key(h, entry.key).next().is_some() {
                return Err(Error::Conflict(format!("{}: the key is there", self.0.spec.name)));
            }
            slice.push(h, entry.key, entry.id, entry.payload);
            drop(slice);
            writer.staged.push(number);
            writer.last_staged = entry.id;
        }
        Ok(())
    }

    /// Merges a slice of what is committed, if enough rows have come since the last; to be called
    /// once per transaction of the writer. Returns the rows merged.
    pub fn merge_due(&self, tx: &mut Tx<'_>) -> Result<usize> {
        if self.0.engine != Engine::Sqlite {
            return Ok(0);
        }
        let mut writer = self.0.writer.lock();
        let step = self.0.spec.step_at(writer.rows);
        let mut count = 0;
        for _ in 0..SLICES_PER_CALL {
            if writer.credit - writer.spent < step {
                break;
            }
            let merged = self.merge_next(tx, &mut writer)?;
            if merged == 0 {
                break;
            }
            count += merged;
            writer.merging += merged as u64;
            writer.spent += step;
        }
        Ok(count)
    }

    /// Merges the next slice that has something, or passes some that have not.
    fn merge_next(&self, tx: &mut Tx<'_>, writer: &mut WriterSide) -> Result<usize> {
        for _ in 0..EMPTY_PER_STEP {
            let number = writer.cursor;
            let piece = self.cut(number, writer);
            let mark = if piece.whole { writer.last_committed } else { piece.last };
            self.insert_tree(tx, piece.rows.iter().map(|(bytes, id)| self.row(number, bytes, *id)))
                .map_err(|e| match e {
                    Error::Conflict(detail) => {
                        Error::IndexClash { index: self.0.spec.name, detail }
                    }
                    e => e,
                })?;
            tx.execute_text(&self.0.texts.mark, &[number.into(), mark.into()])?;
            if piece.whole {
                writer.cursor = number.wrapping_add(1);
            }
            if !piece.rows.is_empty() {
                writer.pending.push((number, piece.upto));
                return Ok(piece.rows.len());
            }
        }
        Ok(0)
    }

    fn row<'p>(&self, slice: u8, bytes: &'p [u8], id: i64) -> (u8, Entry<'p>) {
        let (key, payload) = bytes.split_at(self.0.spec.key_len);
        (slice, Entry { key, id, payload })
    }

    /// Copies the oldest rows of a slice, sorted by key; rows that share an id stay together.
    fn cut(&self, number: u8, writer: &WriterSide) -> Piece {
        let step = self.0.spec.step_at(writer.rows);
        let limit = step + step / 2;
        let slice = self.0.slices[usize::from(number)].read();
        let pending = writer.pending.iter().rev().find(|(n, _)| *n == number).map(|(_, i)| *i);
        let mut upto = pending.unwrap_or_else(|| slice.merged());
        let mut rows: Vec<(Vec<u8>, i64)> = Vec::new();
        let mut last = i64::MIN;
        let mut whole = true;
        while upto < slice.next() {
            let record = slice.get(upto);
            if record.id() > writer.last_committed {
                break;
            }
            if rows.len() >= limit && record.id() != last {
                whole = false;
                break;
            }
            last = record.id();
            rows.push(([record.key(), record.payload()].concat(), last));
            upto += 1;
        }
        drop(slice);
        rows.sort_unstable();
        Piece { rows, upto, whole, last }
    }

    /// The transaction is durable: its entries are shown to readers. To be called at once after
    /// COMMIT, before anything of it is answered.
    pub fn committed(&self) {
        if self.0.engine != Engine::Sqlite {
            return;
        }
        let mut writer = self.0.writer.lock();
        let epochs = &self.0.store.shared().epochs;
        let (now, seen) = (epochs.current(), epochs.seen_by_all());
        let mut history = self.0.history.lock();
        if !writer.staged.is_empty() {
            writer.last_committed = writer.last_staged;
            history.push_back((now, writer.last_committed));
        }
        while history.get(1).is_some_and(|(epoch, _)| *epoch <= seen) {
            history.pop_front();
        }
        drop(history);
        writer.credit = writer.credit - writer.spent + writer.staged.len();
        writer.spent = 0;
        writer.staged.clear();
        writer.kept = writer.cursor;
        writer.rows += std::mem::take(&mut writer.merging);
        for (number, upto) in std::mem::take(&mut writer.pending) {
            self.0.slices[usize::from(number)].write().set_merged(upto);
            writer.retired.push_back((now, number, upto));
        }
        while let Some((_, number, upto)) =
            writer.retired.pop_front_if(|(epoch, _, _)| *epoch <= seen)
        {
            self.0.slices[usize::from(number)].write().forget(upto);
        }
    }

    /// The transaction was rolled back: its entries and merges are as if they had not been.
    pub fn rolled_back(&self) {
        if self.0.engine != Engine::Sqlite {
            return;
        }
        let mut writer = self.0.writer.lock();
        for number in std::mem::take(&mut writer.staged).into_iter().rev() {
            self.0.slices[usize::from(number)].write().pop();
        }
        writer.last_staged = writer.last_committed;
        writer.pending.clear();
        writer.merging = 0;
        writer.spent = 0;
        writer.cursor = writer.kept;
    }

    /// Reads the tail again at the start: `rows_above(tx, mark, each)` gives `each` the entry of
    /// every base row with an id above `mark`, ids ascending; it must not use the index. Returns
    /// how many are in the tail now.
    pub fn restore(
        &self,
        tx: &mut Tx<'_>,
        rows_above: impl FnOnce(&mut Tx<'_>, i64, EachEntry<'_>) -> Result<()>,
    ) -> Result<u64> {
        if self.0.engine != Engine::Sqlite {
            return Ok(0);
        }
        let spec = &self.0.spec;
        let mut marks = [i64::MIN; 256];
        tx.query_text(&self.0.texts.marks, &[], |row| {
            let number =
                u8::try_from(row.int(0)?).map_err(|_| self.misuse("a mark of no slice".into()))?;
            marks[usize::from(number)] = row.int(1)?;
            Ok(())
        })?;
        let mut writer = self.0.writer.lock();
        *writer = WriterSide::default();
        let mut slices: Vec<_> = self.0.slices.iter().map(|slice| slice.write()).collect();
        for slice in &mut slices {
            **slice = Slice::of(spec);
        }
        let mut last = i64::MIN;
        let lowest = marks.iter().copied().min().unwrap_or(i64::MIN);
        rows_above(tx, lowest, &mut |entry| {
            self.check_key(entry.key)?;
            if entry.payload.len() != spec.payload {
                return Err(self.misuse(format!("a payload of {} bytes", entry.payload.len())));
            }
            if entry.id < last {
                return Err(self.misuse(format!("ids must ascend: {} after {last}", entry.id)));
            }
            last = entry.id;
            let h = hash(entry.key);
            let number = usize::from(slice_of(h));
            if entry.id > marks[number] {
                slices[number].push(h, entry.key, entry.id, entry.payload);
            }
            Ok(())
        })?;
        let count: u64 = slices.iter().map(|slice| slice.unmerged()).sum();
        writer.last_committed = last.max(marks.iter().copied().max().unwrap_or(last));
        writer.last_staged = writer.last_committed;
        // Slices spread evenly: one of them tells how many rows all have.
        let sampled = tx.query_text(&self.0.texts.rows, &[], |row| row.int(0))?;
        writer.rows = sampled.first().map_or(0, |rows| rows.unsigned_abs()) * 256;
        // The slice that waits longest is the next.
        let oldest = (0..=u8::MAX).min_by_key(|slice| marks[usize::from(*slice)]);
        writer.cursor = oldest.unwrap_or(0);
        writer.kept = writer.cursor;
        // More than a tail holds on average is owed to the tree.
        let average =
            u64::try_from(spec.step_at(writer.rows)).unwrap_or(u64::MAX).saturating_mul(128);
        writer.credit = usize::try_from(count.saturating_sub(average)).unwrap_or(usize::MAX);
        *self.0.history.lock() = VecDeque::from([(0, writer.last_committed)]);
        Ok(count)
    }
}
