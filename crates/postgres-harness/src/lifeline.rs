//! Owns the one call that the standard library cannot promise to be safe: what a child does between `fork` and `exec`.

#![allow(
    unsafe_code,
    reason = "`pre_exec` may only do what is safe after a fork; what is done is said at the call"
)]

use std::process::Command;

/// Lets the kernel stop the child when the thread that started it ends, however it ends. Elsewhere than on Linux, a
/// server whose owner was killed stays until the next one starts.
#[cfg(target_os = "linux")]
pub(crate) fn tie(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

    let parent: Pid = getpid();
    let hook = move || {
        set_parent_process_death_signal(Some(Signal::INT))?;
        // It may have ended before the line above.
        if getppid() != Some(parent) {
            return Err(std::io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ));
        }
        Ok(())
    };
    // SAFETY: two system calls, neither of which allocates, locks or touches memory of the parent.
    unsafe {
        command.pre_exec(hook);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tie(_command: &mut Command) {}
