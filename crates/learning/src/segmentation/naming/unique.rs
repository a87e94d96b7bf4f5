//! No name twice. In come the words for every segment and the names that others have, out goes one name each. A segment keeps
//! to its strongest words unless another has them already.

use super::words::{Adjective, NameWords};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Standard deviations that make a difference worth a word.
const Z_DIFFERENCE_MIN: f32 = 0.5;

/// A name for each, in their order; the one with the larger share has the first choice.
pub(super) fn names(words: &[NameWords], shares: &[f64], taken: &[String]) -> Vec<String> {
    let share = |index: usize| shares.get(index).copied().filter(|share| !share.is_nan()).unwrap_or(0.0);
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by(|a, b| share(*b).partial_cmp(&share(*a)).unwrap_or(Ordering::Equal));
    let mut taken: HashSet<String> = taken.iter().map(|name| name.to_lowercase()).collect();
    let mut names = vec![String::new(); words.len()];
    let mut named: Vec<usize> = Vec::with_capacity(words.len());
    for index in order {
        let rivals = named.iter().map(|other| &words[*other]);
        let name = free_name(&words[index], rivals, &taken);
        taken.insert(name.clone());
        names[index] = name;
        named.push(index);
    }
    names
}

fn free_name<'a>(
    words: &NameWords,
    rivals: impl Iterator<Item = &'a NameWords>,
    taken: &HashSet<String>,
) -> String {
    let plain = words.name(words.defaults(), 0);
    if !taken.contains(&plain) {
        return plain;
    }
    let same: Vec<&NameWords> = rivals.filter(|rival| rival.name(rival.defaults(), 0) == plain).collect();
    // What the other has too would not tell them apart.
    let shared = |adjective: &Adjective| {
        same.iter().any(|rival| rival.further().iter().any(|other| other.word == adjective.word))
    };
    let mut further = words.further().to_vec();
    further.sort_by_key(shared);
    let mut adjectives = words.defaults().to_vec();
    for adjective in further {
        adjectives.push(adjective);
        let name = words.name(&adjectives, 0);
        if !taken.contains(&name) {
            return name;
        }
    }
    for index in 0..words.defaults().len() {
        let mut adjectives = words.defaults().to_vec();
        adjectives[index].degree = degree(&adjectives[index], &same);
        let name = words.name(&adjectives, 0);
        if !taken.contains(&name) {
            return name;
        }
    }
    numbered(words, taken)
}

/// How much more or less than all of `rivals` a segment is what an adjective says; nothing to say if neither.
fn degree(adjective: &Adjective, rivals: &[&NameWords]) -> &'static str {
    let theirs =
        rivals.iter().flat_map(|rival| rival.defaults()).filter(|other| other.word == adjective.word);
    let mut theirs = theirs.map(|other| other.z).peekable();
    let known = theirs.peek().is_some();
    let (least, most) = theirs.fold((f32::INFINITY, 0.0_f32), |(least, most), z| (least.min(z), most.max(z)));
    match adjective.z {
        z if known && z >= most + Z_DIFFERENCE_MIN => "very ",
        z if known && z + Z_DIFFERENCE_MIN <= least => "fairly ",
        _ => "",
    }
}

fn numbered(words: &NameWords, taken: &HashSet<String>) -> String {
    let mut number = 2_usize;
    loop {
        let suffix = format!(" {number}");
        let name = format!("{}{suffix}", words.name(words.defaults(), suffix.len()));
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}
