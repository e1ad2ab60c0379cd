//! `proxy-status`: how far each connected proxy is, asked over xDS as istioctl does.

mod client;
mod rows;
mod table;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use envoy_api::envoy::service::discovery::v3::DiscoveryResponse;
use prost::{Message, Name};

use crate::output;
use crate::usage::host_and_port;

/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom to ask, and how to print the answer.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The control plane's xDS port, HOST:PORT.
    #[arg(long = "xds-address", default_value = "127.0.0.1:15010", value_parser = host_and_port)]
    address: String,
    /// Speak in plaintext.
    #[arg(long)]
    plaintext: bool,
    /// In which form.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// 1 or more: one column for each type, with the time since it was last sent.
    #[arg(short, long, default_value_t = 0)]
    verbosity: u8,
    /// The columns of older istioctl: NAME CDS LDS EDS RDS ECDS ISTIOD VERSION.
    #[arg(long, conflicts_with_all = ["output", "verbosity"])]
    old: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.plaintext {
        bail!("only plaintext is spoken: add --plaintext, and name the plaintext port (15010)");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (text, rejected) = runtime.block_on(async {
        let answer = tokio::time::timeout(PATIENCE, answer(arguments)).await;
        answer.with_context(|| format!("no answer from {} in {PATIENCE:?}", arguments.address))?
    })?;
    output::print(text.trim_end())?;
    if matches!(arguments.output, Output::Table) && text.lines().count() == 1 {
        output::tell(format_args!("no proxy is connected to {}", arguments.address));
    }
    rejected.iter().for_each(output::tell);
    Ok(())
}

/// What is printed, and what proxies have rejected: the short table does not show it.
async fn answer(arguments: &Arguments) -> Result<(String, Vec<String>)> {
    if arguments.old {
        let response = client::ask(&arguments.address, "istio.io/debug", &["syncz"]).await?;
        return Ok((table::render(&rows::old(&response)?), Vec::new()));
    }
    let response = client::ask(&arguments.address, "istio.io/debug/syncz", &[]).await?;
    let text = match (arguments.output, arguments.verbosity) {
        (Output::Json, _) => return Ok((json(&response)?, Vec::new())),
        (Output::Table, 0) => table::render(&rows::short(&response)?),
        (Output::Table, _) => table::render(&rows::by_type(&response, SystemTime::now())?),
    };
    Ok((text, rows::rejected(&response)?))
}

/// The whole answer, as istioctl prints it.
fn json(response: &DiscoveryResponse) -> Result<String> {
    let value = envoy_api::json::resource(&DiscoveryResponse::type_url(), &response.encode_to_vec());
    serde_json::to_string_pretty(&value).context("printing the answer")
}
