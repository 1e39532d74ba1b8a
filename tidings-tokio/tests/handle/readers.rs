//! Streams: how they begin, and what becomes of a reader that is too slow.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings_tokio::{Change, Event, Feed, Missed, NodeId, SetOptions, Status};
use tokio::time::timeout;

use super::{ALARMS, builder, cluster, next, soon};

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_shows_own_keys() {
    let nodes = cluster(2).await;
    nodes[0].set("job/1", "a").await.unwrap();
    nodes[1].set("job/2", "b").await.unwrap();
    nodes[1].set("other", "c").await.unwrap();
    let mut all = nodes[1].watch("job/").await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let change = next(&mut all).await.unwrap();
        seen.insert((change.owner(), change.key().unwrap().to_owned()));
    }
    assert_eq!(seen, BTreeSet::from([(nodes[0].id(), "job/1".to_owned()), (nodes[1].id(), "job/2".to_owned())]));
    nodes[1].set_with("job/3", "d", SetOptions::DEFAULT.with_ttl(Duration::from_millis(300))).await.unwrap();
    let set = next(&mut all).await.unwrap();
    assert_eq!((set.owner(), set.key()), (nodes[1].id(), Some("job/3")), "an own key");
    let gone = next(&mut all).await.unwrap();
    assert_eq!(gone, Change::Deleted { owner: nodes[1].id(), key: "job/3".to_owned() }, "which runs out");
}

#[tokio::test]
async fn a_watch_begins_with_more_than_its_reader_may_lag_behind() {
    let node = builder("alone", &[]).start().await.unwrap();
    for number in 0..1_500 {
        node.set(&format!("k/{number}"), "v").await.unwrap();
    }
    let mut all = node.watch("k/").await.unwrap();
    for _ in 0..1_500 {
        assert!(matches!(next(&mut all).await, Ok(Change::Set { .. })));
    }
    drop(all);
    node.set("k/0", "nobody reads of it").await.unwrap();
    let mut again = node.watch("k/0").await.unwrap();
    assert!(matches!(next(&mut again).await, Ok(Change::Set { .. })), "a later watch is told");
}

#[tokio::test]
async fn a_reader_that_lags_is_told_how_much_it_missed() {
    let node = builder("alone", &[]).start().await.unwrap();
    let mut changes = node.watch("k").await.unwrap();
    let most = 3_000;
    for number in 0..most {
        node.set("k", format!("{number}")).await.unwrap();
    }
    let (mut read, mut missed) = (0, 0);
    while read + missed < most {
        match next(&mut changes).await {
            Ok(_) => read += 1,
            Err(Missed::Lagged(count)) => missed += count,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(missed > 0 && read + missed == most, "{read} read and {missed} missed of {most}");
    node.set("k", "again").await.unwrap();
    assert!(next(&mut changes).await.is_ok(), "it goes on");
}

#[tokio::test]
async fn a_slow_reader_of_events_is_told_how_many_it_missed_and_then_sees_what_is() {
    let mut nodes = cluster(3).await;
    let (leaver, speaker) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let reader = nodes.pop().unwrap();
    let _heard = reader.subscribe(ALARMS).await.unwrap();
    // Both are shown the same events from the same moment on; the second is read as they come.
    let (slow, prompt) = tokio::join!(reader.events(), reader.events());
    let (mut slow, mut prompt) = (slow.unwrap(), prompt.unwrap());
    let mut happened = 0;
    for number in 0..1_500u32 {
        speaker.broadcast(ALARMS, number.to_le_bytes()).await.unwrap();
        let is_it =
            |event: &Event| matches!(event, Event::Message { payload, .. } if payload[..] == number.to_le_bytes());
        happened += count_until(&mut prompt, is_it).await;
    }
    // It has missed something by now, and misses who goes and who comes.
    let gone = leaver.id();
    soon("leave", leaver.leave()).await.unwrap();
    let came = builder("late", &[speaker.addr()]).start().await.unwrap();
    let comes = |event: &Event| matches!(event, Event::MemberUp(member) if member.id() == came.id());
    happened += count_until(&mut prompt, comes).await;

    let mut read = 0;
    let missed = loop {
        match next(&mut slow).await {
            Ok(event) => {
                assert!(!comes(&event) && !matches!(event, Event::MemberLeft(_)), "it was full before: {event:?}");
                read += 1;
            }
            Err(Missed::Lagged(missed)) => break missed,
            Err(other) => panic!("{other}"),
        }
    };
    while let Ok(Some(_)) = timeout(Duration::ZERO, prompt.recv()).await {
        happened += 1;
    }
    assert_eq!((read, read + missed), (1_024, happened), "each event was either read or counted");
    let of = |id| reader.member(id).map(|member| member.status());
    assert_eq!((of(gone), of(came.id())), (Some(Status::Left), Some(Status::Alive)), "what it missed it sees now");

    // From here on it misses nothing, and what it reads is what a handle shows.
    soon("leave", came.leave()).await.unwrap();
    let leaves = |event: &Event| matches!(event, Event::MemberLeft(member) if member.id() == came.id());
    count_until(&mut slow, leaves).await;
    let live: BTreeSet<NodeId> = reader.live().iter().map(|member| member.id()).collect();
    assert_eq!(live, BTreeSet::from([reader.id(), speaker.id()]));
}

/// Reads up to such an event: how many that were, itself included.
async fn count_until(feed: &mut Feed<Event>, is_it: impl Fn(&Event) -> bool) -> u64 {
    let mut count = 1;
    while !is_it(&next(feed).await.expect("nothing is missed")) {
        count += 1;
    }
    count
}
