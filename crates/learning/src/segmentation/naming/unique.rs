//! Unique names: each segment keeps its strongest words unless another segment or a taken name has them already. Then it gets a further
//! word, a degree, or a comparative; a letter only if nothing tells it apart.

use super::comparatives;
use super::scores::CentroidScores;
use super::words::{Adjective, NAME_MAX_CHARACTERS, NameWords};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Difference in standard deviations from which on a degree ("very", "fairly") separates two segments.
const Z_DIFFERENCE_MIN: f32 = 0.5;

/// Segment to be named.
pub(super) struct NameCandidate<'a> {
    pub(super) words: NameWords,
    pub(super) scores: CentroidScores<'a>,
}

/// Names in the order of `candidates`; segments with larger shares choose first.
pub(super) fn names(candidates: &[NameCandidate], shares: &[f64], taken: &[String]) -> Vec<String> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    // Stable: segments of equal shares choose in the order of the clusters.
    order.sort_by(|left, right| {
        share(shares, *right).partial_cmp(&share(shares, *left)).unwrap_or(Ordering::Equal)
    });
    let mut taken: HashSet<String> = taken.iter().map(|name| name.to_lowercase()).collect();
    let mut names = vec![String::new(); candidates.len()];
    let mut named: Vec<usize> = Vec::with_capacity(candidates.len());
    for index in order {
        let rivals = named.iter().map(|other| &candidates[*other].words);
        let name = name_by_words(&candidates[index].words, rivals, &taken)
            .or_else(|| name_by_comparison(candidates, index, &taken))
            .unwrap_or_else(|| lettered(&candidates[index].words, &taken));
        taken.insert(name.clone());
        names[index] = name;
        named.push(index);
    }
    names
}

/// Share at an index; 0 for NaN and for a missing one.
fn share(shares: &[f64], index: usize) -> f64 {
    shares.get(index).copied().filter(|share| !share.is_nan()).unwrap_or(0.0)
}

/// Name of the segment's own words; `None` if every such name is taken.
fn name_by_words<'a>(
    words: &NameWords,
    rivals: impl Iterator<Item = &'a NameWords>,
    taken: &HashSet<String>,
) -> Option<String> {
    let plain = words.name(words.defaults(), 0);
    if !taken.contains(&plain) {
        return Some(plain);
    }
    let same: Vec<&NameWords> = rivals.filter(|rival| rival.name(rival.defaults(), 0) == plain).collect();
    // An adjective that the other segment has too would not separate them.
    let mut further = words.further().to_vec();
    further.sort_by_key(|adjective: &Adjective| {
        same.iter().any(|rival| rival.further().iter().any(|other| other.word == adjective.word))
    });
    let mut adjectives = words.defaults().to_vec();
    for adjective in further {
        adjectives.push(adjective);
        let name = words.name(&adjectives, 0);
        if !taken.contains(&name) {
            return Some(name);
        }
    }
    // No further word separates them; a degree of one of the words that both have may.
    for index in 0..words.defaults().len() {
        let mut adjectives = words.defaults().to_vec();
        adjectives[index].degree = degree(&adjectives[index], &same);
        let name = words.name(&adjectives, 0);
        if !taken.contains(&name) {
            return Some(name);
        }
    }
    None
}

/// Plain name with what tells the segment from all others of the same plain name; `None` if they do not differ, or every such name is
/// taken.
fn name_by_comparison(candidates: &[NameCandidate], index: usize, taken: &HashSet<String>) -> Option<String> {
    let NameCandidate { words, scores } = &candidates[index];
    let plain = words.name(words.defaults(), 0);
    let mut rivals: Vec<&CentroidScores> = Vec::new();
    for (other, candidate) in candidates.iter().enumerate() {
        if other != index && candidate.words.name(candidate.words.defaults(), 0) == plain {
            rivals.push(&candidate.scores);
        }
    }
    let phrases = comparatives::phrases(scores, &rivals);
    let mut names = phrases.iter().map(|phrase| with_suffix(words, &format!(", {phrase}")));
    names.find(|name| name.len() <= NAME_MAX_CHARACTERS && !taken.contains(name))
}

/// Name with a suffix, whose length is reserved, so that the suffix is not what the limit of a name cuts off.
fn with_suffix(words: &NameWords, suffix: &str) -> String {
    format!("{}{suffix}", words.name(words.defaults(), suffix.len()))
}

/// Degree of an adjective relative to all `rivals`; empty if the segment is neither clearly above nor below them.
fn degree(adjective: &Adjective, rivals: &[&NameWords]) -> &'static str {
    let rivals: Vec<f32> = rivals
        .iter()
        .flat_map(|rival| rival.defaults())
        .filter(|other| other.word == adjective.word)
        .map(|other| other.z)
        .collect();
    let known = !rivals.is_empty();
    let z_min = rivals.iter().copied().fold(f32::INFINITY, f32::min);
    let z_max = rivals.iter().copied().fold(0.0_f32, f32::max);
    match adjective.z {
        z if known && z >= z_max + Z_DIFFERENCE_MIN => "very ",
        z if known && z + Z_DIFFERENCE_MIN <= z_min => "fairly ",
        _ => "",
    }
}

/// Name with the first free letter, from "b" on: the segment without a letter is the first.
fn lettered(words: &NameWords, taken: &HashSet<String>) -> String {
    let mut number = 1_usize;
    loop {
        let name = with_suffix(words, &format!(", group {}", letters(number)));
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

/// Letters of a number from 0: a to z, then aa, ab and so on.
fn letters(number: usize) -> String {
    let last = char::from(b'a' + (number % 26) as u8);
    match number / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letters(more - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_continue_after_z() {
        for (number, expected) in [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (701, "zz"), (702, "aaa")] {
            assert_eq!(letters(number), expected);
        }
    }
}
