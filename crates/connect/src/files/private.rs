//! Files that only their owner can read: reports and rows have ids of users.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates a file, or empties it, that only its owner can read, whatever its mode was before.
///
/// # Errors
/// If the file cannot be written, or belongs to another user.
pub fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above is that of a new file only; a device such as /dev/stdout keeps its own.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_report_is_private_also_if_the_file_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        std::fs::write(&old, "a longer content").expect("written");
        std::fs::set_permissions(&old, Permissions::from_mode(0o644)).expect("ours");
        for path in [&new, &old] {
            private_file(path).and_then(|mut file| file.write_all(b"ids")).expect("written");
            assert_eq!(std::fs::read(path).expect("ours"), b"ids");
            let mode = std::fs::metadata(path).expect("ours").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
        private_file(Path::new("/dev/null")).expect("a device is no file of ours");
    }
}
