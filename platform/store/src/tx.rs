//! A transaction: batches of hot statements, single statements, and built queries.

use crate::pg::{Element, Pg};
use crate::sqlite::{self, Prepared, kind_at};
use crate::statement::Column;
use crate::store::{Shared, Side};
use crate::value::RowOf;
use crate::{Delete, Engine, Error, Insert, Result, Row, Select, Sql, Update, Value, dynamic};

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx<'c> {
    conn: Conn<'c>,
    shared: &'c Shared,
    /// For a reader: the last commit its snapshot certainly holds. `None` for the writer.
    epoch: Option<u64>,
    failed: bool,
    open: bool,
    /// How many statements it may still make, where there is a limit.
    left: Option<u32>,
}

enum Conn<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c mut Pg),
}

/// The connection a transaction is begun on.
pub(crate) enum Line {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Pg>),
}

impl Line {
    pub(crate) fn start(&mut self, reader: bool) -> Result<()> {
        match self {
            Line::Sqlite(conn) => {
                let text = if reader { "BEGIN DEFERRED" } else { "BEGIN IMMEDIATE" };
                Ok(sqlite::simple(conn, text)?)
            }
            Line::Postgres(pg) => pg.simple(if reader {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            } else {
                "BEGIN"
            }),
        }
    }
}

/// One row of a batch, whatever arrays its values stand in.
pub(crate) trait Values<'t> {
    fn each(&self, f: &mut dyn FnMut(usize, &Value<'t>) -> Result<()>) -> Result<()>;
}

impl<'t, const N: usize> Values<'t> for [Value<'t>; N] {
    fn each(&self, f: &mut dyn FnMut(usize, &Value<'t>) -> Result<()>) -> Result<()> {
        self.iter().enumerate().try_for_each(|(i, v)| f(i, v))
    }
}

impl<'t, const A: usize, const B: usize> Values<'t> for ([Value<'t>; A], [Value<'t>; B]) {
    fn each(&self, f: &mut dyn FnMut(usize, &Value<'t>) -> Result<()>) -> Result<()> {
        self.0.iter().chain(&self.1).enumerate().try_for_each(|(i, v)| f(i, v))
    }
}

/// A hot statement, in both texts.
pub(crate) struct Batch<'b> {
    pub(crate) sqlite: &'b str,
    pub(crate) postgres: &'b str,
    pub(crate) place: &'b str,
    pub(crate) columns: [&'b [Column]; 2],
}

impl<'c> Tx<'c> {
    pub(crate) fn begin(line: &'c mut Line, shared: &'c Shared, reader: bool) -> Result<Tx<'c>> {
        let epoch = reader.then(|| shared.epochs.enter());
        if let Err(e) = shared.start(line, reader) {
            epoch.into_iter().for_each(|epoch| shared.epochs.leave(epoch));
            return Err(e);
        }
        let conn = match line {
            Line::Sqlite(conn) => Conn::Sqlite(conn),
            Line::Postgres(pg) => Conn::Postgres(pg),
        };
        Ok(Tx { conn, shared, epoch, failed: false, open: true, left: None })
    }

    /// Statements of which each is a transaction of its own (PostgreSQL), so many at most.
    pub(crate) fn each(
        pg: &'c mut Pg,
        shared: &'c Shared,
        reader: bool,
        left: Option<u32>,
    ) -> Self {
        let epoch = reader.then(|| shared.epochs.enter());
        Tx { conn: Conn::Postgres(pg), shared, epoch, failed: false, open: false, left }
    }

    /// Which engine this runs on.
    pub fn engine(&self) -> Engine {
        match self.conn {
            Conn::Sqlite(_) => Engine::Sqlite,
            Conn::Postgres(_) => Engine::Postgres,
        }
    }

    /// Which server, in which of its lives, and which database this runs on (PostgreSQL, where the
    /// server tells); empty elsewhere.
    pub fn server(&self) -> &str {
        match &self.conn {
            Conn::Sqlite(_) => "",
            Conn::Postgres(pg) => pg.server(),
        }
    }

    /// For a reader: the last commit its snapshot certainly holds. `None` for the writer.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Inserts a row per item; returns how many were really inserted (or, with
    /// [`crate::OnConflict::Update`], inserted or updated).
    pub fn insert_many<'t, const N: usize, T>(
        &mut self,
        insert: &'static Insert<N>,
        items: impl IntoIterator<Item = T>,
        f: impl FnMut(T) -> [Value<'t>; N],
    ) -> Result<u64> {
        let batch = Batch {
            sqlite: insert.sqlite(),
            postgres: insert.postgres(),
            place: insert.table,
            columns: [&insert.columns, &[]],
        };
        self.guarded(|tx| tx.run(&batch, items.into_iter().map(f)))
    }

    /// Updates the row of each item; `f` gives its keys and its new values. Returns how many rows
    /// were hit: fewer than items means that a row was not there or not in the state expected.
    pub fn update_many<'t, const K: usize, const S: usize, T>(
        &mut self,
        update: &'static Update<K, S>,
        items: impl IntoIterator<Item = T>,
        mut f: impl FnMut(T) -> ([Value<'t>; K], [Value<'t>; S]),
    ) -> Result<u64> {
        let batch = Batch {
            sqlite: update.sqlite(),
            postgres: update.postgres(),
            place: update.table,
            columns: [&update.sets, &update.keys],
        };
        let rows = items.into_iter().map(|item| {
            let (keys, sets) = f(item);
            (sets, keys)
        });
        self.guarded(|tx| tx.run(&batch, rows))
    }

    /// Deletes the rows that the keys find; returns how many.
    pub fn delete_many<'t, const K: usize, T>(
        &mut self,
        delete: &'static Delete<K>,
        items: impl IntoIterator<Item = T>,
        f: impl FnMut(T) -> [Value<'t>; K],
    ) -> Result<u64> {
        let batch = Batch {
            sqlite: delete.sqlite(),
            postgres: delete.postgres(),
            place: delete.table,
            columns: [&delete.keys, &[]],
        };
        self.guarded(|tx| tx.run(&batch, items.into_iter().map(f)))
    }

    /// The rows that the keys find, in the order of the keys (rows of one key: in any order). A key
    /// without a row gives nothing, so select the key's columns too.
    pub fn select_many<'t, const K: usize, T, R>(
        &mut self,
        select: &'static Select<K>,
        items: impl IntoIterator<Item = T>,
        f: impl FnMut(T) -> [Value<'t>; K],
        mut map: impl FnMut(&Row<'_>) -> Result<R>,
    ) -> Result<Vec<R>> {
        let batch = Batch {
            sqlite: select.sqlite(),
            postgres: select.postgres(),
            place: select.table,
            columns: [&select.keys, &[]],
        };
        let mut out = Vec::new();
        self.guarded(|tx| {
            tx.fetch(&batch, items.into_iter().map(f), &mut |row| {
                out.push(map(row)?);
                Ok(())
            })
        })?;
        Ok(out)
    }

    /// Runs one statement; returns the rows it changed.
    pub fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64> {
        self.execute_text(sql.text(), values)
    }

    /// The rows of one statement.
    pub fn query<T>(
        &mut self,
        sql: &Sql,
        values: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.query_text(sql.text(), values, map)
    }

    /// The first row of one statement, if any.
    pub fn query_one<T>(
        &mut self,
        sql: &Sql,
        values: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query_text(sql.text(), values, map)?.into_iter().next())
    }

    /// The rows of a query that was built at run time, its values bound. For cold reads: the text
    /// is printed and (on PostgreSQL) prepared each time.
    pub fn select<T>(
        &mut self,
        statement: &sea_query::SelectStatement,
        mut map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let (text, built) = match self.engine() {
            Engine::Sqlite => statement.build(sea_query::SqliteQueryBuilder),
            Engine::Postgres => statement.build(sea_query::PostgresQueryBuilder),
        };
        let values = built.iter().map(dynamic::value).collect::<Result<Vec<_>>>()?;
        let mut out = Vec::new();
        self.guarded(|tx| {
            tx.single(&text, &values, false, &mut |row| {
                out.push(map(row)?);
                Ok(())
            })
        })?;
        Ok(out)
    }

    pub(crate) fn execute_text(&mut self, text: &str, values: &[Value<'_>]) -> Result<u64> {
        self.guarded(|tx| {
            check_all(values, text)?;
            match &mut tx.conn {
                Conn::Sqlite(conn) => {
                    let mut statement = Prepared::new(conn, text, [&[], &[]], text)?;
                    for (i, value) in values.iter().enumerate() {
                        statement.bind(i, value)?;
                    }
                    statement.execute()
                }
                Conn::Postgres(pg) => pg.execute(text, values),
            }
        })
    }

    pub(crate) fn query_text<T>(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut out = Vec::new();
        self.guarded(|tx| {
            tx.single(text, values, true, &mut |row| {
                out.push(map(row)?);
                Ok(())
            })
        })?;
        Ok(out)
    }

    fn single(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        keep: bool,
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        check_all(values, text)?;
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                let mut statement = Prepared::new(conn, text, [&[], &[]], text)?;
                for (i, value) in values.iter().enumerate() {
                    statement.bind(i, value)?;
                }
                statement.rows(each)
            }
            Conn::Postgres(pg) => {
                let rows =
                    if keep { pg.query(text, values)? } else { pg.query_once(text, values)? };
                rows.iter().try_for_each(|row| each(&Row(RowOf::Postgres(row))))
            }
        }
    }

    pub(crate) fn run<'t, V: Values<'t>>(
        &mut self,
        batch: &Batch<'_>,
        rows: impl Iterator<Item = V>,
    ) -> Result<u64> {
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                let mut statement = Prepared::new(conn, batch.sqlite, batch.columns, batch.place)?;
                let mut count = 0;
                for row in rows {
                    row.each(&mut |i, value| statement.bind(i, value))?;
                    count += statement.execute()?;
                }
                Ok(count)
            }
            Conn::Postgres(pg) => {
                let arrays = arrays(batch, rows)?;
                if arrays[0].is_empty() {
                    return Ok(0);
                }
                pg.execute_arrays(batch.postgres, &arrays)
            }
        }
    }

    pub(crate) fn fetch<'t, V: Values<'t>>(
        &mut self,
        batch: &Batch<'_>,
        rows: impl Iterator<Item = V>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                let mut statement = Prepared::new(conn, batch.sqlite, batch.columns, batch.place)?;
                for row in rows {
                    row.each(&mut |i, value| statement.bind(i, value))?;
                    statement.rows(each)?;
                }
                Ok(())
            }
            Conn::Postgres(pg) => {
                let arrays = arrays(batch, rows)?;
                if arrays[0].is_empty() {
                    return Ok(());
                }
                let rows = pg.query_arrays(batch.postgres, &arrays)?;
                rows.iter().try_for_each(|row| each(&Row(RowOf::Postgres(row))))
            }
        }
    }

    /// Runs `f`; when it fails, the transaction can only be rolled back, on both engines.
    pub(crate) fn guarded<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::Aborted);
        }
        if let Some(left) = &mut self.left {
            let next = left.checked_sub(1);
            *left = next.ok_or_else(|| Error::Other("more than one statement in one".into()))?;
        }
        let result = f(self);
        self.failed = result.is_err();
        result
    }

    /// Makes all of it durable. On PostgreSQL [`Error::CommitUnknown`] says that the connection was
    /// lost meanwhile; on SQLite an input/output error here ends the process.
    pub fn commit(mut self) -> Result<()> {
        if self.failed {
            self.end()?;
            return Err(Error::Aborted);
        }
        if self.epoch.is_none() && !self.shared.at_commit(Side::Before) {
            self.end()?;
            return Err(sqlite::full());
        }
        let result = match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::commit(conn),
            Conn::Postgres(pg) => pg.commit(),
        };
        match result {
            Ok(()) => self.open = false,
            Err(e) => {
                self.end().unwrap_or_default();
                return Err(e);
            }
        }
        if self.epoch.is_none() {
            self.shared.at_commit(Side::After);
            self.shared.committed();
        }
        Ok(())
    }

    /// Undoes all of it.
    pub fn rollback(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::rollback(conn),
            Conn::Postgres(pg) => pg.simple("ROLLBACK"),
        }
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        // A rollback that fails leaves a dead connection, which the next `begin` reports or mends.
        self.end().unwrap_or_default();
        if let Some(epoch) = self.epoch {
            self.shared.epochs.leave(epoch);
        }
    }
}

fn check_all(values: &[Value<'_>], place: &str) -> Result<()> {
    values.iter().enumerate().try_for_each(|(i, value)| value.check(None, i, place))
}

fn arrays<'t, V: Values<'t>>(
    batch: &Batch<'_>,
    rows: impl Iterator<Item = V>,
) -> Result<Vec<Vec<Element<'t>>>> {
    let width = batch.columns[0].len() + batch.columns[1].len();
    let mut arrays: Vec<Vec<Element<'t>>> = Vec::new();
    arrays.resize_with(width, || Vec::with_capacity(rows.size_hint().0));
    for row in rows {
        row.each(&mut |i, value| {
            value.check(kind_at(batch.columns, i), i, batch.place)?;
            arrays[i].push(Element(*value));
            Ok(())
        })?;
    }
    Ok(arrays)
}
