//! What each call asks of its caller, in one table, and how one is told who may not make it. A method that is not in the table is not
//! served: whoever adds one says here who may call it.

use portrait_proto::status::Failure;
use portrait_proto::v1::ErrorReason;
use portrait_runtime::guard::{Need, Refusal};
use portrait_runtime::tokens::Role;
use tonic::Status;

/// The role that each method needs.
const ROLES: [(&str, Role); 29] = [
    ("IngestService/Track", Role::Write),
    ("IngestService/TrackStream", Role::Write),
    ("IngestService/Identify", Role::Write),
    ("IngestService/Relate", Role::Write),
    ("IngestService/UpsertItems", Role::Write),
    ("IngestService/RecordOutcomes", Role::Write),
    // What it takes away nobody gives back.
    ("IngestService/Erase", Role::Admin),
    ("IngestService/GetErasure", Role::Read),
    ("FeatureService/GetFeatures", Role::Read),
    ("FeatureService/StreamFeatures", Role::Read),
    ("FeatureService/GetFeatureSchema", Role::Read),
    ("FeatureService/ListPartitions", Role::Read),
    // Who watches is among the nodes that serve the model.
    ("ModelService/WatchModels", Role::Admin),
    ("ModelService/GetModel", Role::Read),
    ("ModelService/ListModels", Role::Read),
    ("ModelService/TrainModel", Role::Admin),
    ("ModelService/CheckDrift", Role::Read),
    ("ModelService/ActivateModel", Role::Admin),
    ("QueryService/GetProfile", Role::Read),
    ("QueryService/BatchGetProfiles", Role::Read),
    ("QueryService/WatchProfileChanges", Role::Read),
    ("QueryService/ListSegments", Role::Read),
    ("QueryService/GetSegment", Role::Read),
    ("QueryService/ExplainSegment", Role::Read),
    ("QueryService/ExportSegment", Role::Read),
    ("QueryService/Recommend", Role::Read),
    ("QueryService/PredictNextAction", Role::Read),
    ("QueryService/Score", Role::Read),
    ("QueryService/FindSimilarUsers", Role::Read),
];

/// What the method at a path, as `/portrait.v1.QueryService/GetProfile`, asks of its caller.
pub(crate) fn needs(path: &str) -> Option<Need> {
    let method = path.strip_prefix("/portrait.v1.")?;
    ROLES.iter().find(|(name, _)| *name == method).map(|(_, role)| Need::Role(*role))
}

/// The status of a call that is not let in.
pub(crate) fn refused(refusal: &Refusal) -> Status {
    let failure = |reason| Failure::new(reason, refusal.to_string());
    match *refusal {
        Refusal::NoToken | Refusal::UnknownToken => failure(ErrorReason::NoCaller).into_status(),
        Refusal::Lacks(_) => failure(ErrorReason::RoleMissing).into_status(),
        Refusal::TooMany { retry_after } => {
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
        assert_eq!(needs("/portrait.v1.IngestService/Track"), Some(Need::Role(Role::Write)));
        assert_eq!(needs("/other.v1.IngestService/Track"), None);
    }
}
