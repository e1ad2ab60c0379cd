//! How change travels: values compared by identity, tables that know what differs, derived values
//! that run again only when an input is another one.
//!
//! ```text
//!   Table::put -> same handle if equal -> Table::changed(before) -> derived Table patched
//!   Memo::get(key)       many derived values, held weakly
//!   Memo::share(key)     more keys that lead to a value made elsewhere
//! ```
//!
//! There is no invalidation here and no event: an equal value ends the work.

mod memo;
mod shared;
mod table;

pub use memo::{Counts, Memo};
pub use shared::Shared;
pub use table::Table;
