//! Segments of the last model that had some, which a model without segments carries on as a part: its users lost their segments, and get
//! the same ids and names back from a later training that finds the same groups. Input: the served model. Output: the last one with
//! segments.

use crate::context::ModelContext;
use crate::error::Error;
use crate::manifest::{FORMER_SEGMENTS, parts_of};
use crate::publish::manifest_of;
use portrait_learning::Model;
use portrait_profile::FeatureSchema;
use std::sync::Arc;

/// Returns the last model with segments: the served one, or the one that it carries on. None before the first.
///
/// # Errors
/// `Stored` if the manifest of the served model cannot be decoded; store errors.
pub(crate) async fn last_segmented(
    shared: &ModelContext,
    served: Option<&Arc<Model>>,
) -> Result<Option<Arc<Model>>, Error> {
    let Some(served) = served else { return Ok(None) };
    if !served.segments.is_empty() {
        return Ok(Some(Arc::clone(served)));
    }
    let registry = shared.stored_registry().await?;
    let manifest = manifest_of(&registry, served.version)?;
    let parts = parts_of(&manifest).map_err(|error| Error::stored(served.version, &error))?;
    let Some((_, name)) = parts.into_iter().find(|(kind, _)| kind == FORMER_SEGMENTS) else {
        return Ok(None);
    };
    let Some(bytes) = shared.store.part(name).await? else { return Ok(None) };
    match Model::decode(&bytes, FeatureSchema::current()) {
        Ok(former) => Ok(Some(Arc::new(former))),
        // New ids are a lesser harm than no training at all.
        Err(error) => {
            tracing::warn!(%error, "former segments cannot be read: segments get new ids");
            Ok(None)
        }
    }
}
