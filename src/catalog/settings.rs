//! The settings of the users' own that a source names, be it to ask for them or to set them. Looks at words alone, in whatever language and
//! however deep in strings: it finds names that are none, which costs a question, and misses none that is written out. Remarks are
//! gone before (see `queries`).

/// Those with a dot in their name, in lower case.
pub(super) fn named(text: &str) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let calls = ["current_setting", "set_config"].into_iter().flat_map(|call| after(&text, call)).filter_map(called);
    calls.chain(after(&text, "set").filter_map(set)).collect()
}

/// What follows each time that the text holds this word.
fn after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let is_apart = |at: usize| !text[..at].ends_with(continues) && !text[at + word.len()..].starts_with(continues);
    text.match_indices(word).filter(move |(at, _)| is_apart(*at)).map(|(at, word)| &text[at + word.len()..])
}

fn continues(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// The first argument of a call, if it is written out. Inside of strings quotes are doubled, or escaped.
fn called(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix('"').unwrap_or(rest).trim_start().strip_prefix('(')?.trim_start();
    let rest = rest.strip_prefix("setting_name").map_or(rest, |rest| rest.trim_start_matches([' ', ':', '=', '>']));
    let rest = rest.strip_prefix(['e', 'n']).unwrap_or(rest);
    let name = rest.strip_prefix(['\'', '\\'])?.trim_start_matches(['\'', '\\']).split(['\'', '\\']).next()?;
    (name.is_ascii() && name.contains('.') && !name.contains('\0')).then(|| name.to_owned())
}

/// What SET sets.
fn set(rest: &str) -> Option<String> {
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let mut rest = rest.trim_start();
    for scope in ["session", "local"] {
        rest =
            rest.strip_prefix(scope).filter(|rest| rest.starts_with(char::is_whitespace)).unwrap_or(rest).trim_start();
    }
    let mut name = String::new();
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(|letter| !continues(letter)).unwrap_or(rest.len())),
        };
        name.push_str(part);
        let Some(more) = behind.trim_start().strip_prefix('.') else { break };
        name.push('.');
        rest = more.trim_start();
    }
    (name.is_ascii() && name.contains('.') && !name.ends_with('.') && !name.contains('\0')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn c15_settings_are_found_wherever_they_are_named() {
        for text in [
            "SELECT current_setting('App.tenant')",
            "begin return CURRENT_SETTING ( 'app.tenant', true); end",
            "(tenant = pg_catalog.current_setting('app.tenant'::text, true))",
            "begin perform \"set_config\"(E'app.tenant', $1, false); end",
            "begin perform set_config(setting_name => 'app.tenant', v, false); end",
            "execute 'select set_config(''app.tenant'', $1, false)' using t",
            "plpy.execute('select set_config(\\'app.tenant\\', \\'b\\', false)')",
            "begin set app.tenant = 'b'; end",
            "begin SET SESSION \"app\" . \"tenant\" TO 'b'; end",
            "execute format('set local app.tenant = %L', t)",
        ] {
            assert_eq!(named(text), ["app.tenant"], "{text}");
        }
        for text in [
            "select current_setting('work_mem')",
            "select set_config($1, 'b', false)",
            "select my_current_setting('app.tenant')",
            "update t set a = b.c",
            "begin set work_mem = 64; end",
            "offset app.tenant",
            "select set_config('app.\u{212a}ey', '', false)",
            "set",
            "set \"",
            "set app.",
        ] {
            assert!(named(text).is_empty(), "{text}");
        }
    }
}
