//! Which hosts are other names (ExternalName services) of which, through any number of steps.

use std::collections::BTreeSet;

use memo::Table;
use model::{Host, Text};

/// Where each alias leads, and by which aliases each concrete host is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aliases {
    /// Alias → the host that it names, and the alias' own namespace.
    leads: Table<Host, Link>,
    /// Host → the aliases that name it directly, as (namespace, host).
    named_by: Table<Host, BTreeSet<(Text, Host)>>,
    /// Concrete host → all its aliases by namespace, then host.
    of: Table<Host, Vec<Host>>,
}

/// An alias: what it names, and the namespace that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) target: Host,
    pub(super) namespace: Text,
}

impl Aliases {
    /// All aliases of a concrete host.
    pub(super) fn of(&self, host: &Host) -> &[Host] {
        self.of.get(host).map_or(&[], |list| list.as_slice())
    }

    /// Makes a host an alias, another one, or none.
    pub(super) fn set(&mut self, host: &Host, link: Option<Link>) {
        let old = self.leads.get(host).map(|old| (**old).clone());
        if old == link {
            return;
        }
        let mut ends: BTreeSet<Host> = BTreeSet::from([host.clone()]);
        ends.extend(self.end(host));
        if let Some(old) = &old {
            self.named_by.edit(&old.target, |names| names.remove(&(old.namespace.clone(), host.clone())));
        }
        if let Some(link) = &link {
            self.named_by.edit(&link.target, |names| names.insert((link.namespace.clone(), host.clone())));
        }
        self.leads.set(host.clone(), link);
        ends.extend(self.end(host));
        for end in ends {
            let aliases = self.aliases_of(&end);
            self.of.set(end, Some(aliases).filter(|list| !list.is_empty()));
        }
    }

    /// The concrete host at the end of the way; none if the way is a circle.
    fn end(&self, host: &Host) -> Option<Host> {
        let mut seen = BTreeSet::new();
        let mut at = host.clone();
        while let Some(link) = self.leads.get(&at) {
            if !seen.insert(at) {
                return None;
            }
            at = link.target.clone();
        }
        Some(at)
    }

    fn aliases_of(&self, concrete: &Host) -> Vec<Host> {
        let mut found = BTreeSet::new();
        let mut open = vec![concrete.clone()];
        if self.leads.get(concrete).is_some() {
            open.clear();
        }
        while let Some(host) = open.pop() {
            let names = self.named_by.get(&host).into_iter().flat_map(|names| names.iter());
            for name in names {
                open.push(name.1.clone());
                found.insert(name.clone());
            }
        }
        found.into_iter().map(|(_, host)| host).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(links: &[(&str, &str)]) -> Aliases {
        let mut aliases = Aliases::default();
        for (host, target) in links {
            let link =
                (!target.is_empty()).then(|| Link { target: Host::new(target), namespace: "default".into() });
            aliases.set(&Host::new(host), link);
        }
        aliases
    }

    fn check(links: &[(&str, &str)], host: &str, expected: &[&str]) {
        let aliases = aliases(links);
        let of: Vec<&str> = aliases.of(&Host::new(host)).iter().map(Host::as_str).collect();
        assert_eq!(of, expected, "{links:?}");
    }

    #[test]
    fn ways_end_at_a_concrete_host_and_circles_nowhere() {
        check(&[("b", "c"), ("a", "c")], "c", &["a", "b"]);
        check(&[("a", "b"), ("b", "c")], "c", &["a", "b"]);
        check(&[("a", "b"), ("b", "c")], "b", &[]);
        check(&[("a", "b"), ("b", "a"), ("x", "a")], "a", &[]);
        check(&[("a", "b"), ("b", "a"), ("b", "c")], "c", &["a", "b"]);
        check(&[("a", "b"), ("b", "c"), ("b", "")], "b", &["a"]);
        check(&[("a", "b"), ("b", "c"), ("b", "")], "c", &[]);
        check(&[("a", "a")], "a", &[]);
    }

    #[test]
    fn the_way_there_leaves_no_trace() {
        let there_and_back = aliases(&[("a", "b"), ("b", "c"), ("b", ""), ("a", "")]);
        assert_eq!(there_and_back, Aliases::default());
    }
}
