//! The format from outside: bytes by column, round trips, damage, foreign files, a foreign reader.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod bytes;
mod foreign;
mod mutations;
mod round_trip;
mod rules;
mod samples;
mod vectors;
