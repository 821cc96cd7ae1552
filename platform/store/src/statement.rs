//! Hot statements, declared once as a `static`; each engine's text is printed at first use.

use crate::Kind;
use std::sync::OnceLock;

/// One text for both engines. Parameters are `$1`, `$2`, ... numbered in order of first use, which
/// both engines then count alike; a `static` with any other order does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sql(pub(crate) &'static str);

impl Sql {
    /// Declares the text; checks the numbering of its parameters (at compile time in a `static`).
    pub const fn new(text: &'static str) -> Sql {
        let bytes = text.as_bytes();
        let mut i = 0;
        let mut highest = 0;
        while i < bytes.len() {
            if bytes[i] == b'$' {
                let mut n = 0;
                let mut j = i + 1;
                while j < bytes.len() && bytes[j].is_ascii_digit() {
                    n = n * 10 + (bytes[j] - b'0') as usize;
                    j += 1;
                }
                assert!(n >= 1 && n <= highest + 1, "$n must be numbered in order of first use");
                if n > highest {
                    highest = n;
                }
                i = j;
            } else {
                assert!(bytes[i] != b'?', "write $n, not ?");
                i += 1;
            }
        }
        Sql(text)
    }

    /// The text.
    pub const fn text(&self) -> &'static str {
        self.0
    }
}

/// A column and its kind.
pub type Column = (&'static str, Kind);

/// What an insert does with a row whose unique key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It fails with [`crate::Error::Conflict`].
    None,
    /// The row is left out and not counted.
    Nothing,
    /// The row found gets the new values of the columns in `set`. (PostgreSQL: a batch must not
    /// hold the same `key` twice.)
    Update {
        /// The columns of the unique key.
        key: &'static [&'static str],
        /// The columns that take the new values.
        set: &'static [&'static str],
    },
}

#[derive(Debug)]
pub(crate) struct Texts {
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Texts {
    const fn new() -> Texts {
        Texts { sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }
}

/// `INSERT` of many rows of one table.
#[derive(Debug)]
pub struct Insert<const N: usize> {
    pub(crate) table: &'static str,
    pub(crate) columns: [Column; N],
    on_conflict: OnConflict,
    texts: Texts,
}

/// `UPDATE` of many rows of one table, each found by all of its keys. A key may be the state that
/// is expected: then the update is a compare-and-set and the count of hits tells who lost.
#[derive(Debug)]
pub struct Update<const K: usize, const S: usize> {
    pub(crate) table: &'static str,
    pub(crate) keys: [Column; K],
    pub(crate) sets: [Column; S],
    texts: Texts,
}

/// `SELECT` of the rows of one table that many keys find.
#[derive(Debug)]
pub struct Select<const K: usize> {
    pub(crate) table: &'static str,
    columns: &'static [&'static str],
    pub(crate) keys: [Column; K],
    pub(crate) newest_by: Option<&'static str>,
    texts: Texts,
}

/// `DELETE` of many rows of one table, each found by all of its keys.
#[derive(Debug)]
pub struct Delete<const K: usize> {
    pub(crate) table: &'static str,
    pub(crate) keys: [Column; K],
    texts: Texts,
}

/// `a, b, c`
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// `$from, ..` for `n` parameters.
fn dollars(from: usize, n: usize) -> String {
    (from..from + n).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ")
}

/// `unnest($from::bigint[], ..)`
fn unnest<'a>(from: usize, columns: impl Iterator<Item = &'a Column>) -> String {
    let arrays: Vec<_> =
        columns.enumerate().map(|(i, c)| format!("${}::{}", i + from, c.1.pg_array())).collect();
    format!("unnest({})", arrays.join(", "))
}

/// `a = $from AND b = $..`
fn equals(from: usize, columns: &[Column]) -> String {
    let parts: Vec<_> =
        columns.iter().enumerate().map(|(i, c)| format!("{} = ${}", c.0, i + from)).collect();
    parts.join(" AND ")
}

/// `t.a = u.k0 AND ..`
fn joined(columns: &[Column]) -> String {
    let parts: Vec<_> =
        columns.iter().enumerate().map(|(i, c)| format!("t.{} = u.k{i}", c.0)).collect();
    parts.join(" AND ")
}

/// `k0, k1, ..`
fn aliases(letter: char, n: usize) -> String {
    (0..n).map(|i| format!("{letter}{i}")).collect::<Vec<_>>().join(", ")
}

impl<const N: usize> Insert<N> {
    /// Declares the statement.
    pub const fn new(
        table: &'static str,
        columns: [Column; N],
        on_conflict: OnConflict,
    ) -> Insert<N> {
        Insert { table, columns, on_conflict, texts: Texts::new() }
    }

    fn tail(&self) -> String {
        match self.on_conflict {
            OnConflict::None => String::new(),
            OnConflict::Nothing => " ON CONFLICT DO NOTHING".into(),
            OnConflict::Update { key, set } => {
                let sets: Vec<_> = set.iter().map(|c| format!("{c} = excluded.{c}")).collect();
                let key = list(key.iter().copied());
                format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sets.join(", "))
            }
        }
    }

    pub(crate) fn sqlite(&self) -> &str {
        self.texts.sqlite.get_or_init(|| {
            format!(
                "INSERT INTO {} ({}) VALUES ({}){}",
                self.table,
                list(self.columns.iter().map(|c| c.0)),
                dollars(1, N),
                self.tail()
            )
        })
    }

    pub(crate) fn postgres(&self) -> &str {
        self.texts.postgres.get_or_init(|| {
            format!(
                "INSERT INTO {} ({}) SELECT * FROM {}{}",
                self.table,
                list(self.columns.iter().map(|c| c.0)),
                unnest(1, self.columns.iter()),
                self.tail()
            )
        })
    }
}

impl<const K: usize, const S: usize> Update<K, S> {
    /// Declares the statement.
    pub const fn new(table: &'static str, keys: [Column; K], sets: [Column; S]) -> Update<K, S> {
        Update { table, keys, sets, texts: Texts::new() }
    }

    pub(crate) fn sqlite(&self) -> &str {
        self.texts.sqlite.get_or_init(|| {
            let sets: Vec<_> = self
                .sets
                .iter()
                .enumerate()
                .map(|(i, c)| format!("{} = ${}", c.0, i + 1))
                .collect();
            format!(
                "UPDATE {} SET {} WHERE {}",
                self.table,
                sets.join(", "),
                equals(S + 1, &self.keys)
            )
        })
    }

    pub(crate) fn postgres(&self) -> &str {
        self.texts.postgres.get_or_init(|| {
            let sets: Vec<_> =
                self.sets.iter().enumerate().map(|(i, c)| format!("{} = u.s{i}", c.0)).collect();
            format!(
                "UPDATE {} AS t SET {} FROM {} AS u({}, {}) WHERE {}",
                self.table,
                sets.join(", "),
                unnest(1, self.sets.iter().chain(self.keys.iter())),
                aliases('s', S),
                aliases('k', K),
                joined(&self.keys)
            )
        })
    }
}

impl<const K: usize> Select<K> {
    /// Declares the statement.
    pub const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        keys: [Column; K],
    ) -> Select<K> {
        Select { table, columns, keys, newest_by: None, texts: Texts::new() }
    }

    /// Of each key's rows the one with the highest `column` alone.
    pub const fn newest_by(mut self, column: &'static str) -> Select<K> {
        self.newest_by = Some(column);
        self
    }

    pub(crate) fn sqlite(&self) -> &str {
        self.texts.sqlite.get_or_init(|| {
            let columns = list(self.columns.iter().copied());
            let newest =
                self.newest_by.map_or(String::new(), |by| format!(" ORDER BY {by} DESC LIMIT 1"));
            format!("SELECT {columns} FROM {} WHERE {}{newest}", self.table, equals(1, &self.keys))
        })
    }

    pub(crate) fn postgres(&self) -> &str {
        self.texts.postgres.get_or_init(|| {
            let columns: Vec<_> = self.columns.iter().map(|c| format!("t.{c}")).collect();
            let (columns, found) = (columns.join(", "), joined(&self.keys));
            let keys = format!(
                "{} WITH ORDINALITY AS u({}, n)",
                unnest(1, self.keys.iter()),
                aliases('k', K)
            );
            match self.newest_by {
                None => format!(
                    "SELECT {columns} FROM {keys} JOIN {} AS t ON {found} ORDER BY u.n",
                    self.table
                ),
                Some(by) => format!(
                    "SELECT {columns} FROM {keys}, LATERAL (SELECT * FROM {} AS t WHERE {found} \
                     ORDER BY t.{by} DESC LIMIT 1) AS t ORDER BY u.n",
                    self.table
                ),
            }
        })
    }
}

impl<const K: usize> Delete<K> {
    /// Declares the statement.
    pub const fn new(table: &'static str, keys: [Column; K]) -> Delete<K> {
        Delete { table, keys, texts: Texts::new() }
    }

    pub(crate) fn sqlite(&self) -> &str {
        self.texts
            .sqlite
            .get_or_init(|| format!("DELETE FROM {} WHERE {}", self.table, equals(1, &self.keys)))
    }

    pub(crate) fn postgres(&self) -> &str {
        self.texts.postgres.get_or_init(|| {
            format!(
                "DELETE FROM {} AS t USING {} AS u({}) WHERE {}",
                self.table,
                unnest(1, self.keys.iter()),
                aliases('k', K),
                joined(&self.keys)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    //! The texts, as they are printed.
    use super::*;

    #[test]
    fn printed_once_in_both_dialects() {
        static I: Insert<2> = Insert::new(
            "t",
            [("id", Kind::Int), ("body", Kind::Blob)],
            OnConflict::Update { key: &["id"], set: &["body"] },
        );
        assert_eq!(
            I.sqlite(),
            "INSERT INTO t (id, body) VALUES ($1, $2) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        );
        assert_eq!(
            I.postgres(),
            "INSERT INTO t (id, body) SELECT * FROM unnest($1::bigint[], $2::bytea[]) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        );
        assert_eq!(I.sqlite().as_ptr(), I.sqlite().as_ptr());
        static U: Update<2, 1> =
            Update::new("t", [("id", Kind::Int), ("state", Kind::Int)], [("state", Kind::Int)]);
        assert_eq!(U.sqlite(), "UPDATE t SET state = $1 WHERE id = $2 AND state = $3");
        assert_eq!(
            U.postgres(),
            "UPDATE t AS t SET state = u.s0 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
             AS u(s0, k0, k1) WHERE t.id = u.k0 AND t.state = u.k1"
        );
    }

    #[test]
    #[should_panic(expected = "order of first use")]
    fn numbering_is_checked() {
        let _ = Sql::new("SELECT * FROM t WHERE a = $2 AND b = $1");
    }
}
