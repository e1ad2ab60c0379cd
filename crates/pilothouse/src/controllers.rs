//! Starts whatever keeps objects of the cluster right.

use std::sync::Arc;

use admin::{Number, Part, Report, names};
use controllers::{Counted, Inputs, Options, Stats};
use identity::Client;
use pilothouse::settings;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;

type Snapshots = watch::Receiver<Arc<mesh::Snapshot>>;

/// What keeps objects of a cluster right.
pub(crate) struct Controllers {
    client: Client,
    identity: Identity,
    options: Options,
    snapshots: Snapshots,
    stats: Arc<Stats>,
}

impl Controllers {
    /// Those of a process with an authority, if it is of a cluster.
    pub(crate) fn of(
        identity: Option<&Identity>,
        process: &settings::Process,
        snapshots: &Snapshots,
    ) -> Option<Self> {
        let identity = identity?.clone();
        let (house, issues) = identity.house();
        let client = house.cluster.1.clone()?;
        let (wanted, problems) = settings::parse(settings::CONTROLLERS, &settings::environment());
        for problem in problems {
            tracing::warn!("{problem}");
        }
        let options = Options {
            identity: name(process),
            revision: house.revision.to_string(),
            namespace: house.namespace.to_string(),
            only_namespace: wanted.only_namespace.to_string(),
            elects: wanted.elects,
            webhooks: (!wanted.injection_webhook.is_empty(), !wanted.validation_webhook.is_empty()),
            root_certificates: issues.then(|| wanted.root_certificates.to_string()),
        };
        Some(Self { client, options, snapshots: snapshots.clone(), identity, stats: Arc::default() })
    }

    /// What they count.
    pub(crate) fn part(&self) -> Part {
        let stats = Arc::clone(&self.stats);
        Arc::new(move || {
            let counts = stats.counts().into_iter();
            let number =
                |(counted, labels, count)| Number { metric: metric(counted), labels, value: count as f64 };
            Report { is_ready: true, numbers: counts.map(number).collect(), ..Report::default() }
        })
    }

    /// Keeps them right until `shutdown`, once there is an authority.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let authority = tokio::select! {
            authority = self.identity.authority() => authority,
            () = shutdown.cancelled() => None,
        };
        // Without one the process is about to end.
        let Some(authority) = authority else { return shutdown.cancelled().await };
        let inputs = Inputs { snapshots: self.snapshots, roots: authority.roots(), stats: self.stats };
        controllers::serve(self.client, self.options, inputs, shutdown).await;
    }
}

fn metric(counted: Counted) -> names::Metric {
    match counted {
        Counted::PatchAttempts => names::PATCH_ATTEMPTS,
        Counted::PatchRetries => names::PATCH_RETRIES,
        Counted::PatchFailures => names::PATCH_FAILURES,
        Counted::ValidationUpdates => names::VALIDATION_UPDATES,
        Counted::ValidationUpdateErrors => names::VALIDATION_UPDATE_ERRORS,
    }
}

/// A name by which no other process is called: the pod's; one that is no pod's is made, as istiod makes it.
fn name(process: &settings::Process) -> String {
    match process.name == settings::Process::default().name {
        true => format!("unknown-{}", std::process::id()),
        false => process.name.to_string(),
    }
}
