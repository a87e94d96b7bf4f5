//! Laboratory: a simulated shop, the demo, the evaluation of models on real logs, the replay of drift, and
//! benchmarks. Nothing here is part of serving.

pub mod bench;
pub mod examples;
pub mod demo;
pub mod drift;
pub mod eval;
mod replay;
pub mod simulate;
