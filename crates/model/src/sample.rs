//! Training and drift samples, through `FeatureService.StreamFeatures`. Input: the stream of all vectors. Output: a
//! bounded sample in one matrix. A hash of the user id decides membership, so that the sample is uniform,
//! reproducible and bounded in memory.

mod bottom_k;
mod catalogue;
mod examples;
mod histories;
mod limits;

use crate::command::ProgressReporter;
use crate::config::ValidConfig;
use crate::error::Error;
use bottom_k::BottomKSample;
pub(crate) use catalogue::{Catalogue, described};
pub(crate) use examples::{ExampleSets, LabelledSet};
pub(crate) use histories::Histories;
pub(crate) use limits::LimitCount;
use ndarray::ArrayView2;
use portrait_learning::drift::DriftSample;
use portrait_profile::{FeatureSchema, ScoreTarget, SegmentId, Timestamp, UserId, label_key};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{FeatureVector, StreamFeaturesRequest, TrainingLimit, Transition};
use portrait_proto::{action, time};
use portrait_runtime::peer::Peer;
use std::collections::HashMap;
use tonic::Status;
use xxhash_rust::xxh64::xxh64;

/// Seed of the sampling hash; differs from the seeds of partition routing and of the server-side sample, so that the
/// three are independent.
const SAMPLING_SEED: u64 = 0x4D4F_4445_4C00;
/// Maximum number of distinct categories; later ones count as none. Bounds memory against made-up names.
const CATEGORIES_MAX: usize = 20_000;
/// Number of vectors between two progress reports.
const PROGRESS_EVERY: u64 = 10_000;

/// Sample of users with their vectors.
#[derive(Debug, Default)]
pub(crate) struct TrainingSample {
    /// Time at which the vectors were evaluated.
    pub(crate) as_of: Timestamp,
    /// Number of users in the stream, without programs.
    pub(crate) users: u64,
    /// Number of users in the stream that are taken for programs; nothing is learned from them.
    pub(crate) bots: u64,
    /// Sampled users, ordered by the hash of their id; row `i` of the matrix is user `i`.
    pub(crate) sampled: Vec<SampledUser>,
    /// Item histories of a part of the users.
    pub(crate) histories: Histories,
    /// Catalogue entries of those items, and of items without interactions.
    pub(crate) catalogue: Catalogue,
    /// Training examples of the scorers.
    pub(crate) examples: ExampleSets,
    /// Category names; other fields refer to them by index.
    pub(crate) category_names: Vec<String>,
    /// Category mentions that have an index, and all of them.
    categories: LimitCount,
    values: Vec<f32>,
    width: usize,
}

/// Attributes of a sampled user, beside the vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SampledUser {
    pub(crate) user_id: UserId,
    /// Segment at reading time; none before the first model.
    pub(crate) segment: Option<SegmentId>,
    /// Preferred category, as an index into `category_names`.
    pub(crate) category: Option<u32>,
    /// Category of the latest action, as an index into `category_names`.
    latest_category: Option<u32>,
    /// Transitions between actions: from, to, weight.
    pub(crate) steps: Vec<(u16, u16, f64)>,
}

/// Limits of a sample; 0 leaves a part out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SampleLimits {
    /// Maximum number of users.
    pub(crate) rows: usize,
    /// Maximum number of users with item histories.
    pub(crate) histories: usize,
    /// Maximum number of examples per score target.
    pub(crate) examples: usize,
    /// Includes transitions between actions.
    pub(crate) steps: bool,
}

/// Builder of a sample; memory is bounded while the stream is read.
struct SampleBuilder {
    sample: TrainingSample,
    bottom_k: BottomKSample<(SampledUser, Vec<f32>)>,
    /// Index of each category by [`label_key`].
    category_indexes: HashMap<String, u32>,
    histories: histories::HistoryCollector,
    examples: examples::ExampleCollector,
}

impl SampleLimits {
    /// Limits of a training sample.
    pub(crate) fn of_training(config: &ValidConfig) -> Self {
        Self {
            rows: config.rows_max,
            histories: config.histories_max,
            examples: config.examples_max,
            steps: true,
        }
    }

    /// Limits of a drift sample: vectors only.
    pub(crate) fn of_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }
}

impl TrainingSample {
    /// Number of sampled users.
    pub(crate) fn len(&self) -> usize {
        self.sampled.len()
    }

    /// Returns the view of the sample that drift detection reads.
    pub(crate) fn drift_sample(&self) -> DriftSample<'_> {
        let latest_category = self
            .sampled
            .iter()
            .map(|user| self.category_names.get(user.latest_category? as usize).map(String::as_str))
            .collect();
        DriftSample { raw: self.rows(), latest_category }
    }

    /// Iterates over the segments of the sampled users.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = Option<SegmentId>> {
        self.sampled.iter().map(|user| user.segment)
    }

    /// Returns the limits that left something out of the sample.
    pub(crate) fn limits(&self) -> Vec<TrainingLimit> {
        let users = LimitCount { used: self.len() as u64, found: self.users };
        let examples = |target| self.examples.of(target).count;
        let people = LimitCount { used: self.users, found: self.users + self.bots };
        let lines = [
            people.report("profile.bot", "users, without programs"),
            users.report("model.rows_max", "users"),
            self.histories.users.report("model.histories_max", "users with a history"),
            self.histories.interactions.report("recommended_items", "interactions of sampled users"),
            examples(ScoreTarget::Propensity).report("model.examples_max", "visits with an outcome"),
            examples(ScoreTarget::Risk).report("model.examples_max", "orders with an outcome"),
            self.categories.report("categories", "mentions of a category"),
            self.catalogue.cold_start.report("cold_start_items", "catalogue items without interactions"),
        ];
        lines.into_iter().flatten().collect()
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
    limits: SampleLimits,
    progress: &ProgressReporter,
) -> Result<TrainingSample, Error> {
    let read_error = |status: Status| Error::Features(Box::new(status));
    let mut client = FeatureServiceClient::new(peer);
    let request = StreamFeaturesRequest {
        sample_fraction: share,
        include_recent_items: limits.histories > 0,
        include_transitions: limits.steps,
        include_snapshots: limits.examples > 0,
        ..Default::default()
    };
    let mut pages = client.stream_features(request).await.map_err(read_error)?.into_inner();
    let schema = FeatureSchema::current();
    let mut builder = SampleBuilder::begin(schema.components().len(), limits);
    while let Some(page) = pages.message().await.map_err(read_error)? {
        if page.schema_hash != schema.hash() {
            // Vectors of another release have other columns: a rolling upgrade must not mix them.
            let error =
                portrait_learning::ModelError::OtherSchema { found: page.schema_hash, known: schema.hash() };
            return Err(error.into());
        }
        if let Some(as_of) = page.as_of.and_then(|at| time::from_wire(&at).ok()) {
            builder.sample.as_of = as_of;
        }
        for vector in page.vectors {
            builder.add(vector);
            if (builder.sample.users + builder.sample.bots).is_multiple_of(PROGRESS_EVERY) {
                progress.report("reading vectors", builder.sample.users, 0);
            }
        }
    }
    Ok(builder.finish())
}

impl SampleBuilder {
    fn begin(width: usize, limits: SampleLimits) -> Self {
        Self {
            sample: TrainingSample { width, ..TrainingSample::default() },
            bottom_k: BottomKSample::new(limits.rows.max(1)),
            category_indexes: HashMap::new(),
            histories: histories::HistoryCollector::begin(limits.histories),
            examples: examples::ExampleCollector::begin(limits.examples),
        }
    }

    fn add(&mut self, vector: FeatureVector) {
        if vector.bot {
            self.sample.bots += 1;
            return;
        }
        self.sample.users += 1;
        let hash = xxh64(vector.user_id.as_bytes(), SAMPLING_SEED);
        let width = self.sample.width;
        // Before the bound of the users: examples have bottom-k samples of their own.
        self.examples.add(hash, vector.snapshots, width);
        if !self.bottom_k.accepts(hash) || vector.values.len() != width {
            return;
        }
        // A user that this release cannot name is left out rather than failing the training of all others.
        let Ok(user_id) = UserId::parse(&vector.user_id) else { return };
        let user = SampledUser {
            user_id,
            segment: SegmentId::parse(&vector.segment_id),
            category: self.category(vector.top_category),
            latest_category: self.category(vector.latest_category),
            steps: vector.transitions.iter().filter_map(step).collect(),
        };
        self.histories.add(hash, vector.recent_items);
        self.bottom_k.insert(hash, (user, vector.values));
    }

    /// Orders the sample by hash: the same users produce the same model, in any order of the stream.
    fn finish(self) -> TrainingSample {
        let mut sample = self.sample;
        let entries = self.bottom_k.finish();
        let hashes: Vec<u64> = entries.iter().map(|(hash, _)| *hash).collect();
        sample.values.reserve_exact(entries.len() * sample.width);
        for (_, (user, values)) in entries {
            sample.sampled.push(user);
            sample.values.extend(values);
        }
        sample.histories = self.histories.finish(&hashes);
        sample.examples = self.examples.finish(sample.width);
        sample
    }

    fn category(&mut self, name: String) -> Option<u32> {
        if name.is_empty() {
            return None;
        }
        let key = label_key(&name).into_owned();
        let known = self.category_indexes.get(&key).copied();
        let has_space = self.category_indexes.len() < CATEGORIES_MAX;
        self.sample.categories.count(known.is_some() || has_space);
        if known.is_some() || !has_space {
            return known;
        }
        let index = u32::try_from(self.category_indexes.len()).ok()?;
        // The first spelling is the one that is shown.
        self.category_indexes.insert(key, index);
        self.sample.category_names.push(name);
        Some(index)
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
        let begin = || SampleBuilder::begin(2, SampleLimits::of_rows(1000));
        let mut builder = begin();
        let mut backwards = begin();
        (0..10_000).for_each(|number| builder.add(vector(number)));
        (0..10_000).rev().for_each(|number| backwards.add(vector(number)));
        let sample = builder.finish();
        assert_eq!(sample.rows(), backwards.finish().rows(), "arrival order does not matter");
        assert!((400..=1000).contains(&sample.len()), "{} are kept", sample.len());
        assert_eq!((sample.users, sample.rows().nrows()), (10_000, sample.len()));
        let latest = sample.drift_sample().latest_category;
        for (index, row) in sample.rows().outer_iter().enumerate() {
            let number = row[0] as u32;
            let user = &sample.sampled[index];
            assert_eq!(user.user_id.as_str(), format!("u{number}"));
            assert_eq!(user.segment, Some(SegmentId::new(number % 3)));
            let category = user.category.map(|index| &*sample.category_names[index as usize]);
            assert_eq!(category, Some(&*format!("c{}", number % 5)));
            assert_eq!(latest[index], Some(&*format!("c{}", number % 7)));
        }
        let early = sample.rows().outer_iter().filter(|row| row[0] < 5000.0).count() as f64;
        assert!((0.4..0.6).contains(&(early / sample.len() as f64)), "{early} of {}", sample.len());
    }

    #[test]
    fn programs_are_left_out_and_reported() {
        let mut builder = SampleBuilder::begin(2, SampleLimits::of_rows(1000));
        (0..50).for_each(|number| builder.add(FeatureVector { bot: number % 5 == 0, ..vector(number) }));
        let sample = builder.finish();
        assert_eq!((sample.users, sample.bots, sample.len()), (40, 10, 40));
        let reported: Vec<_> =
            sample.limits().into_iter().map(|limit| (limit.name, limit.used, limit.found)).collect();
        assert_eq!(reported, [("profile.bot".to_owned(), 40, 50)]);
    }
}
