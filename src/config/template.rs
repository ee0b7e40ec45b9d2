//! The text of `config.toml`, made from the settings, so that the file cannot say anything else than the code does.

use super::settings::{Change, Count, Fallback, Form, SETTINGS, Setting};

const HEAD: &str = "\
# Sidecache's settings. Each can also be given in the environment or as a flag; a flag is stronger than the
# environment, the environment than this file, this file than the default. What is not commented out below is the
# default. Durations are written 250ms, 1s, 5m, 1h; sizes 64KiB, 256MiB, 1GiB.
#
#     sidecache --config config.toml
";

const TAIL: &str = "
# Where no stream of changes can be had (wal_level below logical, no privilege), nothing is cached, except what such
# rules allow: answers that read only tables named here are served for at most the shortest of their times, late as they
# may be. Writes that pass through this instance drop them all. While there is a stream the rules count for nothing.
# [[ttl]]
# table = \"public.exchange_rates\"
# ttl = \"30s\"

# Where reads go and whether they are cached, for statements that meet all conditions of a rule: role (the user who logged
# in), database, table (schema.table, behind views too), fingerprint (as SHOW ROUTES on the console tells it). The first rule that
# matches counts. A rule chooses among what is allowed: what is not proven to read goes to the primary whatever it says.
# destination: primary, replica (waits up to staleness for one that may answer, then the primary) or any; cache: on or off.
#[[route]]
#role = \"reports\"
#table = \"public.events\"
#destination = \"replica\"
#cache = \"off\"
";

/// The whole file.
pub fn config_toml() -> String {
    let mut text = HEAD.to_owned();
    for setting in SETTINGS {
        let line = match setting.fallback {
            Fallback::Value(value) => format!("{} = {}", setting.key, literal(setting, value)),
            Fallback::Required(example) | Fallback::Absent(example) => {
                format!("# {} = {}", setting.key, literal(setting, example))
            }
        };
        let flag = if setting.flag.is_empty() { String::new() } else { format!("--{}, ", setting.flag) };
        let need = match setting.fallback {
            Fallback::Required(_) => "; required",
            Fallback::Absent(_) => "; not set by default",
            Fallback::Value(_) => "",
        };
        let when = match setting.change {
            Change::Restart => "; read at the start only",
            Change::Reload => "",
        };
        let note = format!("{} ({flag}{}{need}{when})", setting.doc, setting.environment());
        text.push_str(&format!("\n{}{line}\n", comment(&note)));
    }
    text + TAIL
}

fn literal(setting: &Setting, value: &str) -> String {
    let single = match setting.form {
        Form::Text => format!("\"{value}\""),
        Form::Number | Form::Boolean => value.to_owned(),
    };
    match setting.count {
        Count::One => single,
        Count::Many => format!("[{single}]"),
    }
}

fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 116 {
            lines += &line;
            lines.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

/// The table of settings in the README.
pub fn readme_table() -> String {
    let mut text = "| setting | environment | default | |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let name = match (setting.flag, setting.count) {
            ("", _) => format!("`{}` in the file", setting.key),
            (flag, Count::One) => format!("`--{flag} {}`", setting.value),
            (flag, Count::Many) => format!("`--{flag} {}` …", setting.value),
        };
        let default = match setting.fallback {
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Required(_) => "required".to_owned(),
            Fallback::Absent(_) => "none".to_owned(),
        };
        text += &format!("| {name} | `{}` | {default} | {} |\n", setting.environment(), setting.doc);
    }
    text
}
