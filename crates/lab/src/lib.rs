//! Laboratory: a simulated shop, the demo, the evaluation of models on real logs, the replay of drift, and
//! benchmarks. Nothing here is part of serving.

pub mod bench;
mod checked_log;
pub mod demo;
pub mod drift;
pub mod eval;
pub mod examples;
mod replay;
pub mod simulate;
