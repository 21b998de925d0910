//! The password file of libpq: `host:port:database:user:password`, one a line.

use std::fmt;

use secrecy::SecretString;

/// The lines of a password file. Who reads the file also checks that nobody else can.
#[derive(Clone, Default)]
pub struct PasswordFile {
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    /// Host, port, database, user; `None` is `*`.
    fields: [Option<String>; 4],
    password: SecretString,
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordFile({} lines)", self.lines.len())
    }
}

impl PasswordFile {
    /// Reads the lines that are such lines; comments and others are passed over, as libpq does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(read_line)
            .collect();
        Self { lines }
    }

    /// The password of the first line that fits. A socket is looked for as `localhost`, and by its directory.
    pub(crate) fn find(
        &self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<SecretString> {
        let port = port.to_string();
        let wanted = [host, &port, database, user];
        let fits =
            |line: &&Line| {
                line.fields.iter().zip(wanted).enumerate().all(
                    |(at, (field, wanted))| match field {
                        None => true,
                        Some(field) => {
                            field == wanted
                                || (at == 0 && wanted.starts_with('/') && field == "localhost")
                        }
                    },
                )
            };
        self.lines
            .iter()
            .find(fits)
            .map(|line| line.password.clone())
    }
}

/// Four fields and the rest, where a backslash takes the next character as it is.
fn read_line(line: &str) -> Option<Line> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut plain = true;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                field.push(chars.next()?);
                plain = false;
            }
            // Colons after the fourth belong to the password.
            ':' if fields.len() < 4 => {
                let any = plain && field == "*";
                let read = std::mem::take(&mut field);
                fields.push((!any).then_some(read));
                plain = true;
            }
            char => field.push(char),
        }
    }
    Some(Line {
        fields: fields.try_into().ok()?,
        password: SecretString::from(field),
    })
}
