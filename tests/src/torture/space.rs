//! No room: a full disk, and a limit on the size of files.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::Torture;
use super::process;
use super::report::Tally;
use super::round::{Round, stopped_in_order, tells_cause};

/// Bytes of a small disk: the store, its log, and room to choose from.
const DISK: u64 = 24 << 20;

/// A disk of its own, mounted where a store lies.
struct Disk {
    mounted: PathBuf,
    filler: PathBuf,
    _image: TempDir,
}

impl Disk {
    fn mount(kind: &str, at: &Path) -> Result<Self> {
        let image = tempfile::tempdir()?;
        std::fs::create_dir_all(at)?;
        let mut command = Command::new("mount");
        if kind == "tmpfs" {
            command
                .args(["-t", "tmpfs", "-o"])
                .arg(format!("size={DISK}"));
            command.arg("tmpfs");
        } else {
            let path = image.path().join("disk");
            File::create(&path)?.set_len(DISK)?;
            quietly(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&path))?;
            command.args(["-o", "loop"]).arg(path);
        }
        quietly(command.arg(at))?;
        Ok(Self {
            mounted: at.to_owned(),
            filler: at.join("filler"),
            _image: image,
        })
    }

    /// Leaves so many bytes free.
    fn fill(&self, free: u64) -> Result<()> {
        let room = rustix::fs::statvfs(&self.mounted)?;
        let mut left = (room.f_bavail * room.f_frsize).saturating_sub(free);
        let mut file = File::create(&self.filler)?;
        let block = vec![7u8; 64 << 10];
        while left > 0 {
            let bytes = left.min(block.len() as u64);
            file.write_all(&block[..usize::try_from(bytes)?])?;
            left -= bytes;
        }
        Ok(file.sync_all()?)
    }

    fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(&self.filler)?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if std::fs::exists(self.mounted.join("embeddings.db")).unwrap_or(false) {
            // Whoever looks into a failure finds the files beside the place where they were.
            let mut kept = self.mounted.clone().into_os_string();
            kept.push("-kept");
            let _ = quietly(Command::new("cp").arg("-r").arg(&self.mounted).arg(kept));
        }
        // Lazily: a child that was killed may still hold a file.
        let _ = quietly(Command::new("umount").arg("-l").arg(&self.mounted));
    }
}

fn quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command
        .status()
        .with_context(|| format!("{name} is not installed"))?;
    if !status.success() {
        bail!("{name} is not permitted, or failed");
    }
    Ok(())
}

/// The run on a disk with so much room that it ends sooner or later, and what comes when there is room again.
pub(crate) fn full(torture: &Torture) -> Result<Vec<Tally>> {
    let mut tallies = Vec::new();
    for kind in ["tmpfs", "ext4"] {
        let tried = tempfile::tempdir()?;
        if let Err(error) = Disk::mount(kind, &tried.path().join("disk")) {
            tallies.push(Tally::skipped("disk-full", format!("{kind}: {error:#}")));
            continue;
        }
        let sizes = torture.rounds(8);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let tally = torture.run("disk-full", sizes, |provider, _| {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // From nothing to more than enough, by the same factor.
            #[allow(clippy::cast_precision_loss, reason = "a few sizes")]
            let share = number as f64 / sizes as f64;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a size between two small ones"
            )]
            let free = (4096.0 * 4096f64.powf(share)) as u64;
            let mut round = Round::new(&torture.scenario, provider)?;
            let data = round.place.path("data");
            std::fs::remove_dir_all(&data)?;
            let disk = Disk::mount(kind, &data)?;
            torture.scenario.fill(&data)?;
            disk.fill(free)?;
            let what = || format!("{kind} with {free} bytes free");
            let ended = process::run(torture.scenario.command(&round.place), round.deadline())
                .with_context(what)?;
            let struck = ended.code != Some(0);
            if struck {
                stopped_in_order(&ended, &round.place).with_context(what)?;
                ensure!(
                    ended.stderr.contains("disk is full"),
                    "{}: it does not name the cause: {ended}",
                    what()
                );
            }
            // Readers are served from a full disk too.
            let left = round.look_after(&ended).with_context(what)?;
            disk.make_room()?;
            let survived = round.finish(struck, left).with_context(what);
            drop(disk);
            survived
        });
        tallies.push(tally.with_fault(format!("{kind}, 4 kB to 6 MB free")));
    }
    Ok(tallies)
}

/// The run under a limit on the size of files, where nothing may be mounted, too. Every other one ignores the signal
/// that would end it, and meets an error instead.
pub(crate) fn limit(torture: &Torture) -> Result<Vec<Tally>> {
    let tally = torture.run("file-limit", torture.rounds(8), |provider, dice| {
        let mut round = Round::new(&torture.scenario, provider)?;
        let size = std::fs::metadata(round.place.store())?.len();
        let blocks = size * (10 + dice.next() % 150) / 100 / 512;
        let plain = torture.scenario.command(&round.place);
        let ignores = dice.number.is_multiple_of(2);
        let trap = if ignores { "trap '' XFSZ; " } else { "" };
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{trap}ulimit -f {blocks}; exec \"$0\" \"$@\""))
            .arg(plain.get_program())
            .args(plain.get_args());
        round.place.prepare(&mut command);
        let ended = process::run(command, round.deadline())?;
        let struck = ended.code != Some(0);
        ensure!(
            matches!(ended.code, None | Some(0 | 1)),
            "it ends with {ended}"
        );
        if ignores && struck {
            stopped_in_order(&ended, &round.place)
                .and_then(|()| tells_cause(&ended, true))
                .with_context(|| format!("{blocks} blocks"))?;
        }
        let left = round
            .look_after(&ended)
            .with_context(|| format!("{blocks} blocks"))?;
        round.finish(struck, left)
    });
    Ok(vec![
        tally.with_fault("ulimit -f, a tenth to 1.6 of the store"),
    ])
}
