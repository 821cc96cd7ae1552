//! NACHA files, the format in which ACH entries travel: bytes in, a typed file or all errors out,
//! and back. No clock, no I/O, no state.
//!
//! # The map
//!
//! - [`parse`] reads a [`File`]; [`File::write`] writes it. What is checked when reading is checked
//!   when writing, so a file that was written can be read; the same value gives the same bytes.
//! - One file a record: [`FileHeader`] (1), [`BatchHeader`] (5), [`Entry`] (6), [`Addenda`] (7). The
//!   controls (8 and 9) hold only sums, so they are no values: [`Totals`] has what they say.
//! - Values: [`Amount`], [`Date`], [`Time`], [`TransactionCode`], [`ServiceClass`], [`Sec`],
//!   [`FileModifier`]; [`routing::RoutingNumber`], [`routing::Dfi`], [`Trace`].
//! - Codes with what they mean: [`ReturnCode`] (R01 and on), [`ChangeCode`] (C01 and on) with the
//!   [`Correction`] that a notification of change carries.
//! - [`text`]: which characters a field may have, and how a name is folded into them.
//!
//! # What a reader accepts
//!
//! 94 characters a record, ASCII. LF or CRLF or no line ends at all; a missing last line end, missing
//! lines of 9s, blank lines, blanks after column 94, and a line that lacks blanks at its end are
//! accepted. The block count is not compared: it says how the lines were padded, nothing of money,
//! and files with a wrong one are in circulation. All other counts and sums are.
//!
//! SEC codes PPD, CCD, WEB and COR are read and written, and returns of them. A batch of another SEC
//! code is refused by name; the records of the rest of the file are still checked.
//!
//! # Limits
//!
//! 64 MiB a file; 10,000 errors are told of one file, then a last one says that there are more.

mod addenda;
mod amount;
mod batch;
mod change;
mod code;
mod date;
mod entry;
mod error;
mod header;
mod read;
mod record;
mod returns;
pub mod routing;
mod rules;
pub mod text;
mod totals;
mod trace;
mod write;

pub use addenda::{Addenda, Change, Return};
pub use amount::Amount;
pub use batch::{Batch, BatchHeader};
pub use change::{ChangeCode, Correction, InvalidCorrection};
pub use code::{AccountKind, Direction, OriginatorStatus, Purpose, Sec, ServiceClass};
pub use code::{TransactionCode, same_day};
pub use date::{Date, Time};
pub use entry::Entry;
pub use error::{Code, Error};
pub use header::{FileHeader, FileModifier};
pub use read::parse;
pub use returns::{ReturnCode, ReturnKind, ReturnWindow};
pub use totals::Totals;
pub use trace::Trace;

/// Most bytes that a file may have, in either direction.
pub const MAX_BYTES: usize = 64 << 20;
/// Characters of a record.
pub const RECORD_LENGTH: usize = 94;
/// Records of a block: a file is filled up with lines of 9s to a whole number of them.
pub const BLOCKING_FACTOR: usize = 10;

/// A file: a header, batches, and a control that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Record 1.
    pub header: FileHeader,
    /// Records 5 to 8, at least one batch; their numbers ascend.
    pub batches: Vec<Batch>,
}
