//! Handles on nodes with sockets of this machine. No test judges by the clock: a limit only ends one that hangs.

mod readers;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{Hosted, OwnedEvent};
use tidings_tokio::{
    App, Builder, Change, Cluster, Config, Error, Event, Feed, HeapNode, Limits, Missed, NAME, NodeId, Phase,
    SetOptions, StartError, Stopped, Topic,
};
use tokio::time::timeout;

const ALARMS: Topic = Topic::from_name("alarms");

/// Ends a test that hangs.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    timeout(limit, future).await.unwrap_or_else(|_| panic!("{what}: nothing in {limit:?}"))
}

fn builder(name: &str, seeds: &[SocketAddr]) -> Builder {
    let seeds = seeds.iter().map(ToString::to_string);
    Cluster::builder("test").name(name).bind("127.0.0.1:0").config(Config::LOCAL).seeds(seeds)
}

/// Nodes that all know each other, by their names too: a key of another class may be read before them.
async fn cluster(count: usize) -> Vec<Cluster> {
    let first = builder("n0", &[]).start().await.unwrap();
    let mut nodes = vec![first];
    for at in 1..count {
        nodes.push(builder(&format!("n{at}"), &[nodes[0].addr()]).start().await.unwrap());
    }
    for node in &nodes {
        soon("joined", node.joined()).await.unwrap();
        see(node, count).await;
    }
    for node in &nodes {
        read_names(node, &nodes).await;
    }
    nodes
}

/// Waits until a node has read what all of these are called.
async fn read_names(node: &Cluster, named: &[Cluster]) {
    let mut read = node.watch(NAME).await.unwrap();
    for other in named {
        while node.name(other.id()).await.unwrap().is_none() {
            next(&mut read).await.unwrap();
        }
    }
}

/// Waits until a node holds so many to be alive.
async fn see(node: &Cluster, count: usize) {
    let mut members = node.watch_members();
    let live = |members: &tidings_tokio::Members| members.iter().filter(|member| member.status().is_live()).count();
    soon("members", members.wait_for(|members| live(members) == count)).await.unwrap();
}

async fn next<T>(feed: &mut Feed<T>) -> Result<T, Missed> {
    soon("the next item", feed.recv()).await.expect("the node runs")
}

#[tokio::test]
async fn what_one_node_says_and_writes_the_others_hear_and_read() {
    let nodes = cluster(3).await;
    let [a, b, c] = &nodes[..] else { unreachable!() };
    let mut heard = b.subscribe(ALARMS).await.unwrap();
    let mut asked = c.questions(ALARMS).await.unwrap();
    let mut watched = c.watch("load").await.unwrap();

    a.set("load/cpu", "0.7").await.unwrap();
    let Ok(Change::Set { owner, entry }) = next(&mut watched).await else { panic!("a key is set") };
    assert_eq!((owner, entry.key(), entry.value()), (a.id(), "load/cpu", &b"0.7"[..]));
    assert_eq!(c.get(a.id(), "load/cpu").await.unwrap().unwrap().value(), b"0.7");
    assert_eq!(c.name(a.id()).await.unwrap().as_deref(), Some("n0"));
    assert_eq!(c.name(NodeId::new(1)).await.unwrap(), None);

    a.broadcast(ALARMS, "fire").await.unwrap();
    let message = next(&mut heard).await.unwrap();
    assert_eq!((message.origin, &message.payload[..]), (a.id(), &b"fire"[..]));

    a.send(b.id(), ALARMS, "you").await.unwrap();
    assert_eq!(next(&mut heard).await.unwrap().payload, b"you");

    let answers = async {
        let question = next(&mut asked).await.unwrap();
        c.answer(question.question, "fine").await.unwrap();
    };
    let (got, ()) = tokio::join!(a.ask(ALARMS, "how?", 1, Duration::from_secs(10)), answers);
    let got = got.unwrap();
    assert_eq!((got.len(), got[0].from, &got[0].payload[..]), (1, c.id(), &b"fine"[..]));

    a.delete("load/cpu").await.unwrap();
    let Ok(Change::Deleted { key, .. }) = next(&mut watched).await else { panic!("a key is deleted") };
    assert_eq!(key, "load/cpu");
}

#[tokio::test]
async fn whoever_leaves_or_drops_its_last_handle_is_seen_to_leave() {
    let mut nodes = cluster(3).await;
    let mut events = nodes[0].events().await.unwrap();
    let (b, c) = (nodes.remove(1), nodes.remove(1));
    let left = [b.id(), c.id()];
    let other_handle = b.clone();
    soon("leave", b.leave()).await.unwrap();
    assert_eq!(other_handle.phase(), Phase::Left);
    assert_eq!(other_handle.set("key", "late").await, Err(Error::Stopped(Stopped::Left)));
    drop(c);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let OwnedEvent::MemberLeft(member) = next(&mut events).await.unwrap() {
            seen.push(member.id());
        }
    }
    assert_eq!(seen, left, "both left in order, and neither is down");
}

#[tokio::test]
async fn more_than_there_is_room_for_waits_and_none_is_lost() {
    let nodes = cluster(2).await;
    let mut heard = nodes[1].subscribe_in_order(ALARMS).await.unwrap();
    let told = async {
        for number in 0..1_000u32 {
            nodes[0].broadcast(ALARMS, number.to_le_bytes()).await.unwrap();
        }
    };
    let read = async {
        for number in 0..1_000u32 {
            assert_eq!(next(&mut heard).await.unwrap().payload, number.to_le_bytes());
        }
    };
    soon("all of them", async { tokio::join!(told, read) }).await;
}

#[tokio::test]
async fn without_waiting_what_has_no_room_is_refused() {
    let nodes = cluster(2).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let node = nodes[0].clone();
        tries.spawn(async move { node.try_broadcast(ALARMS, [7; 1_000]).await });
    }
    let (mut taken, mut refused) = (0, 0);
    while let Some(tried) = tries.join_next().await {
        match tried.unwrap() {
            Ok(_) => taken += 1,
            Err(error) if error.would_block() => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(taken > 0 && refused > 0, "of 200 at once {taken} were taken, {refused} refused");
}

#[tokio::test]
async fn keys_are_listed_by_their_owner_and_owners_by_their_key() {
    let nodes = cluster(3).await;
    let [a, b, c] = &nodes[..] else { unreachable!() };
    let mut watched = c.watch("port/").await.unwrap();
    a.set("port/http", "80").await.unwrap();
    a.try_set("port/https", "443", SetOptions::DEFAULT).await.unwrap();
    b.set("port/http", "8080").await.unwrap();
    for _ in 0..3 {
        next(&mut watched).await.unwrap();
    }
    let of_a = c.entries(a.id()).await.unwrap();
    let keys: BTreeSet<_> = of_a.iter().map(|entry| entry.key()).collect();
    assert_eq!(keys, BTreeSet::from(["name", "port/http", "port/https"]));
    let ports = c.values("port/http").await.unwrap();
    let ports: BTreeSet<_> = ports.iter().map(|(owner, entry)| (*owner, entry.value())).collect();
    assert_eq!(ports, BTreeSet::from([(a.id(), &b"80"[..]), (b.id(), b"8080")]));
    assert_eq!(c.member(a.id()).map(|member| member.addr()), Some(a.addr()));
    assert_eq!(c.member(NodeId::new(1)), None);
    let least = nodes.iter().map(Cluster::id).min();
    assert!(nodes.iter().all(|node| node.leader() == least), "all follow the smallest id");
}

#[tokio::test]
async fn a_node_that_is_started_again_has_the_keys_that_it_exported() {
    let nodes = cluster(2).await;
    nodes[1].set("colour", "blue").await.unwrap();
    nodes[1].set("shape", "round").await.unwrap();
    let exported = nodes[1].export().await.unwrap();
    soon("leave", nodes[1].leave()).await.unwrap();
    let mut watched = nodes[0].watch("").await.unwrap();
    let again = builder("n1", &[nodes[0].addr()]).set("shape", "square").import(exported).start().await.unwrap();
    assert_eq!(again.get(again.id(), "colour").await.unwrap().unwrap().value(), b"blue");
    assert_eq!(again.get(again.id(), "shape").await.unwrap().unwrap().value(), b"square", "what is given is newer");
    let shape = async || nodes[0].get(again.id(), "shape").await.unwrap();
    while shape().await.is_none_or(|entry| entry.value() != b"square") {
        next(&mut watched).await.unwrap();
    }
    let broken = builder("n2", &[]).import("no map").start().await;
    assert!(matches!(broken, Err(StartError::State(_))), "{broken:?}");
}

#[tokio::test]
async fn one_member_can_be_asked_and_need_not_answer() {
    let nodes = cluster(2).await;
    let mut asked = nodes[1].questions(ALARMS).await.unwrap();
    let answer = async {
        let asked = next(&mut asked).await.unwrap();
        nodes[1].answer(asked.question, "here").await.unwrap();
    };
    let second = Duration::from_secs(10);
    let (answered, ()) = tokio::join!(nodes[0].ask_one(nodes[1].id(), ALARMS, "there?", second), answer);
    assert_eq!(answered.unwrap().map(|answer| answer.payload), Some(b"here".to_vec()));
    let silence = nodes[0].ask_one(nodes[1].id(), ALARMS, "and now?", Duration::from_millis(100));
    assert_eq!(soon("nothing", silence).await, Ok(None));
    let nobody = nodes[0].ask_one(NodeId::new(1), ALARMS, "who?", second).await;
    assert_eq!(nobody, Err(Error::Send(tidings::SendError::Unknown)));
}

#[tokio::test]
async fn whom_nobody_answers_leaves_all_the_same() {
    let other = tokio::runtime::Runtime::new().unwrap();
    let config = Config::LOCAL.with_leave_timeout(Duration::from_millis(200));
    let a = builder("a", &[]).config(config).start().await.unwrap();
    let b = other.spawn(builder("b", &[a.addr()]).start()).await.unwrap().unwrap();
    see(&a, 2).await;
    // Its task ends where it stands, as in a crash.
    other.shutdown_background();
    assert_eq!(soon("the end of its task", b.stopped()).await, Stopped::Aborted);
    assert_eq!(soon("leave", a.leave()).await, Ok(()));
    assert_eq!(b.set("key", "value").await, Err(Error::Stopped(Stopped::Aborted)));
}

#[tokio::test]
async fn an_isolated_node_leaves_long_before_the_timeout() {
    let other = tokio::runtime::Runtime::new().unwrap();
    let config = Config::LOCAL.with_leave_timeout(Duration::from_secs(3_600));
    let a = builder("a", &[]).config(config).start().await.unwrap();
    let b = other.spawn(builder("b", &[a.addr()]).start()).await.unwrap().unwrap();
    see(&a, 2).await;
    let mut events = a.events().await.unwrap();
    other.shutdown_background();
    while next(&mut events).await.unwrap() != Event::Isolated {}
    assert_eq!(soon("leave", a.leave()).await, Ok(()));
    drop(b);
}

#[tokio::test]
async fn seeds_are_names_and_a_wildcard_finds_its_address_through_them() {
    let first = builder("first", &[]).start().await.unwrap();
    let seed = format!("localhost:{}", first.addr().port());
    let second = Cluster::builder("test").name("second").bind("0.0.0.0:0").config(Config::LOCAL).seeds([seed]);
    let second = second.start().await.unwrap();
    assert!(second.addr().ip().is_loopback(), "it is reached where its seed is: {}", second.addr());
    soon("joined", second.joined()).await.unwrap();
    see(&first, 2).await;
}

#[tokio::test]
async fn a_wildcard_that_nothing_explains_is_refused_in_a_sentence() {
    let started = Cluster::builder("test").bind("0.0.0.0:0").start().await;
    let Err(error @ StartError::Advertise(_)) = started else { panic!("{started:?}") };
    assert!(error.to_string().contains("give advertise()"), "{error}");
    let given = Cluster::builder("test").bind("0.0.0.0:0").advertise("127.0.0.1").start().await.unwrap();
    assert!(given.addr().port() > 0, "the port is that of the socket");
    let unknown = Cluster::builder("test").bind("nobody.invalid:1").start().await;
    assert!(matches!(unknown, Err(StartError::Resolve(..))), "{unknown:?}");
    let taken = Cluster::builder("test").bind(given.addr().to_string()).start().await;
    // The wildcard socket has the port, on every address.
    let Err(error @ StartError::Bind(..)) = taken else { panic!("{taken:?}") };
    assert!(error.to_string().contains("in use"), "{error}");
}

#[tokio::test]
async fn a_seed_that_nobody_can_send_to_is_refused_in_a_sentence() {
    for seed in ["0.0.0.0:7946", "[::]:7946", "127.0.0.1:0"] {
        let started = builder("a", &[seed.parse().unwrap()]).start().await;
        let Err(error @ StartError::Seed(_)) = started else { panic!("{started:?}") };
        assert_eq!(error.to_string(), format!("nobody can send to the seed {seed}"));
    }
    let named = Cluster::builder("test").bind("127.0.0.1:0").seeds(["localhost:0"]).start().await.unwrap();
    assert_eq!(named.with(|node| node.seeds().count()).await, Ok(0), "a name may stand for another by and by");
}

#[tokio::test]
async fn names_that_stand_for_nothing_yet_keep_a_node_from_having_joined() {
    let lost = Cluster::builder("test").bind("127.0.0.1:0").seeds(["nobody.invalid:7946"]).start().await.unwrap();
    assert_eq!((lost.phase(), lost.leader()), (Phase::Joining, None), "it leads nobody");
    // It waits for its seeds, so only another that joins through it ends that.
    let other = builder("other", &[lost.addr()]).start().await.unwrap();
    soon("joined", other.joined()).await.unwrap();
    soon("joined by another", lost.joined()).await.unwrap();
    see(&lost, 2).await;
    assert_eq!(lost.phase(), Phase::Member);
    other.leave().await.unwrap();
    see(&lost, 1).await;
    assert_eq!(lost.phase(), Phase::Member, "it was among others");
}

#[tokio::test]
async fn one_socket_serves_both_families() {
    let both = Cluster::builder("test").name("both").bind("[::]:0").advertise("::1").config(Config::LOCAL);
    let both = match both.start().await {
        Ok(both) => both,
        // A machine without IPv6.
        Err(StartError::Bind(..)) => return,
        Err(error) => panic!("{error}"),
    };
    let seed = format!("127.0.0.1:{}", both.addr().port());
    // An IPv4 node hears the other's IPv4 datagrams, but cannot send to ::1: it must be bound to both as well.
    let second = Cluster::builder("test").name("second").bind("[::]:0").advertise("127.0.0.1").seeds([seed]);
    let second = second.config(Config::LOCAL).start().await.unwrap();
    soon("joined", second.joined()).await.unwrap();
    see(&both, 2).await;
    see(&second, 2).await;
}

#[tokio::test]
async fn a_second_node_of_one_name_stops_and_says_why() {
    let nodes = cluster(2).await;
    let twin = builder("n1", &[nodes[0].addr()]).start().await.unwrap();
    assert_eq!(soon("the end", twin.joined()).await, Err(Stopped::IdTaken));
    assert!(soon("the end", twin.set("key", "value")).await.is_err());
    see(&nodes[0], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_at_the_socket_keeps_off_neither_commands_nor_the_cluster() {
    let nodes = cluster(3).await;
    let (target, stop) = (nodes[1].addr(), Arc::new(AtomicBool::new(false)));
    let ended = stop.clone();
    let flood = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        while !ended.load(Relaxed) {
            let _ = socket.send_to(&[7; 64], target);
        }
    });
    let refused = async || nodes[1].stats().await.unwrap().dropped_in_all();
    let flooded = async { while refused().await < 1_000 {} };
    soon("the flood", flooded).await;
    let mut watched = nodes[2].watch("beat").await.unwrap();
    for beat in 0..200u32 {
        soon("a command", nodes[1].set("beat", beat.to_le_bytes())).await.unwrap();
    }
    let last = 199u32.to_le_bytes();
    loop {
        if let Change::Set { entry, .. } = next(&mut watched).await.unwrap()
            && entry.value() == last
        {
            break;
        }
    }
    let after = refused().await;
    assert!(after > 1_000, "it goes on: {after}");
    stop.store(true, Relaxed);
    flood.join().unwrap();
    for node in &nodes {
        see(node, 3).await;
    }
}

/// Counts how often its node's task goes round.
struct Rounds(Arc<AtomicUsize>);

impl App for Rounds {
    fn on_event(&mut self, _: &mut HeapNode, _: &OwnedEvent<SocketAddr>) {}

    // Asked once a round.
    fn next_timer(&self) -> tidings::Instant {
        self.0.fetch_add(1, Relaxed);
        tidings::Instant::FAR_FUTURE
    }
}

#[tokio::test]
async fn a_full_socket_leaves_the_other_tasks_of_its_thread_their_turn() {
    let rounds = Arc::new(AtomicUsize::new(0));
    let node = builder("alone", &[]).app(Rounds(rounds.clone())).start().await.unwrap();
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut most = 0;
    for _ in 0..20 {
        // Nothing else runs on this thread meanwhile: the socket fills.
        for _ in 0..200 {
            flood.send_to(&[7; 64], node.addr()).unwrap();
        }
        let before = rounds.load(Relaxed);
        tokio::task::yield_now().await;
        most = most.max(rounds.load(Relaxed) - before);
    }
    let taken = node.stats().await.unwrap().datagrams_in;
    assert!(taken > 1_000 && most <= 2, "of {taken} its task took {most} batches in one turn");
}

/// Follows the smallest live id, and publishes whom it follows.
#[derive(Default)]
struct Follower {
    leader: Option<NodeId>,
}

impl<A: tidings::Address> App<A> for Follower {
    fn on_event(&mut self, node: &mut HeapNode<A>, event: &OwnedEvent<A>) {
        let living = node.members().filter(|member| member.status().is_live());
        let leader = living.map(|member| member.id()).min();
        if event.member().is_some() && leader != self.leader {
            self.leader = leader;
            let text = leader.map_or(String::new(), |id| id.to_string());
            node.set(node.now(), "follows", text.as_bytes()).expect("there is room for one key");
        }
    }
}

#[test]
fn an_application_in_the_simulator_agrees_on_a_leader() {
    let mut sim = Sim::new(7, Conditions::LAN.with_loss(0.05));
    for _ in 0..5 {
        let host = sim.add(Hosted::new(HeapNode::<u32>::new(Config::LAN, Limits::DEFAULT), Follower::default()));
        sim.start(host, &[0]);
    }
    let agrees = |sim: &Sim<Hosted<Follower, u32>>| {
        sim.running().all(|host| sim.machine(host).is_some_and(|it| it.app.leader == Some(sim.id(0))))
    };
    assert!(sim.run_until_true(agrees, Duration::from_millis(50), Duration::from_secs(30)).is_some());
}

#[tokio::test]
async fn the_same_application_on_sockets_agrees_on_a_leader() {
    let first = builder("n0", &[]).app(Follower::default()).start().await.unwrap();
    let mut nodes = vec![first];
    for at in 1..3 {
        let node = builder(&format!("n{at}"), &[nodes[0].addr()]).app(Follower::default());
        nodes.push(node.start().await.unwrap());
    }
    let leader = nodes.iter().map(Cluster::id).min().unwrap().to_string();
    // The first node reads of all whom they follow, and of itself by asking.
    let agreed = async {
        loop {
            let follows = nodes[0].values("follows").await.unwrap();
            if follows.len() == 3 && follows.iter().all(|(_, entry)| entry.value() == leader.as_bytes()) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("one leader", agreed).await;
}

#[test]
fn a_handle_can_be_shared_by_all_threads() {
    fn is<T: Clone + Send + Sync + 'static>() {}
    is::<Cluster>();
    fn can_be_spawned<T: Send>(_: impl FnOnce(&'static Cluster) -> T) {}
    can_be_spawned(|_| builder("a", &[]).start());
    can_be_spawned(|node| async {
        node.joined().await?;
        node.leave().await
    });
    can_be_spawned(|node| node.set("key", "value"));
    can_be_spawned(|node| node.send(node.id(), ALARMS, "text"));
    can_be_spawned(|node| node.ask(ALARMS, "text", 1, Duration::ZERO));
    can_be_spawned(|node| async { node.watch("").await?.recv().await.transpose().map_err(|_| Error::Unreachable) });
}
