//! Personas of the demo: up to three users with something to show, chosen by their planted truth, and a line about
//! each when its profile is read.

use super::facts::ProfileFacts;
use crate::simulate::{Day, Promotion, UserTruth, UserType};
use portrait_client::text::words;

/// User that the narration follows.
#[derive(Clone, Debug)]
pub(super) struct Persona {
    pub(super) truth: UserTruth,
    kind: PersonaKind,
}

/// Aspect of the profile that the line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PersonaKind {
    /// Interest in the promoted category.
    Promotion(&'static str),
    /// Share of activity at night.
    Night,
    /// Profile that begins empty.
    Beginning,
}

/// Chooses up to three users: one who responds to the promotion, one whose habits change, and one who arrives late.
pub(super) fn choose(truths: &[UserTruth], promotion: Option<&Promotion>) -> Vec<Persona> {
    let steady: Vec<&UserTruth> =
        truths.iter().filter(|truth| truth.quiet_from.is_none() && truth.change.is_none()).collect();
    let mut personas = Vec::new();
    if let Some(promotion) = promotion {
        // A hunter whose favourite is promoted anyway would show no change of interest.
        let hunter = steady.iter().find(|truth| {
            truth.user_type == UserType::BargainHunter
                && truth.category != promotion.category
                && truth.arrives_on == Day::FIRST
        });
        let kind = PersonaKind::Promotion(promotion.category);
        personas.extend(hunter.map(|truth| Persona { truth: (*truth).clone(), kind }));
    }
    // New hours are the easiest change to see.
    let changing = truths
        .iter()
        .find(|truth| truth.change.is_some_and(|change| change.user_type == UserType::NightBuyer))
        .or_else(|| truths.iter().find(|truth| truth.change.is_some()));
    personas.extend(changing.map(|truth| Persona { truth: truth.clone(), kind: PersonaKind::Night }));
    let newcomer = steady
        .iter()
        .filter(|truth| truth.arrives_on > Day::FIRST && truth.user_type == UserType::LoyalRegular)
        .min_by_key(|truth| truth.arrives_on);
    personas.extend(newcomer.map(|truth| Persona { truth: (*truth).clone(), kind: PersonaKind::Beginning }));
    personas
}

impl Persona {
    /// Introduction of the persona.
    pub(super) fn introduction(&self) -> String {
        let truth = &self.truth;
        let kind =
            format!("{}, planted as a {} who likes {}", truth.user_id, truth.user_type, truth.category);
        match (truth.change, self.kind) {
            (Some(change), _) => {
                format!(
                    "{kind}, and from {} on as a {} who likes {}",
                    change.on, change.user_type, change.category
                )
            }
            (None, PersonaKind::Beginning) => format!("{kind}, not seen before {}", truth.arrives_on),
            (None, PersonaKind::Promotion(_) | PersonaKind::Night) => kind,
        }
    }

    /// Line with the current profile; `None` is a user without one.
    pub(super) fn line(&self, facts: Option<&ProfileFacts>) -> String {
        let name = &self.truth.user_id;
        let Some(facts) = facts else { return format!("    {name}: no profile yet") };
        let mut likes: Vec<String> = facts
            .weekly
            .iter()
            .take(2)
            .map(|(name, share)| format!("{name} {}", words::percent(*share)))
            .collect();
        // The promoted category is shown even before it is among the favourites.
        if let PersonaKind::Promotion(category) = self.kind
            && !likes.iter().any(|like| like.starts_with(category))
        {
            likes.push(format!("{category} {}", words::percent(facts.category_share_week(category))));
        }
        let mut phrases =
            vec![words::counted(facts.actions, "action"), format!("recently {}", likes.join(", "))];
        if self.kind == PersonaKind::Night {
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
