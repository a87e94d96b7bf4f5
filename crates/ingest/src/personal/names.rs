//! Kind of personal data by the name of a trait or property. A name is cut into words at separators and capitals; words that are
//! written as one, such as `customeremail` or 用户手机号, are cut by the vocabulary. Digits number fields and are left out.

use super::kind::PersonalKind;
use super::vocabulary::{Strength, WORDS, Word};
use portrait_profile::is_invisible;

/// Most words of a phrase: `numero_de_securite_sociale` has four.
const PHRASE_WORDS_MAX: usize = 4;
/// Longest word of the vocabulary that is looked for inside another, in bytes.
const INNER_WORD_MAX_BYTES: usize = 24;
/// Shortest such word, in letters. Shorter ones would be found by chance, as `tel` in `hotel`.
const INNER_WORD_MIN: usize = 4;
/// Shorter words that forms do glue to others, as in `usertel`.
const SHORT_INNER_WORDS: [&str; 9] = ["dob", "fax", "pwd", "ssn", "tel", "txt", "usr", "zip", "my"];
/// Words that many harmless words end in, as `online` and `scorecard`.
const NEVER_INNER_WORDS: [&str; 4] = ["card", "cell", "line", "lines"];

/// Word of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Known(Word),
    Unknown,
}

/// Kind of a character for cutting a name into words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    Upper,
    Lower,
    /// Character of a script without spaces between words.
    Ideographic,
    Separator,
}

/// Last word of the best cut of a prefix, which has the fewest words.
#[derive(Clone, Copy)]
struct Cut {
    words: usize,
    start: usize,
    word: Word,
}

/// Returns the letters and digits of a name in lower case, without accents and separators. Names that are equal in this form are
/// one name, as `E-Mail`, `e_mail` and `$email`.
pub(crate) fn normalized(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for character in visible(name).filter(|character| character.is_alphanumeric()) {
        fold(character, &mut folded);
    }
    folded
}

/// Returns the kind of personal data that a name stands for; `None` if it is no name of personal data.
///
/// ```text
/// billing_first_name  PersonName    product_name    None
/// customer[eMail]     Email         email_verified  None
/// ```
pub(crate) fn kind_of_name(name: &str) -> Option<PersonalKind> {
    kind_of(&parts(&words(name)))
}

fn kind_of(parts: &[Part]) -> Option<PersonalKind> {
    let first = parts.iter().position(Part::is_personal)?;
    let last = parts.iter().rposition(Part::is_personal)?;
    let after = &parts[last + 1..];
    if parts[..first].contains(&Part::Known(Word::Fact)) || after.iter().any(Part::makes_fact) {
        return None;
    }
    let is_head = after.iter().all(Part::qualifies);
    let is_alone = parts.iter().all(Part::qualifies);
    // The last word decides: a name of several kinds, as `email_address`, is mostly about its head.
    parts.iter().rev().find_map(|part| match part {
        Part::Known(Word::Personal(kind, Strength::Strong)) => Some(*kind),
        Part::Known(Word::Personal(kind, Strength::Head)) => is_head.then_some(*kind),
        Part::Known(Word::Personal(kind, Strength::Weak)) => is_alone.then_some(*kind),
        Part::Known(Word::Qualifier | Word::Adjective | Word::Fact | Word::FactAfter | Word::Harmless)
        | Part::Unknown => None,
    })
}

/// Looks up the longest phrases first, so that `email` wins over `mail` and `iphone` over `phone`.
fn parts(words: &[String]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(words.len());
    let mut index = 0;
    while index < words.len() {
        let longest = PHRASE_WORDS_MAX.min(words.len() - index);
        let phrase = (1..=longest)
            .rev()
            .find_map(|count| known(&words[index..index + count].concat()).map(|word| (count, word)));
        if let Some((count, word)) = phrase {
            parts.push(Part::Known(word));
            index += count;
        } else {
            split(&words[index], &mut parts);
            index += 1;
        }
    }
    parts
}

/// Returns the word of the vocabulary that a text is, in singular or plural.
fn known(text: &str) -> Option<Word> {
    let candidates = [Some(text), text.strip_suffix('s'), text.strip_suffix("es")].into_iter().flatten();
    candidates
        .filter(|candidate| *candidate == text || candidate.len() >= INNER_WORD_MIN - 1)
        .find_map(|candidate| WORDS.get(candidate).copied())
}

/// Appends the words that a text is made of.
fn split(text: &str, parts: &mut Vec<Part>) {
    if text.chars().next().is_some_and(|first| Letter::of(first) == Letter::Ideographic) {
        split_ideographs(text, parts);
    } else if let Some(inner) = split_letters(text) {
        parts.extend(inner.into_iter().map(Part::Known));
    } else {
        parts.push(Part::Unknown);
    }
}

/// Cuts a text without spaces at the longest known words. Known words among unknown ones count, since each carries a meaning.
fn split_ideographs(text: &str, parts: &mut Vec<Part>) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let ends = rest.char_indices().map(|(start, character)| start + character.len_utf8());
        let ends: Vec<usize> = ends.take_while(|end| *end <= INNER_WORD_MAX_BYTES * 2).collect();
        let longest = ends.iter().rev().find_map(|end| WORDS.get(&rest[..*end]).map(|word| (*end, *word)));
        let (end, part) =
            longest.map_or((first.len_utf8(), Part::Unknown), |(end, word)| (end, Part::Known(word)));
        parts.push(part);
        rest = &rest[end..];
    }
}

/// Cuts a text into the fewest known words; `None` if a part of it is unknown.
fn split_letters(text: &str) -> Option<Vec<Word>> {
    let mut best: Vec<Option<Cut>> = vec![None; text.len() + 1];
    for end in 1..=text.len() {
        for start in end.saturating_sub(INNER_WORD_MAX_BYTES)..end {
            let words_before = match best[start] {
                Some(cut) => cut.words,
                None if start == 0 => 0,
                None => continue,
            };
            let Some(word) = text.get(start..end).and_then(inner_word) else { continue };
            if best[end].is_none_or(|cut| words_before + 1 < cut.words) {
                best[end] = Some(Cut { words: words_before + 1, start, word });
            }
        }
    }
    let mut words = Vec::new();
    let mut end = text.len();
    while end > 0 {
        let cut = best[end]?;
        words.push(cut.word);
        end = cut.start;
    }
    words.reverse();
    Some(words)
}

fn inner_word(text: &str) -> Option<Word> {
    let is_long = text.len() >= INNER_WORD_MIN && !NEVER_INNER_WORDS.contains(&text);
    if is_long || SHORT_INNER_WORDS.contains(&text) { WORDS.get(text).copied() } else { None }
}

/// Cuts a name at separators, digits, capitals and changes of script, in lower case and without accents.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = visible(name).collect();
    let mut words = vec![String::new()];
    let mut before = Letter::Separator;
    for (index, &character) in characters.iter().enumerate() {
        let letter = Letter::of(character);
        let next = characters.get(index + 1).map(|next| Letter::of(*next));
        let begins = match (before, letter) {
            (Letter::Upper, Letter::Lower) => false,
            // The last capital of an acronym begins the next word, as in `IPAddress`.
            (Letter::Upper, Letter::Upper) => next == Some(Letter::Lower),
            (before, letter) => before != letter,
        };
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter != Letter::Separator) {
            fold(character, word);
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the characters of a name that can be seen; full-width letters are like others, combining accents are left out.
fn visible(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|character| !is_invisible(*character) && !('\u{300}'..='\u{36F}').contains(character))
        .map(half_width)
}

/// Returns the half-width form of a full-width letter, digit or sign, and other characters as they are.
pub(super) fn half_width(character: char) -> char {
    match character {
        '\u{3000}' => ' ',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        other => other,
    }
}

/// Appends the lower case of a character without its accent.
fn fold(character: char, folded: &mut String) {
    for character in character.to_lowercase() {
        let plain = match character {
            'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
            'æ' => "ae",
            'ç' | 'ć' | 'č' => "c",
            'ď' | 'đ' => "d",
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
            'ğ' => "g",
            'ì'..='ï' | 'ī' | 'ı' => "i",
            'ł' => "l",
            'ñ' | 'ń' | 'ň' => "n",
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
            'œ' => "oe",
            'ř' => "r",
            'ś' | 'š' | 'ş' => "s",
            'ß' => "ss",
            'ť' => "t",
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
            'ý' | 'ÿ' => "y",
            'ź' | 'ż' | 'ž' => "z",
            // The accent of a lower-cased İ is a character of its own.
            '\u{307}' => "",
            other => {
                folded.push(other);
                continue;
            }
        };
        folded.push_str(plain);
    }
}

impl Part {
    const fn is_personal(&self) -> bool {
        matches!(self, Self::Known(Word::Personal(..)))
    }

    /// Returns true for a word that makes the personal data before it a fact.
    const fn makes_fact(&self) -> bool {
        matches!(self, Self::Known(Word::Fact | Word::FactAfter | Word::Adjective))
    }

    /// Returns true for a word that may stand beside personal data of any strength.
    const fn qualifies(&self) -> bool {
        matches!(self, Self::Known(Word::Qualifier | Word::Adjective | Word::Personal(..)))
    }
}

impl Letter {
    fn of(character: char) -> Self {
        match character {
            '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '々' => {
                Self::Ideographic
            }
            _ if character.is_uppercase() => Self::Upper,
            _ if character.is_alphabetic() => Self::Lower,
            _ => Self::Separator,
        }
    }
}

#[cfg(test)]
mod tests;
