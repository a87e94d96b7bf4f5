//! Statements of replication slots.

use super::super::error::SourceError;
use super::super::table::TableSchema;
use super::change::Lsn;
use tokio_postgres::Client;

/// Changes that a peek aims at, in batches. The server keeps what it peeked, on disk if it is much, until the cursor is read.
const PEEK_BATCHES: usize = 10;

/// Opens a slot, creating it if it is missing, and returns the position that its reader has acknowledged.
pub(super) async fn open_slot(client: &Client, slot: &str) -> Result<Lsn, SourceError> {
    const STATEMENT: &str = "opening the replication slot";
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if slot.is_empty() || slot.len() > 63 || !slot.bytes().all(is_name) {
        return Err(SourceError::changes(format!(
            "slot {slot:?}: a name has 1 to 63 lower-case letters, digits and `_`"
        )));
    }
    let level: String =
        client.query_one("SHOW wal_level", &[]).await.map_err(SourceError::failed(STATEMENT))?.get(0);
    if level != "logical" {
        return Err(SourceError::changes(format!(
            "wal_level is {level}; set wal_level = logical and restart the server"
        )));
    }
    let found = client
        .query_opt(
            "SELECT plugin::text, database::text = current_database(), wal_status = 'lost', confirmed_flush_lsn::text \
             FROM pg_replication_slots WHERE slot_name = $1::text",
            &[&slot],
        )
        .await
        .map_err(SourceError::failed(STATEMENT))?;
    let Some(found) = found else { return create_slot(client, slot).await };
    if found.get::<_, Option<String>>(0).as_deref() != Some("test_decoding")
        || found.get::<_, Option<bool>>(1) != Some(true)
    {
        return Err(SourceError::changes(format!(
            "slot {slot} is of another database or has another plugin than test_decoding; name another slot"
        )));
    }
    if found.get::<_, Option<bool>>(2) == Some(true) {
        return Err(SourceError::changes(format!(
            "the server has removed log that slot {slot} needs; delete the source and read the tables again"
        )));
    }
    found.get::<_, Option<String>>(3).as_deref().unwrap_or("0/0").parse()
}

async fn create_slot(client: &Client, slot: &str) -> Result<Lsn, SourceError> {
    let sql = "SELECT lsn::text FROM pg_create_logical_replication_slot($1::text, 'test_decoding')";
    let row = client.query_one(sql, &[&slot]).await.map_err(|error| {
        let detail = error.as_db_error().map_or("", |error| error.message());
        // The server says what is missing: the REPLICATION attribute, a free slot, or the plugin of its contrib package.
        SourceError::changes(format!(
            "slot {slot} cannot be created ({detail}); grant the user REPLICATION, raise max_replication_slots, or install \
             postgresql-contrib"
        ))
    })?;
    row.get::<_, String>(0).parse()
}

/// Refuses tables whose deletes would not name the row, and partitioned ones, which the log does not name.
pub(super) async fn check_identity(client: &Client, table: &TableSchema) -> Result<(), SourceError> {
    let row = client
        .query_opt(
            "SELECT c.relkind = 'r', c.relreplident IN ('f', 'i') OR (c.relreplident = 'd' AND EXISTS \
             (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1::text AND c.relname = $2::text",
            &[&table.schema, &table.name.table],
        )
        .await
        .map_err(SourceError::failed("reading the catalogue"))?;
    let (is_plain, has_identity) = row.map_or((false, false), |row| (row.get(0), row.get(1)));
    let name = &table.name;
    if !is_plain {
        return Err(SourceError::changes(format!(
            "{name} is no plain table; name the tables or partitions that hold its rows"
        )));
    }
    if !has_identity {
        return Err(SourceError::changes(format!(
            "deletes of {name} would not name the row; add a primary key, or ALTER TABLE {name} REPLICA IDENTITY FULL"
        )));
    }
    Ok(())
}

/// Peeks changes into a cursor and returns the end of the log before it. The name of the slot has been checked.
pub(super) async fn peek(client: &Client, slot: &str, batch_changes: usize) -> Result<Lsn, SourceError> {
    let end = client
        .query_one("SELECT pg_current_wal_flush_lsn()::text", &[])
        .await
        .map_err(SourceError::failed("peeking at the replication slot"))?;
    let changes = batch_changes * PEEK_BATCHES;
    let cursor = format!(
        "CLOSE ALL; DECLARE portrait_changes NO SCROLL CURSOR WITH HOLD FOR SELECT lsn::text, data \
         FROM pg_logical_slot_peek_changes('{slot}', NULL, {changes}, 'include-xids', '0', 'skip-empty-xacts', '1')"
    );
    client.batch_execute(&cursor).await.map_err(SourceError::failed("peeking at the replication slot"))?;
    end.get::<_, String>(0).parse()
}

/// Fetches rows of the cursor: position and line.
pub(super) async fn fetch(client: &Client, rows: usize) -> Result<Vec<(Lsn, String)>, SourceError> {
    let sql = format!("FETCH FORWARD {rows} FROM portrait_changes");
    let rows = client.query(&sql, &[]).await.map_err(SourceError::failed("fetching changes"))?;
    rows.into_iter().map(|row| Ok((row.get::<_, &str>(0).parse()?, row.get(1)))).collect()
}

/// Advances the slot.
pub(super) async fn advance(client: &Client, slot: &str, lsn: Lsn) -> Result<(), SourceError> {
    let sql = "SELECT pg_replication_slot_advance($1::text, $2::text::pg_lsn)::text";
    let advanced = client.query_one(sql, &[&slot, &lsn.to_string()]).await;
    advanced.map_err(SourceError::failed("advancing the replication slot"))?;
    Ok(())
}

/// Returns the bytes of log that the server keeps for a slot.
pub(super) async fn retained_wal_bytes(client: &Client, slot: &str) -> Result<u64, SourceError> {
    let row = client
        .query_opt(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8 \
             FROM pg_replication_slots WHERE slot_name = $1::text",
            &[&slot],
        )
        .await
        .map_err(SourceError::failed("reading the size of the replication slot"))?;
    let row = row
        .ok_or_else(|| SourceError::changes(format!("slot {slot} does not exist; open the source again")))?;
    Ok(row.get::<_, Option<i64>>(0).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
}

/// Drops a slot; a missing one is no error.
pub(super) async fn drop_slot(client: &Client, slot: &str) -> Result<(), SourceError> {
    client
        .execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1::text",
            &[&slot],
        )
        .await
        .map_err(SourceError::failed("dropping the replication slot"))?;
    Ok(())
}
