//! A little API server within a test: objects under versions, lists, watches, conflicts, and refusals on demand.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::store::{Key, Resource, Store};

/// How long, in the test's own time, something may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster; a clone is a handle.
#[derive(Clone)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    /// How many things have happened to objects.
    happened: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Path, Value>,
    /// With the place of the object, and the event as a watch tells it.
    events: Vec<(Path, Value)>,
    /// Answers instead of what is asked for next: method, part of the path, status.
    refusals: VecDeque<(Method, &'static str, Value)>,
    /// What was asked for: writes only.
    written: Vec<String>,
}

/// Where objects are: group with version, kind, namespace, name; the last ones may be empty.
type Path = (String, String, String, String);

impl Cluster {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), happened: watch::channel(0).0 }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(cluster.answer(&parts.method, &parts.uri, &body))
            }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.client())
    }

    /// Puts an object there, as somebody else does.
    pub(crate) fn put(&self, resource: Resource, object: Value) {
        let key = Key::of(resource, &object);
        self.state.lock().unwrap().put(path(&key), object);
        self.tell();
    }

    /// Takes an object away, as somebody else does.
    pub(crate) fn delete(&self, key: &Key) {
        self.state.lock().unwrap().delete(&path(key));
        self.tell();
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.state.lock().unwrap().objects.get(&path(key)).cloned()
    }

    /// Answers the next request of this method, and with this in its path, with such a refusal.
    pub(crate) fn refuse(&self, method: Method, part: &'static str, code: u16, reason: &str) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": reason});
        self.state.lock().unwrap().refusals.push_back((method, part, status));
    }

    /// The writes since the last call, as method and place.
    pub(crate) fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().written)
    }

    /// Waits until an object is such.
    pub(crate) async fn until(&self, key: &Key, is_so: impl Fn(Option<&Value>) -> bool) {
        let mut happened = self.happened.subscribe();
        let waiting = async {
            while !is_so(self.get(key).as_ref()) {
                happened.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "{key} is {:?}", self.get(key));
    }

    fn tell(&self) {
        self.happened.send_modify(|count| *count += 1);
    }

    fn answer(
        &self,
        method: &Method,
        uri: &http::Uri,
        body: &[u8],
    ) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let asked = at(uri.path());
        let query = uri.query().unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap();
        if !matches!(*method, Method::GET) {
            let (_, kind, namespace, name) = &asked;
            state.written.push(format!("{method} {kind} {namespace}/{name}"));
        }
        let refusal =
            state.refusals.iter().position(|(of, part, _)| of == method && uri.path().contains(part));
        if let Some((_, _, status)) = refusal.and_then(|at| state.refusals.remove(at)) {
            return whole(status);
        }
        if query.contains("watch=true") {
            return self.watch(asked, &query);
        }
        let object = serde_json::from_slice(body).unwrap_or(Value::Null);
        let answer = match *method {
            Method::GET if asked.3.is_empty() => state.list(&asked, &query),
            Method::GET => state.objects.get(&asked).cloned().unwrap_or_else(|| failure(404, "NotFound")),
            Method::POST => state.create(asked, object, query.contains("dryRun=All")),
            Method::PUT => state.replace(asked, object),
            Method::DELETE => state.delete(&asked).unwrap_or_else(|| failure(404, "NotFound")),
            _ => failure(405, "MethodNotAllowed"),
        };
        drop(state);
        self.tell();
        whole(answer)
    }

    fn watch(&self, asked: Path, query: &str) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let since = parameter(query, "resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let query = query.to_owned();
        let (cluster, happened) = (self.clone(), self.happened.subscribe());
        let events = stream::unfold((since, happened), move |(mut next, mut happened)| {
            let (cluster, asked, query) = (cluster.clone(), asked.clone(), query.clone());
            async move {
                loop {
                    let event = cluster.state.lock().unwrap().events.get(next).cloned();
                    match event {
                        Some((at, event)) => {
                            next += 1;
                            if is_within(&at, &asked, &query) {
                                let line = Bytes::from(format!("{event}\n"));
                                return Some((
                                    Ok::<_, Infallible>(http_body::Frame::data(line)),
                                    (next, happened),
                                ));
                            }
                        }
                        None => happened.changed().await.ok()?,
                    }
                }
            }
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }
}

impl State {
    fn put(&mut self, at: Path, mut object: Value) -> Value {
        let version = (self.events.len() + 1).to_string();
        object["metadata"]["resourceVersion"] = version.clone().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{version}").into();
        }
        object["metadata"]["name"] = at.3.clone().into();
        if !at.2.is_empty() {
            object["metadata"]["namespace"] = at.2.clone().into();
        }
        let before = self.objects.insert(at.clone(), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push((at, json!({"type": kind, "object": object})));
        object
    }

    fn create(&mut self, mut at: Path, object: Value, is_trial: bool) -> Value {
        at.3 = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match self.objects.contains_key(&at) {
            true => failure(409, "AlreadyExists"),
            false if is_trial => object,
            false => self.put(at, object),
        }
    }

    fn replace(&mut self, at: Path, object: Value) -> Value {
        match self.objects.get(&at) {
            None => failure(404, "NotFound"),
            Some(before)
                if before["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] =>
            {
                failure(409, "Conflict")
            }
            Some(_) => self.put(at, object),
        }
    }

    fn delete(&mut self, at: &Path) -> Option<Value> {
        let mut object = self.objects.remove(at)?;
        object["metadata"]["resourceVersion"] = (self.events.len() + 1).to_string().into();
        self.events.push((at.clone(), json!({"type": "DELETED", "object": object})));
        Some(object)
    }

    fn list(&self, asked: &Path, query: &str) -> Value {
        let within = self.objects.iter().filter(|(at, _)| is_within(at, asked, query));
        let items: Vec<&Value> = within.map(|(_, object)| object).collect();
        let version = self.events.len().to_string();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
    }
}

/// Where a path of the API leads.
fn at(path: &str) -> Path {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let (group, rest) = words.split_at(if words[0] == "api" { 2 } else { 3 });
    let (namespace, rest) = match rest {
        ["namespaces", namespace, kind, rest @ ..] => (*namespace, [&[*kind], rest].concat()),
        rest => ("", rest.to_vec()),
    };
    let word = |at: usize| (*rest.get(at).unwrap_or(&"")).to_owned();
    (group[1..].join("/"), word(0), namespace.to_owned(), word(1))
}

fn path(key: &Key) -> Path {
    let api = key.resource.api();
    (api.api_version, api.plural, key.namespace.clone(), key.name.clone())
}

/// Whether an object is among those that are asked for.
fn is_within(at: &Path, asked: &Path, query: &str) -> bool {
    let name = parameter(query, "fieldSelector").map(|text| text.replace("metadata.name%3D", ""));
    at.0 == asked.0
        && at.1 == asked.1
        && (asked.2.is_empty() || at.2 == asked.2)
        && name.is_none_or(|name| at.3 == name)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn whole(answer: Value) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let code = answer["code"].as_u64().filter(|_| answer["kind"] == "Status").unwrap_or(200);
    let body = Full::new(Bytes::from(answer.to_string())).boxed_unsync();
    let code = StatusCode::from_u16(u16::try_from(code).unwrap()).unwrap();
    Response::builder().status(code).body(body).unwrap()
}
