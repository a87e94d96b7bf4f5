//! A log as histories: what each shopper did, in the order of time. In goes a file, out go records as the server would fold them,
//! and numbers for the things that are to be foretold.

use crate::import::{Format, LogReader, Row};
use crate::replay;
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use portrait_learning::prediction::recommend::Past;
use portrait_profile::{Body, ItemId, Profile, Record, Timestamp};
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The share of events after which an item must have been had by enough shoppers.
const EARLY: f64 = 0.7;

/// Which log to read, and what of it.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// An event log.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The log's format.
    #[arg(long, value_enum)]
    pub format: Format,
    /// The catalogue in that format, for the categories that the log lacks.
    #[arg(long, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// Events of items that fewer shoppers had in the first 70% are left out.
    #[arg(long, default_value_t = 1)]
    pub item_shoppers_min: usize,
}

/// A log.
pub(crate) struct Log {
    pub(crate) shoppers: Vec<Shopper>,
    /// Every event's time, in order.
    times: Vec<Timestamp>,
}

/// One shopper's events, in the order of time.
pub(crate) struct Shopper {
    pub(crate) records: Vec<Record>,
}

/// What is to be foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Item,
    Category,
}

/// Numbers for the things of a log.
pub(super) struct Numbers {
    subject: Subject,
    of: HashMap<Box<str>, u32>,
}

impl Log {
    /// Reads a log, in any order.
    pub(crate) fn read(args: &LogArgs) -> Result<Self> {
        let categories = args.catalogue.as_ref().map(|file| categories(args.format, file)).transpose()?;
        let mut reader = LogReader::open(&args.file, args.format, args.format.default_event_id())?;
        let bar = ProgressBar::new(reader.bytes_total());
        let (mut known, mut by_shopper) = (HashSet::new(), BTreeMap::new());
        while let Some(row) = reader.next() {
            bar.set_position(reader.bytes_read());
            let Row::Event(mut event) = row? else { continue };
            // As the server does: the same record twice counts once.
            if !known.insert((event.user_id.clone(), event.event_id.clone())) {
                continue;
            }
            if let Some(category) = categories.as_ref().and_then(|known| known.get(&event.item_id)) {
                event.category.clone_from(category);
            }
            // A log that names brands alone has them for items.
            if event.item_id.is_empty() {
                event.item_id.clone_from(&event.brand);
            }
            let record = replay::record(&event)?;
            by_shopper.entry(record.user_id.clone()).or_insert_with(Vec::new).push(record);
        }
        bar.finish_and_clear();
        Self::of(by_shopper.into_values().collect(), args.item_shoppers_min)
    }

    /// A log of these records, a list for each shopper, without items that fewer shoppers had early on.
    pub(crate) fn of(mut records: Vec<Vec<Record>>, item_shoppers_min: usize) -> Result<Self> {
        // Of one moment, the order of the file stays.
        records.iter_mut().for_each(|records| records.sort_by_key(|record| record.occurred_at));
        if item_shoppers_min > 1 {
            leave_rare_items_out(&mut records, item_shoppers_min);
        }
        let times = times(&records);
        if times.is_empty() {
            bail!("the log has no events");
        }
        let shoppers = records.into_iter().filter(|records| !records.is_empty());
        Ok(Self { shoppers: shoppers.map(|records| Shopper { records }).collect(), times })
    }

    /// The time of the event after this share of all.
    pub(super) fn cut(&self, share: f64) -> Timestamp {
        cut(&self.times, share)
    }

    /// How many events there are.
    pub(super) fn events(&self) -> usize {
        self.times.len()
    }

    /// The first and the last event.
    pub(crate) fn span(&self) -> (Timestamp, Timestamp) {
        (self.times[0], self.times[self.times.len() - 1])
    }
}

impl Shopper {
    /// The times of all events.
    pub(super) fn times(&self) -> Vec<Timestamp> {
        self.records.iter().map(|record| record.occurred_at).collect()
    }

    /// The profile of the first `count` events.
    pub(super) fn profile(&self, count: usize) -> Profile {
        let mut profile = Profile::new(self.records[0].user_id.clone());
        for record in &self.records[..count] {
            profile.apply(record);
        }
        profile
    }
}

impl Subject {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Category => "category",
        }
    }

    /// Among how many first ones it counts as found.
    pub(super) fn found_within(self) -> usize {
        match self {
            Self::Item => 20,
            Self::Category => 3,
        }
    }
}

impl Numbers {
    /// Of everything in a log.
    pub(super) fn of(log: &Log, subject: Subject) -> Self {
        let mut of = HashMap::new();
        for record in log.shoppers.iter().flat_map(|shopper| &shopper.records) {
            if let Some(name) = named(subject, record) {
                let next = of.len() as u32;
                of.entry(Box::from(name)).or_insert(next);
            }
        }
        Self { subject, of }
    }

    /// What they are numbers of.
    pub(super) fn subject(&self) -> Subject {
        self.subject
    }

    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// The number of what a record is about.
    pub(super) fn number(&self, record: &Record) -> Option<u32> {
        named(self.subject, record).and_then(|name| self.of.get(name).copied())
    }

    /// What a profile knows of these things.
    pub(super) fn past(&self, profile: &Profile) -> Past {
        let number = |name: &str| self.of.get(name).copied();
        match self.subject {
            Subject::Item => Past::of_items(profile, number),
            Subject::Category => Past::of_categories(profile, number),
        }
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

fn leave_rare_items_out(records: &mut [Vec<Record>], shoppers_min: usize) {
    let times = times(records);
    if times.is_empty() {
        return;
    }
    let split = cut(&times, EARLY);
    let mut shoppers: HashMap<Box<str>, usize> = HashMap::new();
    for records in records.iter() {
        let early = records.iter().filter(|record| record.occurred_at < split);
        let items: HashSet<&str> = early.filter_map(|record| named(Subject::Item, record)).collect();
        items.into_iter().for_each(|item| *shoppers.entry(item.into()).or_default() += 1);
    }
    let common = |record: &Record| {
        named(Subject::Item, record)
            .is_some_and(|item| shoppers.get(item).is_some_and(|count| *count >= shoppers_min))
    };
    records.iter_mut().for_each(|records| records.retain(common));
}

/// The category of each item of a catalogue.
fn categories(format: Format, file: &Path) -> Result<HashMap<String, String>> {
    let reader = LogReader::open(file, format, format.default_event_id())?;
    let mut categories = HashMap::new();
    for row in reader {
        if let Row::Item(item) = row.with_context(|| format!("{} cannot be read", file.display()))? {
            categories.insert(item.item_id, item.category);
        }
    }
    Ok(categories)
}

/// Deals what happened to a shopper from `split` on anew over the same times.
pub(super) fn dealt_anew(shopper: &Shopper, split: Timestamp, chance: &mut impl rand::Rng) -> Shopper {
    let begin = shopper.records.partition_point(|record| record.occurred_at < split);
    let mut records = shopper.records.clone();
    let mut bodies: Vec<Body> = records[begin..].iter().map(|record| record.body.clone()).collect();
    bodies.shuffle(chance);
    records[begin..].iter_mut().zip(bodies).for_each(|(record, body)| record.body = body);
    Shopper { records }
}

/// Whether a shopper's first `count` events have a thing.
pub(super) fn had(shopper: &Shopper, numbers: &Numbers, count: usize, thing: u32) -> bool {
    shopper.records[..count].iter().any(|record| numbers.number(record) == Some(thing))
}
