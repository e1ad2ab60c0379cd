//! The cluster's network: the namespace that this runs in is the node, every pod has one of its own, routes join them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Result, io, ip, run};

/// The address of the node, of the API server and of every webhook's caller.
pub const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Where `ip` keeps names of namespaces.
const NAMES: &str = "/run/netns";

/// The node's side of the network.
#[derive(Clone, Debug)]
pub struct Network {
    _made: (),
}

impl Network {
    /// Makes the namespace that we are in the node. It must be a fresh one, and so must the mounts be ours alone.
    pub async fn new() -> Result<Self> {
        io("making a folder for namespaces", std::fs::create_dir_all(NAMES))?;
        run(Command::new("mount").args(["-t", "tmpfs", "namespaces", NAMES])).await?;
        ip("link set lo up").await?;
        // A bridge without members is an interface that leads nowhere: the API server wants a default route.
        ip("link add node0 type bridge").await?;
        ip(&format!("addr add {NODE}/32 dev node0")).await?;
        ip("link set node0 up").await?;
        ip("route add default dev node0").await?;
        io("forwarding packets", std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        Ok(Self { _made: () })
    }

    /// A pod's namespace with an address; `eth0` inside, the name's own interface on the node.
    pub async fn add(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        ip(&format!("netns add {name}")).await?;
        ip(&format!("-n {name} link set lo up")).await?;
        ip(&format!("link add {name} type veth peer name eth0 netns {name}")).await?;
        ip(&format!("addr add {NODE} peer {address}/32 dev {name}")).await?;
        ip(&format!("link set {name} up")).await?;
        ip(&format!("-n {name} addr add {address}/32 dev eth0")).await?;
        ip(&format!("-n {name} link set eth0 up")).await?;
        ip(&format!("-n {name} route add {NODE} dev eth0 scope link")).await?;
        ip(&format!("-n {name} route add default via {NODE}")).await
    }

    /// Ends a namespace; nobody may be left in it.
    pub async fn remove(&self, name: &str) -> Result<()> {
        ip(&format!("netns del {name}")).await
    }

    /// The file that stands for a namespace.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(NAMES).join(name)
    }

    /// A command that is started in a namespace; what it runs is added by the caller.
    pub fn inside(&self, name: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file(name).display()));
        command
    }
}
