//! Values of a statement that was built at run time.

use crate::{Error, Result, Value};
use sea_query::Value as Built;

/// A value of the builder as ours, borrowed.
pub(crate) fn value(built: &Built) -> Result<Value<'_>> {
    Ok(match built {
        Built::Bool(v) => (*v).into(),
        Built::TinyInt(v) => v.map(i64::from).into(),
        Built::SmallInt(v) => v.map(i64::from).into(),
        Built::Int(v) => (*v).into(),
        Built::BigInt(v) => (*v).into(),
        Built::TinyUnsigned(v) => (*v).into(),
        Built::SmallUnsigned(v) => (*v).into(),
        Built::Unsigned(v) => (*v).into(),
        Built::BigUnsigned(v) => match v {
            None => Value::Null,
            Some(v) => Value::Int(
                i64::try_from(*v).map_err(|_| Error::Other(format!("{v} is above BIGINT")))?,
            ),
        },
        Built::String(v) => v.as_deref().into(),
        Built::Bytes(v) => v.as_deref().into(),
        other => return Err(Error::Other(format!("{other:?} is not BIGINT, TEXT or BYTEA"))),
    })
}
