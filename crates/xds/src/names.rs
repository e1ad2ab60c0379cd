//! One copy of each name that clients ask for, however many ask.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use envoy_api::Name;

/// Size at which names that nobody holds any more are looked for the first time.
const FIRST_SWEEP: usize = 1024;

/// The names in use; shared by all streams of a server.
#[derive(Debug, Default)]
pub struct Names(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    names: HashSet<Name>,
    sweep_at: usize,
}

impl Names {
    /// The one shared copy of this name.
    pub fn intern(&self, name: &str) -> Name {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.names.get(name) {
            return Name::clone(known);
        }
        if table.names.len() >= table.sweep_at.max(FIRST_SWEEP) {
            table.names.retain(|name| Arc::strong_count(name) > 1);
            table.sweep_at = table.names.len() * 2;
            let kept = table.names.len();
            table.names.shrink_to(kept * 2);
        }
        let name: Name = name.into();
        table.names.insert(Name::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_only_while_in_use() {
        let names = Names::default();
        let kept = names.intern("kept");
        for at in 0..10 * FIRST_SWEEP {
            names.intern(&at.to_string());
        }
        assert!(Arc::ptr_eq(&kept, &names.intern("kept")));
        assert!(names.0.lock().unwrap().names.len() <= FIRST_SWEEP + 1);
    }
}
