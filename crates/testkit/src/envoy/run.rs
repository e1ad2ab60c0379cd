//! Envoy started to validate, once for each recorded (set, proxy).

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use serde_json::Value;

use super::{bootstrap, stock};
use crate::{
    corpus::Error,
    golden::{
        Filter,
        case::{self, Proxy, Set},
    },
    offline::{self, Translate},
    verdict::Verdict,
};

/// An Envoy program and a folder to write bootstraps into.
#[derive(Clone, Debug)]
pub struct Envoy {
    /// The program.
    pub program: PathBuf,
    /// A folder of the caller's; bootstraps that Envoy refused stay in it.
    pub folder: PathBuf,
}

impl Envoy {
    /// Puts a bootstrap to Envoy. `Some`: its message, in one line.
    pub fn refusal(&self, name: &str, bootstrap: &Value) -> Result<Option<String>, Error> {
        let file = self.folder.join(format!("{name}.json"));
        let wrap = |source| Error::Io { path: file.clone(), source };
        fs::write(&file, bootstrap.to_string()).map_err(wrap)?;
        let mut command = Command::new(&self.program);
        command.args(["--mode", "validate", "--disable-hot-restart", "--concurrency", "1"]);
        command.args(["--log-level", "error", "--log-format", "%v", "--config-path"]).arg(&file);
        let output = command.stdin(Stdio::null()).output();
        let output = output
            .map_err(|cause| Error::Program { program: self.program.clone(), message: cause.to_string() })?;
        if output.status.success() {
            fs::remove_file(&file).map_err(wrap)?;
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Ok(Some(message(&text, &file.to_string_lossy()).unwrap_or_else(|| output.status.to_string())))
    }
}

/// Envoy's complaint without the file's name, at most 600 characters of it.
fn message(text: &str, file: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.replace(file, "bootstrap").chars().take(600).collect())
}

/// Every proxy of every set that the filter lets through, announced as stock Envoy: what we would serve it is
/// accepted by a real one. Clients that are no Envoy (ztunnel, gRPC) are not judged.
pub fn judge(
    root: &Path,
    filter: &Filter,
    envoy: &Envoy,
    translate: &Translate<'_>,
) -> Result<Vec<Verdict>, Error> {
    let queue: Mutex<VecDeque<Set>> = Mutex::new(case::sets(root, filter)?.into());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || -> Result<Vec<Verdict>, Error> {
        let mut verdicts = Vec::new();
        while let Some(set) = next() {
            for proxy in set.proxies.iter().filter(|proxy| proxy.is_envoy()) {
                verdicts.push(judge_proxy(&set, proxy, envoy, translate)?);
            }
        }
        Ok(verdicts)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let verdicts = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<Vec<_>, _>>()
    })?;
    let mut verdicts: Vec<Verdict> = verdicts.into_iter().flatten().collect();
    verdicts.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(verdicts)
}

fn judge_proxy(set: &Set, proxy: &Proxy, envoy: &Envoy, translate: &Translate<'_>) -> Result<Verdict, Error> {
    let mut request = set.request(proxy, &Filter::default())?;
    request.node = stock::announced(&request.node)?;
    request.types = ["cds", "eds", "lds", "rds"].map(str::to_owned).to_vec();
    let failure = match offline::ask(translate, &request) {
        Err(message) => Some(message),
        Ok(answer) => envoy.refusal(&format!("{}.{}", set.name, proxy.name), &bootstrap(&answer))?,
    };
    Ok(Verdict { id: format!("{}/{}", set.name, proxy.name), failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_complaint_and_names_no_file() {
        let text = "a warning\nerror `bad` initializing config '/tmp/x.json'\n\n";
        let wanted = "error `bad` initializing config 'bootstrap'";
        assert_eq!(message(text, "/tmp/x.json").as_deref(), Some(wanted));
        assert_eq!(message("", "x"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_verdict() {
        let folder = tempfile::tempdir().expect("a folder");
        let envoy = Envoy { program: "/nowhere/envoy".into(), folder: folder.path().to_owned() };
        assert!(matches!(envoy.refusal("a", &Value::Null), Err(Error::Program { .. })));
    }
}
