//! Names that SDKs, forms and CRM systems send, each with its kind, and names that are no personal data.

use super::*;

/// Names of personal data, one a line: the label of the kind, and the name.
const PERSONAL: &str = include_str!("../testdata/personal_names.txt");
/// Names that are kept, one a line.
const HARMLESS: &str = include_str!("../testdata/harmless_names.txt");

fn lines(text: &'static str) -> Vec<&'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn five_hundred_personal_names_have_their_kind() {
    let lines = lines(PERSONAL);
    assert!(lines.len() >= 500, "{} names", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let (label, name) = line.split_once(' ').expect("a kind and a name");
            let found = kind_of_name(name).map(PersonalKind::label);
            (found != Some(label)).then(|| format!("{name}: {label}, found {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} names:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn harmless_names_have_no_kind() {
    let lines = lines(HARMLESS);
    assert!(lines.len() >= 100, "{} names", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|name| kind_of_name(name).map(|kind| format!("{name}: {}", kind.label())))
        .collect();
    assert!(wrong.is_empty(), "{} names:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_name_is_recognised_in_any_spelling() {
    let spellings = [
        "email",
        "Email",
        "EMAIL",
        "e-mail",
        "E_Mail",
        "$email",
        "e.mail",
        "eMail",
        "user[email]",
        "ｅｍａｉｌ",
        "e\u{200B}mail",
        "email_1",
        "customer.email",
        "useremail",
        "txtEmail",
        "émail",
        "e\u{301}mail",
        "  email  ",
        "email:",
    ];
    for name in spellings {
        assert_eq!(kind_of_name(name), Some(PersonalKind::Email), "{name:?}");
    }
}

#[test]
fn names_are_compared_without_case_separators_and_accents() {
    let rows = [
        ("E-Mail", "email"),
        ("$first_name", "firstname"),
        ("Prénom", "prenom"),
        ("Straße 2", "strasse2"),
        ("İsim", "isim"),
        ("手机 号", "手机号"),
        ("__", ""),
    ];
    for (name, expected) in rows {
        assert_eq!(normalized(name), expected, "{name}");
    }
}

#[test]
fn every_word_of_the_vocabulary_can_be_found() {
    for name in WORDS.keys() {
        assert_eq!(normalized(name), *name, "the vocabulary has a word that no name is folded to");
    }
}

#[test]
fn a_name_of_any_length_is_answered() {
    for name in ["", "_", "7", &"email".repeat(50_000), &"手机".repeat(50_000), &"a_".repeat(50_000)] {
        let kind = kind_of_name(name);
        assert!(kind.is_none() || name.len() > 1000, "{kind:?}");
    }
}
