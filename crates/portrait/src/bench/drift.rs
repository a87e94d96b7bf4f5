//! How soon what was planted in the simulated shop is noticed, and how often something is noticed where nothing was planted: a
//! look each evening, as the model service looks. Pure: no server.

use super::Figure;
use crate::drift::Looks;
use crate::replay::Replay;
use crate::simulate::{Day, Promotion, Shop, SimulateConfig};
use anyhow::Result;
use portrait_learning::drift::{PSI_ROWS_MIN, Seen};
use portrait_proto::time;
use portrait_proto::v1::DriftStatus;

/// Shops that are looked at.
const SEEDS: u64 = 8;
const SHOPPERS: u32 = 4_000;
/// Low prices begin on day 30 of 90 and habits change on day 60; a steady shop is looked at for the 30 days before.
const DAYS: u32 = 90;
/// The evening of the first model: three half-lives of what forgets within weeks.
const FIRST_MODEL: Day = Day::numbered(21);
const STEADY_FROM: Day = Day::numbered(30);
const STEADY_DAYS: u32 = 30;
/// Looks in a row before a model is trained for drift.
const WINDOWS: u32 = 3;
/// Days in which a change must be noticed: what a look hears of forgets half in a week.
const WINDOW_DAYS: u32 = 7;

/// What was found on each evening in one shop, and its week of low prices if it has one.
struct Evenings {
    promotion: Option<Promotion>,
    found: Vec<(Day, DriftStatus)>,
}

impl Evenings {
    fn of(seed: u64, steady: bool) -> Result<Self> {
        let config = SimulateConfig { shoppers: SHOPPERS, days: DAYS, steady, ..Default::default() };
        let shop = Shop::new(seed, config);
        let promotion = shop.promotion().copied();
        let (mut replay, mut looks, mut day) = (Replay::default(), None::<Looks>, Day::FIRST);
        let mut found = Vec::new();
        for happening in shop {
            while day < Day::of(happening.at) {
                if day >= FIRST_MODEL {
                    let at = day.next().begins();
                    let raw = replay.vectors(at)?;
                    let seen = Seen { raw: raw.view(), latest: replay.latest() };
                    match &mut looks {
                        Some(looks) => found.push((day, looks.look(&seen, at)?.status)),
                        none => *none = Some(Looks::from_model_of(&seen, PSI_ROWS_MIN, WINDOWS)),
                    }
                }
                day = day.next();
            }
            if let Some(event) = happening.into_event() {
                replay.fold(&event)?;
            }
        }
        Ok(Self { promotion, found })
    }

    /// On which day of the low prices it was noticed that others come for that category.
    fn low_prices_noticed(&self) -> f64 {
        let Some(promotion) = self.promotion else { return f64::INFINITY };
        let names_it =
            |status: &DriftStatus| status.categories.iter().any(|one| one.name == promotion.category);
        self.noticed(promotion.from, names_it)
    }

    /// On which day of the new habits it was noticed that habits have changed: not earlier, for another reason.
    fn new_habits_noticed(&self) -> f64 {
        let on = Day::numbered(DAYS * 2 / 3);
        let since = |at: &prost_types::Timestamp| time::from_wire(at).is_ok_and(|at| at > on.begins());
        self.noticed(on, |status| {
            status.habits.and_then(|habits| habits.noticed_at).is_some_and(|at| since(&at))
        })
    }

    fn noticed(&self, on: Day, what: impl Fn(&DriftStatus) -> bool) -> f64 {
        let first = self.found.iter().find(|(day, status)| *day >= on && what(status));
        first.map_or(f64::INFINITY, |(day, _)| f64::from(day.since(on)) + 1.0)
    }

    /// How often anything was noticed that was not the evening before, of any kind.
    fn alarms(&self, from: Day, until: Day) -> usize {
        let within = self.found.iter().filter(|(day, _)| (from..until).contains(day));
        within.filter(|(_, status)| status.windows == 1).count()
    }
}

/// Measures.
pub(super) fn measure(figures: &mut Vec<Figure>) -> Result<()> {
    let planted = (1..=SEEDS).map(|seed| Evenings::of(seed, false)).collect::<Result<Vec<_>>>()?;
    let low_prices: Vec<f64> = planted.iter().map(Evenings::low_prices_noticed).collect();
    let new_habits: Vec<f64> = planted.iter().map(Evenings::new_habits_noticed).collect();
    figures.push(noticed(
        "a week of low prices: the category is named as one that others come for",
        &low_prices,
    ));
    figures
        .push(noticed("new habits of a tenth of the shoppers: habits are said to have changed", &new_habits));
    let steady = (1..=SEEDS).map(|seed| Evenings::of(seed, true)).collect::<Result<Vec<_>>>()?;
    let until = STEADY_FROM.after(STEADY_DAYS);
    let most = steady.iter().map(|shop| shop.alarms(STEADY_FROM, until)).max().unwrap_or_default();
    figures.push(Figure {
        path: format!(
            "alarms of any kind in {STEADY_DAYS} days of {SEEDS} steady simulated shops of {SHOPPERS}"
        ),
        measured: format!("{most} in one shop at the most"),
        beside: "a look each evening".to_owned(),
        ratio: None,
        values: [("alarms_most", most as f64)].into(),
        target: "at most 1",
        met: most <= 1,
    });
    Ok(())
}

/// After how many days something was noticed, shop by shop.
fn noticed(what: &str, days: &[f64]) -> Figure {
    let most = days.iter().copied().fold(0.0, f64::max);
    let mean = days.iter().sum::<f64>() / days.len().max(1) as f64;
    Figure {
        path: format!("{what} ({SEEDS} simulated shops of {SHOPPERS})"),
        measured: format!("on day {most:.0} at the latest, {mean:.1} on average"),
        beside: "a look each evening".to_owned(),
        ratio: None,
        values: [("days_most", most), ("days_mean", mean)].into(),
        target: "within one window (7 days)",
        met: most <= f64::from(WINDOW_DAYS),
    }
}
