//! Detection of planted drift in simulated shops, and false alarms in shops without drift. A check every evening, by
//! the code of the model service; no server.

use super::figure::Figure;
use crate::drift::DriftReplay;
use crate::replay::Replay;
use crate::simulate::{Day, Promotion, ShopSimulator, SimulateConfig};
use anyhow::Result;
use portrait_learning::drift::{DriftSample, PSI_ROWS_MIN};
use portrait_proto::time;
use portrait_proto::v1::DriftStatus;

/// Simulated shops of each kind.
const SEEDS: u64 = 8;
/// Users of each shop.
const USERS: u32 = 4_000;
/// Days of a shop: the promotion begins on day 30 and habits change on day 60.
const DAYS: u32 = 90;
/// Day of the first model: three half-lives of the features with a half-life of 7 days.
const FIRST_MODEL: Day = Day::numbered(21);
/// First day of the count of false alarms in a steady shop.
const STEADY_FROM: Day = Day::numbered(30);
/// Days of the count of false alarms.
const STEADY_DAYS: u32 = 30;
/// Consecutive checks with drift before a model is trained.
const CHECKS_TO_TRAIN: u32 = 3;
/// Days within which a change must be detected: one half-life of the features under check.
const DETECTION_DAYS_MAX: u32 = 7;

/// Result of the check on each evening in one shop.
struct DailyChecks {
    promotion: Option<Promotion>,
    detections: Vec<(Day, DriftStatus)>,
}

impl DailyChecks {
    fn of(seed: u64, steady: bool) -> Result<Self> {
        let config = SimulateConfig { users: USERS, days: DAYS, steady, ..Default::default() };
        let shop = ShopSimulator::new(seed, config);
        let promotion = shop.promotion().copied();
        let mut replay = Replay::default();
        let mut checks = None::<DriftReplay>;
        let mut day = Day::FIRST;
        let mut detections = Vec::new();
        for event in shop {
            // A day is checked once its last event is folded.
            while day < Day::of(event.at) {
                if day >= FIRST_MODEL {
                    let at = day.next().midnight();
                    let raw = replay.vectors(at)?;
                    let sample = DriftSample { raw: raw.view(), latest_category: replay.latest() };
                    match &mut checks {
                        Some(checks) => detections.push((day, checks.check(&sample, at)?.status)),
                        none => *none = Some(DriftReplay::from_model(&sample, PSI_ROWS_MIN, CHECKS_TO_TRAIN)),
                    }
                }
                day = day.next();
            }
            if let Some(event) = event.into_event() {
                replay.fold(&event)?;
            }
        }
        Ok(Self { promotion, detections })
    }

    /// Days until the promoted category is reported as one with a changed share of users.
    fn days_to_detect_promotion(&self) -> f64 {
        let Some(promotion) = self.promotion else { return f64::INFINITY };
        self.days_until(promotion.from, |status| {
            status.categories.iter().any(|category| category.name == promotion.category)
        })
    }

    /// Days until a change of loyalty is reported. Reports that began before the change do not count: they have
    /// another reason.
    fn days_to_detect_habits(&self) -> f64 {
        let on = Day::numbered(DAYS * 2 / 3);
        self.days_until(on, |status| {
            status
                .loyalty
                .and_then(|loyalty| loyalty.detected_at)
                .is_some_and(|at| time::from_wire(&at).is_ok_and(|at| at > on.midnight()))
        })
    }

    fn days_until(&self, on: Day, detected: impl Fn(&DriftStatus) -> bool) -> f64 {
        let first = self.detections.iter().find(|(day, status)| *day >= on && detected(status));
        // A change that is never detected misses every target.
        first.map_or(f64::INFINITY, |(day, _)| f64::from(day.since(on)) + 1.0)
    }

    /// Number of alarms of any kind that were not there on the evening before.
    fn alarms(&self, from: Day, until: Day) -> usize {
        let within = self.detections.iter().filter(|(day, _)| (from..until).contains(day));
        // An alarm that continues from the evening before is counted once.
        within.filter(|(_, status)| status.consecutive_checks == 1).count()
    }
}

/// Measures detection and false alarms.
pub(super) fn measure(figures: &mut Vec<Figure>) -> Result<()> {
    // Several seeds: one shop could be lucky or unlucky.
    let planted = (1..=SEEDS).map(|seed| DailyChecks::of(seed, false)).collect::<Result<Vec<_>>>()?;
    let promotions: Vec<f64> = planted.iter().map(DailyChecks::days_to_detect_promotion).collect();
    let habits: Vec<f64> = planted.iter().map(DailyChecks::days_to_detect_habits).collect();
    // Both kinds of drift: of shares of categories, and of loyalty.
    figures.push(detection_figure("a promotion: its category is reported", &promotions));
    figures.push(detection_figure(
        "new habits of a tenth of the users: a change of loyalty is reported",
        &habits,
    ));
    let steady = (1..=SEEDS).map(|seed| DailyChecks::of(seed, true)).collect::<Result<Vec<_>>>()?;
    let until = STEADY_FROM.after(STEADY_DAYS);
    let alarms_max = steady.iter().map(|shop| shop.alarms(STEADY_FROM, until)).max().unwrap_or_default();
    figures.push(Figure {
        path: format!(
            "alarms of any kind in {STEADY_DAYS} days of {SEEDS} steady simulated shops of {USERS} users"
        ),
        measured: format!("at most {alarms_max} in one shop"),
        baseline: "a check every evening".to_owned(),
        ratio: None,
        values: [("alarms_max", alarms_max as f64)].into(),
        target: "at most 1",
        met: alarms_max <= 1,
    });
    Ok(())
}

/// Figure from the days to detection, one for each shop.
fn detection_figure(title: &str, days: &[f64]) -> Figure {
    let max = days.iter().copied().fold(0.0, f64::max);
    let mean = days.iter().sum::<f64>() / days.len().max(1) as f64;
    Figure {
        path: format!("{title} ({SEEDS} simulated shops of {USERS} users)"),
        measured: format!("on day {max:.0} at the latest, {mean:.1} on average"),
        baseline: "a check every evening".to_owned(),
        ratio: None,
        values: [("days_max", max), ("days_mean", mean)].into(),
        target: "within 7 days",
        met: max <= f64::from(DETECTION_DAYS_MAX),
    }
}
