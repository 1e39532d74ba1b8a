//! chitchat in the same kind of network, in virtual time.
//!
//! What builds its messages and takes them in is not public, so it is run as its makers run it: each member is a task of
//! tokio's, spawned by `spawn_chitchat`. All of them are on one thread, whose clock is paused: it jumps to the next
//! timer whenever nobody has anything to do. The transport is the one below: it loses datagrams and holds them up, by a
//! generator with a seed. As tokio's timers know only whole milliseconds, each datagram takes 1, 2, 3, 4 or 5 of them.
//!
//! Whom a member gossips with is drawn from the operating system's randomness and cannot be seeded. So no run can be
//! repeated; what is shown is of some runs, and differs a little from one time to the next.
//!
//! The settings are those of Quickwit, whose makers are chitchat's: gossip every second, and the failure detector as it
//! is by default. Digests are compressed (version 1 of its protocol), which is not the default as older releases do not
//! understand it, and costs far fewer bytes.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use chitchat::transport::{ChannelTransport, RecvOutcome, SendOutcome, Socket, Transport};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use tidings::sim::{HostAddress, SimRng};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::day::{KEY, Replicas};

/// The longest payload of a datagram over IPv4, which is what it makes its messages for.
const LONGEST: usize = 65_507;
/// How often a member gossips.
const INTERVAL: Duration = Duration::from_secs(1);
/// Long enough that nothing that is deleted matters: nothing is.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// The time at which the first run began, so to speak: a member's generation is usually the time of its start.
const EPOCH: u64 = 1_700_000_000_000;
/// How long a datagram takes, in milliseconds: from, and how many more.
const LATENCY: (u64, u64) = (1, 4);

/// What all members share.
struct Network {
    rng: SimRng,
    loss: f64,
    inboxes: HashMap<SocketAddr, UnboundedSender<RecvOutcome>>,
}

/// A network that loses datagrams and takes its time.
#[derive(Clone)]
struct Lossy {
    network: Arc<Mutex<Network>>,
    /// How long a message is on the wire is not public either, and is known only to who has sent it: so each is sent
    /// over this transport first, from its sender to itself and at once.
    scale: ChannelTransport,
}

impl Lossy {
    fn new(loss: f64, seed: u64) -> Self {
        let network = Network { rng: SimRng::new(seed), loss, inboxes: HashMap::new() };
        Lossy { network: Arc::new(Mutex::new(network)), scale: ChannelTransport::with_mtu(LONGEST) }
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to become of a datagram to this address: when it arrives and where, if it does.
    fn fate(&self, to: SocketAddr) -> Option<(Duration, UnboundedSender<RecvOutcome>)> {
        let mut network = self.network();
        let loss = network.loss;
        if network.rng.chance(loss) {
            return None;
        }
        let (least, more) = LATENCY;
        let latency = Duration::from_millis(least + network.rng.below(more + 1));
        Some((latency, network.inboxes.get(&to)?.clone()))
    }
}

#[async_trait]
impl Transport for Lossy {
    async fn open(&self, addr: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let scale = self.scale.open(addr).await?;
        let (sender, inbox) = unbounded_channel();
        self.network().inboxes.insert(addr, sender);
        Ok(Box::new(Endpoint { addr, network: self.clone(), scale, inbox }))
    }
}

/// A member's socket.
struct Endpoint {
    addr: SocketAddr,
    network: Lossy,
    scale: Box<dyn Socket>,
    inbox: UnboundedReceiver<RecvOutcome>,
}

#[async_trait]
impl Socket for Endpoint {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.addr)
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let sent = self.scale.send(self.addr, envelope).await?;
        let datagram = self.scale.recv().await?;
        if let Some((latency, inbox)) = self.network.fate(to) {
            tokio::spawn(async move {
                sleep(latency).await;
                // Who is gone hears nothing.
                let _ = inbox.send(datagram);
            });
        }
        Ok(sent)
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        self.inbox.recv().await.context("the network is gone")
    }
}

/// A cluster of members of chitchat.
pub struct Cluster {
    // Before what the members send through, so that they end first.
    runtime: Runtime,
    transport: Lossy,
    begun: Instant,
    members: Vec<Option<ChitchatHandle>>,
    ids: Vec<Option<ChitchatId>>,
}

impl Cluster {
    /// Calls a member that has been started.
    fn with<T>(&self, host: usize, call: impl FnOnce(&mut Chitchat) -> T) -> Option<T> {
        let chitchat = self.members[host].as_ref()?.chitchat();
        // Nobody else runs now: the members do only while time goes by.
        let mut chitchat = chitchat.try_lock().ok()?;
        Some(call(&mut chitchat))
    }
}

fn addr_of(host: usize) -> SocketAddr {
    SocketAddrV4::of_host(host as u32).into()
}

fn config(id: ChitchatId) -> ChitchatConfig {
    ChitchatConfig {
        listen_addr: id.gossip_advertise_addr,
        chitchat_id: id,
        cluster_id: "cluster".into(),
        gossip_interval: INTERVAL,
        seed_nodes: vec![addr_of(0).to_string()],
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: GRACE,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

impl Replicas for Cluster {
    fn new(nodes: usize, loss: f64, seed: u64) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let begun = runtime.block_on(async { Instant::now() });
        let (members, ids) = ((0..nodes).map(|_| None).collect(), vec![None; nodes]);
        Ok(Cluster { runtime, transport: Lossy::new(loss, seed), begun, members, ids })
    }

    fn start(&mut self, host: usize, value: &str) -> Result<(), String> {
        let addr = addr_of(host);
        let member = self.runtime.block_on(async {
            let generation = EPOCH + self.begun.elapsed().as_millis() as u64;
            let id = ChitchatId::new(format!("node-{host}"), generation, addr);
            spawn_chitchat(config(id), vec![(KEY.into(), value.into())], &self.transport).await
        });
        let member = member.map_err(|error| format!("{error:#}"))?;
        self.ids[host] = Some(member.chitchat_id().clone());
        self.members[host] = Some(member);
        Ok(())
    }

    fn run_for(&mut self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    fn set(&mut self, host: usize, value: &str) -> Result<(), String> {
        self.with(host, |chitchat| chitchat.self_node_state().set(KEY, value)).ok_or("it is busy".into())
    }

    fn has(&self, host: usize, owner: usize, value: &str) -> bool {
        let Some(id) = &self.ids[owner] else { return false };
        let has = |chitchat: &mut Chitchat| chitchat.node_state(id).and_then(|state| state.get(KEY)) == Some(value);
        self.with(host, has).unwrap_or(false)
    }

    fn bytes(&self) -> u64 {
        self.transport.scale.statistics().num_bytes_total
    }
}
