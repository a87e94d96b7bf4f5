//! Tests on real logs of shops, which the repository does not contain: `PORTRAIT_DATA=FOLDER make test-logs` runs them. Each has its
//! equivalent on prepared logs in the module that it calls.

use super::{bad_input, commerce, crash, import, recommend, roles, segments, subscribers};
use portrait_tests::logs::real;

#[tokio::test(flavor = "multi_thread")]
async fn small_real_logs_import_with_the_numbers_of_an_independent_count_and_the_documents() {
    import::check_with_documents(real::ALL.into_iter().filter(|log| log.read < 100_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_real_logs_import_with_the_numbers_of_an_independent_count_and_the_documents() {
    import::check_with_documents(real::ALL.into_iter().filter(|log| log.read >= 100_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_real_invoices_equals_an_independent_count() {
    commerce::check_money(&real::ONLINE_RETAIL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_real_logs_have_names_members_and_a_stable_identity() {
    segments::check_segment_identity(&[real::ONLINE_RETAIL, real::GROCERIES, real::TMALL, real::ESHOP]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_a_real_log_is_rolled_restarts_at_once_and_versions_never_restart() {
    segments::check_rollback(&real::TMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_subscriber_on_a_real_log_converges_after_twenty_trainings_and_kills() {
    segments::check_segment_changes(&real::TMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_on_redis_equal_one_embedded_process_on_a_real_log() {
    roles::check_cluster(&real::GROCERIES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_from_a_real_log_reflect_the_newest_event_with_reasons() {
    recommend::check_recommendations(&real::ESHOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_subscriber_converges_during_the_import_of_a_real_log() {
    subscribers::check_cut_subscriber(&real::REES46).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_and_duplicates_nothing_of_a_real_log() {
    crash::check_killed_imports(&real::TMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_of_a_real_log_ends_the_import_with_its_line() {
    bad_input::check_bad_files(&real::OTTO).await;
}
