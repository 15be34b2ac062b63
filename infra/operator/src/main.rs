//! `connector`, the operator's command line. All of it is in the library, `operator`.

fn main() -> std::process::ExitCode {
    operator::main()
}
