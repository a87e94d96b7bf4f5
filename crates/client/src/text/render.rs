//! Profile card: text of at most 80 columns with traits, activity, purchases, preferences, next actions, relations, and the
//! provenance of the profile. Absent sections are left out. Total: no response of a server makes it panic.

use super::chart::{self, Paint};
use super::words;
use portrait_proto::v1;

/// Maximum line width, in columns.
const WIDTH: usize = 80;
/// Indentation of section text, in columns.
const MARGIN: usize = 9;
/// Maximum number of entries in a list.
const SHOWN: usize = 5;
const WEEKDAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const BETWEEN: &str = " · ";

/// Renders a profile as a card.
pub fn card(profile: &v1::Profile, paint: Paint) -> String {
    let mut sheet = Sheet { text: String::new(), paint };
    sheet.head(profile);
    sheet.segment(profile);
    sheet.activity(profile);
    sheet.purchases(profile);
    sheet.likes(profile);
    sheet.next_steps(profile);
    sheet.acquaintances(profile);
    sheet.bookkeeping(profile);
    sheet.text
}

/// Buffer of a card.
struct Sheet {
    text: String,
    paint: Paint,
}

impl Sheet {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Appends a section with its label before the first line; nothing if there are no lines.
    fn section(&mut self, label: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.text.push('\n');
        for (index, line) in lines.iter().enumerate() {
            let label = chart::fit(if index == 0 { label } else { "" }, MARGIN);
            self.line(&format!("{}{line}", self.paint.strong(&label)));
        }
    }

    fn head(&mut self, profile: &v1::Profile) {
        let read_at = words::format_wire_timestamp(profile.read_at.as_ref());
        let read_at = read_at.map_or_else(String::new, |at| format!("as of {}", words::format_timestamp(at)));
        let name = chart::fit(&profile.user_id, WIDTH - chart::width(&read_at) - 1);
        self.line(&format!("{} {}", self.paint.strong(&name), self.paint.faint(&read_at)));
        self.line(&self.paint.faint(&"─".repeat(WIDTH)));
        let traits = profile.basic.iter().flat_map(|basic| &basic.traits);
        let mut traits: Vec<String> =
            traits.map(|(name, value)| format!("{}: {value}", name.replace('_', " "))).collect();
        // The map of traits has no order; sorted, two cards can be compared.
        traits.sort();
        if traits.is_empty() {
            traits.push("no traits are known".to_owned());
        }
        for line in wrapped(&traits, BETWEEN, WIDTH) {
            self.line(&line);
        }
    }

    fn segment(&mut self, profile: &v1::Profile) {
        let Some(segment) = &profile.segment else { return };
        let name = if segment.name.is_empty() { "a segment without a name" } else { &segment.name };
        let mut phrases = vec![format!("{} ({})", chart::cut(name, 48), chart::cut(&segment.segment_id, 12))];
        if let Some(since) = duration_since(profile, segment.since.as_ref()) {
            phrases.push(format!("since {since}"));
        }
        phrases.push(format!("model {}", segment.model_version));
        self.section("Segment", &wrapped(&phrases, BETWEEN, WIDTH - MARGIN));
    }

    fn activity(&mut self, profile: &v1::Profile) {
        let Some(behavior) = &profile.behavior else { return };
        let mut lines = wrapped(&activity_phrases(profile, behavior), BETWEEN, WIDTH - MARGIN);
        if profile.bot {
            lines.push("taken for a program: no model learns from it".to_owned());
        }
        let actions: Vec<String> = behavior
            .actions
            .iter()
            .map(|count| {
                format!(
                    "{} {}",
                    words::count(count.total),
                    words::action_words(count.action, &count.custom_action)
                )
            })
            .collect();
        lines.extend(wrapped(&actions, ", ", WIDTH - MARGIN));
        if let Some(peak) = chart::peak(&behavior.hour_share) {
            let columns: String = chart::columns(&behavior.hour_share).into_iter().collect();
            let most = format!("most between {peak}:00 and {}:00", (peak + 1) % 24);
            lines.push(format!("hours  {}  {most}", self.paint.drawn(&chart::fit(&columns, 24))));
            lines.push(self.paint.faint("       0     6     12    18"));
        }
        if let Some(peak) = chart::peak(&behavior.weekday_share) {
            let columns = chart::columns(&behavior.weekday_share);
            let days: Vec<String> =
                WEEKDAYS.iter().zip(columns).map(|(day, column)| format!("{day} {column}")).collect();
            let most = WEEKDAYS.get(peak).copied().unwrap_or_default();
            lines.push(format!("days   {}  most on {most}", self.paint.drawn(&days.join(" "))));
        }
        self.section("Active", &lines);
    }

    fn purchases(&mut self, profile: &v1::Profile) {
        let rfm = profile.behavior.as_ref().and_then(|behavior| behavior.rfm.as_ref());
        let Some(rfm) = rfm.filter(|rfm| rfm.orders_total > 0 || rfm.money_total != 0.0) else { return };
        let mut phrases = vec![
            words::counted(rfm.orders_total, "order"),
            format!("{} in all", words::money(rfm.money_total)),
            format!("{} an order", words::money(rfm.mean_basket)),
        ];
        if let Some(last) = duration_since(profile, rfm.last_purchase_at.as_ref()) {
            phrases.push(format!("last {last}"));
        }
        if rfm.unmatched_refunds > 0.0 {
            phrases.push(format!("refunds of {} without a purchase", words::money(rfm.unmatched_refunds)));
        }
        self.section("Buys", &wrapped(&phrases, BETWEEN, WIDTH - MARGIN));
    }

    fn likes(&mut self, profile: &v1::Profile) {
        let Some(preference) = &profile.preference else { return };
        let mut lines = Vec::new();
        let lists = [
            ("categories", &preference.categories),
            ("brands", &preference.brands),
            ("prices", &preference.price_bands),
        ];
        if lists.iter().any(|(_, list)| !list.is_empty()) {
            lines.push(self.paint.faint(&format!("{:>64}{:>7}", "lately", "months")));
        }
        for (title, list) in lists {
            // Shares over 90 days are relative to the listed entries only, as the server sends weights and not shares.
            let over_months: f64 = list.iter().map(months).sum();
            for (index, affinity) in list.iter().take(SHOWN).enumerate() {
                let share = months(affinity) / over_months;
                lines.push(self.affinity(if index == 0 { title } else { "" }, affinity, share));
            }
        }
        let items = preference.recent_items.iter().take(SHOWN);
        let items: Vec<String> = items
            .map(|touch| format!("{} ({})", chart::cut(&touch.item_id, 24), words::touch_words(touch)))
            .collect();
        if !items.is_empty() {
            lines.extend(wrapped(
                &[vec![format!("newest: {}", items[0])], items[1..].to_vec()].concat(),
                ", ",
                WIDTH - MARGIN,
            ));
        }
        self.section("Likes", &lines);
    }

    fn affinity(&self, title: &str, affinity: &v1::Affinity, share_of_months: f64) -> String {
        let bar = self.paint.drawn(&chart::fit(&chart::bar(affinity.share, 24), 24));
        format!(
            "{} {} {bar} {:>4}{:>7}",
            chart::fit(title, 11),
            chart::fit(&affinity.name, 22),
            words::percent(affinity.share),
            words::percent(share_of_months)
        )
    }

    fn next_steps(&mut self, profile: &v1::Profile) {
        let Some(behavior) = &profile.behavior else { return };
        let mut froms: Vec<i32> = Vec::new();
        for step in &behavior.transitions {
            if !froms.contains(&step.from) && froms.len() < 3 {
                froms.push(step.from);
            }
        }
        let next = |from: &i32| {
            let steps = behavior.transitions.iter().filter(|step| step.from == *from).take(3);
            let steps: Vec<String> = steps
                .map(|step| {
                    format!("{} {}", words::action_words(step.to, ""), words::percent(step.probability))
                })
                .collect();
            format!("after {}: {}", words::action_words(*from, ""), steps.join(", "))
        };
        self.section("Next", &froms.iter().map(next).collect::<Vec<_>>());
    }

    fn acquaintances(&mut self, profile: &v1::Profile) {
        let Some(social) = profile.social.as_ref().filter(|social| !social.edges.is_empty()) else { return };
        let edge = |edge: &v1::Edge| {
            format!(
                "{} ({}, {:.1})",
                chart::cut(&edge.user_id, 24),
                words::relation_words(edge.kind),
                edge.weight
            )
        };
        let mut phrases: Vec<String> = social.edges.iter().take(SHOWN).map(edge).collect();
        if social.edges.len() > SHOWN {
            phrases.push(format!("{} more", social.edges.len() - SHOWN));
        }
        self.section("Knows", &wrapped(&phrases, ", ", WIDTH - MARGIN));
    }

    fn bookkeeping(&mut self, profile: &v1::Profile) {
        let mut phrases = vec![
            format!("version {}", words::count(profile.version)),
            format!("made from {}", words::counted(profile.applied_events, "record")),
            format!("fingerprint {:016x}", profile.fingerprint),
        ];
        if let Some(updated_at) = words::format_wire_timestamp(profile.updated_at.as_ref()) {
            phrases.push(format!("updated {}", words::format_timestamp(updated_at)));
        }
        if let Some(late) =
            profile.behavior.as_ref().map(|behavior| behavior.late_events).filter(|late| *late > 0)
        {
            phrases.push(format!("{} came late", words::counted(late, "event")));
        }
        let lines = wrapped(&phrases, BETWEEN, WIDTH - MARGIN);
        self.section("Record", &lines.iter().map(|line| self.paint.faint(line)).collect::<Vec<_>>());
    }
}

fn activity_phrases(profile: &v1::Profile, behavior: &v1::Behavior) -> Vec<String> {
    let mut phrases = Vec::new();
    if let Some(last) = duration_since(profile, behavior.newest_event_at.as_ref()) {
        phrases.push(format!("last seen {last}"));
    }
    if let Some(first) = duration_since(profile, behavior.first_event_at.as_ref()) {
        phrases.push(format!("first {first}"));
    }
    if let Some(sessions) = behavior.sessions.as_ref().filter(|sessions| sessions.total > 0) {
        phrases.push(words::counted(sessions.total, "visit"));
        phrases.push(format!(
            "{:.1} actions and {} a visit",
            sessions.mean_events,
            words::length(sessions.mean_seconds)
        ));
    }
    phrases
}

/// Returns the weight of an affinity with a half-life of 90 days, at least 0.
fn months(affinity: &v1::Affinity) -> f64 {
    affinity.weight.map_or(0.0, |weight| weight.quarter.max(0.0))
}

/// Formats the time from `at` to the reading of the profile, such as "3 days ago".
fn duration_since(profile: &v1::Profile, at: Option<&prost_types::Timestamp>) -> Option<String> {
    let read_at = words::format_wire_timestamp(profile.read_at.as_ref())?;
    let at = words::format_wire_timestamp(at)?;
    Some(words::ago(read_at.since(at)))
}

/// Joins phrases into lines of at most `columns` columns; longer phrases are truncated.
fn wrapped(phrases: &[String], separator: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for phrase in phrases {
        let phrase = chart::cut(phrase, columns.saturating_sub(separator.len()));
        match lines.last_mut() {
            Some(line) if chart::width(line) + chart::width(separator) + chart::width(&phrase) <= columns => {
                line.push_str(separator);
                line.push_str(&phrase);
            }
            Some(line) => {
                // A separator such as ", " keeps its comma at the line end; " · " is dropped.
                if !separator.starts_with(' ') {
                    line.push_str(separator.trim_end());
                }
                lines.push(phrase);
            }
            None => lines.push(phrase),
        }
    }
    lines
}
