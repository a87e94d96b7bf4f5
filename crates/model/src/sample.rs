//! Training and drift samples, through `FeatureService.StreamFeatures`. Input: the stream of all vectors. Output: a
//! bounded sample in one matrix. A hash of the user id decides membership, so that the sample is uniform,
//! reproducible and bounded in memory.

mod bounded;
mod cases;
mod catalogue;
mod pasts;

use crate::config::ValidConfig;
use crate::demand::Progress;
use crate::error::Error;
use bounded::Bounded;
pub(crate) use cases::{Cases, Labelled};
pub(crate) use catalogue::described;
use ndarray::ArrayView2;
pub(crate) use pasts::Pasts;
use portrait_learning::drift::DriftSample;
use portrait_learning::prediction::recommend::ItemDescription;
use portrait_profile::{FeatureSchema, SegmentId, Timestamp, UserId};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{FeatureVector, StreamFeaturesRequest, Transition};
use portrait_proto::{action, time};
use portrait_runtime::peer::Peer;
use std::collections::HashMap;
use tonic::Status;
use xxhash_rust::xxh64::xxh64;

/// Seed of the sampling hash; differs from the seeds of partition routing and of the server-side sample, so that the
/// three are independent.
const STAY_SEED: u64 = 0x4D4F_4445_4C00;
/// Maximum number of distinct categories; later ones count as none. Bounds memory against made-up names.
const CATEGORIES_MAX: usize = 20_000;
/// Number of vectors between two progress reports.
const PROGRESS_EVERY: u64 = 10_000;

/// Sample of users with their vectors.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Time at which the vectors were evaluated.
    pub(crate) as_of: Timestamp,
    /// Number of users in the stream.
    pub(crate) shoppers: u64,
    /// Sampled users, ordered by the hash of their id; row `i` of the matrix is user `i`.
    pub(crate) chosen: Vec<Chosen>,
    /// Item histories of a part of the users.
    pub(crate) pasts: Pasts,
    /// Catalogue entries of those items, and of items without interactions.
    pub(crate) catalogue: Vec<ItemDescription>,
    /// Training examples of the scorers.
    pub(crate) cases: Cases,
    /// Category names; other fields refer to them by index.
    pub(crate) category_names: Vec<String>,
    values: Vec<f32>,
    width: usize,
}

/// Attributes of a sampled user, beside the vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) user_id: UserId,
    /// Segment at reading time; none before the first model.
    pub(crate) segment: Option<SegmentId>,
    /// Preferred category, as an index into `category_names`.
    pub(crate) category: Option<u32>,
    /// Category of the latest action, as an index into `category_names`.
    latest: Option<u32>,
    /// Transitions between actions: from, to, weight.
    pub(crate) steps: Vec<(u16, u16, f64)>,
}

/// Limits of a sample; 0 leaves a part out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Maximum number of users.
    pub(crate) rows: usize,
    /// Maximum number of users with item histories.
    pub(crate) pasts: usize,
    /// Maximum number of examples per score target.
    pub(crate) cases: usize,
    /// Includes transitions between actions.
    pub(crate) steps: bool,
}

/// Builder of a sample; memory is bounded while the stream is read.
struct Gathering {
    sample: Sample,
    chosen: Bounded<(Chosen, Vec<f32>)>,
    known: HashMap<String, u32>,
    pasts: pasts::Gathered,
    cases: cases::Gathered,
}

impl Bounds {
    /// Limits of a training sample.
    pub(crate) fn of_training(config: &ValidConfig) -> Self {
        Self { rows: config.rows_max, pasts: config.pasts_max, cases: config.cases_max, steps: true }
    }

    /// Limits of a drift sample: vectors only.
    pub(crate) fn of_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }
}

impl Sample {
    /// Number of sampled users.
    pub(crate) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Returns the view of the sample that drift detection reads.
    pub(crate) fn seen(&self) -> DriftSample<'_> {
        let name = |place: u32| self.category_names.get(place as usize).map(String::as_str);
        let latest = self.chosen.iter().map(|one| one.latest.and_then(name));
        DriftSample { raw: self.rows(), latest_category: latest.collect() }
    }

    /// Iterates over the segments of the sampled users.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = Option<SegmentId>> {
        self.chosen.iter().map(|one| one.segment)
    }

    /// Raw vectors, `n x d`: one row per user.
    pub(crate) fn rows(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len(), self.width), &self.values)
            .expect("every vector that was added has the width")
    }
}

/// Reads a `share` of all users (0: all) and keeps a sample within `limits`.
pub(crate) async fn read(
    peer: Peer,
    share: f64,
    bounds: Bounds,
    progress: &Progress,
) -> Result<Sample, Error> {
    let refused = |status: Status| Error::Features(Box::new(status));
    let mut client = FeatureServiceClient::new(peer);
    let request = StreamFeaturesRequest {
        sample_fraction: share,
        include_recent_items: bounds.pasts > 0,
        include_transitions: bounds.steps,
        include_snapshots: bounds.cases > 0,
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
        self.cases.take(hash, vector.snapshots, width);
        if !self.chosen.wants(hash) || vector.values.len() != width {
            return;
        }
        // A user that this release cannot name is left out rather than failing the training of all others.
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

    /// Orders the sample by hash: the same users produce the same model, whatever order the store returns them in.
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
    fn a_sample_is_bounded_uniform_and_keeps_rows_aligned() {
        let begin = || Gathering::begin(2, Bounds::of_rows(1000));
        let (mut gathering, mut backwards) = (begin(), begin());
        (0..10_000).for_each(|number| gathering.take(vector(number)));
        (0..10_000).rev().for_each(|number| backwards.take(vector(number)));
        let sample = gathering.finish();
        assert_eq!(sample.rows(), backwards.finish().rows(), "arrival order does not matter");
        assert!((400..=1000).contains(&sample.len()), "{} are kept", sample.len());
        assert_eq!((sample.shoppers, sample.rows().nrows()), (10_000, sample.len()));
        let latest = sample.seen().latest_category;
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
