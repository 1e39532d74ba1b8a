//! Streams of what happens, each to one reader, and what feeds them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::{Context, Poll};

use tidings::{NodeId, Topic};
use tokio::sync::mpsc;

use crate::Event;

/// How much a reader may lag behind.
pub(crate) const LAG: usize = 1_024;

/// Something that a stream does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The reader was too slow: so many items were dropped. Read what there is now with the methods of the handle.
    Lagged(u64),
    /// Broadcasts of this member from the number `first` to `last` cannot be had any more. They need not have been on this
    /// topic.
    Gap {
        /// Who broadcast them.
        origin: NodeId,
        /// The number of the first.
        first: u32,
        /// The number of the last.
        last: u32,
    },
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missed::Lagged(count) => write!(f, "this reader was too slow and missed {count}"),
            Missed::Gap { origin, first, last } => write!(f, "{origin}: lost {first} to {last}"),
        }
    }
}

impl std::error::Error for Missed {}

/// A stream with one reader, which may be moved to any task. It ends when the node has stopped; it does not keep the node
/// running.
///
/// At most 1,024 items wait to be read, and what was there when it began. What comes then is dropped until the reader has
/// caught up, and it is told how many that were.
#[derive(Debug)]
pub struct Feed<T> {
    items: mpsc::Receiver<Result<T, Missed>>,
    /// How many were dropped since the reader last had read all.
    lost: Arc<AtomicU64>,
}

impl<T> Feed<T> {
    /// The next item; `None` when the node has stopped. Cancel safe.
    pub async fn recv(&mut self) -> Option<Result<T, Missed>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Missed>>> {
        match self.items.poll_recv(cx) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(item)),
            // A task that has had its turn is shown no item though some wait. Those come first: once something is lost, no
            // more are added.
            _ if self.lost.load(Acquire) > 0 && self.items.is_empty() => {
                Poll::Ready(Some(Err(Missed::Lagged(self.lost.swap(0, AcqRel)))))
            }
            none => none,
        }
    }
}

impl<T> futures_core::Stream for Feed<T> {
    type Item = Result<T, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

/// The end of a stream at which items go in.
pub(crate) struct Outlet<T> {
    items: mpsc::Sender<Result<T, Missed>>,
    lost: Arc<AtomicU64>,
}

impl<T> Outlet<T> {
    pub(crate) fn new() -> (Self, Feed<T>) {
        Self::with_room(0)
    }

    /// One that takes so many items at once, beside those that its reader may lag behind.
    pub(crate) fn with_room(first: usize) -> (Self, Feed<T>) {
        let (sender, items) = mpsc::channel(LAG + first);
        let lost = Arc::new(AtomicU64::new(0));
        (Outlet { items: sender, lost: lost.clone() }, Feed { items, lost })
    }

    /// Hands an item to the reader. False if there is no reader any more.
    pub(crate) fn offer(&mut self, item: Result<T, Missed>) -> bool {
        // A reader that has missed something is told so before it gets anything later.
        if self.lost.load(Relaxed) > 0 || self.items.try_send(item).is_err() {
            self.lost.fetch_add(1, Release);
        }
        self.is_read()
    }

    pub(crate) fn is_read(&self) -> bool {
        !self.items.is_closed()
    }
}

/// Something that looks at every event, for one reader.
pub(crate) struct Tap {
    /// What the node listens to for it.
    pub(crate) topic: Option<Topic>,
    see: Box<dyn FnMut(&Event) -> bool + Send>,
}

impl Tap {
    /// Shows every event to this closure until it gives false.
    pub(crate) fn new(topic: Option<Topic>, see: impl FnMut(&Event) -> bool + Send + 'static) -> Self {
        Tap { topic, see: Box::new(see) }
    }

    pub(crate) fn see(&mut self, event: &Event) -> bool {
        (self.see)(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_is_told_what_it_missed_when_it_has_read_what_came_before() {
        let (mut outlet, mut feed) = Outlet::new();
        let numbers = 0..LAG as u64 + 10;
        numbers.for_each(|number| assert!(outlet.offer(Ok(number))));
        for number in 0..LAG as u64 {
            assert_eq!(feed.recv().await, Some(Ok(number)), "it has not read all that waits");
        }
        assert_eq!(feed.recv().await, Some(Err(Missed::Lagged(10))));
        assert!(outlet.offer(Ok(7)));
        assert_eq!(feed.recv().await, Some(Ok(7)), "and then it goes on");
        (0..LAG as u64 + 3).for_each(|number| assert!(outlet.offer(Ok(number))));
        drop(outlet);
        let mut rest = Vec::new();
        while let Some(item) = feed.recv().await {
            rest.push(item);
        }
        assert_eq!((rest.len(), rest.last()), (LAG + 1, Some(&Err(Missed::Lagged(3)))), "also when it is over");
    }
}
