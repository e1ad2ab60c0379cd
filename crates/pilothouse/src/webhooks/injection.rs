//! What injects, made anew from what changed: configuration and values, the mesh, what is known of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Error, anyhow};
use memo::Table;
use mesh::Snapshot;
use model::proxy_config::ProxyConfigObject;
use model::{Change, Key, Kind, Origin, Problem, Severity, Text, kube};
use push::{Command, Handle};
use sources::kube::ConfigMap;
use tokio::sync::watch;
use webhook::{Configuration, Environment, Injector, Mesh, Settings, Surroundings, Values};

use super::source::{CONFIG, VALUES};
use crate::telling::Reports;

/// How the configuration of injection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Whether it is known what it says, even if that is nothing.
    pub(super) is_known: bool,
    /// What is wrong with it, and what holds instead.
    pub(super) problem: Option<Problem>,
}

impl Told {
    /// Whether what it says now cannot be used.
    pub(super) fn is_refused(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.severity == Severity::Error)
    }
}

/// Makes injectors.
pub(super) struct Maker {
    /// Stands for the configuration in messages; its name is the place.
    key: Key,
    settings: Arc<Settings>,
    environment: Environment,
    configured: Option<(Arc<Configuration>, Arc<Values>)>,
    mesh: Arc<Mesh>,
    around: Arc<Surroundings>,
    seen: Option<Seen>,
}

/// What an injector was made from; handles.
#[derive(Clone)]
struct Seen {
    mesh: Option<Arc<Origin>>,
    nodes: Table<Key, kube::Node>,
    namespaces: Table<Key, kube::Namespace>,
    proxy_configs: Table<Key, ProxyConfigObject>,
}

impl Maker {
    /// With nothing read yet.
    ///
    /// # Errors
    /// Never: the built-in MeshConfig can be used.
    pub(super) fn new(
        place: &str,
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, webhook::Error> {
        let (cluster, namespace) = Default::default();
        Ok(Self {
            key: Key { cluster, kind: Kind::File, namespace, name: place.into() },
            settings: Arc::new(settings),
            environment,
            configured: None,
            mesh: Arc::new(Mesh::parse([])?),
            around: Arc::default(),
            seen: None,
        })
    }

    /// Takes what is configured, or says why it cannot be used; then what was configured before stays.
    fn configure(&mut self, found: &ConfigMap) -> Told {
        let problem = match found {
            ConfigMap::Unknown => return Told::default(),
            ConfigMap::Missing => Some(Problem::warning(&self.key, "no-injection", "", "there is none")),
            ConfigMap::Data(texts) => match parsed(texts) {
                Ok(configured) => {
                    self.configured = Some(configured);
                    None
                }
                Err(cause) => Some(Problem::error(&self.key, "injection-unusable", "", cause)),
            },
        };
        let holds = match &self.configured {
            Some(_) => "what it said before holds",
            None => "no pod can be injected",
        };
        Told { is_known: true, problem: problem.map(|problem| problem.with_outcome(holds)) }
    }

    /// What is wrong with the configuration as everything that is wrong with files comes.
    fn change(&self, told: &Told) -> Change {
        let origin = Origin { file: self.key.name.clone(), ..Origin::default() };
        let problems = told.problem.iter().cloned().collect();
        Change { key: self.key.clone(), value: None, origin: Arc::new(origin), problems }
    }

    /// Takes what is known of mesh and cluster; whether anything of it is another thing than before.
    fn see(&mut self, snapshot: &Snapshot) -> bool {
        let config = &snapshot.config;
        let key = Key {
            cluster: config.settings.cluster.clone(),
            kind: Kind::MeshConfig,
            namespace: Text::default(),
            name: "mesh".into(),
        };
        let now = Seen {
            mesh: config.origins.get(&key).map(|record| Arc::clone(&record.origin)),
            nodes: config.nodes.clone(),
            namespaces: config.namespaces.clone(),
            proxy_configs: config.proxy_configs.clone(),
        };
        let before = self.seen.replace(now.clone());
        let is_same_mesh = before.as_ref().is_some_and(|before| before.mesh == now.mesh);
        if !is_same_mesh {
            self.take_mesh(now.mesh.as_deref());
        }
        let is_same_around = before.as_ref().is_some_and(|before| before.is_around(&now));
        if !is_same_around {
            self.around = Arc::new(now.surroundings());
        }
        !(is_same_mesh && is_same_around)
    }

    fn take_mesh(&mut self, written: Option<&Origin>) {
        let text = written.and_then(|origin| origin.object.clone());
        match Mesh::parse(text.as_deref()) {
            Ok(mesh) => self.mesh = Arc::new(mesh),
            Err(error) => tracing::error!(%error, "pods are injected with the mesh's former configuration"),
        }
    }

    fn injector(&self) -> Option<Injector> {
        let (configuration, values) = self.configured.clone()?;
        Some(Injector {
            configuration,
            values,
            mesh: Arc::clone(&self.mesh),
            around: Arc::clone(&self.around),
            settings: Arc::clone(&self.settings),
            environment: Arc::clone(&self.environment),
        })
    }
}

/// What both texts say, or why they cannot be used.
fn parsed(texts: &BTreeMap<String, String>) -> Result<(Arc<Configuration>, Arc<Values>), String> {
    let text = |key: &str| texts.get(key).ok_or_else(|| format!("it has no key {key}"));
    let configuration = Configuration::parse(text(CONFIG)?).map_err(|error| error.to_string())?;
    let values = Values::parse(text(VALUES)?).map_err(|error| error.to_string())?;
    Ok((Arc::new(configuration), Arc::new(values)))
}

impl Seen {
    /// Whether the cluster is the same, as far as injection looks at it.
    fn is_around(&self, other: &Self) -> bool {
        self.nodes.same(&other.nodes)
            && self.namespaces.same(&other.namespaces)
            && self.proxy_configs.same(&other.proxy_configs)
    }

    fn surroundings(&self) -> Surroundings {
        let mut proxy_configs: Vec<_> = self.proxy_configs.values().collect();
        proxy_configs.sort_by(|one, other| one.meta.order().cmp(&other.meta.order()));
        let nodes = self.nodes.iter().map(|(key, node)| (key.name.to_string(), node.kubelet.to_string()));
        let namespaces = self.namespaces.iter().map(|(key, namespace)| {
            let annotations = &namespace.meta.annotations;
            let annotations = annotations.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            (key.name.to_string(), annotations.collect())
        });
        Surroundings {
            nodes: nodes.collect(),
            namespaces: namespaces.collect(),
            proxy_configs: proxy_configs.into_iter().map(|config| (**config).clone()).collect(),
        }
    }
}

/// Where injectors, and what there is to say of them, go.
pub(super) struct Out {
    pub(super) injector: watch::Sender<Option<Injector>>,
    pub(super) told: watch::Sender<Told>,
    /// Problems are the engine's to keep.
    pub(super) engine: Handle,
}

/// Makes an injector of every new state, from the mesh's first one on; answers why it ends.
pub(super) async fn follow(mut maker: Maker, mut found: watch::Receiver<ConfigMap>, out: Out) -> Error {
    let mut snapshots = out.engine.snapshots.clone();
    if snapshots.wait_for(|state| state.generation > 0).await.is_err() {
        return anyhow!("the engine has ended");
    }
    let mut reports = Reports::default();
    let mut is_new = true;
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let is_other = maker.see(&snapshot);
        drop(snapshot);
        let mut told = None;
        if is_new {
            told = Some(maker.configure(&found.borrow_and_update()));
        }
        if is_new || is_other {
            out.injector.send_replace(maker.injector());
        }
        if let Some(told) = told {
            if told.is_known && told.problem.is_none() {
                tracing::info!("pods are injected as {} says", maker.key.name);
            }
            let change = maker.change(&told);
            reports.note(&change);
            if out.told.send_replace(told.clone()) != told
                && out.engine.commands.send(Command::Changes(vec![change])).await.is_err()
            {
                return anyhow!("the engine has ended");
            }
        }
        let watched = tokio::select! {
            changed = found.changed() => {
                is_new = true;
                changed.map_err(|_| "its configuration is not watched any more")
            }
            changed = snapshots.changed() => {
                is_new = false;
                changed.map_err(|_| "the engine has ended")
            }
        };
        if let Err(why) = watched {
            return anyhow!(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh::Config;
    use model::parse::{Context, parse_object};
    use model::settings;
    use serde_json::json;

    use super::*;

    const GOOD: &str = "policy: enabled\ntemplates: {sidecar: 'spec: {}'}\n";

    fn maker() -> Maker {
        Maker::new("here", Settings::default(), Environment::default()).unwrap()
    }

    fn texts(config: &str, values: &str) -> ConfigMap {
        let data = [(CONFIG, config), (VALUES, values)];
        ConfigMap::Data(data.map(|(key, text)| (key.to_owned(), text.to_owned())).into())
    }

    fn templates(maker: &Maker) -> Vec<String> {
        maker.injector().map(|made| made.configuration.texts().keys().cloned().collect()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_used_is_told_and_what_was_there_before_stays() {
        let mut maker = maker();
        assert_eq!(maker.configure(&ConfigMap::Unknown), Told::default());
        let missing = maker.configure(&ConfigMap::Missing);
        let told = maker.change(&missing).problems[0].located("here", 0);
        assert_eq!(told, "here: there is none; no pod can be injected [no-injection]");
        assert!(!missing.is_refused() && maker.injector().is_none());
        assert!(maker.configure(&texts(GOOD, "{")).is_refused() && maker.injector().is_none());
        assert_eq!(maker.configure(&texts(GOOD, "{}")), Told { is_known: true, ..Told::default() });
        for (broken, why) in [
            (
                texts("templates: {sidecar: '{{ nonsense }}', other: 'a'}", "{}"),
                "\"sidecar\" cannot be parsed",
            ),
            (texts(&GOOD.replace("sidecar", "other"), "[]"), "injection values: an object is expected"),
            (ConfigMap::Data([(CONFIG.to_owned(), GOOD.to_owned())].into()), "it has no key values"),
            (ConfigMap::Missing, "there is none"),
        ] {
            let told = maker.configure(&broken);
            let problem = told.problem.clone().unwrap();
            assert!(problem.detail.contains(why), "{problem}");
            assert_eq!(problem.outcome.as_deref(), Some("what it said before holds"));
            assert_eq!(told.is_refused(), broken != ConfigMap::Missing);
            assert_eq!(templates(&maker), ["sidecar"]);
        }
    }

    #[test]
    fn a_state_of_the_mesh_makes_another_injector_only_if_injection_reads_what_it_changes() {
        let mut maker = maker();
        let settings = settings::Settings { cluster: "c".into(), ..settings::Settings::default() };
        let mut config = Config { settings: memo::Shared::new(settings), ..Config::default() };
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let mut apply = |object: serde_json::Value| {
            let parsed = parse_object(&object, &context).unwrap();
            let origin = Arc::default();
            config.apply(Change { key: parsed.key, value: parsed.value, origin, problems: vec![] });
            Snapshot::default().next(config.clone())
        };
        let node = |kubelet: &str| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
            "status": {"nodeInfo": {"kubeletVersion": kubelet}}})
        };
        assert!(maker.see(&apply(node("v1.33.0"))));
        assert_eq!(maker.around.nodes["n"], "v1.33.0");
        assert!(!maker.see(&apply(node("v1.33.0"))));
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}});
        assert!(!maker.see(&apply(service)));
        for (name, created) in [("a", "2026-01-02T00:00:00Z"), ("b", "2026-01-01T00:00:00Z")] {
            let object = json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig",
                "metadata": {"name": name, "creationTimestamp": created}, "spec": {}});
            assert!(maker.see(&apply(object)));
        }
        let names: Vec<_> =
            maker.around.proxy_configs.iter().map(|one| one.meta.key.name.to_string()).collect();
        assert_eq!(names, ["b", "a"], "the oldest first");
    }
}
