//! Runs a program to its end and writes down what the kernel says about it: `peak FIGURES SECONDS PROGRAM ARGS…`.
//!
//! The figures are the exit code (-1 after a signal, or when the deadline came first), the peak of its resident memory
//! in KiB, and its processor time in ms: unlike time by the clock, that is the same on a busy machine. A program of its own, because a child begins with the peak of whoever started it, and this one is
//! small; tests are not.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "it is part of a test"
)]

use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let figures = arguments.next().unwrap();
    let seconds = arguments.next().unwrap().into_string().unwrap();
    let deadline = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let mut child = Command::new(arguments.next().unwrap())
        .args(arguments)
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            eprintln!("peak: still running after {seconds} s");
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let code = status.code().unwrap_or(-1);
    let (kib, milliseconds) = usage();
    std::fs::write(figures, format!("{code} {kib} {milliseconds}")).unwrap();
    std::process::exit(code);
}

/// The only child is the largest one.
#[cfg(unix)]
fn usage() -> (i64, i64) {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let milliseconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000 + time.tv_usec() / 1_000);
    (usage.max_rss(), milliseconds.iter().sum())
}

/// Nobody to ask.
#[cfg(not(unix))]
fn usage() -> (i64, i64) {
    (0, 0)
}
