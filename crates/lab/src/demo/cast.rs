//! The shoppers whose story the demo follows: in goes the truth about all, out come three with something to show, and a line on
//! each when its profile is read.

use super::facts::Facts;
use crate::simulate::{Day, Promotion, ShopperTruth, ShopperType};
use portrait_client::text::words;

/// One who is followed.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) truth: ShopperTruth,
    /// What there is to see.
    watched: Watched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// The category with low prices.
    Promotion(&'static str),
    /// Activity at night.
    Night,
    /// A profile from nothing.
    Beginning,
}

/// Up to three shoppers: one whom low prices draw, one whose habits change, one who comes late.
pub(super) fn chosen(truths: &[ShopperTruth], promotion: Option<&Promotion>) -> Vec<Role> {
    let steady = |truth: &&ShopperTruth| truth.quiet_from.is_none() && truth.change.is_none();
    let mut roles = Vec::new();
    if let Some(promotion) = promotion {
        let hunter = |truth: &&ShopperTruth| {
            truth.shopper_type == ShopperType::BargainHunter
                && truth.category != promotion.category
                && truth.arrives_on == Day::FIRST
        };
        let found = truths.iter().filter(steady).find(hunter);
        roles.extend(
            found.map(|truth| Role { truth: truth.clone(), watched: Watched::Promotion(promotion.category) }),
        );
    }
    let to_night = |truth: &&ShopperTruth| {
        truth.change.is_some_and(|change| change.shopper_type == ShopperType::NightBuyer)
    };
    let changing =
        truths.iter().find(to_night).or_else(|| truths.iter().find(|truth| truth.change.is_some()));
    roles.extend(changing.map(|truth| Role { truth: truth.clone(), watched: Watched::Night }));
    let newcomer = |truth: &&ShopperTruth| {
        truth.arrives_on > Day::FIRST && truth.shopper_type == ShopperType::LoyalRegular
    };
    let earliest = truths.iter().filter(steady).filter(newcomer).min_by_key(|truth| truth.arrives_on);
    roles.extend(earliest.map(|truth| Role { truth: truth.clone(), watched: Watched::Beginning }));
    roles
}

impl Role {
    /// Who it is, said once.
    pub(super) fn introduction(&self) -> String {
        let truth = &self.truth;
        let kind =
            format!("{}, planted as a {} who likes {}", truth.user_id, truth.shopper_type, truth.category);
        match (truth.change, self.watched) {
            (Some(change), _) => {
                format!(
                    "{kind}, and from {} on as a {} who likes {}",
                    change.on, change.shopper_type, change.category
                )
            }
            (None, Watched::Beginning) => format!("{kind}, not seen before {}", truth.arrives_on),
            (None, Watched::Promotion(_) | Watched::Night) => kind,
        }
    }

    /// What the profile says now, in a line; no profile is nothing known.
    pub(super) fn line(&self, facts: Option<&Facts>) -> String {
        let name = &self.truth.user_id;
        let Some(facts) = facts else { return format!("    {name}: no profile yet") };
        let mut likes: Vec<String> = facts
            .lately
            .iter()
            .take(2)
            .map(|(name, share)| format!("{name} {}", words::percent(*share)))
            .collect();
        if let Watched::Promotion(category) = self.watched
            && !likes.iter().any(|like| like.starts_with(category))
        {
            likes.push(format!("{category} {}", words::percent(facts.share_lately(category))));
        }
        let mut phrases =
            vec![words::counted(facts.actions, "action"), format!("lately {}", likes.join(", "))];
        if self.watched == Watched::Night {
            phrases.push(format!("{} at night", words::percent(facts.night_share())));
        } else if let Some(hour) = facts.peak_hour() {
            phrases.push(format!("mostly at {hour}:00"));
        }
        if let Some((action, probability)) = &facts.after_view {
            phrases.push(format!("next but views: {action} {}", words::percent(*probability)));
        }
        format!("    {name}: {}", phrases.join(" · "))
    }
}
