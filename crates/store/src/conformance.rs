//! Conformance suite: one check per sentence of the contract. A backend calls
//! [`conformance_checks`](crate::conformance_checks) in a test of its own crate with a function that opens a new, empty store,
//! or runs the [`CHECKS`] itself.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod commits;
mod feeds;
mod fixture;
mod items;
mod leases;
mod logs;
mod models;
mod trims;

pub use fixture::{LIMITS, NOW, PARTITIONS, SharedStore, WINDOW};

use futures::future::BoxFuture;

/// Check of one sentence of the contract, on a store that is new and empty.
#[derive(Clone, Copy)]
pub struct ConformanceCheck {
    /// Sentence as the name of a function.
    pub name: &'static str,
    run: fn(SharedStore) -> BoxFuture<'static, ()>,
}

impl ConformanceCheck {
    /// Checks `store`, which has [`PARTITIONS`] partitions, remembers ids for [`WINDOW`], enforces [`LIMITS`], and runs leases by
    /// the caller's clock.
    ///
    /// # Panics
    /// If the store breaks the contract.
    pub async fn run(&self, store: SharedStore) {
        (self.run)(store).await;
    }
}

/// Runs the check named `name` on `store`.
///
/// # Panics
/// If there is no such check, or the store breaks the contract.
pub async fn run(name: &str, store: SharedStore) {
    let check = CHECKS.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("there is no check {name}")).run(store).await;
}

/// Passes every check to another macro of this crate: `conformance_checks!(conformance_tests, open)` makes a test of each. The
/// function `open().await` returns a guard that must outlive the store, such as a directory, and the store.
#[macro_export]
macro_rules! conformance_checks {
    ($macro:ident $(, $open:path)?) => {
        $crate::$macro! { $($open)?;
            logs::appended_records_have_contiguous_positions;
            logs::appends_of_many_callers_neither_overlap_nor_leave_gaps;
            logs::a_page_is_bounded_and_has_at_least_one_record;
            logs::a_reader_waits_for_the_next_record;
            logs::more_than_the_limits_is_refused_whole;
            leases::a_running_lease_excludes_other_owners;
            leases::a_lease_that_ended_goes_to_the_next_with_a_higher_epoch;
            leases::only_the_owner_renews_and_releases;
            leases::a_restarted_process_takes_back_the_lease_of_its_name;
            leases::a_claim_takes_back_no_lease_of_another_name;
            leases::a_restarted_member_replaces_the_one_of_its_name;
            leases::members_last_until_they_deregister_or_miss_heartbeats;
            commits::everything_in_a_commit_happens;
            commits::a_commit_of_another_token_or_number_changes_nothing;
            commits::an_empty_commit_counts_and_wakes_waiting_readers;
            commits::of_two_owners_with_one_epoch_only_the_newer_commits;
            commits::counters_add_up;
            commits::an_id_is_remembered_for_the_window_in_its_partition;
            commits::dead_letters_are_kept_in_order_and_bounded;
            commits::tombstones_stay_in_their_partition_until_they_are_deleted;
            commits::tombstones_are_found_in_the_requested_order;
            commits::files_are_rewritten_while_the_store_is_in_use;
            commits::a_scan_finds_every_existing_profile;
            feeds::changes_have_contiguous_positions_across_commits;
            feeds::a_reader_waits_for_the_next_change;
            feeds::every_partition_has_a_feed_of_its_own;
            trims::records_that_are_not_applied_are_not_trimmed;
            trims::numbering_goes_on_after_everything_is_trimmed;
            trims::expired_windows_are_dropped;
            trims::ids_of_a_source_are_found_on_their_day_for_ever;
            trims::many_ids_of_a_source_are_each_found_once_committed;
            trims::a_dead_letter_is_trimmed_with_its_record;
            trims::a_log_above_its_bytes_is_trimmed_to_them_by_whole_blocks;
            trims::records_that_are_not_applied_stay_above_the_bytes_of_a_log;
            trims::more_than_one_call_trims_is_announced;
            trims::the_space_of_a_store_is_in_use_up_to_its_capacity;
            models::a_model_is_published_activated_and_read_back;
            models::a_change_from_a_stale_registry_is_refused;
            models::one_owner_trains_until_its_lease_ends;
            models::a_restarted_trainer_takes_back_its_lease;
            models::parts_are_kept_by_the_name_of_their_bytes;
            models::a_waiting_reader_is_notified_of_a_model_change;
            commits::a_note_stays_until_the_next;
            items::items_are_found_in_the_requested_order_and_replaced;
            items::a_scan_of_the_catalogue_finds_every_item;
        }
    };
}

/// Defines a test for each check; see [`conformance_checks`](crate::conformance_checks).
#[macro_export]
macro_rules! conformance_tests {
    ($open:path; $($module:ident::$check:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let (_guard, store) = $open().await;
                $crate::conformance::run(stringify!($check), store).await;
            }
        )*
    };
}

/// Defines the table of all checks; for this crate alone.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_table {
    (; $($module:ident::$check:ident;)*) => {
        /// Checks of the whole contract.
        pub const CHECKS: &[ConformanceCheck] = &[
            $(ConformanceCheck { name: stringify!($check), run: |store| Box::pin($module::$check(store)) },)*
        ];
    };
}

conformance_checks!(conformance_table);
