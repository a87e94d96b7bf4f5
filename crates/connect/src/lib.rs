//! Connectors: event data that lies outside Portrait. In come files of shops' logs, out come events and items of the API.

pub mod files;
