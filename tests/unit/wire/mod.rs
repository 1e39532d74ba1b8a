//! The parts of `src/wire/`.

pub(crate) mod script;

#[cfg(test)]
mod frames;
#[cfg(test)]
mod message;
#[cfg(test)]
mod state;
