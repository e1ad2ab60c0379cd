//! The pages over xDS: what is asked with types under `istio.io/debug`.

use envoy_api::envoy::admin::v3::UpdateFailureState;
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_api::envoy::service::status::v3::per_xds_config::PerXdsConfig as Per;
use envoy_api::envoy::service::status::v3::{ClientConfig, ConfigStatus, PerXdsConfig};
use envoy_api::{Any, type_url};
use serde_json::json;
use tonic::Status;
use xds::{Answer, ConnectionStatus, Question, TypeStatus};

use crate::State;
use crate::access::Sight;
use crate::debug::{self, Progress, Query, Refusal, progress};

/// The type that answers with how far each proxy is.
const SYNCZ: &str = "istio.io/debug/syncz";
/// The type that answers with what one proxy is to hold.
const CONFIG_DUMP: &str = "istio.io/debug/config_dump";
/// What istioctl reads of a node (istiod-surface 9.4).
const SHOWN: [&str; 3] = ["CLUSTER_ID", "NAMESPACE", "ISTIO_VERSION"];

/// Answers a question that came over xDS (istiod-surface 9.4), as far as whoever asks may see it.
///
/// - `istio.io/debug/syncz`: a `ClientConfig` for each proxy;
/// - `istio.io/debug/config_dump`, with the name of one proxy: the parts of its dump;
/// - `istio.io/debug`, with one name: the page of this name, path and query below `/debug`, as bytes.
pub fn answer(state: &State, question: &Question) -> Result<Answer, Status> {
    let asks_for_page = &*question.type_url == type_url::DEBUG;
    let sight = state.access.over_xds(&state.root_namespace(), &question.extensions, asks_for_page);
    let sight = sight.ok_or_else(|| Status::unauthenticated("authentication required"))?;
    let resources = match &*question.type_url {
        SYNCZ => clients(state, &sight),
        CONFIG_DUMP => dump(state, one_name(question, "the name of one proxy, POD.NAMESPACE")?, &sight)?,
        type_url::DEBUG => vec![page(state, one_name(question, "one page, such as syncz?pretty")?, sight)?],
        other => return Err(Status::unimplemented(format!("there is no type {other}"))),
    };
    Ok(Answer { resources, control_plane: Some(control_plane(state)) })
}

fn one_name<'a>(question: &'a Question, what: &str) -> Result<&'a str, Status> {
    match &*question.names {
        [name] => Ok(name),
        _ => Err(Status::invalid_argument(format!("{} takes {what}", question.type_url))),
    }
}

/// Who answers, as istioctl reads it: capitals are those of istiod's fields.
fn control_plane(state: &State) -> String {
    let build = &state.build;
    json!({"Component": "istiod", "ID": build.instance, "Info": {
        "version": build.version,
        "revision": build.revision,
        "golang_version": "",
        "status": build.status,
        "tag": build.version,
    }})
    .to_string()
}

fn page(state: &State, name: &str, sight: Sight) -> Result<(String, Any), Status> {
    let (path, query) = name.split_once('?').unwrap_or((name, ""));
    let path = path.trim_start_matches('/');
    let body = debug::body(state, path, &Query::parse(query, sight)).map_err(|refusal| match refusal {
        Refusal::Incomplete(text) => Status::invalid_argument(text.trim_end()),
        Refusal::NotFound(text) => Status::not_found(text.trim_end()),
        Refusal::Forbidden => Status::permission_denied("this page is not for who asks"),
    })?;
    Ok((name.to_owned(), Any { type_url: type_url::DEBUG.to_owned(), value: body.into() }))
}

fn dump(state: &State, id: &str, sight: &Sight) -> Result<Vec<(String, Any)>, Status> {
    let dump = debug::dump(state, id, sight);
    let dump = dump.ok_or_else(|| Status::not_found(format!("no proxy '{id}' is connected here")))?;
    Ok(dump.into_iter().map(|part| (String::new(), part)).collect())
}

fn clients(state: &State, sight: &Sight) -> Vec<(String, Any)> {
    debug::proxies(state)
        .filter(|connection| debug::is_seen(connection, sight))
        .map(|connection| {
            let client = client(&connection);
            let name = client.node.as_ref().map(|node| node.id.clone()).unwrap_or_default();
            (name, Any::pack(&client))
        })
        .collect()
}

/// How far one proxy is, for old readers (`xds_config`) and new ones (`generic_xds_configs`).
fn client(connection: &ConnectionStatus) -> ClientConfig {
    let generic = connection.types.iter().map(|(url, status)| generic(url, status));
    let of = |url: &str, per: Per| PerXdsConfig {
        status: connection.types.get(url).map_or(ConfigStatus::NotSent, word) as i32,
        per_xds_config: Some(per),
        ..Default::default()
    };
    ClientConfig {
        node: Some(node(&connection.who.announced)),
        xds_config: vec![
            of(type_url::LISTENER, Per::ListenerConfig(Default::default())),
            of(type_url::ROUTE, Per::RouteConfig(Default::default())),
            of(type_url::ENDPOINT, Per::EndpointConfig(Default::default())),
            of(type_url::CLUSTER, Per::ClusterConfig(Default::default())),
        ],
        generic_xds_configs: generic.collect(),
        ..Default::default()
    }
}

fn node(announced: &Node) -> Node {
    let metadata = announced.metadata.as_ref().map(|metadata| {
        let mut shown = metadata.clone();
        shown.fields.retain(|key, _| SHOWN.contains(&&**key));
        shown
    });
    Node { id: debug::name_of(&announced.id).to_owned(), metadata, ..Default::default() }
}

fn generic(url: &str, status: &TypeStatus) -> GenericXdsConfig {
    let error_state = status.error.as_ref().map(|error| UpdateFailureState {
        details: error.to_string(),
        last_update_attempt: status.refused_at.map(Into::into),
        ..Default::default()
    });
    GenericXdsConfig {
        type_url: url.to_owned(),
        version_info: status.sent.as_ref().map(|sent| sent.version.to_string()).unwrap_or_default(),
        config_status: word(status) as i32,
        last_updated: status.sent.as_ref().map(|sent| sent.at.into()),
        error_state,
        ..Default::default()
    }
}

fn word(status: &TypeStatus) -> ConfigStatus {
    match progress(status) {
        Progress::NotSent => ConfigStatus::NotSent,
        Progress::Synced => ConfigStatus::Synced,
        Progress::Stale => ConfigStatus::Stale,
        Progress::Refused => ConfigStatus::Error,
    }
}
