//! A cluster in a web page: what the page calls. `page/stage.js` is the other side.
//!
//! All that goes in is numbers. All that comes out is read by the page from the lists of a [`Picture`], by their place in
//! memory and their length. Nobody else has this memory, and everything happens in one thread.

mod ledger;
mod picture;
mod stage;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

pub use ledger::{Flight, Happening, What};
pub use picture::Picture;
pub use stage::{Act, Stage, State, Weather};

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new(1, 1));
    static PICTURE: RefCell<Picture> = RefCell::default();
}

fn on_stage<T>(call: impl FnOnce(&mut Stage) -> T) -> T {
    STAGE.with_borrow_mut(call)
}

/// Begins anew, with so many nodes and everything by chance from this seed.
#[unsafe(no_mangle)]
pub extern "C" fn reset(nodes: u32, seed: u32) {
    on_stage(|stage| *stage = Stage::new(nodes as usize, seed.into()));
}

/// Lets simulated time pass.
#[unsafe(no_mangle)]
pub extern "C" fn advance(micros: u32) {
    on_stage(|stage| stage.advance(micros.into()));
}

/// The simulated time, in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn now() -> f64 {
    on_stage(|stage| stage.now().as_micros() as f64 / 1e6)
}

/// Changes the network: how long a datagram takes on average, in microseconds, and how many of a thousand are lost.
#[unsafe(no_mangle)]
pub extern "C" fn set_weather(latency: u32, lost: u32) {
    on_stage(|stage| stage.set_weather(Weather { latency: latency.into(), lost }));
}

/// How far behind the present a viewer must stay, in seconds, to know of every datagram whether it arrives.
#[unsafe(no_mangle)]
pub extern "C" fn delay() -> f64 {
    on_stage(|stage| stage.delay().as_secs_f64())
}

/// Changes the longest datagram that nodes send.
#[unsafe(no_mangle)]
pub extern "C" fn set_datagram(bytes: u32) {
    on_stage(|stage| stage.set_datagram(bytes as usize));
}

/// Does this to a node, by the number of the [`Act`]; 0 if it cannot be done.
#[unsafe(no_mangle)]
pub extern "C" fn act(number: u32, host: u32) -> u32 {
    let act = Act::ALL.get(number as usize);
    on_stage(|stage| u32::from(act.is_some_and(|act| stage.act(*act, host as usize))))
}

/// Cuts the circle in two halves.
#[unsafe(no_mangle)]
pub extern "C" fn split() {
    on_stage(Stage::split);
}

/// Puts all nodes on one side again.
#[unsafe(no_mangle)]
pub extern "C" fn heal() {
    on_stage(Stage::heal);
}

/// Takes the next picture; the places of the one before are then no longer valid.
#[unsafe(no_mangle)]
pub extern "C" fn draw() {
    on_stage(|stage| PICTURE.with_borrow_mut(|picture| picture.take(stage)));
}

/// Where a list of the picture begins.
#[unsafe(no_mangle)]
pub extern "C" fn place(list: u32) -> *const u8 {
    PICTURE.with_borrow(|picture| picture.list(list).0)
}

/// How many elements it has.
#[unsafe(no_mangle)]
pub extern "C" fn length(list: u32) -> usize {
    PICTURE.with_borrow(|picture| picture.list(list).1)
}
