//! What a node is to be, and its start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tidings::{Address, App, Class, Config, HeapNode, Limits, NodeId, SetOptions};
use tokio::sync::{mpsc, watch};

use crate::cluster::{Cluster, Shared};
use crate::core::{Core, Standing};
use crate::driver::{Driver, Sending};
use crate::error::StartError;
use crate::socket::{Socket, own_address, resolve};
use crate::{Members, NAME, seeds};

/// How many commands may wait for the task before those who give them wait.
const COMMANDS: usize = 256;

/// Describes a node; [`start`](Self::start) makes it run. See [`Cluster::builder`].
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    cluster: String,
    name: Option<String>,
    bind: String,
    advertise: Option<String>,
    seeds: Vec<String>,
    config: Config,
    limits: Limits,
    keys: Vec<(String, Vec<u8>, SetOptions)>,
    exported: Vec<u8>,
    app: Option<Box<dyn App + Send>>,
}

impl Builder {
    pub(crate) fn new(cluster: &str) -> Self {
        Builder {
            cluster: cluster.to_owned(),
            name: None,
            bind: "0.0.0.0:0".to_owned(),
            advertise: None,
            seeds: Vec::new(),
            config: Config::LAN,
            limits: Limits::DEFAULT,
            keys: Vec::new(),
            exported: Vec::new(),
            app: None,
        }
    }

    /// The node's name, by which its id is the same after a restart: [`NodeId::from_name`]. No two that run may have the
    /// same. All members can read it under the key [`NAME`]. Without a name, the id is made of the address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The address of the socket, such as `0.0.0.0:7946`, `[::]:7946` or `localhost:0`. Port 0 stands for any free one,
    /// which is the default. `[::]` serves IPv4 and IPv6.
    pub fn bind(mut self, addr: impl Into<String>) -> Self {
        self.bind = addr.into();
        self
    }

    /// The address at which others reach this node, with or without a port, if that is not where it is bound: behind NAT, in
    /// a container, or with a wildcard in [`bind`](Self::bind). Without this, a wildcard is replaced by the address from
    /// which this host reaches the first of its seeds. If none of them can be found either, [`start`](Self::start) fails.
    pub fn advertise(mut self, addr: impl Into<String>) -> Self {
        self.advertise = Some(addr.into());
        self
    }

    /// Nodes to join through, as `host:port`; one that answers is enough. A name may stand for several addresses, and is
    /// looked up at the start, every few seconds while this node is alone, and every minute. This node's own address may
    /// be among them. A name that cannot be found is no error, as it may be found later: [`Cluster::joined`] waits for that.
    pub fn seeds<T: Into<String>>(mut self, seeds: impl IntoIterator<Item = T>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// How the protocol behaves: [`Config::LAN`] if this is not called. The cluster's name is set for you.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How much memory the node may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A key that the node publishes from its first moment on.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.keys.push((key.into(), value.into(), SetOptions::DEFAULT));
        self
    }

    /// The keys of a former life, from [`Cluster::export`]. Those that [`set`](Self::set) gives stay as they are.
    pub fn import(mut self, exported: impl Into<Vec<u8>>) -> Self {
        self.exported = exported.into();
        self
    }

    /// An application that is called in the node's own task: the one that the simulator has tested. It sees every event, also
    /// those that streams of the handle give. It belongs to the node from now on: what it shares with the rest of the program
    /// it publishes as keys, or puts where both can reach it.
    pub fn app(mut self, app: impl App + Send + 'static) -> Self {
        self.app = Some(Box::new(app));
        self
    }

    /// Binds the socket and starts the node in a task of its own. It looks up the names of the seeds first, for five seconds
    /// each at most. It does not wait until the node has joined: [`Cluster::joined`] does.
    pub async fn start(self) -> Result<Cluster, StartError> {
        let written = self.seeds.iter().filter_map(|seed| seed.parse().ok());
        if let Some(seed) = written.into_iter().find(|seed: &SocketAddr| !seed.is_reachable()) {
            return Err(StartError::Seed(seed));
        }
        let socket = bind_first(&find(&self.bind).await?)?;
        let bound = socket.local_addr();
        let names: Arc<[String]> = self.seeds.as_slice().into();
        let peers = seeds::resolve_all(names.clone()).await;
        let addr = reached_at(self.advertise.as_deref(), bound, &peers).await?;
        let id = NodeId::from_name(&self.name.clone().unwrap_or_else(|| addr.to_string()));
        let node = self.node()?;
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(|_| StartError::Random)?;

        let (commands, obeyed) = mpsc::channel(COMMANDS);
        let (standing, standing_read) = watch::channel(Standing::IDLE);
        let (members, members_read) = watch::channel(Members::from([]));
        let (found, seeds) = mpsc::channel(1);
        let mut core = Core::new(node, self.app, !self.seeds.is_empty(), standing, members);
        core.join(&socket, &peers);
        core.start(id, addr, seed)?;
        if !self.seeds.is_empty() {
            let look = move || seeds::resolve_all(names.clone());
            tokio::spawn(seeds::look_up(look, found, members_read.clone()));
        }
        tokio::spawn(Driver { core, socket, commands: obeyed, seeds, sending: Sending::new() }.run());
        Ok(Cluster { shared: Arc::new(Shared { commands, standing: standing_read, members: members_read, id, addr }) })
    }

    /// The node with what it publishes from the first.
    fn node(&self) -> Result<HeapNode, StartError> {
        let mut node = HeapNode::new(self.config.with_cluster(&self.cluster), self.limits);
        let now = tidings::Instant::ZERO;
        if let Some(name) = &self.name {
            let vital = SetOptions::DEFAULT.with_class(Class::Vital);
            node.set_with(now, NAME, name.as_bytes(), vital).map_err(StartError::State)?;
        }
        for (key, value, options) in &self.keys {
            node.set_with(now, key, value, *options).map_err(StartError::State)?;
        }
        node.import(now, &self.exported).map_err(StartError::State)?;
        Ok(node)
    }
}

/// The address that others are told.
async fn reached_at(
    advertise: Option<&str>,
    bound: SocketAddr,
    peers: &[SocketAddr],
) -> Result<SocketAddr, StartError> {
    let Some(advertise) = advertise else {
        return own_address(bound, peers).ok_or(StartError::Advertise(bound));
    };
    // An IPv6 address has colons, but no port.
    let with_port = match advertise.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, 0).to_string(),
        Err(_) if advertise.contains(':') => advertise.to_owned(),
        Err(_) => format!("{advertise}:0"),
    };
    let found = find(&with_port).await?;
    let same = found.iter().find(|addr| addr.is_ipv4() == bound.is_ipv4());
    let addr = *same.unwrap_or(&found[0]);
    let port = if addr.port() == 0 { bound.port() } else { addr.port() };
    Ok(SocketAddr::new(addr.ip().to_canonical(), port))
}

async fn find(name: &str) -> Result<Vec<SocketAddr>, StartError> {
    match resolve(name).await {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(StartError::Resolve(name.to_owned(), std::io::ErrorKind::NotFound.into())),
        Err(error) => Err(StartError::Resolve(name.to_owned(), error)),
    }
}

/// Binds the first of these that can be bound. There is one at least.
fn bind_first(addrs: &[SocketAddr]) -> Result<Socket, StartError> {
    let mut bound = Socket::bind(addrs[0]);
    for addr in &addrs[1..] {
        if bound.is_err() {
            bound = Socket::bind(*addr);
        }
    }
    bound
}
