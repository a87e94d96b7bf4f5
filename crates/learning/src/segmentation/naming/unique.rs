//! Unique names: each segment keeps its strongest words unless another segment or a taken name has them already.

use super::words::{Adjective, NameWords};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Difference in standard deviations from which on a degree ("very", "fairly") separates two segments.
const Z_DIFFERENCE_MIN: f32 = 0.5;

/// Names in the order of `words`; segments with larger shares choose first.
pub(super) fn names(words: &[NameWords], shares: &[f64], taken: &[String]) -> Vec<String> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    // Stable: segments of equal shares choose in the order of the clusters.
    order.sort_by(|left, right| {
        share(shares, *right).partial_cmp(&share(shares, *left)).unwrap_or(Ordering::Equal)
    });
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

/// Share at an index; 0 for NaN and for a missing one.
fn share(shares: &[f64], index: usize) -> f64 {
    shares.get(index).copied().filter(|share| !share.is_nan()).unwrap_or(0.0)
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
            return name;
        }
    }
    // No further word separates them; a degree of one of the words that both have may.
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

fn numbered(words: &NameWords, taken: &HashSet<String>) -> String {
    let mut number = 2_usize;
    loop {
        // Its length is reserved, so that the number is not what the limit of a name cuts off.
        let suffix = format!(" {number}");
        let name = format!("{}{suffix}", words.name(words.defaults(), suffix.len()));
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}
