//! Arguments of the commit script that come first. One list of names makes both the struct that Rust fills and the locals that
//! the script reads, so that no position is counted by hand on either side.

use bytes::Bytes;

macro_rules! arguments {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: Bytes,)*
        }

        impl $name {
            /// Names in the order of the values; locals of the script.
            pub(super) const NAMES: &[&str] = &[$(stringify!($field)),*];

            /// Values in the order of the names.
            pub(super) fn into_values(self) -> [Bytes; Self::NAMES.len()] {
                [$(self.$field),*]
            }
        }
    };
}

arguments!(
    /// First arguments of a commit. Those that are counts say how many values of a kind follow, in the order of the counts:
    /// profiles, deletions, tombstones, expired tombstones, dead letters.
    CommitArguments {
        /// Nonce of a generation that may begin now.
        fresh_nonce,
        /// Channel that is notified.
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
        change_count,
        /// Block of the changes; empty if there is none.
        change_block,
        /// Dead letters that the partition keeps.
        letters_kept,
        /// Note after one sign; empty if the one before stays.
        note,
        /// Values of the profiles: a key and a profile each.
        profile_values,
        deletion_count,
        /// Values of the tombstones: a pseudonym and a tombstone each.
        tombstone_values,
        expired_count,
        letter_count,
    }
);
