//! What sets a segment apart, as a sentence. In come the defining components and their descriptions, out goes text for a
//! person; numbers stand behind the words they support and never instead of them.

use super::scores::Defining;
use portrait_profile::FeatureComponent;

/// The longest description.
const DESCRIPTION_MAX_CHARACTERS: usize = 240;

/// From here on the difference is a large one.
const STRONG_Z: f32 = 1.0;

const ORDINARY_DESCRIPTION: &str = "Much like the average shopper in everything.";
const END: &str = " than the average shopper.";

/// A sentence of as many of the components, the strongest first, as there is room for.
pub(super) fn sentence(defining: &[Defining], components: &[FeatureComponent]) -> String {
    let mut text = String::new();
    for one in defining {
        let Some(component) = components.get(one.component) else { continue };
        let phrase = phrase(component, one.z);
        let separator = if text.is_empty() { "" } else { ", " };
        let length = [&text, separator, &phrase, END].iter().map(|part| part.chars().count()).sum::<usize>();
        if length <= DESCRIPTION_MAX_CHARACTERS {
            text = format!("{text}{separator}{phrase}");
        }
    }
    match text.chars().next() {
        Some(first) => format!("{}{}{END}", first.to_uppercase(), &text[first.len_utf8()..]),
        None => ORDINARY_DESCRIPTION.to_owned(),
    }
}

/// As "far more visits of the last weeks (+1.8)".
fn phrase(component: &FeatureComponent, z: f32) -> String {
    let (very, direction) = direction(component.unit, z > 0.0);
    let very = if z.abs() >= STRONG_Z { very } else { "" };
    format!("{very}{direction} {} ({z:+.1})", component_phrase(&component.description))
}

/// The word for a difference in that unit, and the one that makes it a large difference.
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

/// The description as a noun: "how many kinds of brand are liked" is "kinds of brand liked".
fn component_phrase(description: &str) -> String {
    // Behind the first comma is how it is measured.
    let said = &description.split(',').next().unwrap_or_default().replace('_', "-");
    let noun = |text: &str| text.replacen(" are ", " ", 1);
    match said.strip_prefix("how ").map(|question| question.split_once(' ').unwrap_or((question, ""))) {
        Some(("many", rest)) => noun(rest),
        Some(("varied", rest)) => {
            let of = rest.strip_suffix(" are").or_else(|| rest.strip_suffix(" is")).unwrap_or(rest);
            format!("variety in {of}")
        }
        Some(("strongly", rest)) => format!("weight of {}", noun(rest)),
        _ => said.to_owned(),
    }
}
