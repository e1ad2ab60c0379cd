//! Starts whatever keeps objects of the cluster right.

use std::sync::Arc;

use controllers::{Inputs, Options};
use identity::Client;
use pilothouse::settings;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;

type Snapshots = watch::Receiver<Arc<mesh::Snapshot>>;

/// Keeps objects of a cluster right until `shutdown`, if there is a cluster, in this namespace, and an authority, which may
/// issue certificates.
pub(crate) fn start(
    (client, namespace, process): (Option<Client>, &str, &settings::Process),
    authority: Option<(Identity, bool)>,
    snapshots: &Snapshots,
    (serving, shutdown): (&mut JoinSet<()>, &CancellationToken),
) {
    let (Some(client), Some((identity, issues))) = (client, authority) else { return };
    let (wanted, problems) = settings::parse(settings::CONTROLLERS, &settings::environment());
    for problem in problems {
        tracing::warn!("{problem}");
    }
    let options = Options {
        identity: name(process),
        revision: process.revision.to_string(),
        namespace: namespace.to_owned(),
        only_namespace: wanted.only_namespace.to_string(),
        elects: wanted.elects,
        root_certificates: issues.then(|| wanted.root_certificates.to_string()),
    };
    serving.spawn(serve((client, identity), options, snapshots.clone(), shutdown.clone()));
}

/// Starts once there is an authority.
async fn serve(
    (client, identity): (Client, Identity),
    options: Options,
    snapshots: Snapshots,
    shutdown: CancellationToken,
) {
    let roots = tokio::select! {
        roots = identity.roots() => roots,
        () = shutdown.cancelled() => None,
    };
    match roots {
        Some(roots) => controllers::serve(client, options, Inputs { snapshots, roots }, shutdown).await,
        // The process is about to end.
        None => shutdown.cancelled().await,
    }
}

/// A name by which no other process is called: the pod's; one that is no pod's is made, as istiod makes it.
fn name(process: &settings::Process) -> String {
    match process.name == settings::Process::default().name {
        true => format!("unknown-{}", std::process::id()),
        false => process.name.to_string(),
    }
}
