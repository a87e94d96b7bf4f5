//! Comparatives: phrases after a name that tell a segment from others with the same words, as "browsers, more often in the evening".

use super::scores::CentroidScores;

/// Least difference, in standard deviations, that a phrase is about.
const Z_DIFFERENCE_MIN: f32 = 0.1;

/// Phrases about one aspect.
struct Comparative {
    /// Components that measure it; the first that the schema has counts.
    components: &'static [&'static str],
    higher: &'static str,
    lower: &'static str,
}

impl Comparative {
    const fn of(components: &'static [&'static str], higher: &'static str, lower: &'static str) -> Self {
        Self { components, higher, lower }
    }
}

/// Phrases that claim spending, and so need money that is spent.
const SPENDING: [&str; 2] = ["spending more", "with larger baskets"];

const COMPARATIVES: [Comparative; 26] = [
    Comparative::of(&["behavior.night_share"], "more often at night", "less often at night"),
    Comparative::of(&["behavior.morning_share"], "more often in the morning", "less often in the morning"),
    Comparative::of(&["behavior.afternoon_share"], "more in the afternoon", "less in the afternoon"),
    Comparative::of(&["behavior.evening_share"], "more often in the evening", "less often in the evening"),
    Comparative::of(&["behavior.weekend_share"], "more often on weekends", "less often on weekends"),
    Comparative::of(&["behavior.purchase.90d", "behavior.orders.90d"], "buying more", "buying less"),
    Comparative::of(
        &["behavior.purchase.7d", "behavior.orders.7d"],
        "buying more lately",
        "buying less lately",
    ),
    Comparative::of(&["behavior.money.90d", "behavior.money.7d"], "spending more", "spending less"),
    Comparative::of(&["behavior.mean_basket"], "with larger baskets", "with smaller baskets"),
    Comparative::of(&["behavior.purchase_recency"], "with older purchases", "with newer purchases"),
    Comparative::of(&["behavior.view.90d", "behavior.click.90d"], "looking at more", "looking at less"),
    Comparative::of(
        &["behavior.view.7d", "behavior.click.7d"],
        "looking at more lately",
        "looking at less lately",
    ),
    Comparative::of(&["behavior.search.90d", "behavior.search.7d"], "searching more", "searching less"),
    Comparative::of(&["behavior.add_to_cart.90d"], "filling carts more", "filling carts less"),
    Comparative::of(&["behavior.remove_from_cart.90d"], "emptying carts more", "emptying carts less"),
    Comparative::of(&["behavior.favorite.90d"], "with more favourites", "with fewer favourites"),
    Comparative::of(&["behavior.refund.90d", "behavior.refund.7d"], "returning more", "returning less"),
    Comparative::of(&["behavior.review.90d"], "reviewing more", "reviewing less"),
    Comparative::of(&["behavior.share.90d"], "sharing more", "sharing less"),
    Comparative::of(&["behavior.sessions.90d", "behavior.sessions.7d"], "visiting more", "visiting less"),
    Comparative::of(&["behavior.session_seconds"], "with longer visits", "with shorter visits"),
    Comparative::of(&["behavior.session_events"], "doing more in a visit", "doing less in a visit"),
    Comparative::of(&["behavior.recency"], "seen longer ago", "seen more recently"),
    Comparative::of(&["preference.category_count"], "in more categories", "in fewer categories"),
    Comparative::of(&["preference.brand_count"], "with more brands", "with fewer brands"),
    Comparative::of(&["preference.price_level"], "at higher prices", "at lower prices"),
];

/// Phrases in which a segment differs from the mean of its rivals, or from all users if it has none, the largest difference first.
pub(super) fn phrases(own: &CentroidScores, rivals: &[&CentroidScores]) -> Vec<&'static str> {
    let mut differences: Vec<(f32, &str)> = Vec::with_capacity(COMPARATIVES.len());
    for &Comparative { components, higher, lower } in &COMPARATIVES {
        let Some(z) = own.first(components) else { continue };
        let rivals_z: f32 = rivals.iter().filter_map(|rival| rival.first(components)).sum();
        let difference = z - rivals_z / rivals.len().max(1) as f32;
        let phrase = if difference > 0.0 { higher } else { lower };
        let is_claimable = !SPENDING.contains(&phrase) || own.is_positive(components);
        // False for the difference of two infinite numbers, too.
        if difference.abs() >= Z_DIFFERENCE_MIN && is_claimable {
            differences.push((difference.abs(), phrase));
        }
    }
    // Stable: of equal differences the first in the list.
    differences.sort_by(|left, right| right.0.total_cmp(&left.0));
    differences.into_iter().map(|(_, phrase)| phrase).collect()
}
