//! Command line of the binary: the server, and commands that use the public API as any client does.

pub mod card;
pub mod cli;
mod closed_pipe;
pub mod doctor;
pub mod erase;
mod first_model;
pub mod import;
mod incomplete;
mod lab;
pub mod next_action;
mod output;
pub mod probe;
pub mod recommend;
pub mod score;
pub mod segments;
pub mod serve;
pub mod similar;
pub mod sizing;
pub mod token;
pub mod train;
pub mod watch;
