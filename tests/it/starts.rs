//! Where a node begins: at an address that others can send to, in any thread.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use tidings::sim::SimRng;
use tidings::{
    Address, Config, FixedNode, HeapNode, Instant, JoinError, Limits, MAX_SEEDS, Node, NodeId, Phase, StartError,
    Storage,
};

const ID: NodeId = NodeId::new(7);

/// Hands in addresses that nobody can send to by every way there is, and compares the node with what it was.
fn refuses<A: Address, S: Storage>(node: &mut Node<A, S>, addr: A) {
    let now = node.now();
    let before = node.clone();
    let refused = Err(StartError::Unreachable);
    assert!(!addr.is_reachable());
    assert_eq!(node.start(now, ID, addr, &mut SimRng::new(1)), refused, "{addr:?}");
    assert_eq!(node.start_with_seed(now, ID, addr, [1; 16]), refused, "{addr:?}");
    assert_eq!(node.set_addr(now, addr), refused, "{addr:?}");
    assert_eq!(node.join(now, addr), Err(JoinError::Unreachable), "{addr:?}");
    assert!(*node == before, "{addr:?} has changed something");
}

/// The same before the node's life and in it.
fn refuses_always<A, S>(mut node: Node<A, S>, good: &str, bad: &[&str])
where
    A: Address + std::str::FromStr<Err: std::fmt::Debug>,
    S: Storage,
{
    let addr = |text: &str| text.parse::<A>().unwrap();
    bad.iter().for_each(|bad| refuses(&mut node, addr(bad)));
    node.start(Instant::from_micros(9), ID, addr(good), &mut SimRng::new(1)).unwrap();
    bad.iter().for_each(|bad| refuses(&mut node, addr(bad)));
    assert_eq!(node.addr(), Some(addr(good)));
}

#[test]
fn an_address_that_nobody_can_send_to_is_refused_and_nothing_changes() {
    let v4 = ["0.0.0.0:7946", "0.0.0.0:0", "10.0.0.7:0"];
    let v6 = ["[::]:7946", "[::]:0", "[fe80::1]:0", "[::ffff:0.0.0.0]:7946"];
    let both = [&v4[..], &v6[..]].concat();
    refuses_always(HeapNode::<SocketAddr>::new(Config::LAN, Limits::DEFAULT), "10.0.0.7:7946", &both);
    refuses_always(FixedNode::<2, SocketAddr>::new(Config::LAN), "[fe80::1]:7946", &both);
    refuses_always(FixedNode::<2, SocketAddrV4>::new(Config::LAN), "10.0.0.7:7946", &v4);
    refuses_always(FixedNode::<2, SocketAddrV6>::new(Config::LAN), "[fe80::1]:7946", &v6);
}

#[test]
fn seeds_can_be_replaced_while_a_node_runs() {
    let mut node = HeapNode::<u16>::new(Config::LAN, Limits::DEFAULT);
    let seeds = |node: &HeapNode<u16>| node.seeds().collect::<Vec<_>>();
    let now = Instant::ZERO;
    let old = 100..100 + MAX_SEEDS as u16;
    old.clone().for_each(|seed| node.join(now, seed).unwrap());
    node.start(now, ID, 7, &mut SimRng::new(1)).unwrap();
    assert!(seeds(&node).into_iter().eq(old.clone()));
    assert!(node.forget_seed(now, 100) && !node.forget_seed(now, 100));
    assert_eq!((node.join(now, 200), node.phase()), (Ok(()), Phase::Joining));
    let mut asked = Vec::new();
    let mut buf = [0; tidings::MAX_DATAGRAM];
    while let Some(datagram) = node.poll_transmit(&mut buf) {
        asked.push(datagram.to);
    }
    asked.sort_unstable();
    assert_eq!(asked, old.clone().skip(1).chain([200]).collect::<Vec<_>>(), "the new one, and not the old");

    assert_eq!(old.filter(|seed| node.forget_seed(now, *seed)).count(), MAX_SEEDS - 1);
    assert_eq!((seeds(&node), node.phase()), (vec![200], Phase::Joining));
    assert!(node.forget_seed(now, 200));
    assert_eq!((seeds(&node), node.phase()), (vec![], Phase::Member), "nobody to join: a cluster of one");
    node.join(now, 300).unwrap();
    assert_eq!(node.phase(), Phase::Joining);
}

#[test]
fn a_node_that_runs_does_not_join_through_itself_and_nothing_changes() {
    let mut node = HeapNode::<u16>::new(Config::LAN, Limits::DEFAULT);
    let (early, late) = (Instant::ZERO, Instant::from_micros(1_000_000));
    assert_eq!(node.join(early, 7), Ok(()), "it has no address yet");
    node.start(early, ID, 7, &mut SimRng::new(1)).unwrap();
    let before = node.clone();
    assert_eq!(node.join(late, 7), Err(JoinError::Myself));
    assert!(node == before, "not even its time");
    node.set_addr(late, 8).unwrap();
    assert_eq!((node.join(late, 7), node.join(late, 8)), (Ok(()), Err(JoinError::Myself)), "it has moved");
    node.leave(late);
    while node.phase() != Phase::Left {
        let due = node.poll_timeout();
        node.handle_timeout(due);
        while node.poll_event().is_some() {}
    }
    assert_eq!(node.join(node.now(), 8), Ok(()), "it may be started anywhere next");
}

#[test]
fn why_a_seed_is_refused_is_said_as_at_the_start() {
    assert_eq!(JoinError::Unreachable.to_string(), StartError::Unreachable.to_string());
    assert_eq!(JoinError::from(StartError::Unreachable), JoinError::Unreachable);
    assert!(JoinError::Myself.to_string().contains("own address"));
}

#[test]
fn a_node_can_be_handed_to_any_thread_whatever_its_address_and_storage() {
    fn is_plain<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    // Without a word on what tables are made of: it holds for all that there are.
    fn is<A: Address, S: Storage>() {
        is_plain::<Node<A, S>>();
    }
    is::<SocketAddr, tidings::Heap>();
}

#[test]
fn every_number_is_an_address() {
    assert!(0u8.is_reachable() && 0u64.is_reachable() && [0u8; 6].is_reachable());
    assert!(FixedNode::<2, u16>::new(Config::LAN).start(Instant::ZERO, ID, 0, &mut SimRng::new(1)).is_ok());
}
