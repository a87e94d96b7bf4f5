//! What each call asks of its caller, in one table, and how one is told who may not make it. A method that is not in the table is not
//! served: whoever adds one says here who may call it.

use portrait_proto::status::CallFailure;
use portrait_proto::v1::ErrorReason;
use portrait_runtime::guard::{AccessRule, AccessDenied};
use portrait_runtime::tokens::AccessRole;
use tonic::Status;

/// The role that each method needs.
const ROLES: [(&str, AccessRole); 29] = [
    ("IngestService/Track", AccessRole::Write),
    ("IngestService/TrackStream", AccessRole::Write),
    ("IngestService/Identify", AccessRole::Write),
    ("IngestService/Relate", AccessRole::Write),
    ("IngestService/UpsertItems", AccessRole::Write),
    ("IngestService/RecordOutcomes", AccessRole::Write),
    // What it takes away nobody gives back.
    ("IngestService/Erase", AccessRole::Admin),
    ("IngestService/GetErasure", AccessRole::Read),
    ("FeatureService/GetFeatures", AccessRole::Read),
    ("FeatureService/StreamFeatures", AccessRole::Read),
    ("FeatureService/GetFeatureSchema", AccessRole::Read),
    ("FeatureService/ListPartitions", AccessRole::Read),
    // Who watches is among the nodes that serve the model.
    ("ModelService/WatchModels", AccessRole::Admin),
    ("ModelService/GetModel", AccessRole::Read),
    ("ModelService/ListModels", AccessRole::Read),
    ("ModelService/TrainModel", AccessRole::Admin),
    ("ModelService/CheckDrift", AccessRole::Read),
    ("ModelService/ActivateModel", AccessRole::Admin),
    ("QueryService/GetProfile", AccessRole::Read),
    ("QueryService/BatchGetProfiles", AccessRole::Read),
    ("QueryService/WatchProfileChanges", AccessRole::Read),
    ("QueryService/ListSegments", AccessRole::Read),
    ("QueryService/GetSegment", AccessRole::Read),
    ("QueryService/ExplainSegment", AccessRole::Read),
    ("QueryService/ExportSegment", AccessRole::Read),
    ("QueryService/Recommend", AccessRole::Read),
    ("QueryService/PredictNextAction", AccessRole::Read),
    ("QueryService/Score", AccessRole::Read),
    ("QueryService/FindSimilarUsers", AccessRole::Read),
];

/// What the method at a path, as `/portrait.v1.QueryService/GetProfile`, asks of its caller.
pub(crate) fn needs(path: &str) -> Option<AccessRule> {
    let method = path.strip_prefix("/portrait.v1.")?;
    ROLES.iter().find(|(name, _)| *name == method).map(|(_, role)| AccessRule::Role(*role))
}

/// The status of a call that is not let in.
pub(crate) fn refused(refusal: &AccessDenied) -> Status {
    let failure = |reason| CallFailure::new(reason, refusal.to_string());
    match *refusal {
        AccessDenied::NoToken | AccessDenied::UnknownToken => failure(ErrorReason::Unauthenticated).into_status(),
        AccessDenied::MissingRole(_) => failure(ErrorReason::PermissionDenied).into_status(),
        AccessDenied::RateLimited { retry_after } => {
            failure(ErrorReason::RateLimited).retry_after(retry_after).into_status()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_that_is_served_has_one_role_and_no_other_has() {
        let descriptors = FileDescriptorSet::decode(portrait_proto::DESCRIPTOR_SET).expect("ours");
        let ours = descriptors.file.iter().filter(|file| file.package() == "portrait.v1");
        let served: BTreeSet<String> = ours
            .flat_map(|file| &file.service)
            .flat_map(|service| {
                let methods = service.method.iter();
                methods.map(|method| format!("{}/{}", service.name(), method.name()))
            })
            .collect();
        let known: BTreeSet<String> = ROLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(known, served, "say in ROLES who may call what is new");
        assert_eq!(ROLES.len(), known.len(), "a method stands there twice");
        assert_eq!(needs("/portrait.v1.IngestService/Track"), Some(AccessRule::Role(AccessRole::Write)));
        assert_eq!(needs("/other.v1.IngestService/Track"), None);
    }
}
