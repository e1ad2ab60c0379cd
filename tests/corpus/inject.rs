//! Injection as the judge of family `inject` asks for it.

use std::sync::Arc;

use serde_json::Value;
use testkit::family::inject::{Inject, Setup};
use webhook::{Configuration, Injector, Mesh, NativeSidecars, Settings, Surroundings, Values, offline};

/// The webhook's own functions, in process.
pub(crate) struct Injection;

impl Inject for Injection {
    fn file(&self, setup: &Setup, input: &str) -> Result<(String, Vec<String>), String> {
        let mut injector = injector(setup)?;
        injector.configuration = Arc::new(Configuration::clone(&injector.configuration).offline());
        let output = offline::inject_text(&injector, input).map_err(|error| error.to_string())?;
        Ok((output.text, output.warnings))
    }

    fn review(&self, setup: &Setup, review: &Value) -> Result<Value, String> {
        let (answer, _) = injector(setup)?.review("/inject", review.to_string().as_bytes());
        serde_json::from_str(&answer).map_err(|error| error.to_string())
    }
}

fn injector(setup: &Setup) -> Result<Injector, String> {
    let wrong = |error: webhook::Error| error.to_string();
    let variable = |name: &str| setup.env.get(name).map_or("", String::as_str);
    let nodes = setup.nodes.iter().enumerate().map(|(at, version)| (format!("node-{at}"), version.clone()));
    Ok(Injector {
        configuration: Arc::new(Configuration::parse(&setup.config).map_err(wrong)?),
        values: Arc::new(Values::parse(&setup.values).map_err(wrong)?),
        mesh: Arc::new(Mesh::parse([setup.mesh.as_str()]).map_err(wrong)?),
        around: Arc::new(Surroundings {
            nodes: nodes.collect(),
            namespaces: setup.namespaces.clone(),
            proxy_configs: Vec::new(),
        }),
        settings: Arc::new(Settings {
            revision: setup.revision.clone(),
            native_sidecars: NativeSidecars::parse(variable("ENABLE_NATIVE_SIDECARS")),
            openshift: variable("PLATFORM") == "openshift",
            compliance_policy: variable("COMPLIANCE_POLICY").to_owned(),
        }),
        environment: Arc::new(setup.env.clone()),
    })
}
