//! Volumes of a pod as folders: what a kubelet would mount, written once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::spec;
use crate::cluster::api::Api;
use crate::cluster::{Error, Result, io};

/// The user of Istio's images, whom the volumes belong to; root reads them anyway.
const OWNER: u32 = 1337;

/// Files by name, of one ConfigMap or Secret.
type Content = BTreeMap<String, Vec<u8>>;

/// A pod's volumes on the way from the API into folders.
pub(super) struct Volumes<'a> {
    pub(super) api: &'a Api,
    pub(super) pod: &'a Pod,
}

impl Volumes<'_> {
    /// Fills the folder of a volume; a kind that is not known stays empty.
    pub(super) async fn fill(&self, volume: &Volume, at: &Path) -> Result<()> {
        io("making a volume", fs::create_dir_all(at))?;
        io("opening a volume", fs::set_permissions(at, fs::Permissions::from_mode(0o777)))?;
        if let Some(source) = &volume.config_map {
            let content = self.config_map(&source.name, source.optional).await?;
            put_all(at, &content, source.items.as_deref())?;
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            put_all(at, &self.secret(name, source.optional).await?, source.items.as_deref())?;
        }
        if let Some(source) = &volume.downward_api {
            self.downward(at, source.items.as_deref())?;
        }
        for source in volume.projected.iter().flat_map(|source| source.sources.iter().flatten()) {
            self.project(source, at).await?;
        }
        Ok(())
    }

    async fn project(&self, source: &VolumeProjection, at: &Path) -> Result<()> {
        if let Some(source) = &source.config_map {
            let content = self.config_map(&source.name, source.optional).await?;
            put_all(at, &content, source.items.as_deref())?;
        }
        if let Some(source) = &source.secret {
            let content = self.secret(&source.name, source.optional).await?;
            put_all(at, &content, source.items.as_deref())?;
        }
        if let Some(source) = &source.downward_api {
            self.downward(at, source.items.as_deref())?;
        }
        if let Some(source) = &source.service_account_token {
            put(&at.join(&source.path), self.token(source).await?.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    fn downward(&self, at: &Path, items: Option<&[DownwardAPIVolumeFile]>) -> Result<()> {
        for item in items.unwrap_or_default() {
            let field = item.field_ref.as_ref().map(|field| spec::field(self.pod, &field.field_path));
            let resource = item.resource_field_ref.as_ref().map(|one| spec::resource(&one.resource));
            put(&at.join(&item.path), field.or(resource).unwrap_or_default().as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// A token of the pod's account, bound to the pod, for the audience that is wanted.
    async fn token(&self, source: &ServiceAccountTokenProjection) -> Result<String> {
        let account = spec::of(self.pod).service_account_name.unwrap_or_else(|| "default".into());
        let meta = &self.pod.metadata;
        let audiences: Vec<&String> = source.audience.iter().collect();
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": source.expiration_seconds.unwrap_or(3600),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
            },
        });
        let answer =
            self.api.create(&self.path(&format!("serviceaccounts/{account}/token")), &request).await?;
        Ok(answer.pointer("/status/token").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// What a ConfigMap holds; nothing of one that may be absent and is.
    pub(super) async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Content> {
        let object = self.object::<ConfigMap>("configmaps", name, optional).await?.unwrap_or_default();
        let text = object.data.into_iter().flatten().map(|(name, text)| (name, text.into_bytes()));
        let bytes = object.binary_data.into_iter().flatten().map(|(name, ByteString(bytes))| (name, bytes));
        Ok(text.chain(bytes).collect())
    }

    /// What a Secret holds; nothing of one that may be absent and is.
    pub(super) async fn secret(&self, name: &str, optional: Option<bool>) -> Result<Content> {
        let object = self.object::<Secret>("secrets", name, optional).await?;
        let data = object.and_then(|object| object.data).unwrap_or_default();
        Ok(data.into_iter().map(|(name, ByteString(bytes))| (name, bytes)).collect())
    }

    async fn object<T: DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<T>> {
        let path = self.path(&format!("{kind}/{name}"));
        match self.api.find(&path).await? {
            Some(value) => {
                serde_json::from_value(value).map(Some).map_err(|error| Error::refused(path, error))
            }
            None if optional == Some(true) => Ok(None),
            None => Err(Error::refused(path, "the pod wants it, and it is not there")),
        }
    }

    fn path(&self, rest: &str) -> String {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        format!("/api/v1/namespaces/{namespace}/{rest}")
    }
}

fn put_all(at: &Path, content: &Content, items: Option<&[KeyToPath]>) -> Result<()> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return content.iter().try_for_each(|(name, bytes)| put(&at.join(name), bytes, 0o644));
    };
    for item in items {
        if let Some(bytes) = content.get(&item.key) {
            put(&at.join(&item.path), bytes, 0o644)?;
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let what = || format!("writing {}", path.display());
    io(what(), path.parent().map_or(Ok(()), fs::create_dir_all))?;
    io(what(), fs::write(path, bytes))?;
    io(what(), fs::set_permissions(path, fs::Permissions::from_mode(mode)))?;
    io(what(), chown(path, Some(OWNER), Some(OWNER)))
}
