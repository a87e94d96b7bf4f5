//! Versions of a profile, one per commit.

use serde::{Deserialize, Serialize};

/// Number of commits that changed a profile; increases by one with each and never restarts.
///
/// ```
/// use portrait_profile::{Profile, ProfileVersion, UserId};
///
/// let mut profile = Profile::new(UserId::parse("lena")?);
/// assert_eq!(profile.version().get(), 0, "before the first commit");
/// profile.advance_version();
/// assert_eq!(profile.version(), ProfileVersion::default().next());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProfileVersion(u64);

impl ProfileVersion {
    /// Returns the number; 0 is before the first commit.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the version of the next commit.
    pub const fn next(self) -> Self {
        // 2^64 commits of one profile are out of reach.
        Self(self.0 + 1)
    }
}
