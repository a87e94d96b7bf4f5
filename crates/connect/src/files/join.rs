//! Table beside a file, kept in memory and looked up by a column of both. Instacart has the lines of its orders in one file, and users
//! and times of the orders in another.

use super::bound::BoundMapping;
use super::cell::without_zero_fraction;
use super::error::ReadError;
use super::input::Input;
use super::line::Lines;
use super::mapping::{JoinRule, TimeBase};
use super::record::CsvRecord;
use super::row::{RowDefect, RowReason};
use super::table::Table;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use xxhash_rust::xxh64::xxh64;

/// Most rows of a table. The orders of Instacart are 3.4 million.
const JOIN_ROWS_MAX: usize = 10_000_000;
/// Most bytes of the columns that are used, of all rows.
const JOIN_BYTES_MAX: usize = 512 << 20;

/// Opened table, whose header is known and whose rows are not read yet.
pub(super) struct JoinFile {
    table: Table,
    rule: JoinRule,
    header: Vec<String>,
}

/// Rows of a table by their key.
pub(super) struct JoinTable {
    /// Position in the bytes by the hash of the key.
    rows: HashMap<u64, usize>,
    bytes: Vec<u8>,
    /// Index of the key in the file.
    key: usize,
    columns: usize,
    file: String,
}

/// Days since the first row of each user.
struct DayTotals {
    days: usize,
    user: usize,
    by_user: HashMap<u64, i64>,
}

impl JoinFile {
    /// Opens the table in `folder`, also if it is compressed and its name ends with `.gz`.
    ///
    /// # Errors
    /// [`ReadError::Open`] if there is no such file.
    pub(super) fn open(folder: &Path, rule: &JoinRule) -> Result<Self, ReadError> {
        let path = folder.join(&rule.file);
        let compressed = folder.join(format!("{}.gz", rule.file));
        let Input { text, .. } = Input::open(if compressed.exists() { &compressed } else { &path })?;
        let mut table = Table::new(Lines::new(text, 1), None);
        let header = table.header()?;
        Ok(Self { table, rule: rule.clone(), header })
    }

    /// Returns the names of the columns.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Reads all rows. Rows that cannot be split are left out: what refers to them is rejected.
    ///
    /// # Errors
    /// [`ReadError::JoinTooLarge`] above the limits, [`ReadError::JoinColumn`] if the key is no column of both,
    /// [`ReadError::Truncated`] if the file cannot be read.
    pub(super) fn read(mut self, bound: &BoundMapping) -> Result<JoinTable, ReadError> {
        let no_key = || ReadError::JoinColumn { column: self.rule.on.clone(), file: self.rule.file.clone() };
        let key = bound.index_of(&self.rule.on).ok_or_else(no_key)?;
        let own_key = self.header.iter().position(|name| *name == self.rule.on).ok_or_else(no_key)?;
        let mut totals = DayTotals::of(bound);
        let (mut rows, mut bytes) = (HashMap::new(), Vec::new());
        while self.table.read()? {
            let Ok(record) = self.table.split()? else { continue };
            if rows.len() >= JOIN_ROWS_MAX || bytes.len() >= JOIN_BYTES_MAX {
                return Err(ReadError::JoinTooLarge { file: self.rule.file, rows_max: JOIN_ROWS_MAX });
            }
            let total = totals.as_mut().map(|totals| (totals.days, totals.add(record)));
            rows.insert(hash(record.get(own_key)), bytes.len());
            for index in &bound.joined {
                let value = match &total {
                    Some((days, total)) if days == index => Cow::Owned(total.to_string().into_bytes()),
                    _ => Cow::Borrowed(record.get(*index)),
                };
                // A row has at most 1 MiB, and so has a field.
                bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(0).to_le_bytes());
                bytes.extend_from_slice(&value);
            }
        }
        Ok(JoinTable { rows, bytes, key, columns: bound.joined.len(), file: self.rule.file })
    }
}

impl JoinTable {
    /// Appends the columns of the table to a row of the file.
    ///
    /// # Errors
    /// If the table has no such row.
    pub(super) fn extend(&self, record: &mut CsvRecord, name: &str) -> Result<(), RowDefect> {
        let key = record.get(self.key);
        let Some(position) = self.rows.get(&hash(key)) else {
            let key = String::from_utf8_lossy(key).into_owned();
            let problem = format!("{key:?} is not in {}", self.file);
            let column = Some(self.key + 1);
            let name = Cow::Owned(name.to_owned());
            return Err(RowDefect { column, name, reason: RowReason::MissingField, problem });
        };
        let mut rest = &self.bytes[*position..];
        for _ in 0..self.columns {
            let Some((length, behind)) = rest.split_first_chunk::<4>() else { break };
            let (value, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
            record.push(value);
            rest = behind;
        }
        Ok(())
    }

    /// Returns the index of the key in the file.
    pub(super) fn key(&self) -> usize {
        self.key
    }
}

impl DayTotals {
    fn of(bound: &BoundMapping) -> Option<Self> {
        let time = bound.fields.as_ref()?.time.as_ref()?;
        let TimeBase::DaysSince { days, user, .. } = &time.base else { return None };
        let joined =
            |columns: &[usize]| bound.joined.get(columns.first()?.checked_sub(bound.width)?).copied();
        Some(Self { days: joined(days)?, user: joined(user)?, by_user: HashMap::new() })
    }

    /// Adds the days of a row; returns the sum of the user by now. The first row of a user has none.
    fn add(&mut self, record: &CsvRecord) -> i64 {
        let text = String::from_utf8_lossy(record.get(self.days));
        let days: i64 = without_zero_fraction(text.trim()).parse().unwrap_or(0);
        let total = self.by_user.entry(hash(record.get(self.user))).or_default();
        *total = total.saturating_add(days);
        *total
    }
}

fn hash(key: &[u8]) -> u64 {
    xxh64(key.trim_ascii(), 0)
}
