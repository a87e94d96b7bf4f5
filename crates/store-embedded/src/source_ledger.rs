//! Ledger of sources of one partition: the ids of a source on one day, for ever, as a list in the order of their commits. The list is
//! stored in pieces, of which all but the last are full; the days in use are cached.

use super::keys;
use fjall::Keyspace;
use portrait_profile::{PartitionId, SeenId, SourceDay};
use portrait_store::SeenQuery;
use portrait_store::backend::cached_ids::{CHUNK_IDS, CachedIds, ID_BYTES, IdLookup, ids_of, stored_id};
use portrait_store::backend::seen_sets::RecentDays;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

/// Number of ids of a full piece, 4 KiB: its key and its entry in the table add less than a hundredth. A commit writes the last piece
/// again, so that larger ones would cost where few records come at a time.
const PIECE_IDS: usize = 512;

// Chunks of the cache begin with a piece.
const _: () = assert!(CHUNK_IDS.is_multiple_of(PIECE_IDS));

/// Cache of a partition's ledger.
pub(super) struct SourceLedger {
    partition: PartitionId,
    days: HashMap<SourceDay, CachedIds>,
    recent: RecentDays,
}

/// Ids that a batch of the writer adds to a day.
pub(super) struct LedgerAddition {
    day: SourceDay,
    /// Number of the first id in the list of the day.
    first: usize,
    ids: Vec<u64>,
}

/// Piece of a list as it is written.
pub(super) struct LedgerPiece {
    pub(super) key: [u8; 18],
    pub(super) ids: Vec<u8>,
}

/// Ends of the lists that a batch of the writer adds to.
#[derive(Default)]
pub(super) struct LedgerEnds(HashMap<(PartitionId, SourceDay), LedgerEnd>);

/// End of the list of a day: its last piece.
#[derive(Default)]
struct LedgerEnd {
    /// Number of the first id of the piece.
    first: u32,
    /// Ids as stored; fewer than a full piece.
    piece: Vec<u8>,
}

impl SourceLedger {
    /// Returns an empty cache.
    pub(super) fn new(partition: PartitionId) -> Self {
        Self { partition, days: HashMap::new(), recent: RecentDays::default() }
    }

    /// Returns whether the ledger has the id of a query; false for one without a source.
    pub(super) fn has(&mut self, keyspace: &Keyspace, query: &SeenQuery) -> fjall::Result<bool> {
        let Some(day) = query.source_day else { return Ok(false) };
        if !self.days.contains_key(&day) {
            let ids = read(keyspace, self.partition, day)?;
            self.days.insert(day, ids);
        }
        self.recent.used(day);
        for old in self.recent.take_old() {
            self.days.remove(&old);
        }
        let lookup = self.days.get(&day).map(|ids| ids.lookup(query.id));
        let chunks = match lookup {
            Some(IdLookup::Seen) => return Ok(true),
            Some(IdLookup::MaybeIn(chunks)) => chunks,
            None => return Ok(false),
        };
        for chunk in chunks {
            let bound = |chunk: usize| {
                keys::source_piece(self.partition, day, u32::try_from(chunk * CHUNK_IDS).unwrap_or(u32::MAX))
            };
            for entry in keyspace.range(bound(chunk)..bound(chunk + 1)) {
                if ids_of(&entry.value()?).any(|id| id == query.id.get()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Adds what a batch wrote to the cached days.
    pub(super) fn committed(&mut self, additions: Vec<LedgerAddition>) {
        for LedgerAddition { day, first, ids } in additions {
            let Some(known) = self.days.get_mut(&day) else { continue };
            // A list that was read after the write has the ids already; the next lookup reads it again.
            if known.count() == first {
                known.extend(ids);
            } else {
                self.days.remove(&day);
            }
        }
    }
}

impl LedgerEnds {
    /// Adds ids in this order; returns the pieces to write and what is added to each day. An error adds nothing.
    pub(super) fn add(
        &mut self,
        keyspace: &Keyspace,
        partition: PartitionId,
        queries: &[SeenQuery],
    ) -> fjall::Result<(Vec<LedgerPiece>, Vec<LedgerAddition>)> {
        let mut by_day = BTreeMap::<SourceDay, Vec<u64>>::new();
        for (day, query) in queries.iter().filter_map(|query| Some((query.source_day?, query))) {
            by_day.entry(day).or_default().push(query.id.get());
        }
        // All reads come first, because a batch cannot undo half of a commit.
        for day in by_day.keys() {
            if let Entry::Vacant(new) = self.0.entry((partition, *day)) {
                new.insert(LedgerEnd::read(keyspace, partition, *day)?);
            }
        }
        let mut pieces = Vec::new();
        let mut additions = Vec::new();
        for (day, ids) in by_day {
            let end = self.0.entry((partition, day)).or_default();
            let first = end.first as usize + end.piece.len() / ID_BYTES;
            for id in &ids {
                end.piece.extend(stored_id(SeenId::from_bits(*id)));
                if end.piece.len() == PIECE_IDS * ID_BYTES {
                    let key = keys::source_piece(partition, day, end.first);
                    pieces.push(LedgerPiece { key, ids: std::mem::take(&mut end.piece) });
                    end.first += PIECE_IDS as u32;
                }
            }
            if !end.piece.is_empty() {
                let key = keys::source_piece(partition, day, end.first);
                pieces.push(LedgerPiece { key, ids: end.piece.clone() });
            }
            additions.push(LedgerAddition { day, first, ids });
        }
        Ok((pieces, additions))
    }
}

impl LedgerEnd {
    /// Reads the end of the list of a day.
    fn read(keyspace: &Keyspace, partition: PartitionId, day: SourceDay) -> fjall::Result<Self> {
        let Some(last) = keyspace.prefix(keys::source_day(partition, day)).next_back() else {
            return Ok(Self::default());
        };
        let (key, piece) = last.into_inner()?;
        let first = keys::first_of_piece(&key).unwrap_or_default();
        if piece.len() >= PIECE_IDS * ID_BYTES {
            return Ok(Self { first: first + PIECE_IDS as u32, piece: Vec::new() });
        }
        Ok(Self { first, piece: piece.to_vec() })
    }
}

/// Reads the list of a day.
fn read(keyspace: &Keyspace, partition: PartitionId, day: SourceDay) -> fjall::Result<CachedIds> {
    let mut ids = CachedIds::default();
    for entry in keyspace.prefix(keys::source_day(partition, day)) {
        ids.extend(ids_of(&entry.value()?));
    }
    Ok(ids)
}
