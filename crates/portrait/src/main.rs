//! Entry point of the binary. All code is in the library, so that tests can run the same command line.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    portrait::cli::main()
}
