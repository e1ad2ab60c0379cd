//! The API of a cluster, by paths and JSON: what a kubelet and a test want of it, without types.

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::{Error, Result};

/// A connection with all rights.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// The API that a kubeconfig names.
    pub async fn connect(kubeconfig: &str) -> Result<Self> {
        let wrong = |error: &dyn ToString| Error::refused("reading a kubeconfig", error.to_string());
        let config = Kubeconfig::from_yaml(kubeconfig).map_err(|error| wrong(&error))?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.map_err(|error| wrong(&error))?);
        client.map(|client| Self { client }).map_err(|error| wrong(&error))
    }

    /// The client behind, for whoever wants types or watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// An object, a list or whatever else lies at a path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, None, "").await
    }

    /// The same; `None` if there is none.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(Error::Api { source, .. }) if is(&source, 404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates something in the collection at a path.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("POST", path, Some(body), "application/json").await
    }

    /// Replaces what is at a path.
    pub async fn replace(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("PUT", path, Some(body), "application/json").await
    }

    /// Merges fields into what is at a path; `null` takes one away.
    pub async fn merge(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("PATCH", path, Some(body), "application/merge-patch+json").await
    }

    /// Deletes what is at a path, at once if it has a grace; gone already is as good.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.delete_with(path, &Value::Null).await
    }

    /// The same, but only the object with this id: another one of the name stays.
    pub async fn delete_if(&self, path: &str, uid: &str) -> Result<()> {
        self.delete_with(path, &json!({"uid": uid})).await
    }

    async fn delete_with(&self, path: &str, preconditions: &Value) -> Result<()> {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
        if !preconditions.is_null() {
            options["preconditions"] = preconditions.clone();
        }
        match self.send("DELETE", path, Some(&options), "application/json").await {
            Err(Error::Api { source, .. }) if is(&source, 404) || is(&source, 409) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>, kind: &str) -> Result<Value> {
        let what = || format!("{method} {path}");
        let mut request = http::Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, kind);
        }
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(bytes).map_err(|error| Error::refused(what(), error))?;
        let answer = self.client.request::<Value>(request).await;
        answer.map_err(|source| Error::Api { what: what(), source: Box::new(source) })
    }
}

/// Whether an error is the API server's answer with this code.
pub fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
