//! The parts of `src/broadcast/`.

mod direct;
mod log;
mod pieces;
mod repair;
mod window;
