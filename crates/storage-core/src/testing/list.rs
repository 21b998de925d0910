//! The one list of cases. A case that is not named here is dead code, and the compiler says so nowhere: add it.

/// Makes one `#[tokio::test]` of every case of the suite, for the given [`Harness`](crate::testing::Harness).
#[macro_export]
macro_rules! store_conformance {
    ($harness:path) => {
        $crate::__store_cases! { __store_tests, $harness }
    };
}

/// Hands the list of cases to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($callback:ident, $harness:path) => {
        $crate::$callback! { $harness;
            apply::an_empty_store_has_nothing
            apply::put_vectors_are_invisible
            apply::an_apply_shows_everything_at_once
            apply::a_failed_apply_leaves_nothing
            apply::a_stale_base_is_a_conflict
            apply::a_row_without_its_vector_is_refused
            apply::a_row_without_an_active_version_is_refused
            apply::deletes_of_absent_rows_are_fine
            apply::an_upsert_replaces_every_field
            apply::a_relocation_changes_the_locator_only
            apply::an_empty_change_still_counts
            apply::of_many_writers_one_wins
            apply::categories_are_counted
            apply::a_large_change_is_one_change
            ownership::rows_of_another_collection_are_refused
            ownership::a_document_of_another_source_is_refused
            ownership::a_document_can_be_handed_over
            ownership::one_row_twice_is_refused
            ownership::two_vectors_of_one_version_are_refused
            ownership::changes_to_absent_rows_are_refused
            ownership::collections_do_not_touch_each_other
            ownership::sources_do_not_touch_each_other
            ownership::a_source_is_brought_up_to_date
            vectors::equal_texts_share_one_vector
            vectors::a_computed_vector_is_preferred_to_imported_ones
            vectors::storing_twice_keeps_the_first
            vectors::wrong_dimensions_store_nothing
            vectors::an_unregistered_version_is_refused
            vectors::prune_spares_what_is_referenced
            vectors::prune_spares_what_is_being_built
            vectors::prune_goes_by_time
            vectors::many_inputs_are_looked_up
            versions::the_pointer_flips_with_the_rows
            versions::unchanged_rows_are_bound_in_the_flip
            versions::a_flip_needs_every_vector
            versions::a_rollback_is_the_pointer_again
            versions::a_replaced_row_drops_its_other_vectors
            versions::a_bind_replaces_a_vector
            versions::a_space_stays_as_registered
            versions::states_follow_the_pointer
            versions::a_version_without_every_vector_is_not_complete
            versions::an_unknown_version_cannot_be_served
            versions::two_recipes_are_two_versions_of_one_space
            versions::a_vector_of_another_space_is_refused
            versions::rows_without_a_vector_are_named
            versions::a_version_is_read_beside_the_active_one
            keeping::notes_stay_with_their_version
            keeping::only_a_retired_version_is_deleted
            keeping::a_shared_vector_outlives_a_deleted_version
            keeping::canaries_keep_their_first_vector
            scan::rows_come_in_key_order
            scan::filters_restrict_rows
            scan::a_running_scan_sees_one_generation
            scan::a_dropped_scan_harms_nothing
            scan::an_unknown_collection_is_empty
            scan::documents_are_found_by_key
            ledger::runs_come_newest_first
            ledger::a_run_is_replaced_by_its_id
            ledger::runs_belong_to_their_collection
            ledger::what_was_spent_is_known_with_its_vectors
            copies::vectors_come_in_the_order_of_their_names
            copies::a_running_read_of_vectors_sees_one_moment
            copies::adopted_vectors_keep_their_times
            copies::what_cannot_be_adopted_stores_nothing
            copies::bindings_are_told_for_every_version
            copies::a_binding_names_the_variant
            copies::the_ledger_holds_every_run
            check::a_good_store_is_clean
            check::a_long_life_leaves_a_clean_store
            check::sizes_are_counted
            limits::a_megabyte_of_text_fits
            limits::empty_texts_fit
            limits::metadata_keep_their_types
            limits::numbers_come_back_bit_for_bit
            limits::any_script_fits
            limits::nul_is_refused_everywhere
            limits::what_json_cannot_hold_is_refused
            limits::locators_keep_every_part
            undo::replaced_and_deleted_rows_come_back
            undo::the_first_row_is_kept_once_a_run
            undo::a_run_keeps_nothing_of_its_own
            undo::rows_changed_since_are_told
            created::a_created_row_that_others_wrote_over_is_told
            created::a_created_row_that_is_gone_is_not_told
            created::a_row_is_created_once_over_several_changes_of_a_run
            created::what_others_wrote_between_two_changes_of_a_run_comes_back
            undo::prune_spares_what_is_kept
            undo::a_deleted_version_is_not_restored
            undo::runs_are_undone_one_after_another
            undo::a_failed_undo_keeps_everything
            undo::other_collections_are_untouched
            undo::what_nobody_asked_to_keep_is_gone
            undo::a_row_of_another_source_comes_back
            undo::many_rows_come_back
            persistence::paid_vectors_survive_a_crash_before_apply
            persistence::reopening_keeps_everything
        }
    };
}

/// Writes the tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ($harness:path; $($area:ident :: $case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                if !<$harness as $crate::testing::Harness>::is_available() {
                    return;
                }
                let harness = <$harness as $crate::testing::Harness>::fresh().await;
                $crate::testing::$area::$case(harness).await;
            }
        )+
    };
}
