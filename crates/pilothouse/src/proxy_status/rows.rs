//! The rows of the tables, heading first, one for each proxy.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use envoy_api::Any;
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_api::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_api::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_api::type_url;
use prost_types::value::Kind;
use serde_json::Value;

/// Types with a place of their own, in the order of istioctl's columns.
const TYPES: [(&str, &str); 5] = [
    ("CDS", type_url::CLUSTER),
    ("LDS", type_url::LISTENER),
    ("EDS", type_url::ENDPOINT),
    ("RDS", type_url::ROUTE),
    ("ECDS", type_url::EXTENSION),
];

/// How the answer of older servers calls those types.
const OLD: [&str; 5] = ["cluster", "listener", "endpoint", "route", "extensionconfig"];

type Rows = Vec<Vec<String>>;

/// One line for each proxy with the types that it asks for.
pub(super) fn short(response: &DiscoveryResponse) -> Result<Rows> {
    let who = control_plane(response);
    let mut rows = vec![words(&["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"])];
    for client in clients(response)? {
        let node = client.node.unwrap_or_default();
        let known = |url: &str| client.generic_xds_configs.iter().any(|config| config.type_url == url);
        let mut types: Vec<String> =
            TYPES.iter().filter(|(_, url)| known(url)).map(|(short, _)| (*short).to_owned()).collect();
        let others = client.generic_xds_configs.iter().map(|config| &*config.type_url);
        types.extend(others.filter_map(other));
        let count = format!("{} ({})", types.len(), types.join(","));
        let [cluster, version] = ["CLUSTER_ID", "ISTIO_VERSION"].map(|key| text(&node, key));
        rows.push(vec![node.id, cluster, who.clone(), version, count]);
    }
    Ok(rows)
}

/// One line for each type that a proxy has rejected what it was last sent of, with its reason.
pub(super) fn rejected(response: &DiscoveryResponse) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for client in clients(response)? {
        let id = client.node.unwrap_or_default().id;
        let refused = client.generic_xds_configs.iter().filter(|config| config.error_state.is_some());
        lines.extend(refused.map(|config| {
            let known = TYPES.iter().find(|(_, url)| *url == config.type_url);
            let of = known.map(|(short, _)| (*short).to_owned()).or_else(|| other(&config.type_url));
            let reason = config.error_state.as_ref().map(|error| error.details.trim()).unwrap_or_default();
            format!("{id} rejected {}: {reason}", of.unwrap_or_default())
        }));
    }
    Ok(lines)
}

/// One line for each proxy with a column for each type: its status, and the time since it was last sent.
pub(super) fn by_type(response: &DiscoveryResponse, now: SystemTime) -> Result<Rows> {
    let who = control_plane(response);
    let clients = clients(response)?;
    let mut more: Vec<&str> = clients
        .iter()
        .flat_map(|client| &client.generic_xds_configs)
        .map(|config| &*config.type_url)
        .filter(|url| other(url).is_some())
        .collect();
    more.sort_unstable();
    more.dedup();
    let mut heading = words(&["NAME", "CLUSTER"]);
    heading.extend(TYPES.iter().map(|(short, _)| (*short).to_owned()));
    heading.extend(more.iter().copied().filter_map(other));
    heading.extend(words(&["ISTIOD", "VERSION"]));
    let mut rows = vec![heading];
    for client in &clients {
        let node = client.node.clone().unwrap_or_default();
        let urls = TYPES.iter().map(|(_, url)| *url).chain(more.iter().copied());
        let find = |url: &str| client.generic_xds_configs.iter().find(|config| config.type_url == url);
        let mut row = vec![node.id.clone(), text(&node, "CLUSTER_ID")];
        row.extend(urls.map(|url| cell(find(url), now)));
        row.extend([who.clone(), text(&node, "ISTIO_VERSION")]);
        rows.push(row);
    }
    Ok(rows)
}

/// The columns of older istioctl, from the nonces that were sent and acknowledged.
pub(super) fn old(response: &DiscoveryResponse) -> Result<Rows> {
    let who = control_plane(response);
    let body = response.resources.first().map(|resource| resource.value.clone()).unwrap_or_default();
    let proxies: Vec<Value> = serde_json::from_slice(&body).context("reading the answer")?;
    let mut heading = words(&["NAME"]);
    heading.extend(TYPES.iter().map(|(short, _)| (*short).to_owned()));
    heading.extend(words(&["ISTIOD", "VERSION"]));
    let mut rows = Vec::new();
    for proxy in &proxies {
        let field = |name: &str| proxy.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut row = vec![field("proxy")];
        let state =
            |kind: &&str| acknowledged(&field(&format!("{kind}_sent")), &field(&format!("{kind}_acked")));
        row.extend(OLD.iter().map(|kind| state(kind).to_owned()));
        // As istioctl marks it: the version of Envoy where the proxy is not Istio's.
        let version = match (field("istio_version"), field("proxy_version")) {
            (none, envoy) if none.is_empty() && !envoy.is_empty() => format!("{envoy}*"),
            (istio, _) => istio,
        };
        row.extend([who.clone(), version]);
        rows.push(row);
    }
    rows.sort();
    rows.insert(0, heading);
    Ok(rows)
}

/// istioctl's words for what became of the last response.
fn acknowledged(sent: &str, acked: &str) -> &'static str {
    match (sent, acked) {
        ("", _) => "NOT SENT",
        (sent, acked) if sent == acked => "SYNCED",
        (_, "") => "STALE (Never Acknowledged)",
        _ => "STALE",
    }
}

fn cell(config: Option<&GenericXdsConfig>, now: SystemTime) -> String {
    let Some(config) = config else { return "IGNORED".to_owned() };
    let word = match config.config_status() {
        ConfigStatus::Unknown => return "IGNORED".to_owned(),
        ConfigStatus::NotSent => return "NOT SENT".to_owned(),
        other => other.as_str_name(),
    };
    let updated = config.last_updated.and_then(|time| SystemTime::try_from(time).ok());
    let age = updated.and_then(|time| now.duration_since(time).ok());
    age.map_or_else(|| word.to_owned(), |age| format!("{word} ({})", in_words(age)))
}

/// A time with the precision that people want: seconds of minutes, minutes of hours, hours of days.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => format!("{hours}h{}m", minutes % 60),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// The proxies of an answer, ordered by name.
fn clients(response: &DiscoveryResponse) -> Result<Vec<ClientConfig>> {
    let read = |resource: &Any| {
        let client = resource.unpack::<ClientConfig>();
        client.with_context(|| {
            format!("the answer has a resource that is no ClientConfig: {}", resource.type_url)
        })
    };
    let mut clients = response.resources.iter().map(read).collect::<Result<Vec<_>>>()?;
    clients.sort_by_cached_key(|client| client.node.as_ref().map(|node| node.id.clone()));
    Ok(clients)
}

/// The name of the instance that answers.
fn control_plane(response: &DiscoveryResponse) -> String {
    let identifier = response.control_plane.as_ref().map(|who| &*who.identifier).unwrap_or_default();
    let who: BTreeMap<String, Value> = serde_json::from_str(identifier).unwrap_or_default();
    who.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The short name of a type that has no place of its own.
fn other(url: &str) -> Option<String> {
    if TYPES.iter().any(|(_, known)| *known == url) {
        return None;
    }
    Some(match url {
        type_url::SECRET => "SDS".to_owned(),
        type_url::NAME_TABLE => "NDS".to_owned(),
        type_url::PROXY_CONFIG => "PCDS".to_owned(),
        type_url::ADDRESS | type_url::WORKLOAD => "WDS".to_owned(),
        type_url::AUTHORIZATION => "WADS".to_owned(),
        other => other.rsplit('/').next().unwrap_or(other).to_owned(),
    })
}

fn text(node: &Node, key: &str) -> String {
    let value = node.metadata.as_ref().and_then(|metadata| metadata.fields.get(key));
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use envoy_api::envoy::admin::v3::UpdateFailureState;
    use envoy_api::envoy::config::core::v3::ControlPlane;
    use expect_test::{Expect, expect};

    use super::*;
    use crate::proxy_status::table::render;

    fn config(url: &str, status: ConfigStatus) -> GenericXdsConfig {
        GenericXdsConfig {
            type_url: url.into(),
            config_status: status as i32,
            last_updated: Some(SystemTime::UNIX_EPOCH.into()),
            ..Default::default()
        }
    }

    fn response(resources: Vec<Any>) -> DiscoveryResponse {
        let control_plane = Some(ControlPlane { identifier: r#"{"ID": "istiod-1"}"#.into() });
        DiscoveryResponse { resources, control_plane, ..Default::default() }
    }

    fn client(id: &str, configs: &[(&str, ConfigStatus)]) -> Any {
        Any::pack(&ClientConfig {
            node: Some(Node { id: id.into(), ..Node::default() }),
            generic_xds_configs: configs.iter().map(|(url, status)| config(url, *status)).collect(),
            ..Default::default()
        })
    }

    fn two() -> DiscoveryResponse {
        let (synced, stale) = (ConfigStatus::Synced, ConfigStatus::Stale);
        response(vec![
            client("b.default", &[(type_url::CLUSTER, synced), (type_url::LISTENER, ConfigStatus::NotSent)]),
            client(
                "a.default",
                &[
                    (type_url::CLUSTER, synced),
                    (type_url::ENDPOINT, stale),
                    (type_url::ROUTE, ConfigStatus::Error),
                    (type_url::NAME_TABLE, ConfigStatus::Unknown),
                ],
            ),
        ])
    }

    fn check(rows: Result<Rows>, expected: Expect) {
        expected.assert_eq(&render(&rows.unwrap()));
    }

    #[test]
    fn one_line_for_each_proxy() {
        check(
            short(&two()),
            expect![[r#"
            NAME          CLUSTER     ISTIOD       VERSION     SUBSCRIBED TYPES
            a.default                 istiod-1                 4 (CDS,EDS,RDS,NDS)
            b.default                 istiod-1                 2 (CDS,LDS)
        "#]],
        );
    }

    #[test]
    fn what_was_rejected_is_told_beside_the_table() {
        let mut config = config(type_url::LISTENER, ConfigStatus::Error);
        let reason = UpdateFailureState { details: "no such filter\n".into(), ..Default::default() };
        config.error_state = Some(reason);
        let client = ClientConfig {
            node: Some(Node { id: "a.default".into(), ..Node::default() }),
            generic_xds_configs: vec![config],
            ..Default::default()
        };
        let told = rejected(&response(vec![Any::pack(&client)])).unwrap();
        assert_eq!(told, ["a.default rejected LDS: no such filter"]);
        assert_eq!(rejected(&two()).unwrap(), [""; 0]);
    }

    #[test]
    fn one_column_for_each_type() {
        check(
            by_type(&two(), SystemTime::UNIX_EPOCH + Duration::from_secs(192)),
            expect![[r#"
            NAME          CLUSTER     CDS                LDS          EDS               RDS               ECDS        NDS         ISTIOD       VERSION
            a.default                 SYNCED (3m12s)     IGNORED      STALE (3m12s)     ERROR (3m12s)     IGNORED     IGNORED     istiod-1
            b.default                 SYNCED (3m12s)     NOT SENT     IGNORED           IGNORED           IGNORED     IGNORED     istiod-1
        "#]],
        );
    }

    #[test]
    fn columns_and_words_of_older_istioctl() {
        let body = r#"[
            {"proxy": "b.default", "cluster_sent": "1", "cluster_acked": "1", "route_sent": "2", "route_acked": "1",
             "proxy_version": "1.40.0"},
            {"proxy": "a.default", "istio_version": "1.29.1", "listener_sent": "1"}
        ]"#;
        let body = Any { type_url: "istio.io/debug".into(), value: body.as_bytes().to_vec().into() };
        check(
            old(&response(vec![body])),
            expect![[r#"
                NAME          CDS          LDS                            EDS          RDS          ECDS         ISTIOD       VERSION
                a.default     NOT SENT     STALE (Never Acknowledged)     NOT SENT     NOT SENT     NOT SENT     istiod-1     1.29.1
                b.default     SYNCED       NOT SENT                       NOT SENT     STALE        NOT SENT     istiod-1     1.40.0*
            "#]],
        );
    }

    #[test]
    fn no_proxy_is_a_heading() {
        check(
            short(&response(Vec::new())),
            expect![[r#"
            NAME     CLUSTER     ISTIOD     VERSION     SUBSCRIBED TYPES
        "#]],
        );
    }
}
