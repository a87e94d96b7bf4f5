//! Database sources: rows of tables by keyset pages, tables followed as they grow, and changes from the server's log.
//!
//! A [`Database`] is a connection to an address that was checked ([`AllowedHosts`]), with verified TLS unless the server is on loopback.
//! It becomes one reader: [`TablePages`] (rows once), [`TableFollower`] (rows, then new and changed rows), or [`SlotChanges`] and
//! [`BinlogChanges`] (inserts, updates and deletes as they are committed, of PostgreSQL and of MySQL). Each hands out text in one spelling and a position to resume from.
//!
//! ```no_run
//! # async fn import() -> Result<(), portrait_connect::databases::SourceError> {
//! use portrait_connect::databases::{ConnectOptions, Database, DatabaseUrl, Password, TableName, TableOptions};
//!
//! let url: DatabaseUrl = "postgres://portrait@db.example.com/shop".parse()?;
//! let password = Password::from_file("/run/secrets/shop".as_ref())?;
//! let database = Database::connect(&url, Some(&password), &ConnectOptions::default()).await?;
//! let options = TableOptions::new(TableName::new(None, "orders"), Some("updated_at"), "id");
//! let mut pages = database.pages(options, None).await?;
//! loop {
//!     let rows = pages.next().await?;
//!     if rows.is_empty() {
//!         break;
//!     }
//!     // ... send the rows; once they are acknowledged, store pages.position()
//! }
//! # Ok(())
//! # }
//! ```

mod binlog;
mod connect;
mod error;
mod follow;
mod hosts;
mod login;
mod mysql;
mod page;
mod pages;
mod password;
mod postgres;
mod recent;
mod slot;
mod table;
mod tls;
mod url;
mod value;

pub use binlog::{BinlogBatch, BinlogChange, BinlogChanges, BinlogOptions, BinlogPosition};
pub use connect::Database;
pub use error::SourceError;
pub use follow::{FollowOptions, TableFollower};
pub use hosts::AllowedHosts;
pub use login::ConnectOptions;
pub use pages::{TableOptions, TablePages, TablePosition, TableRow};
pub use password::Password;
pub use slot::{
    ChangeKind, ChangedColumn, ChangedTable, Lsn, SlotBatch, SlotChange, SlotChanges, SlotOptions,
};
pub use table::TableName;
pub use url::{DatabaseEngine, DatabaseUrl};
