//! For files that no broker has open: what is in them, whether it is sound, and what would be done about
//! it. The program prints what is returned here.

pub mod dump;
pub mod repair;
pub mod verify;

pub use dump::{BatchRow, DumpOptions, RecordRow, Row, dump};
pub use repair::{Action, RepairOptions, Repaired, repair};
pub use verify::{Finding, Severity, verify};
