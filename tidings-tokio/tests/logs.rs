//! What operators read of a node: records of what happens. A test alone in its process: what a subscriber of one thread is
//! shown depends on who logs first in any other.
#![cfg(feature = "tracing")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use common::{soon, start};
use tidings_tokio::{Cluster, Topic};
use tracing::field::{Field, Visit};
use tracing::{Event, span};

const ALARMS: Topic = Topic::from_name("alarms");

/// The fields of every record, by their names.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("tidings_tokio")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::from([("level", event.metadata().level().to_string())]));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Log {
    /// A record of this message that has these fields; it panics if there is none.
    fn expect(&self, message: &str, fields: &[(&str, String)]) {
        let log = self.0.lock().unwrap();
        let fits = |record: &BTreeMap<&str, String>| {
            record["message"] == message && fields.iter().all(|(name, value)| record.get(name) == Some(value))
        };
        assert!(log.iter().any(fits), "no \"{message}\" with {fields:?} in {log:#?}");
    }
}

#[tokio::test]
async fn what_happens_is_logged_in_fields_and_no_payload_is() {
    const SECRET: &str = "open sesame";
    let log = Log::default();
    // The runtime has this one thread.
    let _guard = tracing::subscriber::set_default(log.clone());
    let a = start("a", None).await;
    let b = start("b", Some(&a)).await;
    let (mut heard, mut watched) = (b.subscribe(ALARMS).await.unwrap(), b.watch("door").await.unwrap());
    a.set("door", SECRET).await.unwrap();
    soon(watched.recv()).await.unwrap().unwrap();
    a.broadcast(ALARMS, SECRET).await.unwrap();
    soon(heard.recv()).await.unwrap().unwrap();
    a.delete("door").await.unwrap();
    soon(watched.recv()).await.unwrap().unwrap();
    soon(b.leave()).await.unwrap();
    let unnamed = Cluster::builder("test").bind("127.0.0.1:0").seeds(["nobody.invalid:7946"]);
    soon(unnamed.start()).await.unwrap();

    let member = |of: &Cluster, level: &str| {
        [("id", of.id().to_string()), ("addr", of.addr().to_string()), ("level", level.to_owned())]
    };
    let bytes = ("bytes", SECRET.len().to_string());
    log.expect("joined", &[("level", "INFO".to_owned())]);
    log.expect("member up", &member(&a, "INFO"));
    log.expect("member up", &member(&b, "INFO"));
    log.expect("key set", &[("owner", a.id().to_string()), ("key", "door".to_owned()), bytes.clone()]);
    log.expect("key deleted", &[("owner", a.id().to_string()), ("key", "door".to_owned())]);
    log.expect("message", &[("origin", a.id().to_string()), ("topic", ALARMS.to_string()), bytes]);
    log.expect("cannot find a seed", &[("name", "nobody.invalid:7946".to_owned()), ("level", "WARN".to_owned())]);
    log.expect("left", &[("level", "INFO".to_owned())]);
    let all = format!("{:?}", log.0.lock().unwrap());
    let as_numbers = format!("{:?}", SECRET.as_bytes());
    assert!(!all.contains(SECRET) && !all.contains(as_numbers.trim_matches(['[', ']'])), "a payload is in {all}");
}
