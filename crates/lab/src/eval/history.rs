//! Event log as histories of users, in the order of time. Reads records as the server folds them, and assigns indices
//! to the items to predict.

use crate::checked_log::{CheckedLog, CheckedRow, Duplicates, ServerRules};
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use portrait_connect::files::{LogOptions, LogReader, MappingArgs, RowBody, detect};
use portrait_learning::prediction::recommend::History;
use portrait_profile::{Body, Event, ItemId, Profile, Record, Timestamp};
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Share of the events that [`LogArgs::item_users_min`] is counted on.
const EARLY_SHARE: f64 = 0.7;

/// Arguments that choose a log and filter it.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Event log to read.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Mapping of the log.
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Catalogue in a format that ships, for logs without categories.
    #[arg(long, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// Leave out events of items that fewer users had in the first 70% of the events.
    #[arg(long, default_value_t = 1)]
    pub item_users_min: usize,
    /// Rules by which rows are taken.
    #[command(flatten)]
    pub rules: ServerRules,
}

/// Event log by user.
pub(crate) struct EventLog {
    pub(crate) users: Vec<LogUser>,
    /// Times of all events, ascending.
    times: Vec<Timestamp>,
}

/// Events of one user, in the order of time.
pub(crate) struct LogUser {
    pub(crate) records: Vec<Record>,
}

/// Kind of item to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Item,
    Category,
}

/// Index of the items of a log: consecutive numbers by id.
pub(super) struct ItemIndex {
    subject: Subject,
    indices: HashMap<Box<str>, u32>,
}

impl EventLog {
    /// Reads a log whose rows may come in any order.
    pub(crate) fn read(args: &LogArgs) -> Result<Self> {
        let categories = args.catalogue.as_ref().map(|file| categories(file)).transpose()?;
        let bar = ProgressBar::new(0);
        let mut log =
            CheckedLog::open(&args.file, &args.mapping.mapping(&args.file)?.0, &args.rules.ingest()?, &bar)?;
        let mut duplicates = Duplicates::default();
        let mut by_user = BTreeMap::new();
        for row in log.by_ref() {
            let CheckedRow::Event { mut record, .. } = row? else { continue };
            // De-duplication as on the server: the same record counts once.
            if duplicates.is_repeat(&record) {
                continue;
            }
            if let Body::Event(event) = &mut record.body {
                complete(event, categories.as_ref());
            }
            by_user.entry(record.user_id.clone()).or_insert_with(Vec::new).push(record);
        }
        bar.finish_and_clear();
        log.warn();
        Self::of(by_user.into_values().collect(), args.item_users_min)
    }

    /// Creates a log from the records of each user, without items that fewer users had early on.
    pub(crate) fn of(mut records: Vec<Vec<Record>>, item_users_min: usize) -> Result<Self> {
        // A stable sort: events of the same time keep the order of the file.
        records.iter_mut().for_each(|records| records.sort_by_key(|record| record.occurred_at));
        if item_users_min > 1 {
            remove_rare_items(&mut records, item_users_min);
        }
        let times = times(&records);
        if times.is_empty() {
            // Later code takes the first and the last event for granted.
            bail!("the log has no events");
        }
        let users = records.into_iter().filter(|records| !records.is_empty());
        Ok(Self { users: users.map(|records| LogUser { records }).collect(), times })
    }

    /// Time of the event at this share of all events.
    pub(super) fn cut(&self, share: f64) -> Timestamp {
        cut(&self.times, share)
    }

    /// Number of events in the log.
    pub(super) fn events(&self) -> usize {
        self.times.len()
    }

    /// Times of the first and the last event.
    pub(crate) fn span(&self) -> (Timestamp, Timestamp) {
        (self.times[0], self.times[self.times.len() - 1])
    }
}

impl LogUser {
    /// Times of the user's events, ascending.
    pub(super) fn times(&self) -> Vec<Timestamp> {
        self.records.iter().map(|record| record.occurred_at).collect()
    }

    /// Profile of the user's first `count` events.
    pub(super) fn profile(&self, count: usize) -> Profile {
        let mut profile = Profile::new(self.records[0].user_id.clone());
        // Folding from the start each time costs a pass, and needs no copy of profile states.
        for record in &self.records[..count] {
            profile.apply(record);
        }
        profile
    }
}

impl Subject {
    /// Name of the subject in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Category => "category",
        }
    }

    /// Number of top ranks that count as a hit.
    pub(super) fn hit_top(self) -> usize {
        match self {
            Self::Item => 20,
            Self::Category => 3,
        }
    }
}

impl ItemIndex {
    /// Creates the index of everything in a log.
    pub(super) fn of(log: &EventLog, subject: Subject) -> Self {
        let mut of = HashMap::new();
        for record in log.users.iter().flat_map(|user| &user.records) {
            if let Some(name) = named(subject, record) {
                // Indices follow the order of users and their events, and so are equal on every run.
                let next = of.len() as u32;
                of.entry(Box::from(name)).or_insert(next);
            }
        }
        Self { subject, indices: of }
    }

    /// Kind of the indexed items.
    pub(super) fn subject(&self) -> Subject {
        self.subject
    }

    /// Number of items in the index.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Index of the item of a record.
    pub(super) fn index_of(&self, record: &Record) -> Option<u32> {
        named(self.subject, record).and_then(|name| self.index_of_name(name))
    }

    /// Interaction history of a profile, by item index.
    pub(super) fn history(&self, profile: &Profile) -> History {
        match self.subject {
            Subject::Item => History::from_items(profile, |name| self.index_of_name(name)),
            Subject::Category => History::from_categories(profile, |name| self.index_of_name(name)),
        }
    }

    fn index_of_name(&self, name: &str) -> Option<u32> {
        self.indices.get(name).copied()
    }
}

fn named(subject: Subject, record: &Record) -> Option<&str> {
    let Body::Event(event) = &record.body else { return None };
    match subject {
        Subject::Item => event.item_id.as_ref().map(ItemId::as_str),
        Subject::Category => event.category.as_deref(),
    }
}

fn times(records: &[Vec<Record>]) -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = records.iter().flatten().map(|record| record.occurred_at).collect();
    times.sort_unstable();
    times
}

fn cut(times: &[Timestamp], share: f64) -> Timestamp {
    times[((share * times.len() as f64) as usize).min(times.len() - 1)]
}

fn remove_rare_items(records: &mut [Vec<Record>], users_min: usize) {
    let times = times(records);
    if times.is_empty() {
        return;
    }
    // The filter counts on the training part only: counting later users would leak the evaluated events into it.
    let split = cut(&times, EARLY_SHARE);
    let mut users: HashMap<Box<str>, usize> = HashMap::new();
    for records in records.iter() {
        let early = records.iter().filter(|record| record.occurred_at < split);
        let items: HashSet<&str> = early.filter_map(|record| named(Subject::Item, record)).collect();
        items.into_iter().for_each(|item| *users.entry(item.into()).or_default() += 1);
    }
    for records in records.iter_mut() {
        records.retain(|record| {
            named(Subject::Item, record)
                .is_some_and(|item| users.get(item).is_some_and(|count| *count >= users_min))
        });
    }
}

/// Adds what a log lacks: the category of the catalogue, and a brand in place of an item that has no id.
fn complete(event: &mut Event, categories: Option<&HashMap<String, String>>) {
    let item = event.item_id.as_ref().map(ItemId::as_str).unwrap_or_default();
    if let Some(category) = categories.and_then(|categories| categories.get(item)) {
        event.category = Some(category.as_str()).filter(|name| !name.is_empty()).map(Box::from);
    }
    // Some logs name brands only.
    if event.item_id.is_none() {
        event.item_id = event.brand.as_deref().and_then(|brand| ItemId::parse(brand).ok());
    }
}

/// Reads the category of each item of a catalogue.
fn categories(file: &Path) -> Result<HashMap<String, String>> {
    let reader = LogReader::open(file, &detect(file)?.mapping(), LogOptions::default())?;
    let mut categories = HashMap::new();
    for row in reader {
        let row = row.with_context(|| format!("{} cannot be read", file.display()))?;
        if let RowBody::Item(item) = row.body {
            categories.insert(item.item_id, item.category);
        }
    }
    Ok(categories)
}

/// Shuffles the user's events from `split` on over the same times: the control of the evaluation.
pub(super) fn shuffled(user: &LogUser, split: Timestamp, rng: &mut impl rand::Rng) -> LogUser {
    let begin = user.records.partition_point(|record| record.occurred_at < split);
    let mut records = user.records.clone();
    let mut bodies: Vec<Body> = records[begin..].iter().map(|record| record.body.clone()).collect();
    // Times stay, contents move: the control differs in the order of events only.
    bodies.shuffle(rng);
    records[begin..].iter_mut().zip(bodies).for_each(|(record, body)| record.body = body);
    LogUser { records }
}

/// True if the user's first `count` events contain the item.
pub(super) fn has_item(user: &LogUser, index: &ItemIndex, count: usize, item: u32) -> bool {
    user.records[..count].iter().any(|record| index.index_of(record) == Some(item))
}
