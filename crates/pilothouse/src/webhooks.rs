//! Both webhooks: what they answer from, where they are served, and what they say of themselves.

mod injection;
mod source;

use std::sync::Arc;
use std::time::{Duration, Instant};

use admin::{Number, Part, Report, Templates, names};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::any;
use model::parse::Context;
use model::revision::Revision;
use pilothouse::settings::Injection;
use push::Handle;
use sources::kube::{Cluster, Status};
use tokio::sync::watch;
use webhook::{Injector, NativeSidecars, Settings, Stats};

use crate::identity::Identity;
use crate::parts::Parts;
use injection::{Maker, Out, Told};
use source::Source;

/// How long readiness waits for what the webhooks are served with; proxies are not to wait for it any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is served.
pub(crate) struct Webhooks {
    state: webhook::State,
    told: watch::Receiver<Told>,
    is_injecting: bool,
    is_validating: bool,
}

/// Where the control plane stands, and what it reads.
pub(crate) struct Place {
    pub(crate) cluster: Option<Cluster>,
    pub(crate) namespace: String,
    pub(crate) revision: String,
    pub(crate) context: Context,
    pub(crate) engine: Handle,
}

impl Webhooks {
    /// Starts to follow what injection depends on.
    ///
    /// # Errors
    /// If files cannot be watched.
    pub(crate) fn start(settings: &Injection, place: Place, working: &mut Parts) -> Result<Self> {
        let (sender, injector) = watch::channel(None);
        let (telling, told) = watch::channel(Told::default());
        let stats = Stats::new().context("counters of webhooks")?;
        if settings.injects {
            let revision = Revision::new(&place.revision);
            let source = Source::new(place.cluster.as_ref(), &place.namespace, &revision)?;
            let maker = maker(settings, &source.place, place.revision)?;
            let out = Out { injector: sender, told: telling, engine: place.engine };
            working.start("injection", injection::follow(maker, source.found, out));
        } else {
            telling.send_replace(Told { is_known: true, ..Told::default() });
        }
        let state = webhook::State { injector, context: Arc::new(place.context), stats: Arc::new(stats) };
        let Injection { injects: is_injecting, validates: is_validating, .. } = *settings;
        Ok(Self { state, told, is_injecting, is_validating })
    }

    /// Those of the webhooks that are switched on.
    pub(crate) fn router(&self) -> Router {
        let mut router = Router::new();
        if self.is_injecting {
            router = router.merge(webhook::injection(self.state.clone()));
        }
        if self.is_validating {
            router = router.merge(webhook::admission(self.state.clone()));
        }
        router
    }

    /// The same for a port of their own: whoever asks `/ready` there learns that it is served (istiod-surface 1.6).
    pub(crate) fn router_of_port(&self) -> Router {
        self.router().route("/ready", any(async || ()))
    }

    /// The templates that pods are injected with, by name.
    pub(crate) fn templates(&self) -> Arc<Templates> {
        let injector = self.state.injector.clone();
        Arc::new(move || {
            let injector: Option<Injector> = injector.borrow().clone();
            injector.map(|injector| injector.configuration.texts().clone()).unwrap_or_default()
        })
    }

    /// Counters of both, and whether they are served. For that readiness waits, since a pod that nobody injects is
    /// none (istiod-surface 1.7); but not for ever, and not while the API server is away, since then nobody asks.
    /// `identity` shows the certificate, where there is TLS.
    pub(crate) fn part(&self, identity: Option<Identity>, cluster: Option<Status>) -> Part {
        let (told, stats, begun) = (self.told.clone(), Arc::clone(&self.state.stats), Instant::now());
        Arc::new(move || {
            let told = told.borrow().clone();
            let is_away = cluster.as_ref().is_some_and(|cluster| cluster.restored().is_some());
            let mut waits = Vec::new();
            if !told.is_known {
                waits.push("injection: its configuration has not been read yet".to_owned());
            }
            if identity.as_ref().is_some_and(|identity| !identity.is_ready()) {
                waits.push("webhooks: there is no certificate to show yet".to_owned());
            }
            let is_ready = waits.is_empty() || is_away || begun.elapsed() > PATIENCE;
            let value = f64::from(u8::from(told.is_refused()));
            let number = Number { metric: names::INJECTION_REFUSED, labels: Vec::new(), value };
            waits.extend(
                told.problem.map(|problem| format!("injection: {}", problem.located(&problem.key.name, 0))),
            );
            Report { is_ready, details: waits, numbers: vec![number], families: stats.families() }
        })
    }
}

/// What shapes pods is told by variables alone.
fn maker(settings: &Injection, place: &str, revision: String) -> Result<Maker> {
    let environment = pilothouse::settings::environment();
    let settings = Settings {
        revision,
        native_sidecars: NativeSidecars::parse(&settings.native_sidecars),
        openshift: &*settings.platform == "openshift",
        compliance_policy: environment.get("COMPLIANCE_POLICY").cloned().unwrap_or_default(),
    };
    Maker::new(place, settings, Arc::new(environment)).context("the built-in MeshConfig")
}
