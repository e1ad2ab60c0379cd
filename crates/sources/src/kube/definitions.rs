//! Says that a definition of a kind has come, gone or changed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::watch;

use super::following::Following;

/// A number that is another one after each change; without the right to watch definitions it stays, and whoever
/// waits for one asks now and then.
pub(super) fn definitions(client: Client) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(0);
    let all = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client);
    let mut following = Following::new(all, Config::default());
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = following.next() => next,
                () = sender.closed() => return,
            };
            match next {
                Ok(_) => sender.send_modify(|count| *count += 1),
                Err(failure) => tracing::debug!(?failure, "definitions of kinds are not watched"),
            }
        }
    });
    receiver
}
