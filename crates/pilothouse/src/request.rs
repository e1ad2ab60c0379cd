//! `request`: one call of a page of the control plane that runs beside, as istioctl has it made inside the pod.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the whole call may take, as in istiod.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to ask.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The method: GET, POST, PUT.
    method: String,
    /// The path with its query, such as /debug/syncz?pretty.
    path: String,
    /// The body.
    body: Option<String>,
    /// Where the pages are served.
    #[arg(long, default_value = "127.0.0.1:15014")]
    address: String,
}

/// Asks and prints the body. A page that is not there is printed too, since older programs look at its text.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(arguments)).await });
    let answer =
        answer.with_context(|| format!("no answer from {} in {PATIENCE:?}", arguments.address))??;
    let (status, body) =
        split(&answer).with_context(|| format!("{} does not speak HTTP", arguments.address))?;
    if status > 399 && status != 404 {
        bail!("received unsuccessful status code {status}: {}", body.trim_end());
    }
    crate::output::print(&body)
}

/// The answer as it comes. It is asked for in HTTP/1.0, so that it ends with the connection and is in one piece.
async fn ask(arguments: &Arguments) -> Result<Vec<u8>> {
    let Arguments { method, path, body, address } = arguments;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_word(method) || !is_word(path) {
        bail!("a method and a path have no spaces and no control characters");
    }
    let (path, body) = (path.trim_start_matches('/'), body.as_deref().unwrap_or_default());
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    let length = body.len();
    let head = format!("{method} /{path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.context("asking")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.context("reading the answer")?;
    Ok(answer)
}

/// The status and the body of an answer.
fn split(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = b"HTTP/1.0 404 Not Found\r\ncontent-length: 5\r\n\r\nnone\n";
        assert_eq!(split(answer), Some((404, "none\n".to_owned())));
        assert_eq!(split(b"SSH-2.0-x\r\n"), None);
    }
}
