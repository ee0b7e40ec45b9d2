//! Holds the architecture: modules in one direction, one owner for each outside crate, and a reason to exist at the
//! top of every file. The two lists here are the architecture; a change of it begins by changing them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules, highest first. Each may name only those below it, and itself.
const ORDER: &[&str] = &[
    "server",
    "session",
    "route",
    "cache",
    "feed",
    "coherence",
    "store",
    "upstream",
    "catalog",
    "sql",
    "wire",
    "telemetry",
    "config",
    "types",
];

/// Outside crates that only these modules may name. Those not listed (tokio, bytes, tracing, …) are for all.
const OWNERS: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["upstream"]),
    ("postgres_protocol", &["wire", "upstream"]),
    ("pgwire", &["wire"]),
    ("rustls", &["wire"]),
    ("rustls_native_certs", &["wire"]),
    ("rustls_pki_types", &["wire"]),
    ("tokio_rustls", &["wire"]),
    ("x509_certificate", &["wire"]),
    ("md5", &["wire"]),
    ("moka", &["store"]),
    ("redis", &["store"]),
    ("sqlparser", &["sql"]),
    ("stacker", &["sql"]),
    ("metrics", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("hyper", &["server"]),
    ("rustix", &["server"]),
    ("hyper_util", &["server"]),
    ("http_body_util", &["server"]),
    ("serde_json", &["server", "catalog"]),
    ("clap", &["config", "main"]),
    ("toml", &["config"]),
    ("url", &["config"]),
    ("serde", &["config"]),
];

/// A source file, and the module of the crate that it belongs to (`main` and `lib` for those two).
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the sources can be read") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first =
                    path.strip_prefix(&root).expect("it lies below").components().next().expect("it has a name");
                let module = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push(Source { text: fs::read_to_string(&path).expect("a source is text"), path, module });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The code without comments and without what stands in quotes, so that prose names nothing.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                chars.by_ref().find(|c| *c == '\n');
                out.push('\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut last = ' ';
                chars.next();
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            '"' if out.ends_with('\'') => out.push(c),
            '"' => {
                let hashes = out.len() - out.trim_end_matches('#').len();
                let raw = out.trim_end_matches('#').ends_with('r');
                out.push('"');
                skip_string(&mut chars, raw.then_some(hashes));
                out.push('"');
            }
            _ => out.push(c),
        }
    }
    out
}

/// Up to the closing quote. `raw`: how many `#` must follow it.
fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, raw: Option<usize>) {
    while let Some(c) = chars.next() {
        match (c, raw) {
            ('\\', None) => drop(chars.next()),
            ('"', None) => return,
            ('"', Some(hashes)) => {
                let mut seen = 0;
                while seen < hashes && chars.next_if_eq(&'#').is_some() {
                    seen += 1;
                }
                if seen == hashes {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// The modules that stand after `crate::`, also in groups: `crate::{a, b::c}`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(heads(group)),
            None => named.extend(word(rest)),
        }
    }
    named
}

/// The first word of each path in a group, which may hold groups.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.extend(word(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Whether a path of the code begins with this crate: `name::` not after another path, or `use name;`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            && (!before.ends_with("::") || absolute(before));
        begins && (after.starts_with("::") || (before.trim_end().ends_with("use") && after.starts_with([';', ' '])))
    })
}

/// `::name`, a path from the list of crates.
fn absolute(before: &str) -> bool {
    before.strip_suffix("::").is_some_and(|head| !head.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>'))
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let place = |module: &str| ORDER.iter().position(|other| *other == module);
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !matches!(s.module.as_str(), "main" | "lib" | "manual")) {
        let Some(own) = place(&source.module) else {
            complaints.push(format!("{}: module `{}` has no place in the order", source.path.display(), source.module));
            continue;
        };
        for named in named_modules(&code(&source.text)) {
            match place(&named) {
                Some(other) if other < own => {
                    complaints.push(format!(
                        "{}: `{}` uses `{named}`, which stands above it",
                        source.path.display(),
                        source.module
                    ));
                }
                Some(_) => {}
                None => {
                    complaints.push(format!("{}: `crate::{named}` is no module of the order", source.path.display()))
                }
            }
        }
    }
    complain(&complaints);
}

#[test]
fn every_module_of_the_order_is_there() {
    let there: BTreeSet<String> = sources().into_iter().map(|source| source.module).collect();
    let absent: Vec<String> =
        ORDER.iter().filter(|m| !there.contains(**m)).map(|m| format!("{m} has no file")).collect();
    complain(&absent);
}

#[test]
fn an_outside_crate_is_named_by_its_owner_alone() {
    let mut complaints = Vec::new();
    for source in sources() {
        let code = code(&source.text);
        for (name, owners) in OWNERS {
            if !owners.contains(&source.module.as_str()) && names_crate(&code, name) {
                complaints.push(format!(
                    "{}: names `{name}`, which only {} may",
                    source.path.display(),
                    owners.join(" and ")
                ));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn every_file_says_why_it_exists() {
    let silent = |source: &Source| !source.text.trim_start_matches('\u{feff}').starts_with("//!");
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|s| silent(s))
        .map(|s| format!("{}: does not begin with //!", s.path.display()))
        .collect();
    complain(&complaints);
}

#[test]
fn the_readers_of_code_see_what_they_should() {
    let code = code(
        "// crate::prose\nlet s = \"crate::text \\\" moka::x\"; let c = '\"'; use crate::{a::{b, c}, d}; r#\"redis::\"# crate::e::f();",
    );
    assert_eq!(named_modules(&code).into_iter().collect::<Vec<_>>(), ["a", "d", "e"]);
    assert!(!names_crate(&code, "moka") && !names_crate(&code, "redis"));
    assert!(
        names_crate("use redis::aio;", "redis")
            && names_crate("fn f(x: ::redis::A)", "redis")
            && names_crate("use redis;", "redis")
    );
    assert!(!names_crate("use crate::metrics::x; my_redis::y; store::redis::z", "metrics"));
    assert!(!names_crate("my_redis::y; store::redis::z; let redis = 1;", "redis"));
    assert!(!names_crate("tokio_rustls::x", "rustls"));
}
