//! Settings of a session, without a connection.

use super::*;

fn settings(start: &[(&str, &str)]) -> Settings {
    let start: Vec<_> = start.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let baseline = Baseline {
        search_path: vec!["$user".into(), "public".into()],
        read_committed: true,
        standard_strings: true,
        read_write: true,
        encoding: Encoding::Utf8,
        role: None,
    };
    Settings::new("app", &start, Arc::new(baseline))
}

fn set(name: &str, value: &str, local: bool) -> SettingChange {
    let text = format!("SET {name} TO '{value}'");
    SettingChange::Set { name: name.into(), values: vec![value.into()], local, text }
}

fn key(settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    settings.key("shop", &mut out);
    out
}

#[test]
fn c16_set_local_and_rollback_restore_settings() {
    let mut s = settings(&[]);
    let clean = key(&s);
    s.apply(&set("search_path", "evil", true), true);
    assert_eq!(s.search_path().0, ["evil"]);
    s.ended(true);
    assert_eq!(key(&s), clean);
    s.apply(&set("search_path", "evil", false), true);
    s.ended(false);
    assert_eq!(key(&s), clean);
    s.apply(&set("search_path", "kept", false), true);
    s.ended(true);
    assert_eq!(s.search_path().0, ["kept"]);
}

#[test]
fn c17_settings_that_change_bytes_change_the_key() {
    let clean = key(&settings(&[]));
    for name in ["timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "app.tenant"] {
        let mut s = settings(&[]);
        s.apply(&set(name, "x", false), false);
        assert_ne!(key(&s), clean, "{name}");
        s.apply(&SettingChange::Reset { name: name.into(), local: false }, false);
        assert_eq!(key(&s), clean, "{name}");
    }
    let mut s = settings(&[]);
    s.apply(&set("application_name", "x", false), false);
    assert_eq!(key(&s), clean);
}

#[test]
fn g1_the_role_is_in_the_key_and_in_the_path() {
    let mut s = settings(&[]);
    let clean = key(&s);
    s.apply(&set("role", "bob", false), false);
    assert_ne!(key(&s), clean);
    assert_eq!(s.search_path().0, ["bob", "public"]);
    s.apply(&SettingChange::ResetAll, false);
    assert_eq!(s.role(), "bob", "RESET ALL keeps the role");
    s.apply(&set("role", "none", false), false);
    assert_eq!(s.role(), "app");
    s.rest_on(Arc::new(Baseline { role: Some("alice".into()), ..(*s.baseline).clone() }));
    assert_eq!(s.role(), "app", "the user's own");
    s.apply(&SettingChange::Reset { name: "role".into(), local: false }, false);
    assert_eq!(s.role(), "alice");
}

#[test]
fn reset_returns_to_the_startup_message() {
    let mut s = settings(&[("search_path", "a, \"B c\"")]);
    assert_eq!(s.search_path().0, ["a", "B c"]);
    s.apply(&set("search_path", "x", false), false);
    s.apply(&SettingChange::Reset { name: "search_path".into(), local: false }, false);
    assert_eq!(s.search_path().0, ["a", "B c"]);
    assert!(s.current()["search_path"].replay.contains(r#"E'a, "B c"'"#));
}

#[test]
fn c17_set_local_to_default_hides_what_the_session_set() {
    let mut s = settings(&[]);
    let clean = key(&s);
    s.apply(&set("timezone", "Asia/Tokyo", false), false);
    let tokyo = key(&s);
    s.apply(&SettingChange::Reset { name: "timezone".into(), local: true }, true);
    assert_eq!(key(&s), clean);
    s.ended(true);
    assert_eq!(key(&s), tokyo);
}

#[test]
fn c15_a_setting_that_was_taken_back_is_not_as_if_never_set() {
    let mut s = settings(&[("App.start", "s")]);
    assert_eq!((s.own("app.start"), s.own("app.tenant")), (OwnSetting::Set("s"), OwnSetting::Unset));
    s.apply(&set("app.tenant", "a", false), false);
    assert_eq!(s.own("app.tenant"), OwnSetting::Set("a"));
    s.apply(&SettingChange::Reset { name: "app.tenant".into(), local: false }, false);
    assert_eq!(s.own("app.tenant"), OwnSetting::Uncertain);
    s.apply(&set("app.local", "b", true), true);
    assert_eq!(s.own("app.local"), OwnSetting::Set("b"));
    s.ended(true);
    assert_eq!(s.own("app.local"), OwnSetting::Uncertain);
    for n in 0..MOST_OWN {
        s.apply(&set(&format!("app.n{n}"), "c", false), false);
    }
    assert_eq!(s.own("app.other"), OwnSetting::Uncertain, "more than are remembered");
}

#[test]
fn c15_after_a_trigger_only_what_is_set_anew_is_certain() {
    let mut s = settings(&[]);
    s.apply(&set("app.a", "1", false), false);
    s.doubt_own();
    assert_eq!((s.own("app.a"), s.own("app.b")), (OwnSetting::Uncertain, OwnSetting::Uncertain));
    s.apply(&set("app.a", "2", true), true);
    assert_eq!(s.own("app.a"), OwnSetting::Set("2"));
    s.ended(true);
    assert_eq!(s.own("app.a"), OwnSetting::Uncertain, "what is beneath the local value");
    s.apply(&set("app.a", "3", false), true);
    s.ended(false);
    assert_eq!(s.own("app.a"), OwnSetting::Uncertain, "rolled back");
    s.apply(&set("app.a", "4", false), false);
    s.ended(true);
    assert_eq!(s.own("app.a"), OwnSetting::Set("4"));
}

#[test]
fn c21_only_read_committed_is_plain() {
    let mut s = settings(&[]);
    assert!(s.is_plain());
    s.apply(&set("default_transaction_isolation", "repeatable read", false), false);
    assert!(!s.is_plain());
    let mut s = settings(&[]);
    s.apply(&set("transaction_isolation", "serializable", true), true);
    assert!(!s.is_plain());
    s.ended(true);
    assert!(s.is_plain());
}
