//! Who writes, as a session's name: the server keeps 63 bytes of it, and every role may read them.
//!
//! `pid 7 on host since 2026-01-02T03:04:05Z (program command)` becomes `program command 7@host 20260102T030405Z`, with
//! as much of the host as there is room for, and back.

/// What the server keeps of a session's name.
const ROOM: usize = 63;

/// Marks a host that was cut.
const CUT: &str = "..";

/// The name of a writer's session. Words of another form are cut where the server would cut them.
pub(crate) fn session_name(words: &str) -> String {
    match parts(words) {
        Some([pid, host, since, command]) => {
            let since: String = since.chars().filter(|c| !matches!(c, '-' | ':')).collect();
            let rest = command.len() + pid.len() + since.len() + " @ ".len();
            let host = if rest + host.len() <= ROOM {
                host.to_owned()
            } else {
                let room = ROOM.saturating_sub(rest + CUT.len());
                format!("{}{CUT}", &host[..host.floor_char_boundary(room)])
            };
            cut(&format!("{command} {pid}@{host} {since}"))
        }
        None => cut(words),
    }
}

/// The words again; a name of another form is left as it is.
pub(crate) fn words(session_name: &str) -> String {
    let read = || {
        let (rest, since) = session_name.rsplit_once(' ')?;
        let (command, writer) = rest.rsplit_once(' ')?;
        let (pid, host) = writer.split_once('@')?;
        let moment = since.as_bytes();
        let form = b"00000000T000000Z";
        let is_moment = moment.len() == form.len()
            && moment.iter().zip(form).all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                _ => found == form,
            });
        (is_moment && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then(|| {
            let at = |from, to| since.get(from..to).unwrap_or_default();
            format!(
                "pid {pid} on {host} since {}-{}-{}T{}:{}:{}Z ({command})",
                at(0, 4),
                at(4, 6),
                at(6, 8),
                at(9, 11),
                at(11, 13),
                at(13, 15)
            )
        })
    };
    read().unwrap_or_else(|| session_name.to_owned())
}

fn parts(words: &str) -> Option<[&str; 4]> {
    let (pid, rest) = words.strip_prefix("pid ")?.split_once(" on ")?;
    let (host, rest) = rest.split_once(" since ")?;
    let (since, command) = rest.split_once(" (")?;
    Some([pid, host, since, command.strip_suffix(')')?])
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(ROOM)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writers_words_survive_the_servers_limit() {
        let short = "pid 29561 on vm since 2026-11-21T15:50:07Z (smart-support model build)";
        let name = session_name(short);
        assert_eq!(name, "smart-support model build 29561@vm 20261121T155007Z");
        assert_eq!(words(&name), short);
        let long = "pid 4194304 on faq-sync-28719360-xk2vd since 2026-11-21T15:50:07Z (smart-support model rollback)";
        let name = session_name(long);
        assert_eq!(name.len(), ROOM);
        assert_eq!(
            words(&name),
            "pid 4194304 on faq-syn.. since 2026-11-21T15:50:07Z (smart-support model rollback)"
        );
    }

    #[test]
    fn other_names_are_left_as_they_are() {
        for name in [
            "psql",
            "",
            "pg_dump 7@h",
            "a 7@h 2026",
            "x @h 20260102T030405Z",
        ] {
            assert_eq!(words(name), name);
            assert_eq!(session_name(name), name);
        }
        assert_eq!(session_name(&"я".repeat(40)), "я".repeat(31));
    }
}
