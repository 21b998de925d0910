//! Whom the server runs as: a server refuses to run as root, so root hands it to another account.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Accounts that root hands a server to, the first that exists. The server looks its own name up, so a number will
/// not do.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Whether this process is root's: servers then run as another account, which must be able to read their programs.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An account that is not this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// None where servers can run as whoever runs this process.
    pub(crate) fn for_servers() -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let accounts =
            std::fs::read_to_string("/etc/passwd").context("cannot read the list of accounts")?;
        let account = find(&accounts).with_context(|| {
            format!(
                "a server does not run as root, and there is no account {} to hand it to; add one, or run as another user",
                ACCOUNTS.join(" or ")
            )
        })?;
        Ok(Some(account))
    }

    /// Runs the command as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives a file to this account.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
            .with_context(|| format!("cannot give {} to the server's account", path.display()))
    }
}

fn find(accounts: &str) -> Option<Account> {
    ACCOUNTS.iter().find_map(|wanted| {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            (name == *wanted).then_some(Account { user, group })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_account_comes_first() {
        let cases = [
            ("root:x:0:0::/:/bin/sh", None),
            (
                "nobody:x:65534:65533::/:/bin/false\npostgres:x:101:104::/:/bin/sh",
                Some((101, 104)),
            ),
            (
                "broken\nnobody:x:65534:65533::/:/bin/false",
                Some((65534, 65533)),
            ),
            ("nobody2:x:1:1::/:/bin/false", None),
        ];
        for (accounts, expected) in cases {
            let found = find(accounts).map(|account| (account.user, account.group));
            assert_eq!(found, expected, "{accounts}");
        }
    }
}
