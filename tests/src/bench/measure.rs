//! Processor time of children, medians, and the peak of a child's private memory.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A tick of `/proc/*/stat`, fixed by the kernel's interface.
const TICK_MS: f64 = 10.0;

/// User and system time of every child that ended, in ms. The kernel adds up nanoseconds and only shows 10 ms ticks:
/// exact over many runs, and blind for one.
pub(crate) fn children_cpu_ms() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")
        .context("processor time is read from /proc, as on Linux")?;
    let mut fields = after_name(&stat).skip(13);
    let mut ticks = || -> Option<f64> { fields.next()?.parse().ok() };
    let (user, system) = (ticks(), ticks());
    let (user, system) = user
        .zip(system)
        .context("/proc/self/stat has another form")?;
    Ok((user + system) * TICK_MS)
}

/// Mean processor time of `times` children that `run` starts and waits for, in ms. No other child may end meanwhile.
pub(crate) fn mean_cpu_ms(times: u32, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let before = children_cpu_ms()?;
    for _ in 0..times {
        run()?;
    }
    Ok((children_cpu_ms()? - before) / f64::from(times))
}

/// Processor time so far of a process and of those that it started and that still run, in seconds.
pub(crate) fn family_cpu(process: u32) -> Result<f64> {
    let mut total = process_cpu(&process.to_string())?;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Whoever has ended meanwhile is nobody's child.
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = after_name(&stat).nth(1).and_then(|id| id.parse().ok());
        if parent == Some(process) {
            total += family_cpu(child)?;
        }
    }
    Ok(total)
}

/// Processor time of a process so far, all its threads together, in seconds; its name in `/proc` is its id, or `self`.
pub(crate) fn process_cpu(name: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{name}/stat"))?;
    let mut ticks = after_name(&stat).skip(11);
    let mut next = || ticks.next()?.parse::<f64>().ok();
    let (user, system) = next()
        .zip(next())
        .with_context(|| format!("/proc/{name}/stat has another form"))?;
    Ok((user + system) * TICK_MS / 1e3)
}

/// The fields behind the program's name, which stands in parentheses and may hold anything.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace()
}

/// The middle value; of an even number, the upper one of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A measurement that is repeated.
pub(crate) type Task<'a> = &'a mut dyn FnMut() -> Result<f64>;

/// Runs the tasks in turn, so that a busy moment hits all of them, and yields the median of each.
pub(crate) fn interleaved<const N: usize>(rounds: u32, tasks: [Task<'_>; N]) -> Result<[f64; N]> {
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    let mut tasks = tasks;
    for _ in 0..rounds {
        for (task, values) in tasks.iter_mut().zip(&mut values) {
            values.push(task()?);
        }
    }
    Ok(values.map(median))
}

/// Largest memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Anonymous pages: what no other process and no file shares.
    pub(crate) private: f64,
    /// Everything resident, mapped files included.
    pub(crate) resident: f64,
}

/// Waits for a child and looks at its memory every two milliseconds.
pub(crate) fn watch(command: &mut Command) -> Result<(ExitStatus, Memory)> {
    let mut child = command.spawn().context("cannot start the program")?;
    let mut memory = Memory::default();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, memory));
        }
        look(&child, &mut memory);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn look(child: &Child, memory: &mut Memory) {
    let path = format!("/proc/{}/status", child.id());
    let Ok(status) = std::fs::read_to_string(Path::new(&path)) else {
        return;
    };
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().split(' ').next()?.parse().ok()?;
        Some(kib * 1024.0)
    };
    memory.private = memory.private.max(bytes("RssAnon:").unwrap_or_default());
    memory.resident = memory.resident.max(bytes("VmHWM:").unwrap_or_default());
}
