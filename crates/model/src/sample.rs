//! Vectors for a training or a look at drift, through `FeatureService.StreamFeatures`. In comes a stream of everybody's
//! vectors, out goes at most so many of them in one matrix: who is in it is decided by a hash of the id, so that it is a fair
//! sample, the same people each time, and memory is bounded whatever the number of shoppers.

mod pasts;

use crate::error::Error;
use crate::train::Progress;
use ndarray::ArrayView2;
use pasts::Gathered;
pub(crate) use pasts::Pasts;
use portrait_learning::Seen;
use portrait_profile::{FeatureSchema, SegmentId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{FeatureVector, StreamFeaturesRequest};
use std::collections::HashMap;
use tonic::Status;
use tonic::transport::Channel;
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
    /// The segment of each.
    pub(crate) segments: Vec<Option<SegmentId>>,
    /// The favourite category of each, by its place in `category_names`.
    pub(crate) categories: Vec<Option<u32>>,
    /// The category of what each did last, as well by its place.
    latest: Vec<Option<u32>>,
    /// What a share of them had.
    pub(crate) pasts: Pasts,
    /// Categories by their place.
    pub(crate) category_names: Vec<String>,
    values: Vec<f32>,
    width: usize,
}

/// A sample in the making.
struct Gathering {
    sample: Sample,
    /// Who has a hash above it does not stay.
    threshold: u64,
    hashes: Vec<u64>,
    known: HashMap<String, u32>,
    pasts: Gathered,
}

impl Sample {
    /// How many shoppers are in it.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// As a look at drift takes them.
    pub(crate) fn seen(&self) -> Seen<'_> {
        let name = |place: u32| self.category_names.get(place as usize).map(String::as_str);
        Seen { raw: self.rows(), latest: self.latest.iter().map(|place| place.and_then(name)).collect() }
    }

    /// Raw vectors, a row a shopper.
    pub(crate) fn rows(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len(), self.width), &self.values)
            .expect("every vector that was added has the width")
    }
}

/// Reads the vectors of a share of all shoppers (0: all) and keeps at most `rows_max` of them, with what at most `pasts_max` had.
pub(crate) async fn read(
    channel: Channel,
    share: f64,
    rows_max: usize,
    pasts_max: usize,
    progress: &Progress,
) -> Result<Sample, Error> {
    let refused = |status: Status| Error::Features(Box::new(status));
    let mut client = FeatureServiceClient::new(channel);
    let include_recent_items = pasts_max > 0;
    let request = StreamFeaturesRequest { sample: share, include_recent_items, ..Default::default() };
    let mut pages = client.stream_features(request).await.map_err(refused)?.into_inner();
    let schema = FeatureSchema::current();
    let mut gathering = Gathering::begin(schema.components().len(), pasts_max);
    while let Some(page) = pages.message().await.map_err(refused)? {
        if page.schema_hash != schema.hash() {
            let (found, known) = (page.schema_hash, schema.hash());
            return Err(portrait_learning::ModelError::OtherSchema { found, known }.into());
        }
        if let Some(as_of) = page.as_of.and_then(|at| time::from_wire(&at).ok()) {
            gathering.sample.as_of = as_of;
        }
        for vector in page.vectors {
            gathering.take(vector, rows_max);
            if gathering.sample.shoppers.is_multiple_of(PROGRESS_EVERY) {
                progress.tell("reading vectors", gathering.sample.shoppers, 0);
            }
        }
    }
    Ok(gathering.finish())
}

impl Gathering {
    fn begin(width: usize, pasts_max: usize) -> Self {
        let sample = Sample { width, ..Sample::default() };
        let pasts = Gathered::begin(pasts_max);
        Self { sample, threshold: u64::MAX, hashes: Vec::new(), known: HashMap::new(), pasts }
    }

    fn take(&mut self, vector: FeatureVector, rows_max: usize) {
        self.sample.shoppers += 1;
        let hash = xxh64(vector.user_id.as_bytes(), STAY_SEED);
        if hash > self.threshold || vector.values.len() != self.sample.width {
            return;
        }
        let (category, latest) = (self.category(vector.top_category), self.category(vector.latest_category));
        self.hashes.push(hash);
        self.pasts.take(hash, vector.recent_items);
        self.sample.values.extend(vector.values);
        self.sample.segments.push(SegmentId::parse(&vector.segment_id));
        self.sample.categories.push(category);
        self.sample.latest.push(latest);
        while self.sample.len() > rows_max.max(1) {
            self.threshold /= 2;
            self.keep_below_threshold();
        }
    }

    /// The sample in the order of the hashes: the same shoppers teach the same model, whichever store they come from.
    fn finish(self) -> Sample {
        let width = self.sample.width;
        let mut sample = self.sample;
        let mut order: Vec<usize> = (0..self.hashes.len()).collect();
        order.sort_by_key(|index| self.hashes[*index]);
        sample.values =
            order.iter().flat_map(|row| &sample.values[row * width..(row + 1) * width]).copied().collect();
        sample.segments = order.iter().map(|row| sample.segments[*row]).collect();
        sample.categories = order.iter().map(|row| sample.categories[*row]).collect();
        sample.latest = order.iter().map(|row| sample.latest[*row]).collect();
        let hashes: Vec<u64> = order.iter().map(|row| self.hashes[*row]).collect();
        sample.pasts = self.pasts.finish(&hashes);
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

    fn keep_below_threshold(&mut self) {
        let width = self.sample.width;
        let mut kept = 0;
        for index in 0..self.hashes.len() {
            if self.hashes[index] > self.threshold {
                continue;
            }
            self.hashes[kept] = self.hashes[index];
            self.sample.segments[kept] = self.sample.segments[index];
            self.sample.categories[kept] = self.sample.categories[index];
            self.sample.latest[kept] = self.sample.latest[index];
            self.sample.values.copy_within(index * width..(index + 1) * width, kept * width);
            kept += 1;
        }
        self.hashes.truncate(kept);
        self.sample.segments.truncate(kept);
        self.sample.categories.truncate(kept);
        self.sample.latest.truncate(kept);
        self.sample.values.truncate(kept * width);
    }
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
        let mut gathering = Gathering::begin(2, 0);
        (0..10_000).for_each(|number| gathering.take(vector(number), 1000));
        let mut backwards = Gathering::begin(2, 0);
        (0..10_000).rev().for_each(|number| backwards.take(vector(number), 1000));
        let sample = gathering.finish();
        assert_eq!(sample.rows(), backwards.finish().rows(), "the order they come in does not matter");
        assert!((400..=1000).contains(&sample.len()), "{} are kept", sample.len());
        assert_eq!((sample.shoppers, sample.rows().nrows()), (10_000, sample.len()));
        let latest = sample.seen().latest;
        for (index, row) in sample.rows().outer_iter().enumerate() {
            let number = row[0] as u32;
            assert_eq!(sample.segments[index], Some(SegmentId::new(number % 3)));
            let category = sample.categories[index].map(|place| &*sample.category_names[place as usize]);
            assert_eq!(category, Some(&*format!("c{}", number % 5)));
            assert_eq!(latest[index], Some(&*format!("c{}", number % 7)));
        }
        let early = sample.rows().outer_iter().filter(|row| row[0] < 5000.0).count() as f64;
        assert!((0.4..0.6).contains(&(early / sample.len() as f64)), "{early} of {}", sample.len());
    }
}
