//! The binary under test: the command line of `portrait`, built where Cargo tells the tests its path.

fn main() -> std::process::ExitCode {
    portrait::cli::main()
}
