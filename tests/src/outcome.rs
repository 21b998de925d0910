//! What a run of the product came to.

use std::process::Output;

use serde_json::Value;

use crate::MARK;

/// Exit code and output of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run, for messages.
    pub command: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Outcome {
    /// What a run came to. Fails when it printed a secret: the whole suite runs with marked ones.
    #[track_caller]
    #[must_use]
    pub fn new(command: impl Into<String>, output: Output) -> Self {
        let outcome = Self {
            command: command.into(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for (name, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
            assert!(
                !text.to_lowercase().contains(&MARK.to_lowercase()),
                "a secret is in {name} of {}:\n{text}",
                outcome.command
            );
        }
        outcome
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code of {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    /// Checks that the run did what it should: exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(0)
    }

    /// Checks that stderr holds each of these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "{} does not say {text:?}\n--- stderr\n{}",
                self.command,
                self.stderr
            );
        }
        self
    }

    /// Checks that stdout holds each of these texts.
    #[track_caller]
    pub fn prints(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "{} does not print {text:?}\n--- stdout\n{}",
                self.command,
                self.stdout
            );
        }
        self
    }

    /// Checks that nothing was printed as a result.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert_eq!(self.stdout, "", "stdout of {}", self.command);
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "stdout of {} is not one JSON document: {error}\n--- stdout\n{}\n--- stderr\n{}",
                self.command, self.stdout, self.stderr
            )
        })
    }

    /// The line of stderr that begins with `error: `.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> &str {
        let line = self.stderr.lines().find(|line| line.starts_with("error: "));
        line.unwrap_or_else(|| panic!("{} reports no error:\n{}", self.command, self.stderr))
    }
}
