//! An API server that has one ConfigMap and nothing else, over plain HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An API server; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Api {
    /// The ConfigMap, if there is one, and how often it was written.
    map: Arc<watch::Sender<(u64, Option<Value>)>>,
    name: &'static str,
}

impl Api {
    /// Serves, for as long as the runtime lives; a kubeconfig that leads there is put into the folder.
    pub(crate) async fn start(folder: &Path, name: &'static str) -> (Self, PathBuf) {
        let api = Self { map: Arc::new(watch::channel((1, None)).0), name };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}]});
        let path = folder.join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        let router = Router::new().fallback(answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (api, path)
    }

    /// Writes the ConfigMap.
    pub(crate) fn put(&self, data: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect();
        self.map.send_modify(|(version, map)| {
            *version += 1;
            *map = Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata":
                {"name": self.name, "namespace": "mesh", "resourceVersion": version.to_string()}}));
        });
    }
}

async fn answer(State(api): State<Api>, method: Method, uri: Uri, RawQuery(query): RawQuery) -> Response {
    if method != Method::GET {
        return StatusCode::FORBIDDEN.into_response();
    }
    let query = query.unwrap_or_default();
    let is_map = uri.path() == "/api/v1/namespaces/mesh/configmaps" && query.contains(api.name);
    let is_watch = query.contains("watch=true");
    match (uri.path().split('/').count(), is_watch) {
        // `/apis/group/version`: kinds that the cluster does not have.
        (4, false) if uri.path().starts_with("/apis/") => {
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "g/v1", "resources": []});
            list.to_string().into_response()
        }
        (_, true) if is_map => events(&api),
        (_, true) => {
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
        }
        (_, false) => {
            let (version, map) = api.map.borrow().clone();
            let items: Vec<Value> = map.filter(|_| is_map).into_iter().collect();
            let list = json!({"kind": "List", "apiVersion": "v1", "items": items,
                "metadata": {"resourceVersion": version.to_string()}});
            list.to_string().into_response()
        }
    }
}

/// A line for each time that the ConfigMap is written.
fn events(api: &Api) -> Response {
    let mut map = api.map.subscribe();
    // What was written between the list and the watch is told once more.
    map.mark_changed();
    let lines = futures::stream::unfold(map, async |mut map| {
        map.changed().await.ok()?;
        let object = map.borrow_and_update().1.clone();
        let line = object.map(|object| json!({"type": "MODIFIED", "object": object}).to_string() + "\n");
        Some((Ok::<_, std::io::Error>(Bytes::from(line.unwrap_or_default())), map))
    });
    Body::from_stream(lines.boxed()).into_response()
}
