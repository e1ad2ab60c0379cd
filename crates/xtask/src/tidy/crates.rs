//! Our crates from the bottom up and what each may import: the tables of docs/architecture.md, section 2, as data.

/// One crate of ours.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// No async, I/O, clock, environment, threads, logging, randomness.
    pub(super) is_pure: bool,
    /// Crates of ours that it may import.
    pub(super) may_import: &'static [&'static str],
}

const fn pure(name: &'static str, may_import: &'static [&'static str]) -> Rule {
    Rule { name, is_pure: true, may_import }
}

const fn rim(name: &'static str, may_import: &'static [&'static str]) -> Rule {
    Rule { name, is_pure: false, may_import }
}

/// A crate that is not listed here may not exist.
pub(super) const CRATES: &[Rule] = &[
    pure("istio-api", &[]),
    pure("envoy-api", &[]),
    pure("memo", &[]),
    pure("model", &["istio-api"]),
    pure("gateway", &["model", "istio-api"]),
    pure("mesh", &["model", "memo", "gateway"]),
    pure("translate", &["mesh", "model", "memo", "envoy-api"]),
    pure("ambient", &["mesh", "model", "memo", "envoy-api", "istio-api"]),
    rim("xds", &["envoy-api"]),
    rim("push", &["mesh", "translate", "ambient", "xds", "model", "memo", "envoy-api"]),
    rim("sources", &["model", "gateway", "istio-api"]),
    rim("identity", &["model", "istio-api"]),
    rim("webhook", &["mesh", "model", "gateway", "istio-api"]),
    rim("controllers", &["mesh", "model", "gateway", "istio-api"]),
    rim("admin", &["mesh", "push", "xds", "model", "envoy-api"]),
    rim("pilothouse", PRODUCT),
    rim("testkit", &[]),
    rim("xtask", &[]),
];

/// Whatever goes into the binary.
const PRODUCT: &[&str] = &[
    "istio-api",
    "envoy-api",
    "memo",
    "model",
    "gateway",
    "mesh",
    "translate",
    "ambient",
    "xds",
    "push",
    "sources",
    "identity",
    "webhook",
    "controllers",
    "admin",
];

/// Crates that help tests and chores: they import whatever they like, others may use them as dev-dependencies only.
pub(super) const TOOLS: &[&str] = &["testkit", "xtask"];

/// A crate of others and the only ones of ours that may import it.
pub(super) struct Wrapper {
    pub(super) package: &'static str,
    pub(super) only: &'static [&'static str],
    pub(super) because: &'static str,
}

const fn wrap(package: &'static str, only: &'static [&'static str], because: &'static str) -> Wrapper {
    Wrapper { package, only, because }
}

const CLUSTER: &[&str] = &["sources", "controllers", "identity", "testkit", "xtask"];
const OBJECTS: &[&str] =
    &["model", "gateway", "sources", "identity", "webhook", "controllers", "testkit", "xtask"];
const OUTER: &[&str] = &["pilothouse", "xtask"];
const FLAGS: &[&str] = &["pilothouse", "testkit", "xtask"];

/// Who may import what of others. Pure crates import nothing of [`IMPURE`] either.
pub(super) const WRAPPERS: &[Wrapper] = &[
    wrap("envoy-types", &["envoy-api"], "Envoy's types are generated in one place"),
    wrap("kube", CLUSTER, "only sources, controllers and identity talk to a cluster"),
    wrap("k8s-openapi", OBJECTS, "API objects end in model and gateway"),
    wrap("clap", FLAGS, "only the binaries read flags; the corpora's are a program too"),
    wrap("clap_complete", &["pilothouse"], "only the binary has words to complete"),
    wrap("anyhow", OUTER, "libraries have one thiserror enum each"),
    wrap("mimalloc", OUTER, "the allocator is the binary's choice"),
    wrap("tracing-subscriber", OUTER, "where log lines go is the binary's choice"),
    wrap("notify", &["sources"], "file watches are a source"),
];

/// What would bring async, I/O, a clock, logging or randomness into a pure crate.
pub(super) const IMPURE: &[&str] = &[
    "arc-swap",
    "async-trait",
    "axum",
    "chrono",
    "dashmap",
    "futures",
    "getrandom",
    "http-body-util",
    "hyper",
    "hyper-util",
    "kube",
    "log",
    "notify",
    "rand",
    "rcgen",
    "reqwest",
    "rustls",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tonic-health",
    "tonic-reflection",
    "tower",
    "tower-http",
    "tracing",
    "uuid",
];

/// Crates of others that may be in the tree once only: two would mean two of everything built on them.
pub(super) const SINGLE: &[&str] =
    &["bytes", "http", "hyper", "k8s-openapi", "kube", "prost", "rustls", "serde", "tokio", "tonic", "tower"];

/// Licences that what we ship may carry. MPL's terms reach only its own files, which we use unchanged; an expression passes if each of its `AND` parts has one of them.
pub(super) const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MPL-2.0+",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// The rule of one crate.
pub(super) fn rule(name: &str) -> Option<&'static Rule> {
    CRATES.iter().find(|rule| rule.name == name)
}

/// Whether a crate of ours must stay pure.
pub(super) fn is_pure(name: &str) -> bool {
    rule(name).is_some_and(|rule| rule.is_pure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down() {
        for (place, rule) in CRATES.iter().enumerate() {
            for import in rule.may_import {
                let below = CRATES.iter().position(|other| other.name == *import).unwrap();
                assert!(below < place, "{} may import {import}, which stands above it", rule.name);
            }
        }
    }

    #[test]
    fn pure_crates_import_pure_crates() {
        for rule in CRATES.iter().filter(|rule| rule.is_pure) {
            assert!(rule.may_import.iter().all(|import| is_pure(import)), "{}", rule.name);
        }
    }
}
