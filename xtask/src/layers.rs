//! Owns the layer table: which member may depend on which, and how. docs/architecture.md draws the same arrows.
//!
//! `cli` and `integration-tests` see everything, `xtask` nothing but the servers that tests need. A member that is not in the table is a fault, so a
//! new crate has to say where it stands.

use crate::metadata::{Edge, EdgeKind, Member};
use crate::tidy::Finding;

/// What a member may depend on.
enum May {
    Everything,
    These(&'static [&'static str]),
}

/// From the bottom up.
const LAYERS: &[(&str, May)] = &[
    ("storage-core", May::These(&[])),
    ("faq-source", May::These(&["storage-core"])),
    ("embedder-client", May::These(&["storage-core"])),
    (
        "document-source",
        May::These(&["storage-core", "faq-source"]),
    ),
    (
        "catalog-source",
        May::These(&["storage-core", "faq-source"]),
    ),
    (
        "importers",
        May::These(&["storage-core", "document-source"]),
    ),
    ("storage-sqlite", May::These(&["storage-core"])),
    ("storage-postgres", May::These(&["storage-core"])),
    (
        "local-model",
        May::These(&["embedder-client", "storage-core"]),
    ),
    (
        "sync-engine",
        May::These(&["storage-core", "faq-source", "embedder-client"]),
    ),
    (
        "retriever",
        May::These(&["storage-core", "embedder-client"]),
    ),
    (
        "fuzz",
        May::These(&[
            "storage-core",
            "faq-source",
            "document-source",
            "importers",
            "storage-sqlite",
        ]),
    ),
    ("wire", May::These(&["storage-core"])),
    (
        "server",
        May::These(&[
            "storage-core",
            "faq-source",
            "document-source",
            "embedder-client",
            "sync-engine",
            "retriever",
            "wire",
        ]),
    ),
    ("cli", May::Everything),
    ("integration-tests", May::Everything),
    ("postgres-harness", May::These(&[])),
    ("xtask", May::These(&["postgres-harness"])),
];

/// These take those for their traits only: default features off, none of them asked for by name.
const TRAITS_ONLY: (&[&str], &[&str]) = (
    &["sync-engine", "retriever"],
    &["faq-source", "embedder-client"],
);

/// Tests of any layer may use the vocabulary's conformance suite, the harness of servers, and the search that every
/// backend's answers are scored by.
const FOR_TESTS: [&str; 3] = ["storage-core", "postgres-harness", "retriever"];

/// Compares the members with the table.
pub(crate) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let mut report =
            |message: String| findings.push(Finding::new(&member.manifest, 1, message));
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == member.name) else {
            report(format!(
                "{} is not in the layer table of xtask/src/layers.rs",
                member.name
            ));
            continue;
        };
        for edge in &member.edges {
            if !allows(may, member, edge) {
                let how = if edge.kind == EdgeKind::Dev {
                    "dev-depend"
                } else {
                    "depend"
                };
                report(format!(
                    "{} may not {how} on {} (xtask/src/layers.rs)",
                    member.name, edge.to
                ));
            }
            if let Some(fault) = more_than_traits(members, member, edge) {
                report(fault);
            }
        }
    }
    findings
}

fn allows(may: &May, member: &Member, edge: &Edge) -> bool {
    let in_table = match may {
        May::Everything => {
            edge.to != "xtask"
                && edge.to != "integration-tests"
                && (edge.to != "cli" || member.name != "cli")
                && (edge.to != "postgres-harness" || member.name != "cli")
        }
        May::These(allowed) => allowed.contains(&edge.to.as_str()),
    };
    in_table
        || (edge.kind == EdgeKind::Dev
            && FOR_TESTS.contains(&edge.to.as_str())
            && member.name != "xtask")
}

fn more_than_traits(members: &[Member], member: &Member, edge: &Edge) -> Option<String> {
    let (takers, taken) = TRAITS_ONLY;
    if edge.kind == EdgeKind::Dev
        || !takers.contains(&member.name.as_str())
        || !taken.contains(&edge.to.as_str())
    {
        return None;
    }
    if edge.default_features {
        return Some(format!(
            "{} must take {} with default-features = false",
            member.name, edge.to
        ));
    }
    let target = members.iter().find(|target| target.name == edge.to)?;
    let defaults = target.features.get("default")?;
    let feature = edge
        .features
        .iter()
        .find(|feature| *feature == "default" || defaults.contains(feature))?;
    Some(format!(
        "{} must take {} for its traits only, without feature {feature}",
        member.name, edge.to
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn member(name: &str, edges: Vec<Edge>) -> Member {
        let defaults = ("default".to_owned(), vec!["http".to_owned()]);
        Member {
            name: name.into(),
            manifest: format!("crates/{name}/Cargo.toml"),
            features: [defaults].into(),
            edges,
        }
    }

    fn edge(to: &str, kind: EdgeKind) -> Edge {
        Edge {
            to: to.into(),
            kind,
            default_features: false,
            features: Vec::new(),
        }
    }

    fn messages(from: Member) -> String {
        let members = [from, member("embedder-client", Vec::new())];
        check(&members)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn arrows_point_down_only() {
        use EdgeKind::{Build, Dev, Normal};
        let cases = [
            ("faq-source", "storage-core", Normal, true),
            ("storage-core", "faq-source", Normal, false),
            ("storage-core", "storage-core", Dev, true),
            ("storage-core", "storage-core", Normal, false),
            ("storage-core", "storage-sqlite", Dev, false),
            ("sync-engine", "retriever", Normal, false),
            ("sync-engine", "storage-sqlite", Dev, false),
            ("sync-engine", "embedder-client", Dev, true),
            ("local-model", "embedder-client", Normal, true),
            ("retriever", "faq-source", Build, false),
            ("cli", "storage-sqlite", Normal, true),
            ("cli", "xtask", Normal, false),
            ("integration-tests", "cli", Normal, true),
            ("xtask", "storage-core", Normal, false),
            ("xtask", "storage-core", Dev, false),
            ("xtask", "postgres-harness", Normal, true),
            ("integration-tests", "postgres-harness", Normal, true),
            ("cli", "postgres-harness", Normal, false),
            ("storage-postgres", "postgres-harness", Dev, true),
            ("storage-postgres", "postgres-harness", Normal, false),
            ("postgres-harness", "storage-core", Normal, false),
        ];
        for (from, to, kind, expected) in cases {
            let found = messages(member(from, vec![edge(to, kind)]));
            assert_eq!(
                found.is_empty(),
                expected,
                "{from} -> {to} {kind:?}: {found}"
            );
        }
    }

    #[test]
    fn a_new_member_must_say_where_it_stands() {
        assert!(
            messages(member("storage-clay", Vec::new()))
                .contains("storage-clay is not in the layer table")
        );
    }

    #[test]
    fn traits_come_without_their_drivers() {
        let mut taken = edge("embedder-client", EdgeKind::Normal);
        taken.features = vec!["testing".into()];
        assert_eq!(messages(member("retriever", vec![taken.clone()])), "");
        taken.features = vec!["http".into()];
        assert!(
            messages(member("retriever", vec![taken.clone()])).contains("without feature http")
        );
        assert_eq!(messages(member("cli", vec![taken.clone()])), "");
        taken.features.clear();
        taken.default_features = true;
        assert!(
            messages(member("retriever", vec![taken.clone()])).contains("default-features = false")
        );
        taken.kind = EdgeKind::Dev;
        assert_eq!(messages(member("retriever", vec![taken])), "");
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        let members = Workspace::locate().unwrap().metadata().unwrap().members;
        let found: Vec<String> = check(&members).iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
