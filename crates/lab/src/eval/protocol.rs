//! Evaluation protocol: weights are fitted on one time slice and contenders are measured on the next.

use super::args::EvalArgs;
use super::evaluator::Evaluator;
use super::figures::{EvalReport, SubjectReport};
use super::history::{EventLog, ItemIndex, LogUser, Subject, has_item, shuffled};
use super::measure::{EvalContender, EvalOutcome, EvalTarget, TimeSlice};
use super::probabilities::ProbabilityModel;
use super::segments;
use super::staleness::Staleness;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_learning::prediction::recommend::{ScorePart, ScoreWeights, WeightFitOptions, fit_weights};
use portrait_profile::Timestamp;
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
    ("repeat", &[ScorePart::Repeat]),
    ("repeat and popularity", &[ScorePart::Repeat, ScorePart::Popular]),
    ("co-occurrence", &[ScorePart::Cooccurrence]),
    ("sequence", &[ScorePart::Sequence]),
    ("latent factors", &[ScorePart::Latent]),
    ("popularity", &[ScorePart::Popular]),
    ("trending", &[ScorePart::Trending]),
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
        let index = ItemIndex::of(log, subject);
        if index.len() >= ITEMS_PER_HIT_MIN * subject.hit_top() {
            subjects.extend(EvalRun { log, index, subject, args }.run()?);
        }
    }
    if subjects.is_empty() {
        bail!(
            "the log has no event to predict: no item of its last 30% was known before to a user with a history"
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
        let mut rng = StdRng::seed_from_u64(self.args.seed);
        let users = &self.log.users;
        let from = self.log.cut(SLICES.0);
        let until = self.log.cut(SLICES.1);
        let bar = ProgressBar::new_spinner().with_style(style());
        bar.set_message(format!("{}: learning", self.subject.name()));
        // Weights come from an earlier slice than the targets: fitting on the targets would favour contenders with
        // more weights.
        let before = TimeSlice::of(users, &self.index, from, Some(until), self.args.examples, &mut rng)?;
        let contenders = self.contenders(&before, &bar);
        let slice = TimeSlice::of(users, &self.index, until, None, self.args.targets, &mut rng)?;
        if slice.targets.is_empty() {
            return Ok(None);
        }
        bar.set_length(2 * slice.targets.len() as u64);
        bar.set_message(format!("{}: predicting", self.subject.name()));
        let outcomes = slice.outcomes(users, &self.index, &contenders, &bar);
        let control_users: Vec<LogUser> = users.iter().map(|user| shuffled(user, until, &mut rng)).collect();
        // The control is only compared in recall: it needs no probabilities.
        let control_contenders: Vec<EvalContender> = contenders
            .into_iter()
            .take(Staleness::ALL.len())
            .map(|contender| EvalContender { probabilities: None, ..contender })
            .collect();
        let control = slice.outcomes(&control_users, &self.index, &control_contenders, &bar);
        bar.finish_and_clear();
        Ok(Some(self.report(&slice, &outcomes, &control)))
    }

    /// Contenders: a profile of each age, then each baseline, with weights fitted on the slice before.
    fn contenders(&self, before: &TimeSlice, bar: &ProgressBar) -> Vec<EvalContender> {
        let users = &self.log.users;
        let hit_top = self.subject.hit_top();
        let mut contenders = Vec::new();
        for staleness in Staleness::ALL {
            bar.set_message(format!("{}: weights for {}", self.subject.name(), staleness.name()));
            let examples = before.examples(users, &self.index, staleness);
            let options = WeightFitOptions { hit_top, ..WeightFitOptions::ALL };
            let (weights, _) = fit_weights(&before.recommender, &examples, options);
            let probabilities = ProbabilityModel::fit(&before.recommender, &weights, &examples);
            contenders.push(EvalContender { staleness, weights, probabilities });
        }
        let examples = before.examples(users, &self.index, Staleness::Live);
        for (_, parts) in BASELINES {
            let options = WeightFitOptions { parts, hit_top };
            let (weights, _) = fit_weights(&before.recommender, &examples, options);
            // Weights of zero rank all items alike: popularity is the honest fallback.
            let weights = or_popularity(weights);
            contenders.push(EvalContender { staleness: Staleness::Live, weights, probabilities: None });
        }
        contenders
    }

    fn report(
        &self,
        slice: &TimeSlice,
        outcomes: &[Vec<EvalOutcome>],
        control: &[Vec<EvalOutcome>],
    ) -> SubjectReport {
        let repeats: Vec<bool> =
            slice.targets.iter().map(|target| self.is_repeat(target, slice.split)).collect();
        let users: Vec<u32> = slice.targets.iter().map(|target| target.user as u32).collect();
        let evaluator = Evaluator {
            users: &users,
            repeats: &repeats,
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
            users: users.iter().collect::<BTreeSet<_>>().len(),
            repeat_share: repeats.iter().filter(|repeat| **repeat).count() as f64 / repeats.len() as f64,
            ages: ages.map(|(index, age)| evaluator.age(*age, index, outcomes, control)).collect(),
            parts: parts
                .map(|(index, (name, _))| evaluator.part(name, Staleness::ALL.len() + index, outcomes))
                .collect(),
            calibration: evaluator.calibration(0, outcomes),
        }
    }

    /// True if the user had interacted with the target's item before it.
    fn is_repeat(&self, target: &EvalTarget, split: Timestamp) -> bool {
        let user = &self.log.users[target.user];
        let record = &user.records[target.index];
        let before = Staleness::Live.known(&user.times(), record.occurred_at, split);
        self.index.index_of(record).is_some_and(|item| has_item(user, &self.index, before, item))
    }
}

/// Returns popularity instead of weights that are all zero.
fn or_popularity(weights: ScoreWeights) -> ScoreWeights {
    if weights == ScoreWeights::default() { ScoreWeights::popularity() } else { weights }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checked_log::ServerRules;
    use crate::eval::LogArgs;
    use crate::eval::testing::{event, record};
    use portrait_connect::files::MappingArgs;
    use portrait_profile::{Action, Event, ItemId, Record, Timestamp};
    use rand::RngExt;

    const TOPICS: u32 = 12;
    const ITEMS_OF_TOPIC: u32 = 18;

    fn view(user: u32, minute: i64, item: u32) -> Record {
        let item_id = Some(ItemId::parse(&format!("i{item}")).expect("an id"));
        record(user, Timestamp::from_millis(minute * 60_000), Event { item_id, ..event(Action::View) })
    }

    /// Users who view six items of one topic, then six of another, and so on; no two events of different users have
    /// the same time.
    fn restless(users: u32) -> EventLog {
        let mut rng = StdRng::seed_from_u64(5);
        let mut user_records = |user: u32| {
            let mut topic = 0;
            let look_at = |step: u32| {
                if step.is_multiple_of(6) {
                    topic = rng.random_range(0..TOPICS);
                }
                let item = topic * ITEMS_OF_TOPIC + rng.random_range(0..ITEMS_OF_TOPIC);
                view(user, i64::from(step * users + user), item)
            };
            (0..30).map(look_at).collect()
        };
        EventLog::of((0..users).map(&mut user_records).collect(), 1).expect("it has events")
    }

    #[test]
    fn live_beats_stale_by_more_than_in_the_control_where_users_change_topics() {
        let args = EvalArgs {
            log: LogArgs {
                file: "restless.jsonl".into(),
                mapping: MappingArgs::default(),
                catalogue: None,
                item_users_min: 1,
                rules: ServerRules::default(),
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
        let apart = items
            .calibration
            .iter()
            .map(|group| (group.predicted - group.observed.value).abs() * group.targets as f64);
        let targets: usize = items.calibration.iter().map(|group| group.targets).sum();
        let error = apart.sum::<f64>() / targets as f64;
        let reported = items.ages[0].calibration_error.expect("probabilities");
        assert!((error - reported).abs() < 0.02, "{error} {reported}: {:?}", items.calibration);
        let groups = items.calibration.iter();
        assert!(groups.is_sorted_by(|a, b| a.predicted <= b.predicted) && items.calibration.len() > 4);
        let page = super::super::page::of(&report);
        let shown = ["<svg", "lag 5 events", "Log-loss", "Predicted", "new items", "repeats", "Segments"];
        shown.iter().for_each(|what| assert!(page.contains(what), "{what}: {page}"));
    }
}
