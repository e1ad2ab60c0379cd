//! A call sent through generated configuration: where it arrives, or why it is refused.
//!
//! The rules are the corpus's own (`xds-simulation/common/simulation-rules.md`): a reading of Envoy's matching
//! that sees listeners, filter chains, virtual hosts and routes, and nothing of headers or query parameters.

mod chain;
mod http;
pub mod sanity;
mod tree;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::offline::Answer;
use tree::{has_type, list, text};

/// Resources of one proxy in proto3 JSON.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Listeners, in the order served.
    pub listeners: Vec<Value>,
    /// Clusters.
    pub clusters: Vec<Value>,
    /// Route configurations.
    pub routes: Vec<Value>,
}

impl From<&Answer> for Configuration {
    fn from(answer: &Answer) -> Self {
        let of = |kind| answer.of(kind).iter().map(|(_, resource)| resource.clone()).collect();
        Self { listeners: of("lds"), clusters: of("cds"), routes: of("rds") }
    }
}

impl Configuration {
    /// The route configuration of a name.
    pub fn route_config(&self, name: &str) -> Option<&Value> {
        self.routes.iter().find(|route| text(route, "/name") == name)
    }
}

/// What the caller speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// Anything else.
    #[default]
    Tcp,
}

/// How the caller protects the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all.
    #[default]
    Plaintext,
    /// TLS without a client certificate.
    Tls,
    /// Istio's mutual TLS.
    Mtls,
}

/// Which way the call comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// From outside to a gateway.
    #[default]
    Gateway,
    /// From the workload, captured by its sidecar.
    Outbound,
    /// To the workload, captured by its sidecar.
    Inbound,
}

/// A call. Absent fields have the defaults of the rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Original destination address.
    pub address: String,
    /// Original destination port.
    pub port: u16,
    /// Path of the request.
    pub path: String,
    /// Protocol inside the connection.
    pub protocol: Protocol,
    /// Protection of the connection.
    pub tls: Tls,
    /// Application protocol offered in the handshake; `None`: what the protocol and protection imply.
    pub alpn: Option<String>,
    /// The Host header.
    pub host_header: String,
    /// Server name of the handshake; empty: the Host header, where `tls` is plain TLS.
    pub sni: String,
    /// Way of the call.
    pub call_mode: Mode,
    /// Secret whose use as server certificate marks a chain as demanding mutual TLS.
    pub mtls_secret_config_name: String,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            address: "1.3.3.7".to_owned(),
            port: 0,
            path: "/".to_owned(),
            protocol: Protocol::default(),
            tls: Tls::default(),
            alpn: None,
            host_header: String::new(),
            sni: String::new(),
            call_mode: Mode::default(),
            mtls_secret_config_name: "default".to_owned(),
        }
    }
}

impl Call {
    /// The server name that the handshake carries.
    fn server_name(&self) -> &str {
        if self.tls == Tls::Tls && self.sni.is_empty() { &self.host_header } else { &self.sni }
    }

    /// The application protocol that the listener learns, given its inspectors.
    fn application_protocol(&self, inspectors: chain::Inspectors) -> String {
        let implied = match (self.tls, self.protocol) {
            (Tls::Mtls, Protocol::Http) => "istio-http/1.1",
            (Tls::Mtls, Protocol::Http2) => "istio-h2",
            (Tls::Mtls, Protocol::Tcp) => "istio",
            (Tls::Tls, Protocol::Http) => "http/1.1",
            (Tls::Tls, Protocol::Http2) => "h2",
            _ => "",
        };
        match (self.tls, self.protocol) {
            (Tls::Plaintext, Protocol::Http) if inspectors.http => "http/1.1".to_owned(),
            (Tls::Plaintext, Protocol::Http2) if inspectors.http => "h2c".to_owned(),
            _ if !inspectors.tls => String::new(),
            _ => self.alpn.clone().unwrap_or_else(|| implied.to_owned()),
        }
    }
}

/// Why a call goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A plaintext call names an application protocol: the case itself is wrong.
    BadCall,
    /// No listener takes the connection.
    NoListener,
    /// No filter chain matches, and there is no default one.
    NoFilterChain,
    /// More than one filter chain matches: Envoy would refuse the listener.
    MultipleFilterChain,
    /// A plaintext call meets a chain that terminates TLS.
    TlsError,
    /// The chain demands mutual TLS and the call has none, or the reverse.
    MtlsError,
    /// The chain speaks HTTP and the call does not, or its TLS is not terminated.
    ProtocolError,
    /// The listener names a route configuration that was not served.
    NoRouteConfig,
    /// No virtual host has the Host.
    NoVirtualHost,
    /// The virtual host sends plaintext calls to https.
    TlsRedirect,
    /// No route has the path.
    NoRoute,
}

/// Where a call arrived, as far as it came. Fields are empty from the point on at which it was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Why it went no further; `None`: it arrived.
    pub error: Option<Refusal>,
    /// Name of the listener.
    pub listener: String,
    /// Name of the filter chain.
    pub filter_chain: String,
    /// Name of the route configuration, where it is not part of the listener.
    pub route_config: String,
    /// Name of the virtual host.
    pub virtual_host: String,
    /// Name of the route.
    pub route: String,
    /// The cluster; empty for weighted clusters, redirects and direct responses.
    pub cluster: String,
}

/// Sends a call through the configuration.
pub fn simulate(configuration: &Configuration, call: &Call) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.error = walk(configuration, call, &mut outcome).err();
    outcome
}

fn walk(configuration: &Configuration, call: &Call, outcome: &mut Outcome) -> Result<(), Refusal> {
    if call.tls == Tls::Plaintext && call.alpn.is_some() {
        return Err(Refusal::BadCall);
    }
    let listener = pick_listener(&configuration.listeners, call).ok_or(Refusal::NoListener)?;
    text(listener, "/name").clone_into(&mut outcome.listener);
    let chain = chain::pick(listener, call)?;
    text(chain, "/name").clone_into(&mut outcome.filter_chain);
    chain::check_transport(chain, call)?;
    let filter = |kind: &str| list(chain, "/filters").iter().find(|filter| has_type(filter, kind));
    if let Some(manager) = filter("HttpConnectionManager") {
        let terminated = chain.get("transportSocket").is_some();
        if call.protocol == Protocol::Tcp || (call.tls != Tls::Plaintext && !terminated) {
            return Err(Refusal::ProtocolError);
        }
        http::walk(configuration, manager, call, outcome)?;
    } else if let Some(proxy) = filter("TcpProxy") {
        text(proxy, "/typedConfig/cluster").clone_into(&mut outcome.cluster);
    }
    Ok(())
}

/// The listener of the exact address, else of the wildcard, else the one behind the capture.
fn pick_listener<'a>(listeners: &'a [Value], call: &Call) -> Option<&'a Value> {
    let named = |name: &str| listeners.iter().find(|listener| text(listener, "/name") == name);
    let at = |address: &str| {
        listeners.iter().find(|listener| {
            let port = listener.pointer("/address/socketAddress/portValue").and_then(Value::as_u64);
            text(listener, "/address/socketAddress/address") == address && port == Some(u64::from(call.port))
        })
    };
    match call.call_mode {
        Mode::Inbound => named("virtualInbound"),
        _ => at(&call.address).or_else(|| at("0.0.0.0")).or_else(|| named("virtualOutbound")),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
