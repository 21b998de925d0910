//! Keeps the process's memory to itself: the key is in it.

/// Asks the system to write no core file of this process and to show its memory to no other user's process. Where that
/// is not to be had, the system's own rules hold.
pub(crate) fn keep_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::debug!(%error, "a core file of this process would hold its key");
        }
    }
}
