//! One HTTP call and its whole answer, over connections that are kept.

use std::net::SocketAddr;
use std::time::Duration;
use std::{error, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Calls addresses directly, whatever host the request names: the address is the caller's own proxy.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    limit: Duration,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status, whoever gave it.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug)]
pub struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl error::Error for NoAnswer {}

impl Client {
    /// A client whose calls each have so much time, connecting included.
    pub fn new(limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { pool: Pool::builder(TokioExecutor::new()).build(connector), limit }
    }

    /// Sends a GET for a path to an address, with these headers; `Host` among them names the service.
    pub async fn get(&self, to: SocketAddr, path: &str, headers: &HeaderMap) -> Result<Answer, NoAnswer> {
        self.send(http::Method::GET, to, path, headers).await
    }

    /// Sends a POST without a body, as Envoy's admin wants it for commands.
    pub async fn post(&self, to: SocketAddr, path: &str) -> Result<Answer, NoAnswer> {
        self.send(http::Method::POST, to, path, &HeaderMap::new()).await
    }

    async fn send(
        &self,
        method: http::Method,
        to: SocketAddr,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("http://{to}{path}").parse().map_err(|error| because(to, path, &error))?;
        *request.headers_mut() = headers.clone();
        let call = async {
            let (head, body) =
                self.pool.request(request).await.map_err(|error| because(to, path, &error))?.into_parts();
            let body = body.collect().await.map_err(|error| because(to, path, &error))?.to_bytes();
            Ok(Answer { status: head.status, body })
        };
        let late = |_| NoAnswer(format!("{to}{path}: no answer in {:?}", self.limit));
        tokio::time::timeout(self.limit, call).await.map_err(late)?
    }
}

/// Headers that name a service, and a user if there is one.
pub fn headers(host: &str, user: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::HOST, host);
    if let Some(user) = user {
        insert(&mut headers, http::HeaderName::from_static("end-user"), user);
    }
    headers
}

/// Sets a header; a value that no header can carry is left out.
fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn because(to: SocketAddr, path: &str, error: &(dyn error::Error + 'static)) -> NoAnswer {
    let mut text = format!("{to}{path}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    NoAnswer(text)
}
