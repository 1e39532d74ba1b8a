//! What an application reads: of members, phases and settings, in words and units of its own.

use tidings::sim::{Conditions, Sim, SimRng};
use tidings::{Config, HeapNode, Instant, Limits, NodeId, Phase, Status, WakeReason};

#[test]
fn a_suspect_is_live_and_counts_as_such() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for _ in 0..4 {
        let host = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT));
        sim.start(host, &[0]);
    }
    sim.run_for(Config::LAN.probe_period() * 5);
    assert!(sim.agrees());
    sim.crash(3);
    let status = |sim: &Sim<HeapNode<u32>>, wanted| {
        let node = sim.machine(0)?;
        let member = node.member(sim.id(3))?;
        let living = node.members().filter(|member| member.status().is_live()).count();
        (member.status() == wanted).then_some((member.status().is_live(), node.live(), living))
    };
    let (pace, limit) = (Config::LAN.first_retry(), Config::LAN.suspicion() * 4);
    sim.run_until_true(|sim| status(sim, Status::Suspect).is_some(), pace, limit).unwrap();
    assert_eq!(status(&sim, Status::Suspect), Some((true, 4, 4)));
    sim.run_until_true(|sim| status(sim, Status::Down).is_some(), pace, limit).unwrap();
    assert_eq!(status(&sim, Status::Down), Some((false, 3, 3)));
    assert!(Status::Alive.is_live() && !Status::Left.is_live());
}

#[test]
fn a_member_is_debugged_by_what_can_be_asked_of_it() {
    let mut node = HeapNode::<u16>::new(Config::LAN, Limits::DEFAULT);
    node.start(Instant::ZERO, NodeId::new(0xa7), 9, &mut SimRng::new(1)).unwrap();
    let member = node.member(node.id()).unwrap();
    let life = member.life();
    let expected =
        format!("Member {{ id: NodeId(00000000000000a7), addr: 9, life: {life:?}, incarnation: 0, status: Alive }}");
    assert_eq!(format!("{member:?}"), expected);
}

#[test]
fn settings_are_debugged_in_the_units_of_their_setters() {
    let text = format!("{:?}", Config::LOW_POWER);
    for field in ["max_datagram: 127", "probe_period: 60s", "gossip_gap: 100ms", "patience: 128s"] {
        assert!(text.contains(field), "{field} in {text}");
    }
}

#[test]
fn phases_and_reasons_to_wake_have_short_names_that_can_be_padded() {
    let mut node = HeapNode::<u16>::new(Config::LAN, Limits::DEFAULT);
    assert_eq!((node.phase().to_string(), node.wake_reason().to_string()), ("idle".into(), "idle".into()));
    node.start(Instant::ZERO, NodeId::new(1), 1, &mut SimRng::new(1)).unwrap();
    assert_eq!(format!("{:8}|", node.phase()), "member  |");
    assert_eq!(format!("{:>9}|", WakeReason::Challenge), "challenge|");
    assert_eq!(Phase::Isolated.to_string(), "isolated");
    let myself = node.member(NodeId::from(1)).unwrap();
    assert_eq!(myself.to_string(), "0000000000000001 at 1, alive");
}
