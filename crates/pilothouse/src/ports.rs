//! The ports: where each is, by istiod's flags.

use anyhow::Result;
use clap::Args;
use tokio::net::TcpListener;

use crate::address::ListenAddress;

/// Where xDS over TLS is served to a cluster, if nothing else is said.
const SECURE_GRPC: &str = ":15012";
/// Where webhooks are served to a cluster, if nothing else is said.
const HTTPS: &str = ":15017";

/// Where the ports are.
#[derive(Args)]
pub(crate) struct PortArguments {
    /// Plaintext gRPC; empty for none.
    #[arg(long = "grpcAddr", default_value = ":15010")]
    grpc: ListenAddress,
    /// Readiness and debug pages; empty for none.
    #[arg(long = "httpAddr", default_value = ":8080")]
    http: ListenAddress,
    /// Metrics, version and debug pages; empty for none.
    #[arg(long = "monitoringAddr", default_value = ":15014")]
    monitoring: ListenAddress,
    /// Webhooks over TLS; by default :15017, without a cluster none. Empty puts them on --httpAddr, in plaintext, if
    /// there is a cluster.
    #[arg(long = "httpsAddr")]
    https: Option<ListenAddress>,
    /// gRPC over TLS, with certificates for workloads; by default :15012, without a cluster none.
    #[arg(long = "secureGRPCAddr")]
    secure_grpc: Option<ListenAddress>,
}

/// Who listens; nobody where nothing is served.
pub(crate) struct Ports {
    pub(crate) grpc: Option<TcpListener>,
    pub(crate) secure_grpc: Option<TcpListener>,
    pub(crate) http: Option<TcpListener>,
    pub(crate) monitoring: Option<TcpListener>,
    pub(crate) https: Option<TcpListener>,
    /// Webhooks are served on `http`, in plaintext (istiod-surface 1.6).
    pub(crate) plain_webhooks: bool,
}

impl PortArguments {
    /// Whether nobody could be served.
    pub(crate) fn are_empty(&self) -> bool {
        [&self.grpc, &self.http, &self.monitoring].iter().all(|address| address.is_empty())
    }

    /// Listens on all of them.
    pub(crate) async fn listen(&self, has_cluster: bool) -> Result<Ports> {
        let or_usual = |given: &Option<ListenAddress>, usual: &str| {
            given.clone().or_else(|| has_cluster.then(|| usual.parse().ok()).flatten())
        };
        let listen = async |address: Option<ListenAddress>| match address {
            Some(address) => address.listen().await,
            None => Ok(None),
        };
        Ok(Ports {
            grpc: self.grpc.listen().await?,
            secure_grpc: listen(or_usual(&self.secure_grpc, SECURE_GRPC)).await?,
            http: self.http.listen().await?,
            monitoring: self.monitoring.listen().await?,
            https: listen(or_usual(&self.https, HTTPS)).await?,
            plain_webhooks: has_cluster && self.https.as_ref().is_some_and(ListenAddress::is_empty),
        })
    }
}

impl Ports {
    /// Whether a certificate is shown to anybody.
    pub(crate) fn have_tls(&self) -> bool {
        self.secure_grpc.is_some() || self.https.is_some()
    }

    /// Whether webhooks are served.
    pub(crate) fn have_webhooks(&self) -> bool {
        self.https.is_some() || self.plain_webhooks
    }
}
