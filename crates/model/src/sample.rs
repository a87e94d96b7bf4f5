//! Vectors for a training or a look at drift, through `FeatureService.StreamFeatures`. In comes a stream of everybody's
//! vectors, out goes at most so many of them in one matrix: who is in it is decided by a hash of the id, so that it is a fair
//! sample, the same people each time, and memory is bounded whatever the number of shoppers.

mod bounded;
mod cases;
mod catalogue;
mod pasts;

use crate::config::ValidConfig;
use crate::error::Error;
use crate::train::Progress;
use bounded::Bounded;
pub(crate) use cases::{Cases, Labelled};
pub(crate) use catalogue::described;
use ndarray::ArrayView2;
pub(crate) use pasts::Pasts;
use portrait_learning::drift::Seen;
use portrait_learning::prediction::recommend::Described;
use portrait_profile::{FeatureSchema, SegmentId, Timestamp, UserId};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{FeatureVector, StreamFeaturesRequest, Transition};
use portrait_proto::{action, time};
use portrait_runtime::peer::Peer;
use std::collections::HashMap;
use tonic::Status;
use xxhash_rust::xxh64::xxh64;

/// The seed that decides who stays: another than that of routing and of the server's own samples.
const STAY_SEED: u64 = 0x4D4F_4445_4C00;
/// Different categories that are told apart; what comes later counts as none.
const CATEGORIES_MAX: usize = 20_000;
/// How often progress is told, in vectors.
const PROGRESS_EVERY: u64 = 10_000;

/// Some shoppers' vectors.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The moment they were read at.
    pub(crate) as_of: Timestamp,
    /// How many shoppers there were to choose from.
    pub(crate) shoppers: u64,
    /// Who was chosen, in the order of the hashes of their ids.
    pub(crate) chosen: Vec<Chosen>,
    /// What a share of them had.
    pub(crate) pasts: Pasts,
    /// What the catalogue says of that, and of what nobody had.
    pub(crate) catalogue: Vec<Described>,
    /// What scores are learned from.
    pub(crate) cases: Cases,
    /// Categories by their place.
    pub(crate) category_names: Vec<String>,
    values: Vec<f32>,
    width: usize,
}

/// What is known of a shopper of a sample, beside the vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) user_id: UserId,
    /// The segment.
    pub(crate) segment: Option<SegmentId>,
    /// The favourite category, by its place in the sample's names.
    pub(crate) category: Option<u32>,
    /// The category of what was done last, by its place as well.
    latest: Option<u32>,
    /// Action before, action after, how often.
    pub(crate) steps: Vec<(u16, u16, f64)>,
}

/// How much of everybody's past a sample holds at most; nothing of what is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Shoppers.
    pub(crate) rows: usize,
    /// Shoppers whose items are taken.
    pub(crate) pasts: usize,
    /// Cases of each target of a score.
    pub(crate) cases: usize,
    /// Whether steps from action to action are taken.
    pub(crate) steps: bool,
}

/// A sample in the making.
struct Gathering {
    sample: Sample,
    chosen: Bounded<(Chosen, Vec<f32>)>,
    known: HashMap<String, u32>,
    pasts: pasts::Gathered,
    cases: cases::Gathered,
}

impl Bounds {
    /// Of a training.
    pub(crate) fn of_training(config: &ValidConfig) -> Self {
        Self { rows: config.rows_max, pasts: config.pasts_max, cases: config.cases_max, steps: true }
    }

    /// Of a look at how shoppers are.
    pub(crate) fn of_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }
}

impl Sample {
    /// How many shoppers are in it.
    pub(crate) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// As a look at drift takes them.
    pub(crate) fn seen(&self) -> Seen<'_> {
        let name = |place: u32| self.category_names.get(place as usize).map(String::as_str);
        let latest = self.chosen.iter().map(|one| one.latest.and_then(name));
        Seen { raw: self.rows(), latest: latest.collect() }
    }

    /// The segment of each.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = Option<SegmentId>> {
        self.chosen.iter().map(|one| one.segment)
    }

    /// Raw vectors, a row a shopper.
    pub(crate) fn rows(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len(), self.width), &self.values)
            .expect("every vector that was added has the width")
    }
}

/// Reads the vectors of a share of all shoppers (0: all) and keeps as much of them as `bounds` say.
pub(crate) async fn read(
    peer: Peer,
    share: f64,
    bounds: Bounds,
    progress: &Progress,
) -> Result<Sample, Error> {
    let refused = |status: Status| Error::Features(Box::new(status));
    let mut client = FeatureServiceClient::new(peer);
    let request = StreamFeaturesRequest {
        sample: share,
        include_recent_items: bounds.pasts > 0,
        include_transitions: bounds.steps,
        include_moments: bounds.cases > 0,
        ..Default::default()
    };
    let mut pages = client.stream_features(request).await.map_err(refused)?.into_inner();
    let schema = FeatureSchema::current();
    let mut gathering = Gathering::begin(schema.components().len(), bounds);
    while let Some(page) = pages.message().await.map_err(refused)? {
        if page.schema_hash != schema.hash() {
            let (found, known) = (page.schema_hash, schema.hash());
            return Err(portrait_learning::ModelError::OtherSchema { found, known }.into());
        }
        if let Some(as_of) = page.as_of.and_then(|at| time::from_wire(&at).ok()) {
            gathering.sample.as_of = as_of;
        }
        for vector in page.vectors {
            gathering.take(vector);
            if gathering.sample.shoppers.is_multiple_of(PROGRESS_EVERY) {
                progress.tell("reading vectors", gathering.sample.shoppers, 0);
            }
        }
    }
    Ok(gathering.finish())
}

impl Gathering {
    fn begin(width: usize, bounds: Bounds) -> Self {
        Self {
            sample: Sample { width, ..Sample::default() },
            chosen: Bounded::new(bounds.rows.max(1)),
            known: HashMap::new(),
            pasts: pasts::Gathered::begin(bounds.pasts),
            cases: cases::Gathered::begin(bounds.cases),
        }
    }

    fn take(&mut self, vector: FeatureVector) {
        self.sample.shoppers += 1;
        let hash = xxh64(vector.user_id.as_bytes(), STAY_SEED);
        let width = self.sample.width;
        self.cases.take(hash, vector.moments, width);
        if !self.chosen.wants(hash) || vector.values.len() != width {
            return;
        }
        let Ok(user_id) = UserId::parse(&vector.user_id) else { return };
        let chosen = Chosen {
            user_id,
            segment: SegmentId::parse(&vector.segment_id),
            category: self.category(vector.top_category),
            latest: self.category(vector.latest_category),
            steps: vector.transitions.iter().filter_map(step).collect(),
        };
        self.pasts.take(hash, vector.recent_items);
        self.chosen.take(hash, (chosen, vector.values));
    }

    /// The sample in the order of the hashes: the same shoppers teach the same model, whichever store they come from.
    fn finish(self) -> Sample {
        let mut sample = self.sample;
        let chosen = self.chosen.finish();
        let hashes: Vec<u64> = chosen.iter().map(|(hash, _)| *hash).collect();
        sample.values.reserve_exact(chosen.len() * sample.width);
        for (_, (chosen, values)) in chosen {
            sample.chosen.push(chosen);
            sample.values.extend(values);
        }
        sample.pasts = self.pasts.finish(&hashes);
        sample.cases = self.cases.finish(sample.width);
        sample
    }

    fn category(&mut self, name: String) -> Option<u32> {
        if name.is_empty() {
            return None;
        }
        if let Some(place) = self.known.get(&name) {
            return Some(*place);
        }
        let place = u32::try_from(self.known.len()).ok().filter(|_| self.known.len() < CATEGORIES_MAX)?;
        self.sample.category_names.push(name.clone());
        self.known.insert(name, place);
        Some(place)
    }
}

fn step(transition: &Transition) -> Option<(u16, u16, f64)> {
    let symbol = |number: i32| action::kind_from_wire(number).map(|kind| kind.index() as u16);
    Some((symbol(transition.from)?, symbol(transition.to)?, transition.weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(number: u32) -> FeatureVector {
        FeatureVector {
            user_id: format!("u{number}"),
            values: vec![number as f32, 1.0],
            segment_id: format!("s{}", number % 3),
            top_category: format!("c{}", number % 5),
            latest_category: format!("c{}", number % 7),
            ..Default::default()
        }
    }

    #[test]
    fn a_sample_is_bounded_fair_and_keeps_what_belongs_together() {
        let begin = || Gathering::begin(2, Bounds::of_rows(1000));
        let (mut gathering, mut backwards) = (begin(), begin());
        (0..10_000).for_each(|number| gathering.take(vector(number)));
        (0..10_000).rev().for_each(|number| backwards.take(vector(number)));
        let sample = gathering.finish();
        assert_eq!(sample.rows(), backwards.finish().rows(), "the order they come in does not matter");
        assert!((400..=1000).contains(&sample.len()), "{} are kept", sample.len());
        assert_eq!((sample.shoppers, sample.rows().nrows()), (10_000, sample.len()));
        let latest = sample.seen().latest;
        for (index, row) in sample.rows().outer_iter().enumerate() {
            let number = row[0] as u32;
            let chosen = &sample.chosen[index];
            assert_eq!(chosen.user_id.as_str(), format!("u{number}"));
            assert_eq!(chosen.segment, Some(SegmentId::new(number % 3)));
            let category = chosen.category.map(|place| &*sample.category_names[place as usize]);
            assert_eq!(category, Some(&*format!("c{}", number % 5)));
            assert_eq!(latest[index], Some(&*format!("c{}", number % 7)));
        }
        let early = sample.rows().outer_iter().filter(|row| row[0] < 5000.0).count() as f64;
        assert!((0.4..0.6).contains(&(early / sample.len() as f64)), "{early} of {}", sample.len());
    }
}
