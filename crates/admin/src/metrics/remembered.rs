//! What was counted for the last exposition: whatever hangs on the snapshot alone is counted once for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::mesh::Snapshot;
use model::Proxy;

use super::families::Families;
use super::proxies::Served;
use super::{clusters, mesh};

/// What was counted, and of which snapshot.
#[derive(Default)]
pub(crate) struct Remembered {
    mesh: Mutex<Option<(u64, Arc<Families>)>>,
    proxies: Mutex<BTreeMap<Arc<str>, Counted>>,
}

/// What was counted of one connection.
pub(super) struct Counted {
    /// As it announced itself, which stays.
    pub(super) proxy: Proxy,
    pub(super) generation: u64,
    pub(super) served: Served,
}

impl Remembered {
    /// The metrics of the mesh, which are counted if this snapshot is another one than before.
    pub(super) fn of_mesh(&self, snapshot: &Snapshot) -> Arc<Families> {
        let mut known = self.mesh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, families)) = known.as_ref().filter(|(of, _)| *of == snapshot.generation) {
            return Arc::clone(families);
        }
        let mut families = Families::default();
        mesh::of_snapshot(snapshot, &mut families);
        clusters::collect(snapshot, &mut families);
        let families = Arc::new(families);
        *known = Some((snapshot.generation, Arc::clone(&families)));
        families
    }

    /// Works on what was counted of connections, alone.
    pub(super) fn of_proxies<T>(&self, work: impl FnOnce(&mut BTreeMap<Arc<str>, Counted>) -> T) -> T {
        work(&mut self.proxies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mesh_is_counted_once_for_each_snapshot() {
        let (remembered, first) = (Remembered::default(), Snapshot::default());
        let counted = remembered.of_mesh(&first);
        assert!(Arc::ptr_eq(&counted, &remembered.of_mesh(&first)));
        let next = first.next(first.config.clone());
        assert!(!Arc::ptr_eq(&counted, &remembered.of_mesh(&next)));
    }
}
