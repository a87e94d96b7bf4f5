//! Description of a segment as a sentence, from its defining components. Numbers follow the words that they support.

use super::scores::Defining;
use portrait_profile::FeatureComponent;

/// Longest description, in characters.
const DESCRIPTION_MAX_CHARACTERS: usize = 240;

/// Difference in standard deviations from which on a component is described as "much" or "far" different.
const STRONG_Z: f32 = 1.0;

const ORDINARY_DESCRIPTION: &str = "Much like the average shopper in everything.";
const END: &str = " than the average shopper.";

/// Sentence of as many components, strongest first, as fit into the longest description.
pub(super) fn sentence(defining: &[Defining], components: &[FeatureComponent]) -> String {
    let mut text = String::new();
    for one in defining {
        let Some(component) = components.get(one.component) else { continue };
        let phrase = phrase(component, one.z);
        let separator = if text.is_empty() { "" } else { ", " };
        let length = [&text, separator, &phrase, END].iter().map(|part| part.chars().count()).sum::<usize>();
        // A phrase that is too long is skipped; a weaker but shorter one may still fit.
        if length <= DESCRIPTION_MAX_CHARACTERS {
            text = format!("{text}{separator}{phrase}");
        }
    }
    match text.chars().next() {
        Some(first) => format!("{}{}{END}", first.to_uppercase(), &text[first.len_utf8()..]),
        None => ORDINARY_DESCRIPTION.to_owned(),
    }
}

/// Phrase like "far more visits of the last weeks (+1.8)".
fn phrase(component: &FeatureComponent, z: f32) -> String {
    let (emphasis, direction) = direction(component.unit, z > 0.0);
    let emphasis = if z.abs() >= STRONG_Z { emphasis } else { "" };
    format!("{emphasis}{direction} {} ({z:+.1})", component_phrase(&component.description))
}

/// Emphasis and comparative for a difference in the given unit.
fn direction(unit: &str, up: bool) -> (&'static str, &'static str) {
    match (unit, up) {
        ("share" | "bits" | "doublings" | "weight", true) => ("much ", "higher"),
        ("share" | "bits" | "doublings" | "weight", false) => ("much ", "lower"),
        ("seconds", true) => ("much ", "greater"),
        ("seconds", false) => ("much ", "smaller"),
        ("money", true) => ("much ", "more"),
        ("money", false) => ("much ", "less"),
        (_, true) => ("far ", "more"),
        (_, false) => ("far ", "fewer"),
    }
}

/// Noun phrase of a description: "how many kinds of brand are liked" becomes "kinds of brand liked".
fn component_phrase(description: &str) -> String {
    // Behind the first comma descriptions explain the measurement.
    let text = &description.split(',').next().unwrap_or_default().replace('_', "-");
    match text.strip_prefix("how ").map(|question| question.split_once(' ').unwrap_or((question, ""))) {
        Some(("many", rest)) => without_verb(rest),
        Some(("varied", rest)) => {
            let of = rest.strip_suffix(" are").or_else(|| rest.strip_suffix(" is")).unwrap_or(rest);
            format!("variety in {of}")
        }
        Some(("strongly", rest)) => format!("weight of {}", without_verb(rest)),
        _ => text.to_owned(),
    }
}

fn without_verb(clause: &str) -> String {
    clause.replacen(" are ", " ", 1)
}
