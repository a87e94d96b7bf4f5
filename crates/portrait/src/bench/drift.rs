//! How soon what was planted in the simulated shop is noticed, and how often something is noticed where nothing was planted: a
//! look each evening, as the model service looks. Pure: no server.

use super::Figure;
use crate::drift::Looks;
use crate::replay::Replay;
use crate::simulate::{Day, Shop, SimulateConfig};
use anyhow::Result;
use portrait_learning::PSI_ROWS_MIN;

/// Shops that are looked at.
const SEEDS: u64 = 3;
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

/// The evenings on which drift was noticed that was not there the evening before.
fn noticed(seed: u64, steady: bool) -> Result<Vec<Day>> {
    let config = SimulateConfig { shoppers: SHOPPERS, days: DAYS, steady, ..Default::default() };
    let (mut replay, mut looks, mut day) = (Replay::default(), None::<Looks>, Day::FIRST);
    let (mut noticed, mut windows) = (Vec::new(), 0);
    for happening in Shop::new(seed, config) {
        while day < Day::of(happening.at) {
            if day >= FIRST_MODEL {
                let at = day.next().begins();
                let raw = replay.vectors(at)?;
                match &mut looks {
                    Some(looks) => {
                        let look = looks.look(raw.view(), at)?;
                        if windows == 0 && look.status.windows > 0 {
                            noticed.push(day);
                        }
                        windows = if look.trained { 0 } else { look.status.windows };
                    }
                    none => *none = Some(Looks::from_model_of(raw.view(), PSI_ROWS_MIN, WINDOWS)),
                }
            }
            day = day.next();
        }
        if let Some(event) = happening.into_event() {
            replay.fold(&event)?;
        }
    }
    Ok(noticed)
}

/// Measures.
pub(super) fn measure(figures: &mut Vec<Figure>) -> Result<()> {
    let planted = (1..=SEEDS).map(|seed| noticed(seed, false)).collect::<Result<Vec<_>>>()?;
    for (name, on) in [
        ("a week of low prices in one category", Day::numbered(DAYS / 3)),
        ("new habits of a tenth of the shoppers", Day::numbered(DAYS * 2 / 3)),
    ] {
        let days = planted.iter().map(|days| {
            let first = days.iter().find(|day| **day >= on);
            first.map_or(f64::INFINITY, |day| f64::from(day.since(on)) + 1.0)
        });
        let (most, mean) = (days.clone().fold(0.0, f64::max), days.sum::<f64>() / SEEDS as f64);
        figures.push(Figure {
            path: format!("{name}: noticed in the simulated shop of {SHOPPERS} ({SEEDS} seeds)"),
            measured: format!("on day {most:.0} at the latest, {mean:.1} on average"),
            beside: "a look each evening".to_owned(),
            ratio: None,
            values: [("days_most", most), ("days_mean", mean)].into(),
            target: "within one window (7 days)",
            met: most <= f64::from(WINDOW_DAYS),
        });
    }
    let steady = (1..=SEEDS).map(|seed| noticed(seed, true)).collect::<Result<Vec<_>>>()?;
    let until = STEADY_FROM.after(STEADY_DAYS);
    let alarms =
        steady.iter().map(|days| days.iter().filter(|day| (STEADY_FROM..until).contains(day)).count());
    let most = alarms.max().unwrap_or_default();
    figures.push(Figure {
        path: format!("false alarms in {STEADY_DAYS} days of a steady simulated shop ({SEEDS} seeds)"),
        measured: format!("{most} at the most"),
        beside: "a look each evening".to_owned(),
        ratio: None,
        values: [("alarms_most", most as f64)].into(),
        target: "at most 1",
        met: most <= 1,
    });
    Ok(())
}
