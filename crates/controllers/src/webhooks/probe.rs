//! The trial whether validation answers: an object that it must refuse (istiod-surface 2.6).

use std::time::Duration;

use model::revision::REVISION;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::Error;
use crate::store::{Key, Resource, Store};

/// The wait after the first trial that fails, and the longest one.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// An Istio of 1.9 serves no `v1`.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];
/// By this annotation whoever validates knows that it is a trial.
const REFUSE: &str = "internal.istio.io/webhook-always-reject";

/// Waits until validation answers for a revision; tries that as long as somebody wants to know.
pub(crate) async fn prove(
    store: Store,
    namespace: String,
    revision: String,
    mut wanted: watch::Receiver<bool>,
) {
    let mut pause = WAITS.0;
    let mut is_told = false;
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return std::future::pending().await;
        }
        match answers(&store, &namespace, &revision).await {
            Ok(()) => break,
            Err(reason) => {
                if !is_told {
                    tracing::info!(%reason, "validation does not answer yet; until it does, objects are admitted without it");
                }
                is_told = true;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(WAITS.1);
    }
    tracing::info!("validation answers: from now on objects are refused where it does not");
}

/// Whether an object that must be refused is; if not, why that is not known.
async fn answers(store: &Store, namespace: &str, revision: &str) -> Result<(), String> {
    for version in VERSIONS {
        let resource = Resource::of_namespace("networking.istio.io", version, "Gateway", "gateways");
        let key = Key::new(resource, namespace, "invalid-gateway");
        match store.try_out(&key, trial(&key, revision)).await {
            Ok(()) => return Err("an object that it must refuse was admitted".to_owned()),
            Err(error) if error.code() == Some(404) => {}
            Err(error) if refuses(&error) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    // Without the kind there is nothing to validate and nothing to find out.
    Ok(())
}

fn trial(key: &Key, revision: &str) -> Value {
    json!({
        "apiVersion": key.resource.api_version(),
        "kind": key.resource.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {REVISION: revision},
            "annotations": {REFUSE: "true"},
        },
        "spec": {},
    })
}

/// Whether it is the webhook's own refusal, or one of a cluster in which it cannot be found out.
fn refuses(error: &Error) -> bool {
    let text = error.to_string();
    ["denied the request", "could not find the requested resource", "does not support dry run"]
        .iter()
        .any(|words| text.contains(words))
}
