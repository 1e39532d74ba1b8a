//! Where a node is, and whom it joins.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use clap::Args;
use tidings::{Config, NodeId};

const ANY_PORT: &str = "127.0.0.1:0";

/// What all nodes of a cluster have in common.
#[derive(Args, Clone)]
// Its group would have the name of another.
#[group(skip)]
pub struct Joining {
    /// Join the cluster through the nodes at these addresses, host names or IP addresses with a port: several with commas
    /// between, or --join several times
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Name of the cluster; nodes of other clusters are ignored
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub cluster: String,
    /// How far apart the nodes are: lan, wan, local or low-power
    #[arg(long, default_value = "lan")]
    pub preset: Config,
}

/// What is one node's own.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Place {
    /// Address of the node's socket, a host name or IP address with a port; port 0 stands for any free one [default:
    /// 127.0.0.1:0]
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<String>,
    /// Where others reach this node, if not at the bound address
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,
    /// A name that makes the id of this node, the same after a restart [default: its address]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// A socket, and what its node is to be told.
pub struct Opened {
    pub socket: UdpSocket,
    /// Where others reach it.
    pub addr: SocketAddr,
    pub seeds: Vec<SocketAddr>,
}

impl Joining {
    pub fn config(&self) -> Config {
        self.preset.with_cluster(&self.cluster)
    }

    /// The seeds that a socket at `bind` can send to.
    fn seeds(&self, bind: SocketAddr) -> Result<Vec<SocketAddr>, String> {
        if self.join.len() > tidings::MAX_SEEDS {
            return Err(format!("--join names {} addresses; a node keeps {}", self.join.len(), tidings::MAX_SEEDS));
        }
        self.join.iter().map(|seed| resolve("--join", seed, Some(bind))).collect()
    }

    /// For the line that greets the user.
    pub fn asking(&self) -> &'static str {
        if self.join.is_empty() { "" } else { ", asking to join" }
    }
}

impl Place {
    pub fn open(&self, joining: &Joining) -> Result<Opened, String> {
        let wanted = resolve("--bind", self.bind.as_deref().unwrap_or(ANY_PORT), None)?;
        let seeds = joining.seeds(wanted)?;
        let (socket, bound) = bind(wanted)?;
        Ok(Opened { socket, addr: self.reachable(bound)?, seeds })
    }

    pub fn id(&self, addr: SocketAddr) -> NodeId {
        NodeId::from_name(self.name.as_deref().unwrap_or(&addr.to_string()))
    }

    /// What to tell others as this node's address.
    fn reachable(&self, bound: SocketAddr) -> Result<SocketAddr, String> {
        let advertised = self.advertise.as_deref().map(|text| resolve("--advertise", text, Some(bound))).transpose()?;
        let addr = advertised.unwrap_or(bound);
        match (addr.ip().is_unspecified() || addr.port() == 0, advertised) {
            (false, _) => Ok(addr),
            (true, None) => Err(format!("nobody can send to {addr}: --advertise says where others reach this node")),
            (true, Some(_)) => Err(format!("nobody can send to {addr}: --advertise needs a real address and port")),
        }
    }
}

/// A socket, and its address.
pub fn bind(wanted: SocketAddr) -> Result<(UdpSocket, SocketAddr), String> {
    let socket = UdpSocket::bind(wanted).map_err(|error| cannot("bind", wanted, &error))?;
    let addr = socket.local_addr().map_err(|error| format!("cannot tell the address of the socket: {error}"))?;
    Ok((socket, addr))
}

/// Why an address cannot be had.
pub fn cannot(verb: &str, wanted: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("cannot {verb} {wanted}: it is in use; port 0 stands for any free one"),
        ErrorKind::AddrNotAvailable => format!("cannot {verb} {wanted}: this machine has no such address"),
        _ => format!("cannot {verb} {wanted}: {error}"),
    }
}

/// The first address of a host, and of those that a socket bound to `near` can send to; of IPv4 if there is no such
/// socket yet and the host has one.
pub fn resolve(option: &str, text: &str, near: Option<SocketAddr>) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => format!(
            "{option} {text}: expected a host name or an IP address with a port, such as localhost:7001 or [::1]:7001"
        ),
        _ => format!("{option} {text}: cannot find this host: {error}"),
    })?;
    let found: Vec<SocketAddr> = found.collect();
    let suits = |addr: &&SocketAddr| near.is_none_or(|near| near.is_ipv4() == addr.is_ipv4());
    let chosen = found.iter().filter(suits).min_by_key(|addr| addr.is_ipv6());
    chosen.copied().ok_or_else(|| match near {
        Some(near) => format!("{option} {text} and --bind {near} must both be IPv4, or both IPv6"),
        None => format!("{option} {text}: this host has no address"),
    })
}
