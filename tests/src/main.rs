//! The binary under test: the command line of `portrait`, built where Cargo tells the tests its path; of the next release if it is
//! told so.

fn main() -> std::process::ExitCode {
    if std::env::var_os(portrait_tests::NEXT_RELEASE).is_some() {
        portrait_profile::testing::become_next_release();
    }
    portrait::cli::main()
}
