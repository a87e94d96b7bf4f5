//! The comparison itself: weights found on one slice of time, contenders measured on the next. In goes a log, out goes the report.

use super::EvalArgs;
use super::chances::Chances;
use super::figures::{Report, SubjectReport};
use super::history::{Log, Numbers, Shopper, Subject, dealt_anew, had};
use super::judge::Judge;
use super::measure::{Contender, Outcome, Slice};
use super::segments;
use super::staleness::Staleness;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_learning::prediction::recommend::{Blend, Fitting, Part, fit_blend};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;

/// Shares of all events: weights are found between the first two, and contenders measured after the second.
const SLICES: (f64, f64) = (0.55, 0.70);

/// With fewer things for each one that counts as found, anything is found.
const CHOICE: usize = 4;

/// Ways to recommend that what is served is held against, each with weights of its own.
const WAYS: [(&str, &[Part]); 7] = [
    ("own history", &[Part::Own]),
    ("own history and popularity", &[Part::Own, Part::Popular]),
    ("had together", &[Part::Together]),
    ("what follows", &[Part::Next]),
    ("latent factors", &[Part::Latent]),
    ("popularity", &[Part::Popular]),
    ("popularity lately", &[Part::Lately]),
];

/// What is measured of one subject.
struct Trial<'a> {
    log: &'a Log,
    numbers: Numbers,
    subject: Subject,
    args: &'a EvalArgs,
}

/// Compares on a log.
///
/// # Errors
/// If the log has nothing to foretell.
pub(super) fn run(log: &Log, args: &EvalArgs) -> Result<Report> {
    let mut subjects = Vec::new();
    for subject in [Subject::Item, Subject::Category] {
        let numbers = Numbers::of(log, subject);
        if numbers.len() >= CHOICE * subject.found_within() {
            subjects.extend(Trial { log, numbers, subject, args }.run()?);
        }
    }
    if subjects.is_empty() {
        bail!(
            "the log has nothing to foretell: no thing of its last 30% was known before to a shopper with a past"
        );
    }
    let (first, last) = log.span();
    Ok(Report {
        log: args.log.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        events: log.events(),
        shoppers: log.shoppers.len(),
        days: last.since(first).as_days_f64(),
        subjects,
        segments: segments::stability(log, SLICES, args.seed)?,
    })
}

impl Trial<'_> {
    fn run(&self) -> Result<Option<SubjectReport>> {
        let mut chance = StdRng::seed_from_u64(self.args.seed);
        let shoppers = &self.log.shoppers;
        let (from, until) = (self.log.cut(SLICES.0), self.log.cut(SLICES.1));
        let bar = ProgressBar::new_spinner().with_style(style());
        bar.set_message(format!("{}: learning", self.subject.name()));
        let before = Slice::of(shoppers, &self.numbers, from, Some(until), self.args.examples, &mut chance)?;
        let contenders = self.contenders(&before, &bar);
        let slice = Slice::of(shoppers, &self.numbers, until, None, self.args.targets, &mut chance)?;
        if slice.targets.is_empty() {
            return Ok(None);
        }
        bar.set_length(2 * slice.targets.len() as u64);
        bar.set_message(format!("{}: foretelling", self.subject.name()));
        let found = slice.outcomes(shoppers, &self.numbers, &contenders, &bar);
        let dealt: Vec<Shopper> =
            shoppers.iter().map(|shopper| dealt_anew(shopper, until, &mut chance)).collect();
        let ages = contenders.into_iter().take(Staleness::ALL.len());
        let unasked: Vec<Contender> = ages.map(|age| Contender { chances: None, ..age }).collect();
        let control = slice.outcomes(&dealt, &self.numbers, &unasked, &bar);
        bar.finish_and_clear();
        Ok(Some(self.report(&slice, &found, &control)))
    }

    /// A profile of each age, then each other way, with the weights that do best on the slice before.
    fn contenders(&self, before: &Slice, bar: &ProgressBar) -> Vec<Contender> {
        let shoppers = &self.log.shoppers;
        let found_within = self.subject.found_within();
        let mut contenders = Vec::new();
        for staleness in Staleness::ALL {
            bar.set_message(format!("{}: weights for {}", self.subject.name(), staleness.name()));
            let examples = before.continued(shoppers, &self.numbers, staleness);
            let fitting = Fitting { found_within, ..Fitting::ALL };
            let (blend, _) = fit_blend(&before.recommender, &examples, fitting);
            let chances = Chances::fit(&before.recommender, &blend, &examples);
            contenders.push(Contender { staleness, blend, chances });
        }
        let examples = before.continued(shoppers, &self.numbers, Staleness::Live);
        for (_, parts) in WAYS {
            let (blend, _) = fit_blend(&before.recommender, &examples, Fitting { parts, found_within });
            let blend = or_popularity(blend);
            contenders.push(Contender { staleness: Staleness::Live, blend, chances: None });
        }
        contenders
    }

    fn report(&self, slice: &Slice, found: &[Vec<Outcome>], control: &[Vec<Outcome>]) -> SubjectReport {
        let again: Vec<bool> = slice
            .targets
            .iter()
            .map(|target| {
                let shopper = &self.log.shoppers[target.shopper];
                let thing = self.numbers.number(&shopper.records[target.place]);
                let before = Staleness::Live.known(
                    &shopper.times(),
                    shopper.records[target.place].occurred_at,
                    slice.split,
                );
                thing.is_some_and(|thing| had(shopper, &self.numbers, before, thing))
            })
            .collect();
        let whose: Vec<u32> = slice.targets.iter().map(|target| target.shopper as u32).collect();
        let judge = Judge {
            whose: &whose,
            again: &again,
            within: self.subject.found_within() as f64,
            seed: self.args.seed,
        };
        let ages = Staleness::ALL.iter().enumerate();
        let parts = WAYS.iter().enumerate();
        SubjectReport {
            subject: self.subject.name(),
            found_within: self.subject.found_within(),
            things: self.numbers.len(),
            targets: slice.targets.len(),
            shoppers: whose.iter().collect::<BTreeSet<_>>().len(),
            again: again.iter().filter(|again| **again).count() as f64 / again.len() as f64,
            ages: ages.map(|(index, age)| judge.age(*age, index, found, control)).collect(),
            parts: parts
                .map(|(index, (name, _))| judge.part(name, Staleness::ALL.len() + index, found))
                .collect(),
            calibration: judge.calibration(0, found),
        }
    }
}

/// A blend that counts something.
fn or_popularity(blend: Blend) -> Blend {
    if blend == Blend::default() { Blend::popularity() } else { blend }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::LogArgs;
    use crate::eval::testing::{did, event};
    use crate::import::Format;
    use portrait_profile::{Action, Event, ItemId, Record, Timestamp};
    use rand::RngExt;

    const TOPICS: u32 = 12;
    const ITEMS_OF_TOPIC: u32 = 18;

    fn look(shopper: u32, minute: i64, item: u32) -> Record {
        let item_id = Some(ItemId::parse(&format!("i{item}")).expect("an id"));
        did(shopper, Timestamp::from_millis(minute * 60_000), Event { item_id, ..event(Action::View) })
    }

    /// Shoppers who look at six things of one topic, then at six of another, and so on; none of it at one time with others.
    fn restless(shoppers: u32) -> Log {
        let mut chance = StdRng::seed_from_u64(5);
        let mut one = |shopper: u32| {
            let mut topic = 0;
            let look_at = |step: u32| {
                if step.is_multiple_of(6) {
                    topic = chance.random_range(0..TOPICS);
                }
                let item = topic * ITEMS_OF_TOPIC + chance.random_range(0..ITEMS_OF_TOPIC);
                look(shopper, i64::from(step * shoppers + shopper), item)
            };
            (0..30).map(look_at).collect()
        };
        Log::of((0..shoppers).map(&mut one).collect(), 1).expect("it has events")
    }

    #[test]
    fn where_shoppers_change_their_minds_live_beats_stale_by_more_than_in_the_control() {
        let args = EvalArgs {
            log: LogArgs {
                file: "restless.jsonl".into(),
                format: Format::Jsonl,
                catalogue: None,
                item_shoppers_min: 1,
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
        // Five of six looks are of the topic before, which has fewer things than count as found.
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
        let nothing = (items.things as f64).ln();
        assert!(loss("live") < loss("lag 5 events") - 0.3 && loss("frozen") < nothing + 0.1, "of {nothing}");
        let apart =
            items.calibration.iter().map(|one| (one.told - one.found.value).abs() * one.targets as f64);
        let targets: usize = items.calibration.iter().map(|one| one.targets).sum();
        let error = apart.sum::<f64>() / targets as f64;
        let told = items.ages[0].calibration_error.expect("told");
        assert!((error - told).abs() < 0.02, "{error} {told}: {:?}", items.calibration);
        let told = items.calibration.iter();
        assert!(told.is_sorted_by(|one, surer| one.told <= surer.told) && items.calibration.len() > 4);
        let page = super::super::page::of(&report);
        let shown = ["<svg", "lag 5 events", "Log-loss", "Foretold", "new things", "had before", "Segments"];
        shown.iter().for_each(|what| assert!(page.contains(what), "{what}: {page}"));
    }
}
