//! Conversion of prices to the shop's base currency at the configured rates. A converted price stays as it is when rates change.
//! Codes are compared without regard to case: `eur` is EUR.

use portrait_runtime::config::InvalidValue;
use std::collections::BTreeMap;

/// Base currency and the value of others in it.
#[derive(Clone, Debug)]
pub(crate) struct Money {
    base: String,
    rates: BTreeMap<String, f64>,
}

impl Money {
    /// Validates currency codes and rates.
    ///
    /// # Errors
    /// Fails for a code without three letters, a code that is there twice, and a rate that is not above 0.
    pub(crate) fn new(base: &str, rates: &BTreeMap<String, f64>) -> Result<Self, InvalidValue> {
        if !is_code(base) {
            let problem = format!("{base:?} is no currency");
            return Err(InvalidValue::new(
                "ingest.currency",
                problem,
                "write the three letters of ISO 4217, as EUR",
            ));
        }
        let base = base.to_ascii_uppercase();
        let mut by_code = BTreeMap::new();
        for (code, rate) in rates {
            if !is_code(code) || !rate.is_finite() || *rate <= 0.0 {
                let problem = format!("{code} = {rate} is no rate");
                let hint = format!("write three letters and what one unit is worth in {base}, above 0");
                return Err(InvalidValue::new("ingest.rates", problem, hint));
            }
            if by_code.insert(code.to_ascii_uppercase(), *rate).is_some() {
                let problem = format!("has two rates of {}", code.to_ascii_uppercase());
                return Err(InvalidValue::new("ingest.rates", problem, "write one: case does not count"));
            }
        }
        Ok(Self { base, rates: by_code })
    }

    /// Returns `price` in the base currency; an empty `currency` means the base. `None`: the currency has no rate.
    pub(crate) fn in_base(&self, price: f64, currency: &str) -> Option<f64> {
        if currency.is_empty() || currency.eq_ignore_ascii_case(&self.base) {
            return Some(price);
        }
        let rate = self.rates.get(currency).or_else(|| self.rates.get(&currency.to_ascii_uppercase()));
        rate.map(|rate| price * rate)
    }

    /// Returns the hint for a sender whose currency has no rate.
    pub(crate) fn hint(&self, currency: &str) -> String {
        format!(
            "{currency:?} has no rate to {}: add it to ingest.rates, or send prices in {}",
            self.base, self.base
        )
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_converted_or_its_currency_is_unknown() {
        let rates = BTreeMap::from([("USD".to_owned(), 0.5), ("jpy".to_owned(), 0.25)]);
        for base in ["EUR", "eur"] {
            let money = Money::new(base, &rates).expect("good rates");
            let rows = [
                ("", Some(8.0)),
                ("EUR", Some(8.0)),
                ("eur", Some(8.0)),
                ("Eur", Some(8.0)),
                ("USD", Some(4.0)),
                ("usd", Some(4.0)),
                ("JPY", Some(2.0)),
                ("XXX", None),
                ("EUR ", None),
            ];
            for (currency, expected) in rows {
                assert_eq!(money.in_base(8.0, currency), expected, "{currency}");
            }
        }
    }

    #[test]
    fn a_bad_rate_is_refused_at_start() {
        for (base, code, rate) in
            [("e€", "USD", 1.0), ("EUR", "US", 1.0), ("EUR", "USD", 0.0), ("EUR", "USD", f64::NAN)]
        {
            assert!(
                Money::new(base, &BTreeMap::from([(code.to_owned(), rate)])).is_err(),
                "{base} {code} {rate}"
            );
        }
    }

    #[test]
    fn two_rates_of_one_currency_are_refused() {
        let rates = [("USD", 0.5), ("usd", 0.6)].map(|(code, rate)| (code.to_owned(), rate)).into();
        let error = Money::new("EUR", &rates).expect_err("two rates").to_string();
        assert!(error.contains("ingest.rates") && error.contains("USD"), "{error}");
    }
}
