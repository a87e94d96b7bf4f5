//! Named arguments of the commit script. One list of names defines both the struct that Rust fills and the locals that the script
//! reads, so that neither side counts positions by hand.

use bytes::Bytes;

macro_rules! arguments {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: Bytes,)*
        }

        impl $name {
            /// Names of the arguments in their order, which are locals of the script.
            pub(super) const NAMES: &[&str] = &[$(stringify!($field)),*];

            /// Returns the values in the order of the names.
            pub(super) fn into_values(self) -> [Bytes; Self::NAMES.len()] {
                [$(self.$field),*]
            }
        }
    };
}

arguments!(
    /// First arguments of a commit. The counts give the number of values of each kind that follow, in the order of the counts:
    /// profiles, deletions, tombstones, expired tombstones, dead letters.
    CommitArguments {
        /// Nonce of the generation that the commit may begin.
        fresh_nonce,
        /// Channel of the notification.
        channel,
        owner_token,
        expected_commit_no,
        next_commit_no,
        applied_through,
        /// Newest event time in milliseconds.
        clock,
        more_applied,
        more_duplicates,
        more_dead,
        more_late,
        more_blocked,
        more_sourced,
        change_count,
        /// Block of the changes; empty without changes.
        change_block,
        /// Number of dead letters to retain.
        letters_kept,
        /// Note with one byte before it; empty to retain the previous note.
        note,
        /// Number of values of the profiles: a key and a profile each.
        profile_values,
        deletion_count,
        /// Number of values of the tombstones: a pseudonym and a tombstone each.
        tombstone_values,
        expired_count,
        letter_count,
    }
);
