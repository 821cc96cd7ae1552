//! Corruption.
