//! The handle: members and keys.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings::{HeapNode, NodeId, OwnedEntry, Phase, SetOptions, Stats, Version};
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::Builder;
use crate::core::{Attempt, Command, Core, Lane, Standing, entries};
use crate::error::{Error, Stopped};
use crate::feed::{Feed, Outlet, Tap};
use crate::{Change, Event, Member, Members, NAME};

/// A node of a cluster that runs in a task of its own, and the way to it from any other task or thread.
///
/// A clone is another handle on the same node, and costs a reference count. When the last handle is dropped, the node
/// leaves its cluster, as with [`leave`](Self::leave), and its task ends. Streams are no handles.
///
/// Methods that are not `async` read what the task has last made known, and never wait. The others ask the task. All
/// of them are cancel safe: what was asked for either happens or does not.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) members: watch::Receiver<Members>,
    pub(crate) id: NodeId,
    pub(crate) addr: SocketAddr,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { id, addr, .. } = &*self.shared;
        f.debug_struct("Cluster").field("id", id).field("addr", addr).field("phase", &self.phase()).finish()
    }
}

/// What waits for room: a try, and where its outcome goes.
struct Waiting<F, T> {
    attempt: F,
    outcome: Option<oneshot::Sender<Result<T, Error>>>,
}

impl<F, T> Attempt for Waiting<F, T>
where
    F: FnMut(&mut Core) -> Result<T, Error> + Send,
    T: Send,
{
    fn is_wanted(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| !outcome.is_closed())
    }

    fn attempt(&mut self, core: &mut Core) -> bool {
        match (self.attempt)(core) {
            Err(error) if error.would_block() => false,
            result => {
                if let Some(outcome) = self.outcome.take() {
                    let _ = outcome.send(result);
                }
                true
            }
        }
    }
}

impl Cluster {
    /// Begins to describe a node of the cluster of this name. Nodes of clusters with other names ignore each other.
    pub fn builder(cluster: &str) -> Builder {
        Builder::new(cluster)
    }

    // The node itself.

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// Where others reach this node.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Where this node stands in its life. While none of its seeds' names can be found and nobody has joined through it,
    /// that is [`Phase::Joining`], although [`HeapNode::phase`](tidings::Node::phase) says that it is a member: of a cluster
    /// of one.
    pub fn phase(&self) -> Phase {
        self.shared.standing.borrow().phase
    }

    /// Waits until this node is a member: until a seed has admitted it, or another node has joined through it. A node
    /// without seeds, or with its own address as the only one, is a member at once.
    pub async fn joined(&self) -> Result<(), Stopped> {
        let standing = self.standing(|standing| standing.joined || standing.stopped.is_some()).await;
        standing.stopped.map_or(Ok(()), Err)
    }

    /// Leaves the cluster: others learn that it did. Done when some of them have acknowledged that, or
    /// [`Config::leave_timeout`](tidings::Config::leave_timeout) has passed, which is five seconds by default. An isolated node
    /// does not wait that long: it says farewell a few times, and goes. Fails if the node has stopped for another reason.
    pub async fn leave(&self) -> Result<(), Stopped> {
        let leave = |core: &mut Core| core.hosted.node.leave(core.now());
        // A node that has stopped says below why.
        let _ = self.call(leave).await;
        match self.stopped().await {
            Stopped::Left => Ok(()),
            other => Err(other),
        }
    }

    /// Waits until the node runs no more, and says why.
    pub async fn stopped(&self) -> Stopped {
        self.standing(|standing| standing.stopped.is_some()).await.stopped.unwrap_or(Stopped::Aborted)
    }

    async fn standing(&self, reached: impl FnMut(&Standing) -> bool) -> Standing {
        let mut standing = self.shared.standing.clone();
        let found = standing.wait_for(reached).await.map(|standing| standing.clone());
        found.unwrap_or(Standing { stopped: Some(Stopped::Aborted), ..Standing::IDLE })
    }

    /// What the node has counted so far.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.with(|node| node.stats().clone()).await
    }

    /// Calls a closure with the node itself, for what this handle has no method for. The node stands still meanwhile. Call
    /// none of its five verbs: they belong to the task.
    pub async fn with<T: Send + 'static>(
        &self,
        closure: impl FnOnce(&mut HeapNode) -> T + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.call(|core| closure(&mut core.hosted.node)).await?)
    }

    // Members.

    /// All members that this node knows, itself included, in order of their ids: those that live, and those that are
    /// down or have left and are not forgotten.
    pub fn members(&self) -> Members {
        self.shared.members.borrow().clone()
    }

    /// This member, if this node knows it.
    pub fn member(&self, id: NodeId) -> Option<Member> {
        let members = self.members();
        members.binary_search_by_key(&id, |member| member.id()).ok().map(|at| members[at])
    }

    /// The members that live, by all that this node knows: those that are suspect count.
    pub fn live(&self) -> Vec<Member> {
        self.members().iter().filter(|member| member.status().is_live()).copied().collect()
    }

    /// The living member of the smallest id. `None` while this node is not among others, as it would only find itself.
    ///
    /// All members name the same one as soon as they agree on who lives. This is no lock: in a partition each side has a
    /// leader of its own, after a crash there is none until it has been noticed, and one that was stopped for a while
    /// believes all along that it leads. It suits work that two may do at once without harm.
    pub fn leader(&self) -> Option<NodeId> {
        let members = self.members();
        let living = members.iter().find(|member| member.status().is_live()).map(|member| member.id());
        living.filter(|_| self.phase() == Phase::Member)
    }

    /// The members whenever they change. A reader sees the latest ones, and not each change.
    pub fn watch_members(&self) -> watch::Receiver<Members> {
        self.shared.members.clone()
    }

    /// Everything that happens at the node from now on.
    pub async fn events(&self) -> Result<Feed<Event>, Error> {
        let (mut outlet, feed) = Outlet::new();
        self.call(|core| core.tap(Tap::new(None, move |event| outlet.offer(Ok(event.clone()))))).await?;
        Ok(feed)
    }

    // Keys.

    /// Writes a key of this node's own, which all members can read a few network latencies later, and which lasts as long as this
    /// life of the node: [`export`](Self::export) has it in the next. Waits while others lag
    /// too far behind what this node has written. See [`HeapNode::set`](tidings::Node::set).
    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.set_with(key, value, SetOptions::DEFAULT).await
    }

    /// The same with a class, or with a time after which the key is gone.
    pub async fn set_with(&self, key: &str, value: impl AsRef<[u8]>, options: SetOptions) -> Result<Version, Error> {
        self.persist(Lane::State, setting(key, value, options)).await
    }

    /// The same, and fails with [`StateError::WouldBlock`](tidings::StateError::WouldBlock) where it would wait for others.
    pub async fn try_set(&self, key: &str, value: impl AsRef<[u8]>, options: SetOptions) -> Result<Version, Error> {
        self.call(setting(key, value, options)).await?
    }

    /// Deletes a key of this node's own.
    pub async fn delete(&self, key: &str) -> Result<Version, Error> {
        let key = key.to_owned();
        let delete = move |core: &mut Core| {
            let version = core.hosted.node.delete(core.now(), &key)?;
            core.has_deleted(&key);
            Ok(version)
        };
        self.persist(Lane::State, delete).await
    }

    /// A key of any member, this one included. `None` if there is none, as far as this node knows. The keys of a member that
    /// is down or has left are still there for [`Config::state_retention`](tidings::Config::state_retention), ten minutes by
    /// default: see [`live`](Self::live).
    pub async fn get(&self, owner: NodeId, key: &str) -> Result<Option<OwnedEntry>, Error> {
        let key = key.to_owned();
        self.with(move |node| node.entry(owner, &key).map(|entry| entry.to_owned())).await
    }

    /// All keys of a member, also of one that is down or has left: see [`get`](Self::get).
    pub async fn entries(&self, owner: NodeId) -> Result<Vec<OwnedEntry>, Error> {
        self.with(move |node| entries(node, owner, "")).await
    }

    /// This key of every member that has it, also of those that are down or have left: see [`get`](Self::get).
    ///
    /// For what any member may decide, such as configuration, put the time in front of each value and take the greatest:
    /// versions are each owner's own. Where it must outlive whoever wrote it, have each member that reads a greater one
    /// write it as its own too: a newcomer may not be given the keys of a member that is down.
    pub async fn values(&self, key: &str) -> Result<Vec<(NodeId, OwnedEntry)>, Error> {
        let key = key.to_owned();
        self.with(move |node| node.values(&key).map(|(owner, entry)| (owner, entry.to_owned())).collect()).await
    }

    /// The name of a member; `None` if it has none, or has only just come.
    pub async fn name(&self, id: NodeId) -> Result<Option<String>, Error> {
        let name = self.get(id, NAME).await?;
        Ok(name.map(|entry| String::from_utf8_lossy(entry.value()).into_owned()))
    }

    /// All of this node's own keys, for [`Builder::import`] at its next start: without that, a node that restarts begins with
    /// none, and its former ones are gone everywhere. Call it before [`leave`](Self::leave).
    pub async fn export(&self) -> Result<Vec<u8>, Error> {
        let export = |node: &mut HeapNode| {
            let mut exported = vec![0; node.export_len()];
            let len = node.export(&mut exported);
            debug_assert_eq!(len, Some(exported.len()));
            exported
        };
        self.with(export).await
    }

    /// All keys of all members, this one included, that begin with `prefix`: first those that there are, then every change.
    /// The same key comes once for several changes that follow each other closely. What an [`App`](tidings::App) writes
    /// itself does not come.
    pub async fn watch(&self, prefix: &str) -> Result<Feed<Change>, Error> {
        let prefix = prefix.to_owned();
        let watch = move |core: &mut Core| {
            let node = &core.hosted.node;
            let of = |owner| entries(node, owner, &prefix).into_iter().map(move |entry| Change::Set { owner, entry });
            let there: Vec<Change> = node.owners().flat_map(of).collect();
            let (mut outlet, feed) = Outlet::with_room(there.len());
            for change in there {
                outlet.offer(Ok(change));
            }
            core.watch(move |change| match change.key() {
                Some(key) if !key.starts_with(&prefix) => outlet.is_read(),
                _ => outlet.offer(Ok(change.clone())),
            })?;
            Ok(feed)
        };
        self.call(watch).await?
    }

    // How a handle reaches the node.

    /// Has the task do something, and waits for what comes of it.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        closure: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (outcome, wait) = oneshot::channel();
        let command = Box::new(|core: &mut Core| {
            // Whoever has stopped waiting wants nothing done.
            if !outcome.is_closed() {
                let _ = outcome.send(closure(core));
            }
        });
        let sent = self.shared.commands.send(command).await.is_ok();
        match wait.await {
            Ok(outcome) if sent => Ok(outcome),
            _ => Err(self.stopped().await),
        }
    }

    /// Has the task try something until there is room for it.
    pub(crate) async fn persist<T: Send + 'static>(
        &self,
        lane: Lane,
        attempt: impl FnMut(&mut Core) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (outcome, wait) = oneshot::channel();
        let waiting = Box::new(Waiting { attempt, outcome: Some(outcome) });
        self.call(move |core| core.submit(lane, waiting)).await?;
        match wait.await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.stopped().await.into()),
        }
    }
}

fn setting(
    key: &str,
    value: impl AsRef<[u8]>,
    options: SetOptions,
) -> impl FnMut(&mut Core) -> Result<Version, Error> + Send + 'static {
    let (key, value): (String, Box<[u8]>) = (key.to_owned(), value.as_ref().into());
    move |core| {
        let now = core.now();
        let version = core.hosted.node.set_with(now, &key, &value, options)?;
        core.has_set(&key, options.ttl().map(|ttl: Duration| now + ttl));
        Ok(version)
    }
}
