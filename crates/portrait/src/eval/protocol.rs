//! The comparison itself: weights found on one slice of time, contenders measured on the next. In goes a log, out goes the report.

use super::EvalArgs;
use super::figures::{AgeFigures, Compared, Pair, PartFigures, Report, SubjectReport, compared, mean};
use super::history::{Log, Numbers, Shopper, Subject, dealt_anew, had};
use super::measure::{Contender, Outcome, Slice};
use super::staleness::Staleness;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_learning::recommend::{Blend, Fitting, Part, fit_blend};
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
        log: args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        events: log.events(),
        shoppers: log.shoppers.len(),
        days: last.since(first).as_days_f64(),
        subjects,
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
        let control = slice.outcomes(&dealt, &self.numbers, &contenders[..Staleness::ALL.len()], &bar);
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
            contenders.push(Contender { staleness, blend });
        }
        let examples = before.continued(shoppers, &self.numbers, Staleness::Live);
        for (_, parts) in WAYS {
            let (blend, _) = fit_blend(&before.recommender, &examples, Fitting { parts, found_within });
            contenders.push(Contender { staleness: Staleness::Live, blend: or_popularity(blend) });
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
        }
    }
}

/// What makes figures of outcomes.
struct Judge<'a> {
    whose: &'a [u32],
    again: &'a [bool],
    within: f64,
    seed: u64,
}

impl Judge<'_> {
    fn age(
        &self,
        age: Staleness,
        index: usize,
        found: &[Vec<Outcome>],
        control: &[Vec<Outcome>],
    ) -> AgeFigures {
        let stale = |which: &dyn Fn(bool) -> bool, outcomes: &[Vec<Outcome>]| -> Option<Compared> {
            if index == 0 {
                return None;
            }
            let rows = outcomes.iter().zip(self.whose).zip(self.again);
            let matched = rows.filter(|((row, _), again)| row[index].known && which(**again));
            let pair = |((row, shopper), _): ((&Vec<Outcome>, &u32), &bool)| Pair {
                shopper: *shopper,
                live: self.found(row[0]),
                stale: self.found(row[index]),
            };
            compared(&matched.map(pair).collect::<Vec<_>>(), self.seed)
        };
        let known = found.iter().filter(|row| row[index].known).count();
        AgeFigures {
            age: age.name(),
            recall: self.recall(index, found),
            ndcg: self.ndcg(index, found),
            known: known as f64 / found.len() as f64,
            matched: stale(&|_| true, found),
            new: stale(&|again| !again, found),
            again: stale(&|again| again, found),
            // Which things are new is not dealt anew with them.
            control: stale(&|_| true, control),
        }
    }

    fn part(&self, name: &'static str, index: usize, found: &[Vec<Outcome>]) -> PartFigures {
        let pair = |(row, shopper): (&Vec<Outcome>, &u32)| Pair {
            shopper: *shopper,
            live: self.found(row[0]),
            stale: self.found(row[index]),
        };
        let pairs: Vec<Pair> = found.iter().zip(self.whose).map(pair).collect();
        PartFigures {
            name,
            recall: self.recall(index, found),
            ndcg: self.ndcg(index, found),
            served_less_this: compared(&pairs, self.seed).map(|compared| compared.difference),
        }
    }

    fn recall(&self, index: usize, found: &[Vec<Outcome>]) -> super::figures::Interval {
        mean(self.whose.iter().copied().zip(found.iter().map(|row| self.found(row[index]))), self.seed)
    }

    /// Of one right thing: `1 / log2(2 + place)` where it is found.
    fn ndcg(&self, index: usize, found: &[Vec<Outcome>]) -> f64 {
        let gain = |row: &Vec<Outcome>| self.found(row[index]) / (2.0 + row[index].place).log2();
        found.iter().map(gain).filter(|gain| gain.is_finite()).sum::<f64>() / found.len() as f64
    }

    fn found(&self, outcome: Outcome) -> f64 {
        f64::from(u8::from(outcome.place < self.within))
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
    use crate::import::Format;
    use portrait_profile::{Action, Body, Event, ItemId, Record, Timestamp, UserId};
    use rand::RngExt;

    const TOPICS: u32 = 12;
    const ITEMS_OF_TOPIC: u32 = 18;

    fn look(shopper: u32, minute: i64, item: u32) -> Record {
        let at = Timestamp::from_millis(minute * 60_000);
        let event = Event {
            action: Action::View,
            utc_offset_minutes: 0,
            item_id: Some(ItemId::parse(&format!("i{item}")).expect("an id")),
            category: None,
            brand: None,
            price: None,
            quantity: 1.0,
            order_id: None,
            context: None,
        };
        Record {
            user_id: UserId::parse(&format!("u{shopper}")).expect("an id"),
            record_id: None,
            occurred_at: at,
            accepted_at: at,
            trace: None,
            body: Body::Event(event),
        }
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
            file: "restless.jsonl".into(),
            format: Format::Jsonl,
            catalogue: None,
            item_shoppers_min: 1,
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
        let page = super::super::page::of(&report);
        assert!(page.contains("<svg") && page.contains("lag 5 events"), "{page}");
    }
}
