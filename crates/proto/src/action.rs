//! Conversion of actions, relation kinds and score targets between wire and domain.

use crate::v1;
use portrait_profile::{Action, ActionKind, RelationKind, ScoreTarget};

/// Returns the wire's number of a kind.
pub const fn kind_to_wire(kind: ActionKind) -> v1::Action {
    match kind {
        ActionKind::View => v1::Action::View,
        ActionKind::Search => v1::Action::Search,
        ActionKind::Click => v1::Action::Click,
        ActionKind::AddToCart => v1::Action::AddToCart,
        ActionKind::RemoveFromCart => v1::Action::RemoveFromCart,
        ActionKind::Favorite => v1::Action::Favorite,
        ActionKind::Purchase => v1::Action::Purchase,
        ActionKind::Refund => v1::Action::Refund,
        ActionKind::Review => v1::Action::Review,
        ActionKind::Share => v1::Action::Share,
        ActionKind::Custom => v1::Action::Custom,
    }
}

/// Returns the kind of a wire number; none if it is unspecified or unknown.
pub fn kind_from_wire(number: i32) -> Option<ActionKind> {
    // A number of a later release is unknown here, and rejected like an unspecified one.
    match v1::Action::try_from(number).ok()? {
        v1::Action::Unspecified => None,
        v1::Action::View => Some(ActionKind::View),
        v1::Action::Search => Some(ActionKind::Search),
        v1::Action::Click => Some(ActionKind::Click),
        v1::Action::AddToCart => Some(ActionKind::AddToCart),
        v1::Action::RemoveFromCart => Some(ActionKind::RemoveFromCart),
        v1::Action::Favorite => Some(ActionKind::Favorite),
        v1::Action::Purchase => Some(ActionKind::Purchase),
        v1::Action::Refund => Some(ActionKind::Refund),
        v1::Action::Review => Some(ActionKind::Review),
        v1::Action::Share => Some(ActionKind::Share),
        v1::Action::Custom => Some(ActionKind::Custom),
    }
}

/// Returns the wire's number and custom name of an action.
pub fn to_wire(action: &Action) -> (v1::Action, String) {
    let custom = action.custom().map(|name| name.as_str().to_owned());
    (kind_to_wire(action.kind()), custom.unwrap_or_default())
}

/// Returns the wire's number of a relation kind.
pub const fn relation_to_wire(kind: RelationKind) -> v1::RelationKind {
    match kind {
        RelationKind::Friend => v1::RelationKind::Friend,
        RelationKind::Family => v1::RelationKind::Family,
        RelationKind::Colleague => v1::RelationKind::Colleague,
        RelationKind::Follows => v1::RelationKind::Follows,
        RelationKind::Stranger => v1::RelationKind::Stranger,
    }
}

/// Returns the relation kind of a wire number; none if it is unspecified or unknown.
pub fn relation_from_wire(number: i32) -> Option<RelationKind> {
    match v1::RelationKind::try_from(number).ok()? {
        v1::RelationKind::Unspecified => None,
        v1::RelationKind::Friend => Some(RelationKind::Friend),
        v1::RelationKind::Family => Some(RelationKind::Family),
        v1::RelationKind::Colleague => Some(RelationKind::Colleague),
        v1::RelationKind::Follows => Some(RelationKind::Follows),
        v1::RelationKind::Stranger => Some(RelationKind::Stranger),
    }
}

/// Returns the score target of a wire number; none if it is unspecified or unknown.
pub fn target_from_wire(number: i32) -> Option<ScoreTarget> {
    match v1::ScoreTarget::try_from(number).ok()? {
        v1::ScoreTarget::Unspecified => None,
        v1::ScoreTarget::Propensity => Some(ScoreTarget::Propensity),
        v1::ScoreTarget::Risk => Some(ScoreTarget::Risk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_a_round_trip() {
        for kind in ActionKind::ALL {
            assert_eq!(kind_from_wire(kind_to_wire(kind).into()), Some(kind));
        }
        for number in [0, 12, -1, i32::MAX] {
            assert_eq!(kind_from_wire(number), None);
        }
    }
}
