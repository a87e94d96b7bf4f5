//! Binary under test: the command line of `portrait`, built as part of this package so that Cargo builds it with the tests. The
//! variable [`portrait_tests::NEXT_RELEASE`] makes it behave as the next release.

fn main() -> std::process::ExitCode {
    if std::env::var_os(portrait_tests::NEXT_RELEASE).is_some() {
        portrait_profile::testing::become_next_release();
    }
    portrait::cli::main()
}
