//! Validation of events without a server, for commands that replay a log: they take what ingest takes, and refuse the rest for the
//! same reasons.

use crate::config::Config;
use crate::losses::Losses;
use crate::trait_policies::TraitPolicies;
use crate::validate::Validator;
use portrait_profile::{Record, Timestamp};
use portrait_proto::request::ValidationError;
use portrait_proto::v1;
use portrait_runtime::config::InvalidValue;
use portrait_store::AckLevel;

/// Validator of events with the rules of ingest.
///
/// ```
/// use portrait_ingest::{Config, EventValidator};
/// use portrait_profile::Timestamp;
/// use portrait_proto::v1::{Action, ErrorReason, Event};
///
/// let validator = EventValidator::new(&Config::default())?;
/// let occurred_at = Some(prost_types::Timestamp { seconds: 44, nanos: 0 });
/// let event = Event { user_id: "lena".to_owned(), action: Action::View.into(), occurred_at, ..Default::default() };
/// let now = Timestamp::from_millis(1_767_225_600_000);
/// let error = validator.record(event, now).expect_err("44 seconds after 1970");
/// assert_eq!((error.reason, error.field.as_str()), (ErrorReason::TimeTooOld, "occurred_at"));
/// # Ok::<(), portrait_runtime::config::InvalidValue>(())
/// ```
#[derive(Debug)]
pub struct EventValidator(Validator);

impl EventValidator {
    /// Creates the validator of a configuration.
    ///
    /// # Errors
    /// If the configuration is invalid; the error names the key.
    pub fn new(config: &Config) -> Result<Self, InvalidValue> {
        // The level decides when an event is acknowledged, not whether it is valid.
        let config = config.validate(AckLevel::Disk)?;
        let traits = TraitPolicies::without_keys(config.trait_rules.clone());
        Ok(Self(Validator::new(&config, traits)))
    }

    /// Validates an event that arrives at `now`, and returns the record that the log would have of it. Data of the catalogue are not
    /// added.
    ///
    /// # Errors
    /// The reason, the field and the remedy of the first rule that the event breaks.
    pub fn record(&self, event: v1::Event, now: Timestamp) -> Result<Record, ValidationError> {
        self.0.event(event, now, &mut Losses::default())
    }
}
