//! The processes of a test or a demo: each with a log file of its own, all ended with their group.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use tokio::process::{Child, Command};

/// The lines that a program says, as they come, so that whoever waits for one can be patient for so long.
pub fn lines(said: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let said = BufReader::new(said).lines().map_while(Result::ok);
    std::thread::spawn(move || said.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop));
    lines
}

/// Processes that end when this value is dropped, each by its own id.
pub struct Processes {
    logs: PathBuf,
    running: Vec<Process>,
}

struct Process {
    name: String,
    child: Child,
}

impl Processes {
    /// A group whose members write their output into this folder, one `NAME.log` each.
    pub fn new(logs: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(logs)?;
        Ok(Self { logs: logs.to_owned(), running: Vec::new() })
    }

    /// Where a member writes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts a member in a process group of its own, so that Ctrl-C reaches only us. Its log is continued.
    pub fn start(&mut self, name: &str, command: &mut Command) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        self.running.push(Process { name: name.to_owned(), child });
        Ok(())
    }

    /// Kills a member without a chance to say goodbye, and waits until it is gone.
    pub async fn kill(&mut self, name: &str) -> io::Result<()> {
        let Some(place) = self.running.iter().position(|process| process.name == name) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} is not running")));
        };
        self.running.swap_remove(place).child.kill().await
    }

    /// A member that ended by itself, and how.
    pub fn ended(&mut self) -> Option<(String, ExitStatus)> {
        let ended = |process: &mut Process| {
            let status = process.child.try_wait().ok().flatten()?;
            Some((process.name.clone(), status))
        };
        self.running.iter_mut().find_map(ended)
    }

    /// Ends all, the newest first, and waits until they are gone.
    pub async fn end(mut self) {
        while let Some(mut process) = self.running.pop() {
            // The only failure is that it is gone already.
            let _ = process.child.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn member_writes_its_log_and_dies_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let mut group = Processes::new(folder.path()).unwrap();
        group.start("a", Command::new("sh").args(["-c", "echo here; exec sleep 60"])).unwrap();
        while std::fs::read_to_string(group.log("a")).unwrap() != "here\n" {
            tokio::task::yield_now().await;
        }
        assert!(group.ended().is_none());
        group.kill("a").await.unwrap();
        assert!(group.kill("a").await.is_err());
        group.end().await;
    }

    #[tokio::test]
    async fn member_that_ends_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut group = Processes::new(folder.path()).unwrap();
        group.start("a", Command::new("sh").args(["-c", "exit 3"])).unwrap();
        loop {
            if let Some((name, status)) = group.ended() {
                assert_eq!((name.as_str(), status.code()), ("a", Some(3)));
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
