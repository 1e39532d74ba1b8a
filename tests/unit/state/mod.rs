//! The parts of `src/state/`.

// The fuzz target plays with less of it than the tests do.
#[cfg_attr(not(test), allow(dead_code))]
mod replicas;
pub(crate) mod script;
mod told;

#[cfg(test)]
mod give;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod map;
#[cfg(test)]
mod own;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod store;
#[cfg(test)]
mod take;
#[cfg(test)]
mod tell;
