//! Size of a simulated shop, with its bounds.

use super::catalogue::CATEGORIES;

/// Size of a shop. Values out of range are clamped to the nearest allowed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulateConfig {
    /// Number of users, 1 to 1,000,000. A tenth of them arrive after the first day.
    pub users: u32,
    /// Number of days, 1 to 1,000.
    pub days: u32,
    /// Number of items in the catalogue, from one for each of the ten categories to 100,000.
    pub items: u32,
    /// True for a shop without planted changes: no promotion, and no user's habits change.
    pub steady: bool,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self { users: 2_000, days: 60, items: 500, steady: false }
    }
}

impl SimulateConfig {
    /// Clamps each size to its range.
    pub(super) fn bounded(self) -> Self {
        let categories = u32::try_from(CATEGORIES.len()).unwrap_or(u32::MAX);
        Self {
            users: self.users.clamp(1, 1_000_000),
            days: self.days.clamp(1, 1_000),
            items: self.items.clamp(categories, 100_000),
            steady: self.steady,
        }
    }
}
