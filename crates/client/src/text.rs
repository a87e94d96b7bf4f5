//! Profiles and segments of the API as text for a terminal, and as JSON.

pub mod chart;
mod json;
mod printable;
mod render;
pub mod segments;
#[cfg(test)]
mod tests;
pub mod words;

pub use chart::Paint;
pub use json::{profile_json, timestamp_json};
pub use printable::printable;
pub use render::card;
