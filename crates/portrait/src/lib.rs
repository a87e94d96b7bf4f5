//! Command line of the binary: a server, and commands that are clients as any other and know a server by its API.

pub mod card;
pub mod cli;
pub mod doctor;
pub mod erase;
pub mod import;
mod lab;
pub mod next_action;
pub mod probe;
pub mod recommend;
pub mod score;
pub mod segments;
pub mod serve;
pub mod similar;
pub mod token;
pub mod train;
pub mod watch;
