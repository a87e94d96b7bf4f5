//! Segment reads: descriptions from the model, sizes from the ledgers of the partition owners, explanations from a
//! profile. Only an export scans the profiles. A model without segments lists none, and has none to show or explain.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use portrait_learning::segmentation::Origin;
use portrait_learning::{Model, Segment};
use portrait_profile::{FeatureSchema, PartitionLedger, Profile, SegmentId, UserId};
use portrait_proto::v1;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Response stream of an export.
pub(crate) type UserPages = ReceiverStream<Result<v1::ExportSegmentResponse, Status>>;

/// Users per page of an export, and pages queued for a slow reader.
const PAGE_USERS: usize = 1000;
const PAGES_QUEUED_MAX: usize = 2;

/// Remedy if the model has no segments.
const NO_SEGMENTS: &str =
    "it has no segments; `portrait segments` and ModelManifest.shortfalls have the reason and the remedy";

/// Lists the segments of the active model, largest first; none if it has none.
pub(crate) async fn list(shared: &QueryContext) -> Result<v1::ListSegmentsResponse, Error> {
    let model = shared.served()?;
    let counts = counts(shared).await?;
    // Until the sweep has reassigned them, users of an earlier model count in its retired segments.
    let mut assigned_users = 0_u64;
    let mut retired_users = 0_u64;
    for (id, count) in &counts {
        match model.segment(*id) {
            Some(_) => assigned_users += count,
            None => retired_users += count,
        }
    }
    let mut segments: Vec<v1::Segment> =
        model.segments.iter().map(|segment| to_wire(&model, segment, &counts, assigned_users)).collect();
    segments.sort_by_key(|segment| Reverse(segment.size));
    let retired = model.retired.iter().map(|retired| v1::RetiredSegment {
        segment_id: retired.id.to_string(),
        name: retired.name.clone(),
        to_segment_ids: retired.to.iter().map(ToString::to_string).collect(),
    });
    let retired = retired.collect();
    Ok(v1::ListSegmentsResponse {
        model_version: model.version.get(),
        segments,
        assigned_users,
        retired_users,
        retired,
    })
}

/// Returns one segment of the active model.
pub(crate) async fn one(
    shared: &QueryContext,
    segment_id: SegmentId,
) -> Result<v1::GetSegmentResponse, Error> {
    let model = segmented(shared)?;
    let segment = model.segment(segment_id).ok_or(Error::NoSuchSegment { segment_id })?;
    let counts = counts(shared).await?;
    let assigned_users =
        counts.iter().filter(|(id, _)| model.segment(**id).is_some()).map(|(_, count)| count).sum();
    let segment = to_wire(&model, segment, &counts, assigned_users);
    Ok(v1::GetSegmentResponse { segment: Some(segment), model_version: model.version.get() })
}

/// Explains the segment of a user by its distance to the runner-up, feature by feature.
pub(crate) async fn explain(
    shared: &QueryContext,
    user_id: UserId,
    options: &ReadOptions,
) -> Result<v1::ExplainSegmentResponse, Error> {
    let model = segmented(shared)?;
    let (profile, read_time) = read::stored_at(shared, &user_id, options).await?;
    let membership = profile.segment().ok_or_else(|| Error::Unassigned { user_id: user_id.clone() })?;
    let raw = profile.features_at(read_time);
    let explanation = model.explain(&raw, membership.segment_id).ok_or(Error::Unassigned { user_id })?;
    let mut contributions = Vec::with_capacity(raw.len());
    let components = FeatureSchema::current().components();
    for ((component, value), (z, contribution)) in components.iter().zip(&raw).zip(&explanation.contributions)
    {
        contributions.push(v1::SegmentContribution {
            component: component.name.clone(),
            description: component.description.clone(),
            unit: component.unit.to_owned(),
            value: f64::from(*value),
            z: f64::from(*z),
            contribution: f64::from(*contribution),
        });
    }
    contributions.sort_by(|one, other| other.contribution.total_cmp(&one.contribution));
    let (runner_up, runner_up_distance) =
        explanation.runner_up.map_or((None, 0.0), |(id, distance)| (Some(id), distance));
    Ok(v1::ExplainSegmentResponse {
        segment: shared.profile_to_wire(profile.view_at(read_time)).segment,
        distance: explanation.distance.into(),
        runner_up_segment_id: runner_up.map_or_else(String::new, |id| id.to_string()),
        runner_up_name: runner_up.and_then(|id| model.segment_name(id)).unwrap_or_default().to_owned(),
        runner_up_distance: runner_up_distance.into(),
        contributions,
        profile_version: profile.version().get(),
        model_version: model.version.get(),
    })
}

/// Streams the users of a segment, page by page, at the pace of the reader.
///
/// # Errors
/// `NoSuchSegment`; `TooFewUsers` below `query.export_users_min`.
pub(crate) async fn export(shared: &Arc<QueryContext>, segment_id: SegmentId) -> Result<UserPages, Error> {
    let model = segmented(shared)?;
    model.segment(segment_id).ok_or(Error::NoSuchSegment { segment_id })?;
    let size = counts(shared).await?.get(&segment_id).copied().unwrap_or(0);
    // k-anonymity: an export of very few users identifies them.
    let required = shared.config.export_users_min;
    if size < required {
        return Err(Error::TooFewUsers { segment_id, size, required });
    }
    let (pages, receiver) = mpsc::channel(PAGES_QUEUED_MAX);
    let shared = Arc::clone(shared);
    let model_version = model.version.get();
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with its reader: a send fails once the stream is dropped"
    )]
    tokio::spawn(async move {
        if let Err(error) = send_pages(&shared, segment_id, model_version, &pages).await {
            // The reader may have disconnected; the send error is of no use then.
            let _ = pages.send(Err(error.into())).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn send_pages(
    shared: &QueryContext,
    segment_id: SegmentId,
    model_version: u64,
    pages: &mpsc::Sender<Result<v1::ExportSegmentResponse, Status>>,
) -> Result<(), Error> {
    // The store limits a scan page as well.
    let limit = PAGE_USERS.min(shared.store.limits().page_items);
    // Partition by partition, so that an export needs memory for one page only.
    for partition in shared.store.layout().partitions.all() {
        let mut cursor = None;
        loop {
            let page = shared.store.scan(partition, cursor, limit).await?;
            let mut user_ids = Vec::new();
            for (key, bytes) in &page.profiles {
                let profile: Profile = read::decoded(&String::from_utf8_lossy(&key.0), bytes)?;
                if profile.segment().is_some_and(|membership| membership.segment_id == segment_id) {
                    user_ids.push(profile.user_id().to_string());
                }
            }
            let response = v1::ExportSegmentResponse { user_ids, model_version };
            // Pages without a member are skipped; a failed send means that the reader has disconnected.
            if !response.user_ids.is_empty() && pages.send(Ok(response)).await.is_err() {
                return Ok(());
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Returns the active model if it has segments.
fn segmented(shared: &QueryContext) -> Result<Arc<Model>, Error> {
    let model = shared.served()?;
    if model.segments.is_empty() { Err(Error::NotTrained { remedy: NO_SEGMENTS }) } else { Ok(model) }
}

/// Returns the number of users per segment, over all partitions.
async fn counts(shared: &QueryContext) -> Result<BTreeMap<SegmentId, u64>, Error> {
    let mut counts = BTreeMap::new();
    // From the ledgers that owners commit with their profiles, so that a count needs no scan.
    for partition in shared.store.layout().partitions.all() {
        let note = shared.store.meta(partition).await?.note;
        let ledger = PartitionLedger::decode(&note).map_err(|source| Error::Ledger { partition, source })?;
        for (id, count) in ledger.counts() {
            *counts.entry(id).or_default() += count;
        }
    }
    Ok(counts)
}

fn to_wire(
    model: &Model,
    segment: &Segment,
    counts: &BTreeMap<SegmentId, u64>,
    assigned_users: u64,
) -> v1::Segment {
    let size = counts.get(&segment.id).copied().unwrap_or(0);
    let share = if assigned_users == 0 { 0.0 } else { size as f64 / assigned_users as f64 };
    let components = FeatureSchema::current().components();
    let defining = segment.defining.iter().filter_map(|defining| {
        let component = components.get(defining.component)?;
        Some(v1::DefiningFeature {
            name: component.name.clone(),
            description: component.description.clone(),
            unit: component.unit.to_owned(),
            z: defining.z.into(),
            value: model.value_at_centroid(segment.id, defining.component)?.into(),
        })
    });
    let categories = segment.categories.iter().map(|category| v1::TypicalCategory {
        name: category.name.clone(),
        share: category.share,
        lift: category.lift,
    });
    v1::Segment {
        segment_id: segment.id.to_string(),
        name: segment.name.clone(),
        description: segment.description.clone(),
        size,
        share,
        trend: share - segment.trained_share,
        defining_features: defining.collect(),
        categories: categories.collect(),
        lineage: Some(lineage(segment)),
    }
}

fn lineage(segment: &Segment) -> v1::Lineage {
    let (origin, from) = match &segment.origin {
        Origin::New => (v1::SegmentOrigin::New, Vec::new()),
        Origin::Kept => (v1::SegmentOrigin::Kept, Vec::new()),
        Origin::Split { from } => (v1::SegmentOrigin::Split, vec![*from]),
        Origin::Merged { from } => (v1::SegmentOrigin::Merged, from.clone()),
    };
    v1::Lineage {
        origin: origin.into(),
        from_segment_ids: from.iter().map(ToString::to_string).collect(),
        overlap: segment.overlap,
        first_model_version: segment.first_version.get(),
    }
}
