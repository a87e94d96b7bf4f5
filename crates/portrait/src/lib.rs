//! Everything the binary does: the node and its roles, and the commands around it. The commands are clients as any other:
//! they know a server by its API.

pub mod bench;
pub mod card;
pub mod cases;
pub mod cli;
pub mod client;
pub mod demo;
pub mod doctor;
pub mod drift;
pub mod erase;
pub mod eval;
pub mod import;
pub mod next_action;
pub mod node;
pub mod probe;
pub mod recommend;
mod replay;
pub mod score;
pub mod segments;
pub mod serve;
pub mod similar;
pub mod simulate;
pub mod token;
pub mod train;
pub mod watch;
