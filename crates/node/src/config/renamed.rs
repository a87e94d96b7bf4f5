//! Renamed configuration keys. An old key is refused like any unknown one; this table supplies the hint.

/// Renamed keys, as (old, new), in the order of the sections.
pub(super) const RENAMED: &[(&str, &str)] = &[
    ("server.reload_every", "server.reload_interval"),
    ("ingest.lag_max", "ingest.lag_records_max"),
    ("ingest.stream_patience", "ingest.stream_wait_max"),
    ("ingest.future_max", "ingest.future_skew_max"),
    ("ingest.oldest", "ingest.occurred_at_min"),
    ("ingest.catalogue_items", "ingest.catalogue_cache_items"),
    ("ingest.catalogue_age", "ingest.catalogue_cache_ttl"),
    ("feature.clock_jump", "feature.clock_jump_max"),
    ("feature.sweep_rate", "feature.sweep_profiles_per_second"),
    ("feature.gap_one_in", "feature.shadow_one_in"),
    ("feature.gap_items_rate", "feature.shadow_items_per_second"),
    ("model.volume", "model.retrain_after_records"),
    ("model.drift_windows", "model.drift_consecutive_checks"),
    ("model.pasts_max", "model.histories_max"),
    ("model.cases_max", "model.examples_max"),
    ("model.worse_max", "model.inertia_increase_max"),
    ("model.keep", "model.versions_kept"),
    ("query.queue_answers", "query.queue_responses"),
    ("query.stuck_after", "query.stall_timeout"),
    ("query.export_least", "query.export_users_min"),
];

/// Returns the present name of a key of an earlier release.
pub(super) fn new_name(old_key: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == old_key).map(|(_, new)| *new)
}
