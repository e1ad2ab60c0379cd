//! What a change was of, for the log.

use std::fmt;

use model::Key;

use crate::engine::is_of_endpoints;

/// How many objects are named.
const NAMED: usize = 4;

/// Objects that are others than before.
#[derive(Default)]
pub(crate) struct Touched {
    changed: usize,
    removed: usize,
    /// The first of them.
    names: Vec<String>,
    /// Whether they are configuration, which people change; endpoints come and go by themselves.
    is_configuration: bool,
}

impl Touched {
    pub(crate) fn note(&mut self, key: &Key, is_gone: bool) {
        self.is_configuration |= !is_of_endpoints(key.kind);
        self.changed += usize::from(!is_gone);
        self.removed += usize::from(is_gone);
        if self.names.len() < NAMED {
            self.names.push(key.to_string());
        }
    }

    /// One line for a change of configuration; the first state is told by who reads it.
    pub(crate) fn tell(&self, is_first: bool) {
        if self.is_configuration && !is_first {
            tracing::info!("{self}");
        }
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, removed, names, .. } = self;
        let more = if changed + removed > names.len() { ", ..." } else { "" };
        write!(f, "{changed} objects changed, {removed} removed: {}{more}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use model::Kind;

    use super::*;

    #[test]
    fn the_first_names_are_told() {
        let mut touched = Touched::default();
        for at in 0..6 {
            let [namespace, name] = ["a".into(), format!("{at}").as_str().into()];
            let key = Key { cluster: "c".into(), kind: Kind::Service, namespace, name };
            touched.note(&key, at == 0);
        }
        let told = "5 objects changed, 1 removed: Service a/0, Service a/1, Service a/2, Service a/3, ...";
        assert_eq!(touched.to_string(), told);
    }
}
