//! Evaluation protocol: weights are fitted on one time slice and contenders are measured on the next.

use super::EvalArgs;
use super::probabilities::ProbabilityModel;
use super::figures::{EvalReport, SubjectReport};
use super::history::{EventLog, ItemIndex, LogUser, Subject, shuffled, has_item};
use super::evaluator::Evaluator;
use super::measure::{EvalContender, EvalOutcome, TimeSlice};
use super::segments;
use super::staleness::Staleness;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_learning::prediction::recommend::{ScoreWeights, WeightFitOptions, ScorePart, fit_weights};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;

/// Shares of all events: weights are fitted between the first and the second, and contenders are measured after the
/// second.
const SLICES: (f64, f64) = (0.55, 0.70);

/// Items for each rank that counts as a hit, at least: with fewer, even random ranks hit often.
const ITEMS_PER_HIT_MIN: usize = 4;

/// Baselines that the served recommendation is compared with, each with its own fitted weights.
const BASELINES: [(&str, &[ScorePart]); 7] = [
    ("own history", &[ScorePart::Repeat]),
    ("own history and popularity", &[ScorePart::Repeat, ScorePart::Popular]),
    ("had together", &[ScorePart::Cooccurrence]),
    ("what follows", &[ScorePart::Sequence]),
    ("latent factors", &[ScorePart::Latent]),
    ("popularity", &[ScorePart::Popular]),
    ("popularity lately", &[ScorePart::Trending]),
];

/// Evaluation of one subject.
struct EvalRun<'a> {
    log: &'a EventLog,
    index: ItemIndex,
    subject: Subject,
    args: &'a EvalArgs,
}

/// Evaluates a log.
///
/// # Errors
/// If the log has no event to predict.
pub(super) fn run(log: &EventLog, args: &EvalArgs) -> Result<EvalReport> {
    let mut subjects = Vec::new();
    for subject in [Subject::Item, Subject::Category] {
        let numbers = ItemIndex::of(log, subject);
        if numbers.len() >= ITEMS_PER_HIT_MIN * subject.hit_top() {
            subjects.extend(EvalRun { log, index: numbers, subject, args }.run()?);
        }
    }
    if subjects.is_empty() {
        bail!(
            "the log has nothing to foretell: no thing of its last 30% was known before to a shopper with a past"
        );
    }
    let (first, last) = log.span();
    Ok(EvalReport {
        log: args.log.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        events: log.events(),
        users: log.users.len(),
        days: last.since(first).as_days_f64(),
        subjects,
        segments: segments::stability(log, SLICES, args.seed)?,
    })
}

impl EvalRun<'_> {
    fn run(&self) -> Result<Option<SubjectReport>> {
        let mut chance = StdRng::seed_from_u64(self.args.seed);
        let shoppers = &self.log.users;
        let (from, until) = (self.log.cut(SLICES.0), self.log.cut(SLICES.1));
        let bar = ProgressBar::new_spinner().with_style(style());
        bar.set_message(format!("{}: learning", self.subject.name()));
        let before = TimeSlice::of(shoppers, &self.index, from, Some(until), self.args.examples, &mut chance)?;
        let contenders = self.contenders(&before, &bar);
        let slice = TimeSlice::of(shoppers, &self.index, until, None, self.args.targets, &mut chance)?;
        if slice.targets.is_empty() {
            return Ok(None);
        }
        bar.set_length(2 * slice.targets.len() as u64);
        bar.set_message(format!("{}: foretelling", self.subject.name()));
        let found = slice.outcomes(shoppers, &self.index, &contenders, &bar);
        let dealt: Vec<LogUser> =
            shoppers.iter().map(|shopper| shuffled(shopper, until, &mut chance)).collect();
        // The control is only compared in recall: it needs no probabilities.
        let ages = contenders.into_iter().take(Staleness::ALL.len());
        let unasked: Vec<EvalContender> = ages.map(|age| EvalContender { probabilities: None, ..age }).collect();
        let control = slice.outcomes(&dealt, &self.index, &unasked, &bar);
        bar.finish_and_clear();
        Ok(Some(self.report(&slice, &found, &control)))
    }

    /// Contenders: a profile of each age, then each baseline, with weights fitted on the slice before.
    fn contenders(&self, before: &TimeSlice, bar: &ProgressBar) -> Vec<EvalContender> {
        let shoppers = &self.log.users;
        let found_within = self.subject.hit_top();
        let mut contenders = Vec::new();
        for staleness in Staleness::ALL {
            bar.set_message(format!("{}: weights for {}", self.subject.name(), staleness.name()));
            let examples = before.examples(shoppers, &self.index, staleness);
            let fitting = WeightFitOptions { hit_top: found_within, ..WeightFitOptions::ALL };
            let (blend, _) = fit_weights(&before.recommender, &examples, fitting);
            let chances = ProbabilityModel::fit(&before.recommender, &blend, &examples);
            contenders.push(EvalContender { staleness, weights: blend, probabilities: chances });
        }
        let examples = before.examples(shoppers, &self.index, Staleness::Live);
        for (_, parts) in BASELINES {
            let (blend, _) = fit_weights(&before.recommender, &examples, WeightFitOptions { parts, hit_top: found_within });
            let blend = or_popularity(blend);
            contenders.push(EvalContender { staleness: Staleness::Live, weights: blend, probabilities: None });
        }
        contenders
    }

    fn report(&self, slice: &TimeSlice, found: &[Vec<EvalOutcome>], control: &[Vec<EvalOutcome>]) -> SubjectReport {
        let again: Vec<bool> = slice
            .targets
            .iter()
            .map(|target| {
                let shopper = &self.log.users[target.user];
                let thing = self.index.index_of(&shopper.records[target.index]);
                let before = Staleness::Live.known(
                    &shopper.times(),
                    shopper.records[target.index].occurred_at,
                    slice.split,
                );
                thing.is_some_and(|thing| has_item(shopper, &self.index, before, thing))
            })
            .collect();
        let whose: Vec<u32> = slice.targets.iter().map(|target| target.user as u32).collect();
        let judge = Evaluator {
            users: &whose,
            repeats: &again,
            within: self.subject.hit_top() as f64,
            seed: self.args.seed,
        };
        let ages = Staleness::ALL.iter().enumerate();
        let parts = BASELINES.iter().enumerate();
        SubjectReport {
            subject: self.subject.name(),
            hit_top: self.subject.hit_top(),
            items: self.index.len(),
            targets: slice.targets.len(),
            users: whose.iter().collect::<BTreeSet<_>>().len(),
            repeat_share: again.iter().filter(|again| **again).count() as f64 / again.len() as f64,
            ages: ages.map(|(index, age)| judge.age(*age, index, found, control)).collect(),
            parts: parts
                .map(|(index, (name, _))| judge.part(name, Staleness::ALL.len() + index, found))
                .collect(),
            calibration: judge.calibration(0, found),
        }
    }
}

/// Returns popularity instead of weights that are all zero.
fn or_popularity(blend: ScoreWeights) -> ScoreWeights {
    if blend == ScoreWeights::default() { ScoreWeights::popularity() } else { blend }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::LogArgs;
    use crate::eval::testing::{record, event};
    use portrait_connect::files::Format;
    use portrait_profile::{Action, Event, ItemId, Record, Timestamp};
    use rand::RngExt;

    const TOPICS: u32 = 12;
    const ITEMS_OF_TOPIC: u32 = 18;

    fn view(shopper: u32, minute: i64, item: u32) -> Record {
        let item_id = Some(ItemId::parse(&format!("i{item}")).expect("an id"));
        record(shopper, Timestamp::from_millis(minute * 60_000), Event { item_id, ..event(Action::View) })
    }

    /// Users who view six items of one topic, then six of another, and so on; no two events of different users have
    /// the same time.
    fn restless(shoppers: u32) -> EventLog {
        let mut chance = StdRng::seed_from_u64(5);
        let mut one = |shopper: u32| {
            let mut topic = 0;
            let look_at = |step: u32| {
                if step.is_multiple_of(6) {
                    topic = chance.random_range(0..TOPICS);
                }
                let item = topic * ITEMS_OF_TOPIC + chance.random_range(0..ITEMS_OF_TOPIC);
                view(shopper, i64::from(step * shoppers + shopper), item)
            };
            (0..30).map(look_at).collect()
        };
        EventLog::of((0..shoppers).map(&mut one).collect(), 1).expect("it has events")
    }

    #[test]
    fn live_beats_stale_by_more_than_in_the_control_where_users_change_topics() {
        let args = EvalArgs {
            log: LogArgs {
                file: "restless.jsonl".into(),
                format: Format::Jsonl,
                catalogue: None,
                item_users_min: 1,
            },
            targets: 1_500,
            examples: 300,
            seed: 1,
            json: None,
            html: None,
        };
        let report = run(&restless(300), &args).expect("there is something to foretell");
        let [items] = &report.subjects[..] else { panic!("there are items alone: {:?}", report.subjects) };
        let age = |name: &str| items.ages.iter().find(|figures| figures.age == name).expect("it is compared");
        let live = items.ages[0].recall.value;
        // Five of six views are of the previous topic, which has fewer items than ranks that count as a hit.
        assert!((0.75..0.95).contains(&live), "{live}");
        for name in ["lag 5 events", "frozen"] {
            let figures = age(name);
            let (gain, control) =
                (figures.matched.as_ref().expect("many"), figures.control.as_ref().expect("many"));
            assert!(gain.difference.low > 0.3, "{name}: {gain:?}");
            assert!(
                gain.difference.low > control.difference.high,
                "{name}: {gain:?}, dealt anew {control:?}"
            );
        }
        let popularity = items.parts.iter().find(|part| part.name == "popularity").expect("it is compared");
        assert!(popularity.served_less_this.as_ref().expect("many").low > 0.5, "{popularity:?}");
        let loss = |name: &str| age(name).log_loss.expect("scores tell something").value;
        let nothing = (items.items as f64).ln();
        assert!(loss("live") < loss("lag 5 events") - 0.3 && loss("frozen") < nothing + 0.1, "of {nothing}");
        let apart =
            items.calibration.iter().map(|one| (one.predicted - one.observed.value).abs() * one.targets as f64);
        let targets: usize = items.calibration.iter().map(|one| one.targets).sum();
        let error = apart.sum::<f64>() / targets as f64;
        let told = items.ages[0].calibration_error.expect("told");
        assert!((error - told).abs() < 0.02, "{error} {told}: {:?}", items.calibration);
        let told = items.calibration.iter();
        assert!(told.is_sorted_by(|one, surer| one.predicted <= surer.predicted) && items.calibration.len() > 4);
        let page = super::super::page::of(&report);
        let shown = ["<svg", "lag 5 events", "Log-loss", "Foretold", "new things", "had before", "Segments"];
        shown.iter().for_each(|what| assert!(page.contains(what), "{what}: {page}"));
    }
}
