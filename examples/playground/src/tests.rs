use tidings::Status;

use crate::{Act, Stage, State, Weather};

/// Long enough for everything that these tests wait for.
const PATIENCE: u32 = 20;

/// How many of those that are owed the latest happening know of it, and how many are owed it.
fn latest(stage: &Stage) -> (usize, usize) {
    let counts =
        stage.happenings(|it| (it.known.iter().flatten().count(), it.owed.iter().filter(|owed| **owed).count()));
    counts[0]
}

/// Lets time pass until all know of the latest happening.
fn all_learn(stage: &mut Stage) -> usize {
    for _ in 0..10 * PATIENCE {
        stage.advance(100_000);
        let (known, owed) = latest(stage);
        if known == owed {
            return known;
        }
    }
    panic!("{:?} know of the latest happening of: {:#?}", latest(stage), stage.happenings(Clone::clone));
}

fn gathered() -> Stage {
    let mut stage = Stage::new(16, 1);
    stage.set_weather(Weather { latency: 3_000, lost: 50 });
    assert_eq!(all_learn(&mut stage), 16);
    stage
}

#[test]
fn all_others_hold_a_killed_node_down_and_its_successor_alive() {
    let mut stage = gathered();
    assert!(stage.act(Act::Kill, 5));
    assert_eq!(stage.state(5), State::Killed);
    assert_eq!(all_learn(&mut stage), 15);
    assert!((0..16).filter(|host| *host != 5).all(|host| stage.view(host, 5) == Some(Status::Down)));

    assert!(stage.act(Act::Kill, 5));
    assert_eq!(all_learn(&mut stage), 15);
    assert!((0..16).all(|host| stage.view(host, 5) == Some(Status::Alive)));
}

#[test]
fn broadcasts_keys_pauses_and_leaves_come_to_be_known_by_all_others() {
    let mut stage = gathered();
    for act in [Act::Say, Act::Write, Act::Pause, Act::Pause, Act::Leave, Act::Leave] {
        assert!(stage.act(act, 7), "{act:?}");
        assert_eq!(all_learn(&mut stage), 15, "{act:?}");
    }
}

#[test]
fn each_half_sees_itself_alone_until_they_meet_again() {
    let mut stage = gathered();
    stage.split();
    assert_eq!(all_learn(&mut stage), 16);
    assert_eq!(stage.live(0), 8);
    stage.heal();
    assert_eq!(all_learn(&mut stage), 16);
    assert_eq!(stage.live(0), 16);
}

#[test]
fn who_is_dead_can_do_nothing_but_be_restarted() {
    let mut stage = gathered();
    stage.act(Act::Kill, 2);
    for act in [Act::Pause, Act::Say, Act::Write] {
        assert!(!stage.act(act, 2), "{act:?}");
    }
    assert!(!stage.act(Act::Kill, 16), "there is no such node");
}

#[test]
fn of_every_datagram_it_is_told_once_whether_it_arrives() {
    let mut stage = Stage::new(8, 1);
    stage.set_weather(Weather { latency: 3_000, lost: 300 });
    let (mut arrived, mut lost) = (0, 0);
    for _ in 0..100 {
        stage.advance(20_000);
        for flight in stage.take_flights() {
            if flight.arrived.is_some() { arrived += 1 } else { lost += 1 }
        }
    }
    assert!(lost * 2 < arrived && arrived < lost * 4, "{lost} lost, {arrived} arrived");
}
