//! The command line as a user meets it: what it prints where, and its exit codes. Needs no server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output};

fn sidecache(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecache"));
    command.env_clear().args(arguments).output().expect("the program was built")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

#[test]
fn a_wrong_setting_exits_with_64_and_names_key_value_and_reason() {
    let primary = "postgres://app:hunter2@127.0.0.1/shop";
    for (arguments, says) in [
        (vec![], "primary is required"),
        (vec!["--bogus"], "--bogus"),
        (vec!["--primary", primary, "--staleness", "1"], "staleness = \"1\" (from --staleness): not a duration"),
        (
            vec!["--primary", primary, "check", "--pool-size", "0"],
            "pool_size = \"0\" (from --pool-size): must be at least 1",
        ),
        (vec!["explain", "SELECT 1", "--primary", "nonsense"], "primary = \"nonsense\""),
        (vec!["--primary", primary, "--log-level", "inof"], "log_level = \"inof\""),
        (vec!["--primary", "postgres://app:hunter2@127.0.0.1/shop?a=b"], "primary = \"postgres://***\""),
        (
            vec!["--primary", primary, "check", "--keepalive", "32768s"],
            "keepalive = \"32768s\" (from --keepalive): must be at most 32767s",
        ),
    ] {
        let output = sidecache(&arguments);
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(says) && !text.contains("hunter2"), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn version_and_help_go_to_the_standard_output() {
    let version = sidecache(&["--version"]);
    assert_eq!(
        (version.status.code(), said(&version.stdout)),
        (Some(0), format!("sidecache {}\n", env!("CARGO_PKG_VERSION")))
    );
    let help = said(&sidecache(&["--help"]).stdout);
    for word in ["serve", "check", "explain", "setup", "--primary", "SIDECACHE_STALENESS", "[default: 1s]"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(!help.contains("redis-secret"), "a secret has no flag");
}

#[test]
fn t1_a_rule_that_does_not_exist_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecache"));
    command.env_clear().env("SIDECACHE_TEST_DISABLE", "snapshot_rule,typo");
    let output = command.args(["--primary", "postgres://app@127.0.0.1/shop"]).output().expect("the program was built");
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("SIDECACHE_TEST_DISABLE") && text.contains("typo"), "{text}");
}

/// Where `--primary` was forgotten, its value is an argument that nobody knows: it holds a password.
#[test]
fn a_url_in_the_wrong_place_is_not_shown() {
    let url = "postgres://app:hunter2@127.0.0.1/shop";
    let joined = format!("--primry={url}");
    for arguments in
        [vec![url], vec!["check", url], vec!["explain", "SELECT 1", url], vec![&joined], vec!["app:hunter2@h"]]
    {
        let output = sidecache(&arguments);
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(!text.contains("hunter2"), "{arguments:?}: {text}");
        assert!(text.contains("--primary"), "{arguments:?}: {text}");
    }
    let mistyped = said(&sidecache(&["chek"]).stderr);
    assert!(mistyped.contains("chek") && mistyped.contains("check"), "{mistyped}");
}

fn with_environment(variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecache"));
    let output = command.env_clear().envs(variables.iter().copied()).args(arguments).output().expect("it was built");
    (output.status.code(), said(&output.stderr))
}

#[test]
fn a_variable_that_no_setting_has_is_refused_and_near_ones_named() {
    let primary = ("SIDECACHE_PRIMARY", "postgres://app:hunter2@127.0.0.1:1/shop");
    for (name, says) in [
        (
            "SIDECACHE_REPLICA",
            "SIDECACHE_REPLICA (from the environment): no such setting (is `SIDECACHE_REPLICAS` meant?)",
        ),
        ("SIDECACHE_BOGUS", "SIDECACHE_BOGUS (from the environment): no such setting"),
    ] {
        let (code, text) = with_environment(&[primary, (name, "postgres://hunter2")], &["check"]);
        assert_eq!(code, Some(64), "{name}: {text}");
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
    // What Kubernetes sets for a service that is called sidecache, what the tests read, and what is empty.
    let others = [
        ("SIDECACHE_SERVICE_HOST", "10.0.0.1"),
        ("SIDECACHE_SERVICE_PORT_POSTGRES", "6432"),
        ("SIDECACHE_PORT", "tcp://10.0.0.1:6432"),
        ("SIDECACHE_PORT_6432_TCP_ADDR", "10.0.0.1"),
        ("SIDECACHE_REDIS_SERVICE_HOST", "10.0.0.2"),
        ("SIDECACHE_BIN", "/somewhere"),
        ("SIDECACHE_BOGUS", ""),
    ];
    let (code, text) = with_environment(&[&[primary][..], &others].concat(), &["check"]);
    assert_eq!(code, Some(1), "it went on to ask the primary, which is not there: {text}");
}

/// `check | head -1`: who reads no further ends nothing, and what was found is still told by the exit code.
#[test]
fn a_reader_that_leaves_does_not_break_a_command() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecache"));
    command.env_clear().args(["check", "--primary", "postgres://app:app@127.0.0.1:1/shop"]).stdout(writer);
    let output = command.output().expect("the program was built");
    assert_eq!((output.status.code(), said(&output.stderr).as_str()), (Some(1), ""));
}

#[test]
fn an_address_that_is_taken_is_named_with_its_setting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = listener.local_addr().expect("bound").to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("none/.s.PGSQL.1").display().to_string();
    let primary = ["--primary", "postgres://app:app@127.0.0.1:1/shop"];
    for (arguments, place, key) in [
        (["--listen", &taken, "--http", "off"], &taken, "listen"),
        (["--listen", "127.0.0.1:0", "--http", &taken], &taken, "http"),
        (["--listen", &socket, "--http", "off"], &socket, "listen"),
    ] {
        let output = sidecache(&[&primary[..], &arguments].concat());
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("cannot listen on {place} ({key}): ")), "{text}");
    }
}

/// The limit of open files is raised as far as it may be; what does not fit even then is said.
#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_open_files_is_raised_and_said_where_it_is_too_low() {
    let program = env!("CARGO_BIN_EXE_sidecache");
    let limited = |arguments: &str| {
        let mut command = Command::new("sh");
        let arguments = format!(
            "ulimit -Sn 100; ulimit -Hn 2000; exec {program} --primary postgres://a:a@127.0.0.1:1/d {arguments}"
        );
        command.env_clear().args(["-c", &arguments]);
        command
    };
    let checked = said(&limited("check").output().expect("sh").stdout);
    assert!(checked.contains("warn  open files: 2000 at most"), "{checked}");
    let checked = said(&limited("check --max-clients 1000").output().expect("sh").stdout);
    assert!(!checked.contains("open files"), "{checked}");
    let mut served =
        limited("--listen 127.0.0.1:0 --http off").stderr(std::process::Stdio::piped()).spawn().expect("sh");
    let mut lines = BufReader::new(served.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    let warning = lines.find(|line| line.contains("open files") || line.contains("listening")).expect("a line");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).expect("it lives");
    served.kill().expect("it lives");
    served.wait().expect("our own child");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("Linux tells it");
    assert_eq!(files.split_whitespace().nth(3), Some("2000"), "{files}");
    assert!(warning.contains("WARN") && warning.contains("limit=2000"), "{warning}");
}
