//! What every room of the store must do, whatever it is built on: the contract of `contract.rs`, sentence by sentence. A room
//! joins by naming itself in `conform!` with a way to open a new, empty store of four partitions. Rooms on servers of Redis are
//! checked with the feature `testing`, which starts them.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod conformance {
    mod commits;
    mod feeds;
    mod items;
    mod leases;
    mod logs;
    mod models;
    pub(crate) mod room;
    mod trims;

    /// Hands every check to another macro, with what else it needs.
    macro_rules! checks {
        ($macro:ident, $($with:tt)*) => {
            $macro!($($with)*;
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
            );
        };
    }

    /// Runs every check against a room, each on a store of its own.
    macro_rules! conform {
        ($open:path; $($module:ident::$check:ident;)*) => {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let (_kept, store) = $open().await;
                    super::$module::$check(store).await;
                }
            )*
        };
    }

    mod embedded {
        use super::room;

        checks!(conform, room::embedded);
    }

    #[cfg(feature = "testing")]
    mod standalone_redis {
        use super::room;

        checks!(conform, room::standalone);
    }

    /// A cluster takes a while to form: all checks share one, each with a prefix of its own.
    #[cfg(feature = "testing")]
    mod cluster_redis {
        use super::room;
        use portrait_store::AckLevel;

        macro_rules! conform_together {
            ($url:ident, $checking:ident; $($module:ident::$check:ident;)*) => {
                $(
                    let url = $url.clone();
                    let name = stringify!($check);
                    $checking.push((name, tokio::spawn(async move {
                        let store = room::on_redis(&url, name, AckLevel::Replica).await;
                        super::$module::$check(store).await;
                    })));
                )*
            };
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_check() {
            let cluster = portrait_store::redis::testing::Cluster::start(&[
                ("appendonly", "yes"),
                ("appendfsync", "always"),
            ]);
            let url = cluster.url();
            let mut checking = Vec::new();
            checks!(conform_together, url, checking);
            let mut failed = Vec::new();
            for (name, check) in checking {
                if check.await.is_err() {
                    failed.push(name);
                }
            }
            assert!(failed.is_empty(), "{failed:?}");
        }
    }
}
