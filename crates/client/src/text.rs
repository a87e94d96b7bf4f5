//! Profiles and segments as text that a person reads in a terminal, and as JSON. In come messages of the API, out goes text.

pub mod chart;
mod json;
mod render;
pub mod segments;
#[cfg(test)]
mod tests;
pub mod words;

pub use chart::Paint;
pub use json::{timestamp_json as moment_json, profile_json};
pub use render::card;
