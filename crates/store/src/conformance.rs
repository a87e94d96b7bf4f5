//! Suite that every backend passes: the contract, sentence by sentence. A backend joins by a test of its own crate that calls
//! [`conformance_checks`](crate::conformance_checks) with a way to open a new, empty store, or runs the [`CHECKS`] itself.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod commits;
mod feeds;
mod fixture;
mod items;
mod leases;
mod logs;
mod models;
mod trims;

pub use fixture::{LIMITS, NOW, PARTITIONS, Room, WINDOW};

use futures::future::BoxFuture;

/// One sentence of the contract, checked on a store that is new and empty.
#[derive(Clone, Copy)]
pub struct Check {
    /// Sentence, as a name of a function.
    pub name: &'static str,
    run: fn(Room) -> BoxFuture<'static, ()>,
}

impl Check {
    /// Checks `store`; it has [`PARTITIONS`] partitions, remembers ids for [`WINDOW`], takes what [`LIMITS`] allow, and has
    /// leases that run by the caller's clock.
    ///
    /// # Panics
    /// If the store breaks the contract.
    pub async fn run(&self, store: Room) {
        (self.run)(store).await;
    }
}

/// Runs the check of a name, as [`Check::run`] does.
///
/// # Panics
/// If there is no such check, or the store breaks the contract.
pub async fn run(name: &str, store: Room) {
    let check = CHECKS.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("there is no check {name}")).run(store).await;
}

/// Passes every check to another macro of this crate: `conformance_checks!(conformance_tests, open)` makes a test of each, on a
/// store that `open().await` returns together with whatever has to live as long as the store.
#[macro_export]
macro_rules! conformance_checks {
    ($macro:ident $(, $open:path)?) => {
        $crate::$macro! { $($open)?;
            logs::appended_records_have_contiguous_places;
            logs::appends_of_many_callers_neither_overlap_nor_leave_gaps;
            logs::a_page_is_bounded_and_has_at_least_one_record;
            logs::a_reader_waits_for_the_next_record;
            logs::more_than_the_limits_is_refused_whole;
            leases::nobody_else_gets_a_lease_that_runs;
            leases::a_lease_that_ended_goes_to_the_next_with_a_higher_epoch;
            leases::only_the_owner_renews_and_releases;
            leases::workers_are_there_until_they_leave_or_fall_silent;
            commits::everything_in_a_commit_happens;
            commits::a_commit_of_another_token_or_number_changes_nothing;
            commits::an_empty_commit_counts_and_wakes_those_who_wait;
            commits::of_two_owners_with_one_epoch_only_the_newer_commits;
            commits::counters_add_up;
            commits::an_id_is_remembered_for_the_window_in_its_partition;
            commits::dead_letters_are_kept_in_order_and_bounded;
            commits::tombstones_stay_in_their_partition_until_they_are_deleted;
            commits::files_are_written_anew_while_the_store_is_in_use;
            commits::a_scan_finds_every_profile_that_is_there;
            feeds::changes_have_contiguous_places_across_commits;
            feeds::a_reader_waits_for_the_next_change;
            feeds::every_partition_has_a_feed_of_its_own;
            trims::nothing_that_is_not_applied_is_trimmed;
            trims::numbering_goes_on_after_everything_is_trimmed;
            trims::windows_are_dropped_when_nobody_can_ask_for_them;
            trims::a_dead_letter_goes_with_the_record_that_it_was;
            models::a_model_is_published_activated_and_read_back;
            models::a_change_of_somebody_who_knows_less_changes_nothing;
            models::one_owner_trains_until_its_lease_ends;
            models::parts_are_kept_by_the_name_of_their_bytes;
            models::whoever_waits_hears_of_a_change_of_the_models;
            commits::a_note_stays_until_the_next;
            items::items_are_found_in_the_order_asked_for_and_replaced;
            items::a_scan_of_the_catalogue_finds_every_item;
        }
    };
}

/// Makes a test of each check; see [`conformance_checks`](crate::conformance_checks).
#[macro_export]
macro_rules! conformance_tests {
    ($open:path; $($module:ident::$check:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let (_kept, store) = $open().await;
                $crate::conformance::run(stringify!($check), store).await;
            }
        )*
    };
}

/// Makes the table of all checks; of use in this crate alone.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_table {
    (; $($module:ident::$check:ident;)*) => {
        /// All checks.
        pub const CHECKS: &[Check] = &[
            $(Check { name: stringify!($check), run: |store| Box::pin($module::$check(store)) },)*
        ];
    };
}

conformance_checks!(conformance_table);
