//! The application of a pod in a test: it says who it is and what reached it, over HTTP or on a bare connection.

use std::io;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::Request;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What an application answers over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Who answers.
    pub name: String,
    /// Who called, as the application's proxy says (`x-forwarded-client-cert`); `None` without mutual TLS.
    pub caller: Option<String>,
}

/// Answers every HTTP request until the task is dropped.
pub async fn serve_http(name: String, listener: TcpListener) -> io::Result<()> {
    let answer = async move |request: Request| {
        let caller = request.headers().get("x-forwarded-client-cert");
        let caller = caller.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Json(Echo { name, caller })
    };
    axum::serve(listener, axum::Router::new().fallback(answer)).await
}

/// Answers the first line of every connection with our name and that line, until the task is dropped.
pub async fn serve_lines(name: String, listener: TcpListener) -> io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        let name = name.clone();
        tokio::spawn(async move {
            // A caller who is gone misses nothing.
            let _ = answer_line(&name, connection).await;
        });
    }
}

async fn answer_line(name: &str, connection: TcpStream) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    connection.write_all(format!("{name}: {line}").as_bytes()).await?;
    connection.shutdown().await
}

/// Says a line on a bare connection and returns the one that comes back.
pub async fn say(to: SocketAddr, line: &str) -> io::Result<String> {
    let mut connection = BufReader::new(TcpStream::connect(to).await?);
    connection.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    connection.read_line(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"));
    }
    Ok(answer.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::calls::{Client, headers};

    #[tokio::test]
    async fn lines_and_requests_come_back_with_a_name() {
        let lines = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = [lines.local_addr().unwrap(), http.local_addr().unwrap()];
        tokio::spawn(serve_lines("a".into(), lines));
        tokio::spawn(serve_http("b".into(), http));
        assert_eq!(say(at[0], "hello").await.unwrap(), "a: hello");
        let client = Client::new(Duration::from_secs(5));
        let answer = client.get(at[1], "/x", &headers("b", None)).await.unwrap();
        let echo: Echo = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(echo, Echo { name: "b".into(), caller: None });
    }
}
