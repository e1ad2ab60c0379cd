//! A thousand simulated sidecars in a process of their own, and how the bench talks with it: a word on its
//! standard input, a line of JSON on its standard output.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::mesh::Scale;
use crate::sidecar::{Common, Log, Sidecar};
use crate::table::Times;

/// What became of all sidecars since the report before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) clients: usize,
    pub(crate) current: usize,
    pub(crate) streams: u64,
    pub(crate) responses: u64,
    pub(crate) bytes: u64,
    /// The last ACK of each sidecar in microseconds since 1970; 0 if it was sent nothing.
    pub(crate) last: Vec<u64>,
    /// `cds outbound|80||…` with the number of sidecars that it was sent to, and removed from.
    pub(crate) sent: BTreeMap<String, u64>,
    pub(crate) removed: BTreeMap<String, u64>,
}

/// Plays the sidecars: `fleet ADDRESS SERVICES ENDPOINTS COUNT`; ends with its standard input.
pub(crate) async fn play(words: &[String]) -> Result<()> {
    let [address, services, endpoints, count] = words else { bail!("fleet: four words are needed") };
    let scale = Scale { services: services.parse()?, endpoints: endpoints.parse()?, ..Scale::A };
    let address: SocketAddr = address.parse()?;
    let common = Arc::<Common>::default();
    let mut logs = Vec::new();
    let mut waiting = Vec::new();
    for node in scale.nodes(count.parse()?) {
        let node = pilothouse::offline::node(&node).map_err(anyhow::Error::msg)?;
        let (sidecar, log) = Sidecar::new(node, common.clone());
        logs.push(log);
        waiting.push(sidecar);
    }
    while let Some(word) = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await? {
        let word = word.context("reading a word")?;
        match word.as_str() {
            "connect" => waiting.drain(..).for_each(|sidecar| drop(tokio::spawn(sidecar.run(address)))),
            "report" => {}
            other => bail!("fleet: {other} is no word of it"),
        }
        println!("{}", serde_json::to_string(&report(&logs))?);
    }
    Ok(())
}

fn report(logs: &[Arc<Mutex<Log>>]) -> Report {
    let mut report = Report { clients: logs.len(), ..Report::default() };
    for log in logs {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *log);
        log.is_current = taken.is_current;
        report.current += usize::from(taken.is_current);
        report.streams += taken.streams;
        report.responses += taken.responses;
        report.bytes += taken.bytes;
        report.last.push(taken.last.map(micros).unwrap_or_default());
        for (count, names) in [(&mut report.sent, taken.sent), (&mut report.removed, taken.removed)] {
            for (kind, name) in names {
                *count.entry(format!("{kind} {name}")).or_default() += 1;
            }
        }
    }
    report
}

/// A time in microseconds since 1970, as processes tell it to each other.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

/// The process, as the bench holds it.
pub(crate) struct Fleet {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Fleet {
    /// Starts the process; nobody connects yet.
    pub(crate) fn start(server: SocketAddr, scale: Scale, count: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        let numbers = [scale.services, scale.endpoints, count].map(|number| number.to_string());
        command.arg("fleet").arg(server.to_string()).args(numbers);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the sidecars")?;
        let input = child.stdin.take().context("the sidecars have no input")?;
        let output = child.stdout.take().context("the sidecars have no output")?;
        Ok(Self { _child: child, input, output: BufReader::new(output).lines() })
    }

    async fn say(&mut self, word: &str) -> Result<Report> {
        self.input.write_all(format!("{word}\n").as_bytes()).await.context("talking to the sidecars")?;
        let line = self.output.next_line().await?.context("the sidecars have ended")?;
        serde_json::from_str(&line).context("reading what the sidecars say")
    }

    /// What was sent since the last report.
    pub(crate) async fn report(&mut self) -> Result<Report> {
        self.say("report").await
    }

    /// Connects all; the time until the last of them has acknowledged everything, and what they were sent.
    pub(crate) async fn connect(&mut self) -> Result<(Duration, Report)> {
        let begin = SystemTime::now();
        let first = self.say("connect").await?;
        let all = self.until_current(first, Duration::from_secs(60)).await?;
        Ok((all.times(begin).percentile(100), all))
    }

    /// Waits until all are current and nothing comes any more.
    pub(crate) async fn until_current(&mut self, first: Report, limit: Duration) -> Result<Report> {
        let begin = SystemTime::now();
        let mut sum = first;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let more = self.report().await?;
            let is_quiet = more.responses == 0 && more.current == more.clients;
            sum.add(more);
            if is_quiet {
                return Ok(sum);
            }
            ensure!(begin.elapsed()? < limit, "only {} of {} are current", sum.current, sum.clients);
        }
    }

    /// What one change causes: waits until nothing comes any more, at least `quiet` after the last response.
    pub(crate) async fn settle(&mut self, quiet: Duration) -> Result<Report> {
        let mut sum = Report::default();
        loop {
            tokio::time::sleep(quiet).await;
            let more = self.report().await?;
            let is_quiet = more.responses == 0;
            sum.add(more);
            if is_quiet {
                return Ok(sum);
            }
        }
    }
}

impl Report {
    /// From a moment to the last ACK of each sidecar that was sent anything.
    pub(crate) fn times(&self, since: SystemTime) -> Times {
        let since = micros(since);
        let sent = self.last.iter().filter(|last| **last > 0);
        Times(sent.map(|last| Duration::from_micros(last.saturating_sub(since))).collect())
    }

    fn add(&mut self, more: Self) {
        (self.clients, self.current) = (more.clients, more.current);
        self.streams += more.streams;
        self.responses += more.responses;
        self.bytes += more.bytes;
        self.last.resize(more.last.len(), 0);
        self.last.iter_mut().zip(more.last).for_each(|(last, more)| *last = more.max(*last));
        for (into, from) in [(&mut self.sent, more.sent), (&mut self.removed, more.removed)] {
            from.into_iter().for_each(|(name, count)| *into.entry(name).or_default() += count);
        }
    }
}
