//! Access rules of all methods, in one table, and the statuses of denied calls. A server with a method that is missing here does not
//! start, so a new method cannot be served without a rule.

use portrait_proto::status::CallFailure;
use portrait_proto::v1::ErrorReason;
use portrait_runtime::guard::{AccessDenied, AccessRule};
use portrait_runtime::tokens::AccessRole;
use tonic::Status;

/// Required role of each method.
const ROLES: [(&str, AccessRole); 29] = [
    ("IngestService/Track", AccessRole::Write),
    ("IngestService/TrackStream", AccessRole::Write),
    ("IngestService/Identify", AccessRole::Write),
    ("IngestService/Relate", AccessRole::Write),
    ("IngestService/UpsertItems", AccessRole::Write),
    ("IngestService/RecordOutcomes", AccessRole::Write),
    // An erasure cannot be undone.
    ("IngestService/Erase", AccessRole::Admin),
    ("IngestService/GetErasure", AccessRole::Read),
    ("FeatureService/GetFeatures", AccessRole::Read),
    ("FeatureService/StreamFeatures", AccessRole::Read),
    ("FeatureService/GetFeatureSchema", AccessRole::Read),
    ("FeatureService/ListPartitions", AccessRole::Read),
    // Only nodes watch models, and their acks count as serving; another caller would distort the status of a rollout.
    ("ModelService/WatchModels", AccessRole::Admin),
    ("ModelService/GetModel", AccessRole::Read),
    ("ModelService/ListModels", AccessRole::Read),
    ("ModelService/TrainModel", AccessRole::Admin),
    // A check counts towards the retraining that drift triggers.
    ("ModelService/CheckDrift", AccessRole::Admin),
    ("ModelService/ActivateModel", AccessRole::Admin),
    ("QueryService/GetProfile", AccessRole::Read),
    ("QueryService/BatchGetProfiles", AccessRole::Read),
    ("QueryService/WatchProfileChanges", AccessRole::Read),
    ("QueryService/ListSegments", AccessRole::Read),
    ("QueryService/GetSegment", AccessRole::Read),
    ("QueryService/ExplainSegment", AccessRole::Read),
    // Exports are protected by k-anonymity (`query.export_users_min`), not by a role of their own.
    ("QueryService/ExportSegment", AccessRole::Read),
    ("QueryService/Recommend", AccessRole::Read),
    ("QueryService/PredictNextAction", AccessRole::Read),
    ("QueryService/Score", AccessRole::Read),
    ("QueryService/FindSimilarUsers", AccessRole::Read),
];

/// Returns the access rule of a method path, such as `/portrait.v1.QueryService/GetProfile`; `None` for an unknown method.
pub(crate) fn rule(path: &str) -> Option<AccessRule> {
    // Health and reflection are not in the table; the server itself knows their rules.
    let method = path.strip_prefix("/portrait.v1.")?;
    ROLES.iter().find(|(name, _)| *name == method).map(|(_, role)| AccessRule::Role(*role))
}

/// Returns whether the calls of a method are written to the audit log: those that erase, train, activate or hand out users in bulk.
pub(crate) fn is_audited(path: &str) -> bool {
    // Nodes watch models all the time, and change nothing by it.
    let is_change =
        rule(path) == Some(AccessRule::Role(AccessRole::Admin)) && !path.ends_with("/WatchModels");
    is_change || path.ends_with("/ExportSegment") || path.ends_with("/StreamFeatures")
}

/// Converts a denial to the status of the call.
pub(crate) fn denied(denial: &AccessDenied) -> Status {
    let failure = |reason| CallFailure::new(reason, denial.to_string());
    match *denial {
        AccessDenied::NoToken | AccessDenied::UnknownToken => {
            failure(ErrorReason::Unauthenticated).into_status()
        }
        AccessDenied::MissingRole(_) => failure(ErrorReason::PermissionDenied).into_status(),
        AccessDenied::RateLimited { retry_after, .. } => {
            failure(ErrorReason::RateLimited).retry_after(retry_after).into_status()
        }
        AccessDenied::ShareTaken(_) | AccessDenied::TooManyPublicCalls => {
            failure(ErrorReason::RateLimited).into_status()
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
    fn every_served_method_has_exactly_one_role() {
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
        assert_eq!(known, served, "add the new method to ROLES");
        assert_eq!(ROLES.len(), known.len(), "a method is listed twice");
        assert_eq!(rule("/portrait.v1.IngestService/Track"), Some(AccessRule::Role(AccessRole::Write)));
        assert!(is_audited("/portrait.v1.IngestService/Erase"));
        assert!(is_audited("/portrait.v1.QueryService/ExportSegment"));
        assert!(!is_audited("/portrait.v1.ModelService/WatchModels") && !is_audited("/other/Erase"));
        assert_eq!(rule("/other.v1.IngestService/Track"), None);
    }
}
