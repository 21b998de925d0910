//! Runs the release binary and measures it: `cargo xtask bench [NAME]... [--json FILE] [--data DIR]...`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, whose output is its purpose"
)]

#[path = "../bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main()
}
