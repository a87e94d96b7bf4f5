//! Policies of a shop before the kinds of personal data, and each policy on values of its kind and others.

use super::*;
use crate::config::Config;
use std::sync::atomic::{AtomicU8, Ordering};

fn configured(traits: &[(&str, &str)]) -> Config {
    let traits = traits.iter().map(|(name, policy)| ((*name).to_owned(), policy.parse().expect("a policy")));
    let mut config = Config::default();
    config.traits.extend(traits);
    config.trait_tables = [("bloc".to_owned(), [("DE", "dach"), (" at ", "dach"), ("FR", "west")])]
        .map(|(name, table)| (name, table.map(|(value, class)| (value.to_owned(), class.to_owned())).into()))
        .into();
    config
}

fn rules(config: &Config, has_keys: bool) -> Result<TraitRules, InvalidValue> {
    TraitRules::new(&config.traits, &config.other_traits, &config.trait_tables, has_keys)
}

/// Policies whose nonces count from 0, with a key of version 1.
fn policies(traits: &[(&str, &str)]) -> TraitPolicies {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("1 {}\n", "07".repeat(32))).expect("written");
    let (keys, _) = TraitKeys::follow(&path).expect("a valid file").expect("a file is named");
    let count = AtomicU8::new(0);
    let nonces = Arc::new(move || [count.fetch_add(1, Ordering::Relaxed); 12]);
    TraitPolicies::new(rules(&configured(traits), true).expect("valid policies"), Some(keys), nonces)
}

fn kept(policies: &TraitPolicies, name: &str, value: &str) -> Result<Option<String>, PolicyError> {
    policies.apply(name.to_owned(), value.to_owned()).map(|applied| match applied {
        PolicyResult::Kept(kept) => Some(kept.value.into()),
        PolicyResult::Dropped(_) => None,
    })
}

#[test]
fn each_policy_keeps_its_form_of_a_value() {
    let policies = policies(&[
        ("city", "keep"),
        ("campaign", "drop"),
        ("visits", "band:10"),
        ("ip", "truncate"),
        ("postcode", "truncate:2"),
        ("dob", "year"),
        ("phone", "mask"),
        ("country", "category:bloc"),
        ("email", "hash"),
    ]);
    let rows = [
        ("city", "Graz", Ok(Some("Graz"))),
        ("campaign", "spring", Ok(None)),
        ("campaign", "", Ok(None)),
        ("visits", "34", Ok(Some("30-39"))),
        ("visits", "many", Err(PolicyError::NotANumber)),
        ("ip", "203.0.113.77", Ok(Some("203.0.113.0"))),
        ("ip", "2001:db8:1:2::3", Ok(Some("2001:db8:1::"))),
        ("postcode", "10115", Ok(Some("10"))),
        ("dob", "1990-05-17", Ok(Some("1990"))),
        ("dob", "soon", Err(PolicyError::NotADate)),
        ("phone", "13812341234", Ok(Some("138****1234"))),
        ("country", "de", Ok(Some("dach"))),
        ("country", "AT", Ok(Some("dach"))),
        ("country", "IT", Ok(Some("other"))),
        ("age", "34", Ok(Some("30-39"))),
        ("age", "", Ok(Some(""))),
        ("email", "", Ok(Some(""))),
    ];
    for (name, value, expected) in rows {
        let expected = expected.map(|kept| kept.map(str::to_owned));
        assert_eq!(kept(&policies, name, value), expected, "{name} {value}");
    }
    let hash = kept(&policies, "email", "lena@example.com").expect("a text").expect("kept");
    assert!(hash.starts_with("h1:") && hash.len() <= VALUE_MAX_BYTES && !hash.contains("lena"), "{hash}");
    assert_eq!(kept(&policies, "E-Mail", "lena@example.com"), Ok(Some(hash)), "one name in two spellings");
}

#[test]
fn an_encrypted_value_has_a_nonce_of_its_own_and_a_bound() {
    let policies = policies(&[("email", "encrypt")]);
    let sealed = kept(&policies, "email", "lena@example.com").expect("short").expect("kept");
    assert!(sealed.starts_with("e1:AAAAAAAAAAAAAAAA"), "the nonce comes first: {sealed}");
    assert_ne!(kept(&policies, "email", "lena@example.com"), Ok(Some(sealed)));
    let refused = kept(&policies, "email", &"x".repeat(200)).expect_err("too long");
    assert_eq!(refused, PolicyError::TooLongToEncrypt { bytes: 200, max_bytes: 161 });
    assert!(kept(&policies, "email", &"x".repeat(161)).is_ok());
}

#[test]
fn a_policy_of_the_shop_precedes_the_kinds() {
    let policies = policies(&[("email", "keep"), ("nickname", "keep"), ("note", "keep")]);
    let rows = [
        ("email", "lena@example.com", Some("lena@example.com")),
        ("E_Mail", "lena@example.com", Some("lena@example.com")),
        ("nickname", "Leni", Some("Leni")),
        ("note", "call +49 170 1234567", Some("call +49 170 1234567")),
        ("contact_email", "lena@example.com", None),
        ("first_name", "Lena", None),
    ];
    for (name, value, expected) in rows {
        assert_eq!(kept(&policies, name, value), Ok(expected.map(str::to_owned)), "{name}");
    }
}

#[test]
fn personal_data_are_dropped_by_name_and_by_form() {
    let policies = policies(&[]);
    let rows = [
        ("phoneNumber", "secret", Some(PersonalKind::Phone)),
        ("favourite_brand", "lena@example.com", Some(PersonalKind::Email)),
        ("note", "+49 170 1234567", Some(PersonalKind::Phone)),
        ("code", "4111 1111 1111 1111", Some(PersonalKind::Payment)),
        ("code", "11010519491231002X", Some(PersonalKind::IdentityDocument)),
        ("lena@example.com", "subscribed", Some(PersonalKind::Email)),
        ("verified_email", "true", None),
        ("verified_email", "lena@example.com", Some(PersonalKind::Email)),
        ("verified_email", "yes", Some(PersonalKind::Email)),
        ("gender", "f", None),
    ];
    for (name, value, expected) in rows {
        let traits = policies.apply(name.to_owned(), value.to_owned()).expect("no form is needed");
        let properties =
            policies.apply_to_property(name.to_owned(), value.to_owned()).expect("no form is needed");
        assert_eq!(traits, properties, "{name}");
        let dropped = match traits {
            PolicyResult::Dropped(DropReason::Personal(kind)) => Some(kind),
            PolicyResult::Dropped(DropReason::Policy) | PolicyResult::Kept(_) => None,
        };
        assert_eq!(dropped, expected, "{name} {value}");
    }
}

#[test]
fn other_traits_have_their_policy_and_other_properties_are_kept() {
    let config = Config { other_traits: TraitPolicy::Drop, ..Config::default() };
    let policies = TraitPolicies::without_keys(rules(&config, false).expect("valid"));
    assert_eq!(kept(&policies, "gender", "f"), Ok(None));
    let property = policies.apply_to_property("gender".to_owned(), "f".to_owned());
    assert_eq!(property, Ok(PolicyResult::Kept(TraitValue { name: "gender".into(), value: "f".into() })));
}

#[test]
fn a_policy_without_its_key_or_table_is_refused_at_start() {
    let check = |traits: &[(&str, &str)], has_keys: bool, parts: &[&str]| {
        let error = rules(&configured(traits), has_keys).expect_err("an invalid policy").to_string();
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
    };
    check(&[("email", "hash")], false, &["ingest.trait_keys_file", "email = hash", "openssl rand -hex 32"]);
    check(&[("email", "encrypt")], false, &["ingest.trait_keys_file", "email = encrypt"]);
    check(
        &[("city", "category:town")],
        true,
        &["ingest.traits", "category:town", "[ingest.trait_tables.town]"],
    );
    check(&[("Email", "keep"), ("e-mail", "drop")], true, &["ingest.traits", "\"Email\" and \"e-mail\""]);
    let mut config = configured(&[]);
    config.other_traits = TraitPolicy::Hash;
    let error = rules(&config, false).expect_err("no key").to_string();
    assert!(error.contains("other_traits = hash"), "{error}");
    config = configured(&[]);
    config.trait_tables.insert(
        "twice".to_owned(),
        [("A", "x"), ("a ", "y")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
    );
    let error = rules(&config, true).expect_err("an ambiguous table").to_string();
    assert!(error.contains("ingest.trait_tables") && error.contains("twice"), "{error}");
}
