//! Pods as network namespaces: one bridge, an address for each, traffic captured by iptables as in a mesh.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command as StdCommand, Stdio};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// The user that the proxy runs as and whose traffic is not captured.
pub(crate) const PROXY: u32 = 1337;
/// Everybody else; anyone but the proxy's user does.
pub(crate) const ROOT: u32 = 0;

/// A bridge with namespaces on it; all are gone with this value.
pub(crate) struct Network {
    /// Begins the names of the namespaces, so that two runs do not meet.
    prefix: String,
    made: Vec<String>,
}

impl Network {
    /// The namespace that the others hang on; it has an address of its own, as a node has.
    pub(crate) fn new() -> Result<Self> {
        let mut network = Self { prefix: format!("pilothouse-{}-", std::process::id()), made: Vec::new() };
        network.make("hub")?;
        let hub = network.full("hub");
        ip(&format!("-n {hub} link add bridge0 type bridge"))?;
        ip(&format!("-n {hub} addr add {}/24 dev bridge0", address(1)))?;
        ip(&format!("-n {hub} link set bridge0 up"))?;
        Ok(network)
    }

    /// A pod with an address.
    pub(crate) fn add(&mut self, name: &str, last: u8) -> Result<()> {
        self.make(name)?;
        let (hub, pod) = (self.full("hub"), self.full(name));
        ip(&format!("-n {hub} link add pod-{name} type veth peer name eth0 netns {pod}"))?;
        ip(&format!("-n {hub} link set pod-{name} master bridge0 up"))?;
        ip(&format!("-n {pod} addr add {}/24 dev eth0", address(last)))?;
        ip(&format!("-n {pod} link set eth0 up"))?;
        ip(&format!("-n {pod} route add default via {}", address(1)))
    }

    /// Redirects what comes in to the proxy's 15006 and what goes out to its 15001, but for the proxy's own.
    pub(crate) fn capture(&self, name: &str) -> Result<()> {
        let rules = format!(
            "*nat
-A PREROUTING -p tcp -m multiport --dports 15008,15020,15021,15090 -j RETURN
-A PREROUTING -p tcp -j REDIRECT --to-ports 15006
-A OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner {PROXY} -j REDIRECT --to-ports 15006
-A OUTPUT -o lo -j RETURN
-A OUTPUT -m owner --uid-owner {PROXY} -j RETURN
-A OUTPUT -p tcp -j REDIRECT --to-ports 15001
COMMIT
"
        );
        let mut restore = StdCommand::new("ip");
        restore.args(["netns", "exec", &self.full(name), "iptables-restore"]);
        let mut child = restore.stdin(Stdio::piped()).spawn().context("starting iptables-restore")?;
        child.stdin.take().context("its input")?.write_all(rules.as_bytes())?;
        ensure!(child.wait()?.success(), "iptables-restore refused the rules");
        Ok(())
    }

    /// Lets processes in a namespace listen on addresses that it does not have.
    pub(crate) fn allow_any_address(&self, name: &str) -> Result<()> {
        let mut command = StdCommand::new("ip");
        let write = "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind";
        output(command.args(["netns", "exec", &self.full(name), "sh", "-c", write])).map(drop)
    }

    /// A command as it runs in a namespace, by a user.
    pub(crate) fn inside(&self, name: &str, user: u32, command: &Command) -> Command {
        let command = command.as_std();
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.full(name), "setpriv"]);
        inside.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
        inside.arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    fn make(&mut self, name: &str) -> Result<()> {
        let name = self.full(name);
        ip(&format!("netns add {name}"))?;
        ip(&format!("-n {name} link set lo up"))?;
        self.made.push(name);
        Ok(())
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.made {
            if let Err(error) = ip(&format!("netns del {name}")) {
                eprintln!("leaving the network namespace {name} behind: {error:#}");
            }
        }
    }
}

/// An address on the bridge by its last number, in a range that is for documentation.
pub(crate) fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn ip(words: &str) -> Result<()> {
    output(StdCommand::new("ip").args(words.split(' '))).map(drop)
}

fn output(command: &mut StdCommand) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, complaint.trim());
    Ok(output.stdout)
}
