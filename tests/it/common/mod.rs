//! What tests of whole nodes share.

pub mod ailing;
pub mod app;
pub mod blame;
pub mod cluster;
pub mod counting;
pub mod diary;
pub mod golden;
pub mod maps;
pub mod recorder;
pub mod recording;
pub mod scan;
