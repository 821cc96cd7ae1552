//! PostgreSQL: one connection with its prepared statements, and how values get into arrays.

use crate::error::is_connection_loss;
use crate::{Error, Result, Value, schemas, tls};
use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Statement};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

type Prepared = HashMap<String, Statement, BuildHasherDefault<DefaultHasher>>;

/// One connection.
pub(crate) struct Pg {
    client: Client,
    prepared: Prepared,
    server: String,
}

/// The identifier of the cluster, its timeline (another one after each recovery and promotion), and
/// the database.
const SERVER: &str = "SELECT (SELECT system_identifier FROM pg_control_system())::text \
     || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) \
     || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())::text";

/// A server that is silently gone (no power, packets that are dropped) is noticed within half a minute,
/// where the URL does not say otherwise. The system's own limit is hours, for which all writes would
/// hang.
fn bound_silence(config: &mut postgres::Config) {
    let unset = postgres::Config::new();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(20));
    }
    if config.get_keepalives_idle() == unset.get_keepalives_idle() {
        config.keepalives_idle(Duration::from_secs(10));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(5));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
}

/// Which server this is; empty where it does not tell: a standby, or another engine that speaks
/// PostgreSQL's protocol.
fn server(client: &mut Client) -> Result<String> {
    match client.query_one(SERVER, &[]) {
        Ok(row) => Ok(row.try_get(0)?),
        Err(error) if error.as_db_error().is_some() => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

impl Pg {
    /// Connects; a `search_path` goes into the URL as `?options=-c%20search_path%3Dname`.
    ///
    /// The writer's statements are batches that find each row by its key: a plan that reads a whole
    /// table, made while that was empty and kept, would be a trap.
    pub(crate) fn connect(url: &str, writer: bool) -> Result<Pg> {
        let (url, wish) = tls::take_out(url)?;
        let mut config: postgres::Config = url.parse()?;
        if config.get_application_name().is_none() {
            config.application_name("switchyard");
        }
        bound_silence(&mut config);
        let mut client = tls::connect(config, &wish)?;
        // An answered request is durable, whatever the server's default is.
        client.batch_execute(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        )?;
        client.batch_execute("SET jit = off")?;
        if writer {
            client.batch_execute(
                "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
            )?;
            // One that is stopped in the middle must not keep other processes from their rows.
            client.batch_execute(
                "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '20s';
                 SET statement_timeout = '60s'",
            )?;
        } else {
            client.batch_execute("SET default_transaction_read_only = on")?;
        }
        let server = server(&mut client)?;
        let mut pg = Pg { client, prepared: Prepared::default(), server };
        schemas::find(&mut pg)?;
        Ok(pg)
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn simple(&mut self, text: &str) -> Result<()> {
        Ok(self.client.batch_execute(text)?)
    }

    /// COMMIT; a connection lost on the way leaves the outcome unknown.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.client.batch_execute("COMMIT").map_err(|e| {
            let going_down = e.code().is_some_and(|code| code.code().starts_with("57P"));
            if is_connection_loss(&e) || going_down || self.client.is_closed() {
                Error::CommitUnknown(e.to_string())
            } else {
                e.into()
            }
        })
    }

    fn statement(&mut self, text: &str) -> Result<Statement> {
        if let Some(statement) = self.prepared.get(text) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(text)?;
        self.prepared.insert(text.into(), statement.clone());
        Ok(statement)
    }

    pub(crate) fn execute(&mut self, text: &str, values: &[Value<'_>]) -> Result<u64> {
        let statement = self.statement(text)?;
        let elements = elements(values);
        Ok(self.client.execute(&statement, &parameters(&elements))?)
    }

    pub(crate) fn query(&mut self, text: &str, values: &[Value<'_>]) -> Result<Vec<postgres::Row>> {
        let statement = self.statement(text)?;
        let elements = elements(values);
        Ok(self.client.query(&statement, &parameters(&elements))?)
    }

    /// A statement whose text is made on the way: prepared for this one use.
    pub(crate) fn query_once(
        &mut self,
        text: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<postgres::Row>> {
        let elements = elements(values);
        Ok(self.client.query(text, &parameters(&elements))?)
    }

    /// A batch: one array per column.
    pub(crate) fn execute_arrays(
        &mut self,
        text: &str,
        arrays: &[Vec<Element<'_>>],
    ) -> Result<u64> {
        let statement = self.statement(text)?;
        Ok(self.client.execute(&statement, &parameters(arrays))?)
    }

    pub(crate) fn query_arrays(
        &mut self,
        text: &str,
        arrays: &[Vec<Element<'_>>],
    ) -> Result<Vec<postgres::Row>> {
        let statement = self.statement(text)?;
        Ok(self.client.query(&statement, &parameters(arrays))?)
    }
}

/// A value as PostgreSQL's driver takes it, alone or as an element of an array.
#[derive(Debug)]
pub(crate) struct Element<'v>(pub(crate) Value<'v>);

fn elements<'v>(values: &[Value<'v>]) -> Vec<Element<'v>> {
    values.iter().map(|v| Element(*v)).collect()
}

fn parameters<T: ToSql + Sync>(values: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|v| v as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Element<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (&self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(v), &Type::INT8) => v.to_sql(ty, out),
            (Value::Int(v), &Type::INT4) => i32::try_from(*v)?.to_sql(ty, out),
            (Value::Int(v), &Type::INT2) => i16::try_from(*v)?.to_sql(ty, out),
            (Value::Int(v), &Type::BOOL) => (*v != 0).to_sql(ty, out),
            (Value::Text(v), &Type::TEXT | &Type::VARCHAR | &Type::NAME) => v.to_sql(ty, out),
            (Value::Blob(v), &Type::BYTEA) => v.to_sql(ty, out),
            (Value::Bytes16(v), &Type::BYTEA) => v.as_slice().to_sql(ty, out),
            (v, ty) => Err(format!("{} where PostgreSQL takes {ty}", v.kind_name()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_bounded_unless_the_url_says_otherwise() {
        let limits = |url: &str| {
            let mut config: postgres::Config = url.parse().unwrap();
            bound_silence(&mut config);
            let all = [
                config.get_connect_timeout().copied(),
                config.get_tcp_user_timeout().copied(),
                Some(config.get_keepalives_idle()),
                config.get_keepalives_interval(),
            ];
            (all.map(|limit| limit.unwrap().as_secs()), config.get_keepalives_retries())
        };
        assert_eq!(limits("postgres://h/d"), ([10, 20, 10, 5], Some(3)));
        let own = "postgres://h/d?connect_timeout=1&tcp_user_timeout=2&keepalives_idle=3\
                   &keepalives_interval=4&keepalives_retries=5";
        assert_eq!(limits(own), ([1, 2, 3, 4], Some(5)));
    }
}
