//! Owns how other programs are run: what is shown, which failures count, and passing an exit code through.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

/// Writes a command as one would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    let words = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with this process's own streams; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", describe(command));
    }
    Ok(())
}

/// Runs to the end and returns what was written to stdout; stderr stays visible.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", describe(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote something other than UTF-8", describe(command)))
}

/// Runs to the end, passing each line of stdout on and also to `line`. Returns whether it succeeded.
pub(crate) fn tee(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    let stdout = child.stdout.take().context("the child has no stdout")?;
    for bytes in BufReader::new(stdout).split(b'\n') {
        let bytes =
            bytes.with_context(|| format!("cannot read what `{}` writes", describe(command)))?;
        let text = String::from_utf8_lossy(&bytes);
        line(&text);
        writeln!(std::io::stdout(), "{text}").context("cannot write to stdout")?;
    }
    Ok(child
        .wait()
        .with_context(|| format!("cannot wait for `{}`", describe(command)))?
        .success())
}

/// Becomes the program: its signals and its exit code, whatever they are, reach the caller of xtask unchanged.
#[cfg(unix)]
pub(crate) fn become_program(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", describe(&command)))
}

/// Runs the program and passes its exit code through.
#[cfg(not(unix))]
pub(crate) fn become_program(mut command: Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", describe(&command)))?;
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_described_without_its_folder() {
        let mut command = Command::new("/some/where/cargo");
        command.args(["build", "--release"]);
        assert_eq!(describe(&command), "cargo build --release");
    }
}
