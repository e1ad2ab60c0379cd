//! Who is calling: by certificate, else by token (istiod-surface 7.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, Request, Response};
use model::{Caller, Text};
use tokio::sync::watch;
use tonic::Status;
use tower::{Service, ServiceExt as _};

use crate::serving::Mesh;
use crate::stats::{Stats, count};
use crate::token::{Doubt, Reviews, Token};

/// What the paths of discovery streams begin with.
const DISCOVERY: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
/// Says which cluster's token it is.
const CLUSTER_ID: &str = "clusterid";

/// Finds out who is calling. A clone is a handle.
#[derive(Clone)]
pub struct Authenticator {
    reviews: Option<Arc<Reviews>>,
    mesh: watch::Receiver<Mesh>,
    cluster: Text,
    stats: Arc<Stats>,
}

impl Authenticator {
    /// Tokens are those of this cluster; without `reviews` nobody is known by a token.
    pub fn new(
        reviews: Option<Reviews>,
        mesh: watch::Receiver<Mesh>,
        cluster: Text,
        stats: Arc<Stats>,
    ) -> Self {
        Self { reviews: reviews.map(Arc::new), mesh, cluster, stats }
    }

    /// Who sends a request with these headers over a connection of which this is known. The reason of a refusal is
    /// for logs; it has nothing of the token.
    pub async fn caller(&self, known: &Extensions, headers: &HeaderMap) -> Result<Caller, Doubt> {
        if let Some(caller) = known.get::<Caller>() {
            return Ok(caller.clone());
        }
        let refused = |reason: &str| Doubt::Refused(reason.to_owned());
        let token = bearer(headers).ok_or_else(|| refused("neither a certificate nor a token was shown"))?;
        let reviews =
            self.reviews.as_ref().ok_or_else(|| refused("there is no cluster to ask about tokens"))?;
        self.is_ours(headers)?;
        let account = reviews.review(token).await?;
        let trust_domain = Arc::clone(&self.mesh.borrow().trust_domain);
        Ok(Caller { trust_domain, namespace: account.namespace, service_account: account.name })
    }

    fn is_ours(&self, headers: &HeaderMap) -> Result<(), Doubt> {
        let cluster = headers.get(CLUSTER_ID).map(|id| String::from_utf8_lossy(id.as_bytes()));
        match cluster {
            Some(cluster) if !cluster.is_empty() && *cluster != *self.cluster => {
                Err(Doubt::Refused(format!(
                    "the token is of the cluster '{cluster}', which is not known; this is '{}'",
                    self.cluster
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The token of a request, as gRPC clients and people's tools send it.
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let values = headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values
        .filter_map(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("Istio ")))
        .next()
        .map(Token::new)
}

/// What a caller who is not known is answered. A cluster that does not say anything has not refused: the client is to
/// come again, where istiod answers `Unauthenticated` to all.
pub(crate) fn status(doubt: &Doubt, refused: &str) -> Status {
    match doubt {
        Doubt::Refused(_) => Status::unauthenticated(refused),
        Doubt::Unanswered(_) => Status::unavailable("the caller's token cannot be reviewed now"),
        Doubt::Overload => Status::resource_exhausted("too many tokens wait to be reviewed"),
    }
}

/// Lets discovery streams through whose caller is known, and puts the [`Caller`] into the request; other services
/// see to that themselves.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    authenticator: Option<Authenticator>,
}

impl<S> Guard<S> {
    /// In front of this service; without an authenticator everybody gets through and nobody is known (`XDS_AUTH`).
    pub fn new(inner: S, authenticator: Option<Authenticator>) -> Self {
        Self { inner, authenticator }
    }
}

impl<S, B, A> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<A>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    A: From<tonic::body::Body>,
{
    type Response = Response<A>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<A>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Self { inner, authenticator } = self.clone();
        Box::pin(async move {
            if request.uri().path().starts_with(DISCOVERY) {
                match authenticator {
                    None => drop(request.extensions_mut().remove::<Caller>()),
                    Some(authenticator) => match authenticator.admit(known(&request)).await {
                        Ok(caller) => drop(request.extensions_mut().insert(caller)),
                        Err(status) => return Ok(status.into_http::<tonic::body::Body>().map(A::from)),
                    },
                }
            }
            inner.oneshot(request).await
        })
    }
}

/// What a request says of its caller, without its body.
fn known<B>(request: &Request<B>) -> (Extensions, HeaderMap) {
    let mut extensions = Extensions::new();
    if let Some(caller) = request.extensions().get::<Caller>() {
        extensions.insert(caller.clone());
    }
    (extensions, request.headers().clone())
}

impl Authenticator {
    async fn admit(&self, (extensions, headers): (Extensions, HeaderMap)) -> Result<Caller, Status> {
        self.caller(&extensions, &headers).await.map_err(|doubt| {
            count(&self.stats.strange_streams);
            tracing::warn!(%doubt, "a stream was refused: it is not known whose it is");
            status(&doubt, "authentication failure")
        })
    }
}
