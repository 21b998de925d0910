//! Tortures the product: `cargo xtask torture [--rounds N] [--only PART]... [--seed N] [--json]`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, whose output is its purpose"
)]

#[path = "../torture/mod.rs"]
mod torture;

fn main() -> std::process::ExitCode {
    torture::main()
}
