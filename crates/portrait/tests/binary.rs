//! The binary as people and supervisors meet it: lines of the log, errors in words, settings that are slips, closed pipes.

#[path = "binary/closed_pipes.rs"]
mod closed_pipes;
#[path = "binary/doctor.rs"]
mod doctor;
#[path = "binary/logs.rs"]
mod logs;
#[path = "binary/refusals.rs"]
mod refusals;
#[path = "binary/rejections.rs"]
mod rejections;
#[path = "binary/server.rs"]
mod server;
#[path = "binary/words.rs"]
mod words;
