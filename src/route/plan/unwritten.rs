//! What PostgreSQL adds to a query though its text does not show it: the conditions of row-level security, the bodies of functions,
//! the values of settings. Judged as the query itself is.

use super::Refusal;
use super::judge::{DEEPEST_VIEW, Judge, Proof, of_unread};
use crate::catalog::{Function, Relation};
use crate::sql::query;
use crate::sql::token::{Lexed, lex};

/// Functions in functions beyond which none is looked into.
const DEEPEST_BODY: usize = 8;

/// The longest body that is looked into (bytes).
const LONGEST_BODY: usize = 8 * 1024;

/// The most settings that one text may ask for.
const MOST_SETTINGS: usize = 16;

impl Judge<'_> {
    /// Every policy that bears on reading, whoever reads: which of them apply, and whether any does, follows from the role in the key and from
    /// the catalog (attributes, memberships and owners of roles), of which each change is another version. A view's owner is
    /// a part of the catalog too.
    pub(super) fn policies(&mut self, table: &Relation) {
        if !self.expanded.insert(table.id) {
            return;
        }
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        for policy in &table.policies {
            match policy {
                Some(condition) if self.depth < DEEPEST_VIEW => {
                    let (schema, name) = (quoted(&table.schema), quoted(&table.name));
                    self.beneath(&format!("SELECT 1 FROM {schema}.{name} WHERE {condition}"));
                }
                _ => self.refuse(Refusal::RowSecurity, Proof::Unproven),
            }
        }
    }

    /// A stable function of the users'. What its body reads by name it reads by the search path of whoever calls it, be it from
    /// within a view.
    pub(super) fn body(&mut self, function: &Function) {
        let (refused, proof) = (Refusal::StableFunction, of_unread(function));
        let Some(body) = function.body.as_deref().filter(|body| body.len() <= LONGEST_BODY) else {
            return self.refuse(refused, proof);
        };
        if !self.read.insert(function.oid) {
            return;
        }
        // Strings are read by the setting of who calls: one with a backslash would not be one text.
        let lexed = lex(body, true).ok().filter(|_| !body.contains('\\'));
        let statements = lexed.as_ref().map(Lexed::statements).unwrap_or_default();
        let ([statement], true) = (statements.as_slice(), self.bodies < DEEPEST_BODY) else {
            return self.refuse(refused, proof);
        };
        match query::facts(statement) {
            Ok(facts) => {
                self.bodies += 1;
                let path = self.path;
                self.case(statement, &facts, path);
                self.bodies -= 1;
            }
            Err(_) => self.refuse(refused, proof),
        }
    }
}

/// The settings that the calls of `current_setting` in a text ask for, if each is written out and one of the users' own: those have
/// a dot in their name, and whoever sets one is seen to, where PostgreSQL's own may change with the server's configuration.
pub(super) fn settings_read(lexed: &Lexed<'_>) -> Option<Vec<String>> {
    let mut settings = Vec::new();
    for at in 0..lexed.len() {
        if lexed.sign(at + 1) != Some('(') || lexed.name(at).is_none_or(|name| name != "current_setting") {
            continue;
        }
        let name = lexed.string(at + 2)?.to_ascii_lowercase();
        let cast = lexed.operator(at + 3) == Some("::") && lexed.is(at + 4, "text");
        let end = if cast { at + 5 } else { at + 3 };
        let is_custom = name.is_ascii() && name.contains('.') && !name.contains('\0');
        if !is_custom || !matches!(lexed.sign(end), Some(',' | ')')) || settings.len() >= MOST_SETTINGS {
            return None;
        }
        settings.push(name);
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<String>> {
        settings_read(&lex(text, true).expect("tokens"))
    }

    #[test]
    fn c15_settings_are_known_if_they_are_written_out() {
        for text in [
            "SELECT current_setting('App.tenant')",
            "SELECT pg_catalog.CURRENT_SETTING ( 'app.tenant'::text, true ) FROM t",
            "SELECT \"current_setting\"(E'app\\x2etenant', false)",
        ] {
            assert_eq!(read(text), Some(vec!["app.tenant".to_owned()]), "{text}");
        }
        for text in [
            "SELECT current_setting($1)",
            "SELECT current_setting(name) FROM t",
            "SELECT current_setting('app.' || 'tenant')",
            "SELECT current_setting('app.a'), current_setting(x)",
            "SELECT current_setting('app.a'::name)",
            "SELECT current_setting(setting_name => 'app.a')",
            "SELECT current_setting('work_mem')",
            "SELECT current_setting('app.\u{212a}ey')",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("SELECT current_setting FROM t"), Some(Vec::new()));
    }
}
