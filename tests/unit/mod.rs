//! Tests of the parts that only the crate itself can reach, in one file for each file of `src/`. `src/lib.rs` includes
//! them. What the fuzz targets and the model share with them is compiled with the feature `internals` too.

pub mod forge;
pub mod reading;
pub mod script;

pub(crate) mod state;
pub(crate) mod wire;

#[cfg(test)]
mod broadcast;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod gossip;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod member;
#[cfg(test)]
mod members;
#[cfg(test)]
mod property;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod share;
#[cfg(test)]
mod time;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod walk;
