//! The command line as a user meets it: what it prints where, and its exit codes. Needs no server.

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
        (vec!["--primary", primary, "check", "--keepalive", "32768s"], "keepalive = \"32768s\" (from --keepalive): must be at most 32767s"),
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
