//! The mutations, each with the narrowest tests that must notice.

/// One argument taken away.
pub(super) struct Mutation {
    /// What is not looked at any more.
    pub(super) name: &'static str,
    /// The file, from the root.
    pub(super) file: &'static str,
    /// What stands there, just once.
    pub(super) from: &'static str,
    /// What takes its place.
    pub(super) to: &'static str,
    /// Who must notice.
    pub(super) tests: Tests,
}

/// Some tests of a package.
#[derive(PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) package: &'static str,
    /// Which target, as cargo takes it.
    pub(super) target: &'static [&'static str],
    /// Which of its tests, as the test program takes it.
    pub(super) filter: &'static [&'static str],
}

/// Edits compared with a fresh start, over the whole way.
const EDITS: Tests = properties(&["sequences::edits"]);
/// Facts of proxies that must tell their sets apart.
const FACTS: Tests = properties(&["facts::"]);

const fn properties(filter: &'static [&'static str]) -> Tests {
    Tests { package: "pilothouse", target: &["--test", "properties"], filter }
}

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "endpoints: workloads",
        file: "crates/mesh/src/endpoints.rs",
        from: "for key in now.workloads.changed(was.workloads) {",
        to: "for key in was.workloads.changed(was.workloads) {",
        tests: EDITS,
    },
    Mutation {
        name: "routes: who delegates to what has changed",
        file: "crates/mesh/src/routes.rs",
        from: "        keys.extend(referrers);\n",
        to: "        drop(referrers);\n",
        tests: EDITS,
    },
    Mutation {
        name: "authentication: the root namespace",
        file: "crates/mesh/src/authn.rs",
        from: "if was.mesh.root_namespace == *root && was.peer_authentications",
        to: "if was.peer_authentications",
        tests: EDITS,
    },
    Mutation {
        name: "services: the mesh's defaults",
        file: "crates/mesh/src/services.rs",
        from: "if facts(was) != facts(now) {",
        to: "if facts(now) != facts(now) {",
        tests: EDITS,
    },
    Mutation {
        name: "only endpoints differ: routes",
        file: "crates/mesh/src/snapshot.rs",
        from: "            && self.routes == before.routes\n",
        to: "",
        tests: EDITS,
    },
    Mutation {
        name: "endpoint sets: all but the endpoints",
        file: "crates/push/src/planner.rs",
        from: "Some((old, set)) if old.fixed == inputs.fixed => patch",
        to: "Some((old, set)) => patch",
        tests: EDITS,
    },
    Mutation {
        name: "route sets: their inputs",
        file: "crates/push/src/route_sets.rs",
        from: "if entry.inputs != *inputs {",
        to: "if entry.names.is_empty() {",
        tests: EDITS,
    },
    Mutation {
        name: "route profile: source labels",
        file: "crates/mesh/src/profiles.rs",
        from: "            headers: member.config.headers.clone(),\n            source_labels: member.source_labels(),",
        to: "            headers: member.config.headers.clone(),\n            source_labels: Labels::default(),",
        tests: FACTS,
    },
    Mutation {
        name: "endpoint profile: failover labels",
        file: "crates/mesh/src/profiles.rs",
        from: "failover_labels: member.failover_labels(),",
        to: "failover_labels: Labels::default(),",
        tests: FACTS,
    },
    Mutation {
        name: "scope: labels that rules select",
        file: "crates/mesh/src/scope.rs",
        from: "rule_labels: snapshot.rules.selector_labels(namespace, labels),",
        to: "rule_labels: Labels::default(),",
        tests: FACTS,
    },
];
