//! Meshes of a given scale as files: the folder that the server reads, and the proxies that connect to it.

use std::path::Path;
use std::{fs, iter};

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "default";

/// How large a mesh is. Every fifth service has a DestinationRule with two subsets and a VirtualService between
/// them; all listen on one port in one namespace, and no Sidecar hides anything (`baseline.md`, meshes A and B).
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) services: usize,
    /// Endpoints of each service.
    pub(crate) endpoints: usize,
    /// Localities that the endpoints, and the proxies beside them, are spread over.
    pub(crate) zones: usize,
}

/// What differs of one service from how the mesh begins.
#[derive(Clone, Copy, Default)]
pub(crate) struct Edit {
    /// Its first endpoint's address is another one, by this number; 0 for its own.
    pub(crate) moved: u8,
    /// Percent of the traffic that goes to the second subset.
    pub(crate) weight: u8,
    /// Its DestinationRule and VirtualService are gone.
    pub(crate) plain: bool,
}

impl Scale {
    /// Mesh A: a hundred services with ten endpoints each.
    pub(crate) const A: Self = Self { services: 100, endpoints: 10, zones: 3 };
    /// Mesh B: a thousand services with five endpoints each.
    pub(crate) const B: Self = Self { services: 1_000, endpoints: 5, zones: 3 };

    /// All files as (name, text): one for each service.
    pub(crate) fn files(self) -> impl Iterator<Item = (String, String)> {
        (0..self.services).map(move |at| (file(at), self.text(at, Edit::default())))
    }

    /// Writes all files into a folder.
    pub(crate) fn write(self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        self.files().try_for_each(|(name, text)| {
            fs::write(folder.join(&name), text).with_context(|| format!("writing {name}"))
        })
    }

    /// The file of one service; numbers beyond the scale are services that the mesh does not begin with.
    pub(crate) fn text(self, at: usize, edit: Edit) -> String {
        let mut text = service(at) + &self.slice(at, edit.moved);
        if at.is_multiple_of(5) && !edit.plain {
            text += &rule(at);
            text += &route(at, edit.weight);
        }
        text
    }

    fn slice(self, at: usize, moved: u8) -> String {
        let name = name(at);
        let endpoints = (0..self.endpoints).map(|endpoint| {
            let ip = match (endpoint, moved) {
                (0, 1..) => format!("10.250.{}.{moved}", at % 250),
                _ => self.ip(at, endpoint),
            };
            let zone = self.zone(endpoint);
            format!("- {{addresses: [{ip}], conditions: {{ready: true}}, zone: {zone}}}\n")
        });
        let endpoints: String = endpoints.collect();
        format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: {NAMESPACE}
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports:
- {{name: http, port: 8080, protocol: TCP}}
endpoints:
{endpoints}"
        )
    }

    fn zone(self, endpoint: usize) -> String {
        format!("z{}", endpoint % self.zones + 1)
    }

    fn ip(self, service: usize, endpoint: usize) -> String {
        let number = service * self.endpoints + endpoint;
        format!("10.{}.{}.{}", 1 + number / 62_500, number / 250 % 250, number % 250 + 1)
    }

    /// The nodes of so many proxies, in JSON: beside the first endpoint of every service, then the second ones.
    pub(crate) fn nodes(self, count: usize) -> impl Iterator<Item = Json> {
        let endpoints = (0..self.endpoints).flat_map(move |endpoint| iter::repeat_n(endpoint, self.services));
        let places = endpoints.zip((0..self.services).cycle());
        places.take(count).map(move |(endpoint, service)| self.node(service, endpoint))
    }

    /// The node of the proxy beside an endpoint.
    pub(crate) fn node(self, service: usize, endpoint: usize) -> Json {
        let (ip, app) = (self.ip(service, endpoint), name(service));
        let pod = format!("{app}-{endpoint}");
        json!({
            "id": format!("sidecar~{ip}~{pod}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"),
            "cluster": format!("{app}.{NAMESPACE}"),
            "locality": {"region": "r1", "zone": self.zone(endpoint)},
            "metadata": {
                "CLUSTER_ID": "Kubernetes",
                "INSTANCE_IPS": ip,
                "ISTIO_VERSION": "1.30.0",
                "LABELS": {"app": app, "service.istio.io/canonical-name": app},
                "MESH_ID": "cluster.local",
                "NAME": pod,
                "NAMESPACE": NAMESPACE,
                "SERVICE_ACCOUNT": "default",
                "WORKLOAD_NAME": app,
            },
        })
    }
}

/// The file of a service.
pub(crate) fn file(at: usize) -> String {
    format!("{}.yaml", name(at))
}

/// The name of a service.
pub(crate) fn name(at: usize) -> String {
    format!("service-{at:04}")
}

fn service(at: usize) -> String {
    let name = name(at);
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  clusterIP: 10.96.{}.{}
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080, protocol: TCP}}
",
        at / 250,
        at % 250 + 1
    )
}

fn rule(at: usize) -> String {
    let name = name(at);
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  host: {name}
  trafficPolicy:
    connectionPool:
      tcp: {{maxConnections: 100}}
    outlierDetection: {{consecutive5xxErrors: 5, interval: 30s}}
  subsets:
  - name: v1
    labels: {{version: v1}}
  - name: v2
    labels: {{version: v2}}
"
    )
}

fn route(at: usize, weight: u8) -> String {
    let (name, rest) = (name(at), 100_u8.saturating_sub(weight));
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  hosts: [{name}]
  http:
  - match:
    - uri: {{prefix: /api}}
    timeout: 5s
    retries: {{attempts: 3, perTryTimeout: 2s}}
    route:
    - destination: {{host: {name}, subset: v1}}
  - route:
    - destination: {{host: {name}, subset: v1}}
      weight: {rest}
    - destination: {{host: {name}, subset: v2}}
      weight: {weight}
"
    )
}
