//! Where the configuration of injection is: files that a chart has mounted, or a ConfigMap (istiod-surface 5.1).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use model::revision::Revision;
use sources::kube::{Cluster, ConfigMap};
use sources::{MeshText, watch_file};
use tokio::sync::{mpsc, watch};

/// Where charts mount it.
const FOLDER: &str = "./var/lib/istio/inject";
/// The ConfigMap of the default revision.
const CONFIG_MAP: &str = "istio-sidecar-injector";
/// The keys, which are the names of the files too: templates and policy, and the installation's values.
pub(super) const CONFIG: &str = "config";
pub(super) const VALUES: &str = "values";

/// What is found, newest only, and what the place is called.
pub(super) struct Source {
    pub(super) place: String,
    pub(super) found: watch::Receiver<ConfigMap>,
}

impl Source {
    /// The files if they are there, else the cluster's ConfigMap; without a cluster the files whenever they are.
    pub(super) fn new(cluster: Option<&Cluster>, namespace: &str, revision: &Revision) -> Result<Self> {
        let folder = Path::new(FOLDER);
        match cluster.filter(|_| !folder.join(CONFIG).is_file()) {
            Some(cluster) => {
                let name = revision.named(CONFIG_MAP);
                let found = cluster.config_map(namespace, &name);
                Ok(Self { place: format!("ConfigMap {namespace}/{name}"), found })
            }
            None => {
                let [config, values] = [CONFIG, VALUES].map(|name| watch_file(&folder.join(name)));
                let files = [(CONFIG, config), (VALUES, values)];
                let [config, values] =
                    files.map(|(name, file)| file.with_context(|| format!("watching {FOLDER}/{name}")));
                let (sender, found) = watch::channel(ConfigMap::Unknown);
                tokio::spawn(follow([config?, values?], sender));
                Ok(Self { place: FOLDER.to_owned(), found })
            }
        }
    }
}

/// Tells what the files say together, which is what their ConfigMap does; one that cannot be read goes on saying what
/// it said.
async fn follow(mut files: [mpsc::Receiver<MeshText>; 2], sender: watch::Sender<ConfigMap>) {
    let mut texts = [None, None];
    for (at, file) in files.iter_mut().enumerate() {
        let Some(text) = file.recv().await else { return };
        take(&mut texts, at, text);
    }
    let [config, values] = &mut files;
    loop {
        let now = together(&texts);
        sender.send_if_modified(|known| {
            let is_other = *known != now;
            *known = now;
            is_other
        });
        let (at, text) = tokio::select! {
            text = config.recv() => (0, text),
            text = values.recv() => (1, text),
            () = sender.closed() => return,
        };
        let Some(text) = text else { return };
        take(&mut texts, at, text);
    }
}

fn take(texts: &mut [Option<String>; 2], at: usize, text: MeshText) {
    match (text, texts.get_mut(at)) {
        (Ok(text), Some(known)) => *known = text,
        (Err(trouble), _) => {
            let file = [CONFIG, VALUES].get(at).copied().unwrap_or_default();
            tracing::warn!("{FOLDER}/{file}: {}; what it said before holds", trouble.cause);
        }
        _ => {}
    }
}

fn together([config, values]: &[Option<String>; 2]) -> ConfigMap {
    if config.is_none() && values.is_none() {
        return ConfigMap::Missing;
    }
    let texts = [(CONFIG, config), (VALUES, values)];
    let data: BTreeMap<String, String> =
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?))).collect();
    ConfigMap::Data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_what_their_config_map_is() {
        let (config, config_texts) = mpsc::channel(1);
        let (values, values_texts) = mpsc::channel(1);
        let (sender, mut found) = watch::channel(ConfigMap::Unknown);
        tokio::spawn(follow([config_texts, values_texts], sender));
        config.send(Ok(None)).await.unwrap();
        values.send(Ok(None)).await.unwrap();
        assert_eq!(*found.wait_for(|found| *found != ConfigMap::Unknown).await.unwrap(), ConfigMap::Missing);
        config.send(Ok(Some("c".into()))).await.unwrap();
        values.send(Ok(Some("v".into()))).await.unwrap();
        let whole = [("config".to_owned(), "c".to_owned()), ("values".to_owned(), "v".to_owned())];
        let whole = ConfigMap::Data(whole.into());
        found.wait_for(|found| *found == whole).await.unwrap();
    }
}
