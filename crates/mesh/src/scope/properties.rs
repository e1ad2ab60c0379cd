//! Whatever is changed one after the other comes out as if it had been read at once.

use model::networking::{ExportTo, HttpMatch, HttpRoute, ServiceEntry, VirtualService};
use model::{Created, Key, Labels};
use proptest::prelude::*;

use super::{Scope, ScopeInputs};
use crate::builders::{
    IntoValue, With, egress, entry, external_name, only, proxy, route, service, sidecar, virtual_service,
};
use crate::{Config, Snapshot};

const NAMESPACES: [&str; 3] = ["a", "b", "istio-system"];
const HOSTS: [&str; 4] = ["s.com", "*.s.com", "x.a.svc.cluster.local", "y.b.svc.cluster.local"];

/// One object put or taken away.
#[derive(Clone, Debug)]
struct Edit {
    object: Object,
    present: bool,
}

#[derive(Clone, Debug)]
enum Object {
    Service(model::kube::Service),
    Entry(ServiceEntry),
    VirtualService(VirtualService),
    Sidecar(model::networking::Sidecar),
}

impl Object {
    fn key(&self) -> Key {
        match self {
            Self::Service(one) => one.key(),
            Self::Entry(one) => one.key(),
            Self::VirtualService(one) => one.key(),
            Self::Sidecar(one) => one.key(),
        }
    }

    fn put(self, config: Config) -> Config {
        match self {
            Self::Service(one) => config.with(one),
            Self::Entry(one) => config.with(one),
            Self::VirtualService(one) => config.with(one),
            Self::Sidecar(one) => config.with(one),
        }
    }
}

fn export_to() -> impl Strategy<Value = ExportTo> {
    let named = proptest::sample::subsequence(NAMESPACES.to_vec(), 0..3).prop_map(|names| only(&names));
    prop_oneof![3 => Just(ExportTo::Unset), 1 => Just(ExportTo::Public), 2 => named]
}

fn id(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let parts = (proptest::sample::select(&NAMESPACES[..]), proptest::sample::select(names));
    parts.prop_map(|(namespace, name)| format!("{namespace}/{name}"))
}

fn kube() -> impl Strategy<Value = Object> {
    (id(&["x", "y"]), proptest::sample::select(&HOSTS[..]), 0..4i64, 0..3u8).prop_map(
        |(id, target, created, kind)| {
            let ports: &[u16] = if kind == 1 { &[80] } else { &[80, 81] };
            let mut one = if kind == 0 { external_name(&id, target) } else { service(&id, ports) };
            one.meta.created = Created(created);
            Object::Service(one)
        },
    )
}

fn entries() -> impl Strategy<Value = Object> {
    let ports = proptest::sample::subsequence(vec![80, 81, 82], 1..3);
    (id(&["e", "f"]), proptest::sample::select(&HOSTS[..]), ports, 0..4i64, export_to()).prop_map(
        |(id, host, ports, created, export_to)| {
            let mut one = ServiceEntry { export_to, ..entry(&id, host, &ports) };
            one.meta.created = Created(created);
            Object::Entry(one)
        },
    )
}

fn virtual_services() -> impl Strategy<Value = Object> {
    let hosts = proptest::sample::select(&HOSTS[..]);
    (id(&["v", "w"]), hosts.clone(), hosts, 0..6u8, export_to()).prop_map(
        |(id, host, destination, form, export_to)| {
            let mut one = VirtualService { export_to, ..virtual_service(&id, host, &[destination]) };
            let rule = match form {
                0 => {
                    one.hosts.clear();
                    return Object::VirtualService(one);
                }
                1 => HttpRoute { delegate: Some(("w".into(), "a".into())), ..HttpRoute::default() },
                2 => {
                    let matches = vec![HttpMatch { source_namespace: "b".into(), ..HttpMatch::default() }];
                    HttpRoute { matches, ..route(destination) }
                }
                3 => route(&format!("{destination}:81")),
                _ => route(destination),
            };
            one.meta.created = Created(form.into());
            one.http = vec![rule.into()];
            Object::VirtualService(one)
        },
    )
}

fn sidecars() -> impl Strategy<Value = Object> {
    let hosts = ["*/*", "./*", "a/*", "b/x.a.svc.cluster.local", "~/s.com", "*/s.com", "istio-system/*"];
    let hosts = proptest::sample::subsequence(hosts.to_vec(), 1..4);
    let port = proptest::sample::select(&[0u16, 0, 81][..]);
    (id(&["s", "t"]), hosts, port, 0..4i64).prop_map(|(id, hosts, port, created)| {
        let mut one = sidecar(&id, &[]);
        one.egress = vec![egress(port, &hosts)];
        one.meta.created = Created(created);
        Object::Sidecar(one)
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let object = prop_oneof![3 => kube(), 3 => entries(), 3 => virtual_services(), 1 => sidecars()];
    let edit = (object, prop::bool::weighted(0.75)).prop_map(|(object, present)| Edit { object, present });
    prop::collection::vec(edit, 1..40)
}

fn applied(config: Config, edit: &Edit) -> Config {
    if edit.present { edit.object.clone().put(config) } else { config.without(&edit.object.key()) }
}

fn inputs(snapshot: &Snapshot, namespace: &str) -> ScopeInputs {
    ScopeInputs::of(snapshot, &proxy(namespace), &Labels::default())
}

/// All that is derived, by content.
fn told(snapshot: &Snapshot) -> String {
    let scopes = NAMESPACES.map(|namespace| Scope::new(&inputs(snapshot, namespace)));
    format!("{:#?}", (&snapshot.services, &snapshot.routes, &snapshot.sidecars, scopes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_by_one_is_all_at_once_in_any_order(edits in edits(), batch in 1..4usize) {
        let mut patched = Snapshot::default();
        for edits in edits.chunks(batch) {
            patched = patched.next(edits.iter().fold(patched.config.clone(), applied));
        }
        let mut latest: Vec<&Edit> = Vec::new();
        for edit in edits.iter().rev() {
            if latest.iter().all(|known| known.object.key() != edit.object.key()) {
                latest.push(edit);
            }
        }
        let fresh = Snapshot::default().next(latest.into_iter().fold(Config::default(), applied));
        prop_assert_eq!(told(&patched), told(&fresh));
    }

    #[test]
    fn the_shared_scope_is_that_of_the_namespace(edits in edits()) {
        let snapshot = Snapshot::default().next(edits.iter().fold(Config::default(), applied));
        for namespace in ["a", "b", "c"] {
            let inputs = inputs(&snapshot, namespace);
            let own = Scope::new(&ScopeInputs { namespace: namespace.into(), ..inputs.clone() });
            let shared = Scope::new(&inputs);
            prop_assert_eq!(Scope { namespace: own.namespace.clone(), ..shared }, own);
        }
    }

    #[test]
    fn an_edit_undone_is_no_change(edits in edits(), last in edits()) {
        let before = Snapshot::default().next(edits.iter().fold(Config::default(), applied));
        let again = before.next(before.config.clone());
        prop_assert!(again.services == before.services);
        prop_assert!(again.routes == before.routes);
        prop_assert!(again.sidecars == before.sidecars);
        let there = before.next(last.iter().fold(before.config.clone(), applied));
        let back = there.next(before.config.clone());
        prop_assert_eq!(told(&back), told(&before));
    }
}
