//! One request, whichever protocol it came by: a simple query, or a batch that runs one statement once and whole.
//! What does not have that form is forwarded as it is.

use super::Session;
use super::client::{UnitEnd, frames};
use super::explain::stand_in;
use super::plans::{Names, Plans};
use super::portal::{Prepared, Told};
use crate::catalog::CatalogVersion;
use crate::route::plan::{Encoding, Hint, Plan};
use crate::sql::identity::strip;
use crate::sql::time_words::{begins_with_time_word, says_time_word};
use crate::wire::frontend::{self, Bind, Parse, Subject};
use bytes::Bytes;
use std::sync::Arc;

/// Which messages the client waits for besides the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub parse: bool,
    /// An extended batch: BindComplete is due.
    pub bind: bool,
    /// A RowDescription (or NoData) is due.
    pub describe: bool,
    /// The portal is closed behind its rows, as sqlx does: CloseComplete is due.
    pub close: bool,
}

/// A statement to run once, with its parameters.
#[derive(Debug)]
pub struct Request<'a> {
    pub plan: Arc<Plan>,
    /// The prepared statement, if it is one.
    pub statement: Option<Arc<Prepared>>,
    /// From a Bind: format codes and values.
    pub parameters: &'a [u8],
    /// From a Bind: result format codes, two bytes each.
    pub result_formats: &'a [u8],
    pub form: Form,
    /// A statement that the batch prepares, by its name.
    pub parsed: Option<(&'a [u8], Arc<Prepared>)>,
}

impl Request<'_> {
    /// Parameter type oids, as the Parse gave them.
    pub fn types(&self) -> &[u32] {
        self.statement.as_ref().map_or(&[], |statement| &statement.oids)
    }

    /// Whether a server would take it for a statement without parameters. It lets one format count for none of them.
    pub fn is_bare(&self) -> bool {
        matches!(self.parameters, [0, 0, 0, 0] | [0, 1, _, _, 0, 0]) && self.types().is_empty()
    }
}

/// A Bind without formats and parameters: what a simple query amounts to.
const NO_PARAMETERS: &[u8] = b"\0\0\0\0";

impl Session {
    /// The plan of a text, in the present catalog and by this session's names. Texts that differ in comments share it: tracing
    /// makes every text another one.
    pub(super) fn plan(&mut self, text: &[u8]) -> Arc<Plan> {
        let standard_strings = self.names.standard_strings;
        let stripped = std::str::from_utf8(text).ok().map(|text| strip(text, standard_strings));
        let (text, hint) = match &stripped {
            Some(stripped) => (stripped.identity.as_bytes(), stripped.hint),
            None => (text, Hint::default()),
        };
        let plan = self.plan_of_identity(text);
        if plan.hint == hint { plan } else { Arc::new(Plan { hint, ..Plan::clone(&plan) }) }
    }

    fn plan_of_identity(&mut self, text: &[u8]) -> Arc<Plan> {
        let catalog = self.shared.catalog.load();
        self.shared.common.plans.plan(text, &self.names, (&catalog, &self.rules.rules), &mut self.recent)
    }

    /// Whether the rules, and the catalog at its `present` version, are still as they were when the plan was made.
    pub(super) fn is_current(&self, plan: &Plan, present: CatalogVersion) -> bool {
        plan.catalog_version == present && plan.ruled.version == self.rules.rules.version
    }

    /// A prepared statement's plan, made again if the catalog or the session's names have changed since.
    pub(super) fn plan_of(&mut self, statement: &Prepared) -> Arc<Plan> {
        let present = self.shared.catalog.version();
        self.plan_in(present, statement)
    }

    /// The same, by who knows the present catalog's version.
    pub(super) fn plan_in(&mut self, present: CatalogVersion, statement: &Prepared) -> Arc<Plan> {
        if self.is_current(&statement.plan, present) && Arc::ptr_eq(&statement.names, &self.names) {
            return Arc::clone(&statement.plan);
        }
        if self.lexes_as_before(statement) {
            return self.plan(&statement.sql);
        }
        let Names { standard_strings, encoding, .. } = *statement.names;
        let names = Arc::new(Names { standard_strings, encoding, ..Names::clone(&self.names) });
        let names = std::mem::replace(&mut self.names, names);
        let plan = self.plan(&statement.sql);
        self.names = names;
        // Nothing was kept for the session's own names.
        self.recent.clear();
        plan
    }

    /// What a Parse prepares. `moved`: the session may read it by other names than are known.
    pub(super) fn prepare(&mut self, parse: &Parse<'_>, moved: bool) -> Arc<Prepared> {
        if parse.name.is_empty()
            && let Some(same) = self.statements.get(b"")
            && same.sql == parse.sql
            && same.types == parse.types
            && same.is_alike
            && self.reads_as_before(same)
        {
            return Arc::clone(same);
        }
        let is_named = !parse.name.is_empty();
        let (sql, types) = (Bytes::copy_from_slice(parse.sql), Bytes::copy_from_slice(parse.types));
        self.read(is_named, sql, types, Told::default(), moved)
    }

    fn read(&mut self, is_named: bool, sql: Bytes, types: Bytes, told: Told, moved: bool) -> Arc<Prepared> {
        let plans = &self.shared.common.plans;
        let is_alike = self.names.read_alike(&sql);
        // What a connection has parsed for one session is another's only where both read the text alike.
        let is_shared = is_named && is_alike && !moved && Plans::has_number(&sql, &types) && !self.is_uncertain();
        let number = if is_shared { plans.number(&sql, &types, &self.names) } else { plans.fresh_number() };
        let plan = self.plan(&sql);
        Arc::new(Prepared {
            number,
            sent: stand_in(&plan, &sql),
            oids: types.as_chunks().0.iter().map(|oid| u32::from_be_bytes(*oid)).collect(),
            sql,
            types,
            plan,
            names: Arc::clone(&self.names),
            is_named,
            is_alike,
            is_shared,
            told,
        })
    }

    /// The same statement with these types of parameters.
    pub(super) fn typed(&mut self, statement: &Prepared, types: Bytes) -> Arc<Prepared> {
        let Prepared { is_named, sql, told, .. } = Prepared::clone(statement);
        self.read(is_named, sql, types, told, !statement.is_shared)
    }

    fn reads_as_before(&self, statement: &Prepared) -> bool {
        Arc::ptr_eq(&statement.names, &self.names) || *statement.names == *self.names
    }

    /// Whether the session would still take the text for the same words: PostgreSQL keeps them as it has read them, whatever is set later
    /// (`raw_parse_tree` in plancache.h).
    pub(super) fn lexes_as_before(&self, statement: &Prepared) -> bool {
        let (then, now) = (&statement.names, &self.names);
        (then.standard_strings == now.standard_strings || !statement.sql.contains(&b'\\'))
            && ((then.encoding == now.encoding && now.encoding != Encoding::Unknown) || statement.sql.is_ascii())
    }

    /// The statement of this name, as the session reads it now: by other names and settings than before it is another one, on whatever
    /// connection. PostgreSQL keeps what it has parsed until it parses it again, by what is set then (`RevalidateCachedQuery` in
    /// plancache.c), which any change of a table's statistics may bring about.
    pub(super) fn known_statement(&mut self, name: &[u8], moved: bool) -> Option<Arc<Prepared>> {
        let statement = self.statements.get(name)?;
        if !self.lexes_as_before(statement) {
            // It is never read anew, only understood anew.
            return Some(Arc::clone(statement));
        }
        let has_number = Plans::has_number(&statement.sql, &statement.types);
        let may_be_shared = statement.is_named && statement.is_alike && !moved && has_number && !self.is_uncertain();
        if statement.is_shared == may_be_shared && self.reads_as_before(statement) {
            return Some(Arc::clone(statement));
        }
        let Prepared { is_named, sql, types, told, .. } = Prepared::clone(statement);
        let again = self.read(is_named, sql, types, told, moved);
        self.statements.insert(name, Arc::clone(&again));
        Some(again)
    }

    /// The unit as one request, if it has that form.
    pub(super) fn request<'a>(&mut self, unit: &'a [u8], end: UnitEnd) -> Option<Request<'a>> {
        match end {
            UnitEnd::Query => {
                let (_, body) = frames(unit).next()?;
                let plan = self.plan(frontend::query(body).ok()?);
                let form = Form { parse: false, bind: false, describe: true, close: false };
                Some(Request {
                    plan,
                    statement: None,
                    parameters: NO_PARAMETERS,
                    result_formats: b"",
                    form,
                    parsed: None,
                })
            }
            UnitEnd::Sync => self.extended_request(unit),
            _ => None,
        }
    }

    fn extended_request<'a>(&mut self, unit: &'a [u8]) -> Option<Request<'a>> {
        let mut all = frames(unit).peekable();
        let parse = match all.next_if(|(header, _)| header.tag == b'P') {
            Some((_, body)) => Some(Parse::read(body).ok()?),
            None => None,
        };
        let (_, body) = all.next_if(|(header, _)| header.tag == b'B')?;
        let bind = Bind::read(body).ok()?;
        let describe = match all.next_if(|(header, _)| header.tag == b'D') {
            Some((_, body)) => match frontend::subject(body).ok()? {
                (Subject::Portal, name) if name == bind.portal => true,
                _ => return None,
            },
            None => false,
        };
        let (_, body) = all.next_if(|(header, _)| header.tag == b'E')?;
        let whole = frontend::execute(body).ok()? == (bind.portal, 0);
        let close = match all.next_if(|(header, _)| header.tag == b'C') {
            Some((_, body)) if matches!(frontend::subject(body), Ok((Subject::Portal, name)) if name == bind.portal) => {
                true
            }
            Some(_) => return None,
            None => false,
        };
        let ends = all.all(|(header, body)| matches!(header.tag, b'S' | b'H') && body.is_empty());
        // A named portal may be asked for again before its transaction ends.
        if !whole || !ends || !bind.portal.is_empty() {
            return None;
        }
        let parsed = match parse {
            Some(parse) if parse.name != bind.statement => return None,
            Some(parse) if self.made(parse.name) => return None,
            Some(parse) if !parse.name.is_empty() && self.statements.get(parse.name).is_some() => return None,
            Some(parse) => Some((parse.name, self.prepare(&parse, false))),
            None => None,
        };
        let statement = match &parsed {
            Some((_, statement)) => Arc::clone(statement),
            None => self.known_statement(bind.statement, false)?,
        };
        let plan = self.plan_of(&statement);
        let form = Form { parse: parsed.is_some(), bind: true, describe, close };
        Some(Request {
            plan,
            statement: Some(statement),
            parameters: bind.parameters,
            result_formats: bind.result_formats,
            form,
            parsed,
        })
    }
}

/// Whether a text parameter holds a word that PostgreSQL reads as the present time when it is taken as a date.
pub fn has_time_word(parameters: &[u8]) -> bool {
    let bind = Bind { portal: b"", statement: b"", parameters, result_formats: b"" };
    bind.values().any(|(binary, value)| {
        value.is_some_and(|value| says_time_word(value) || (binary && value.contains(&0) && hides_time_word(value)))
    })
}

/// In what is no text (an array, a row), a word may stand right behind a length that looks like a letter.
fn hides_time_word(value: &[u8]) -> bool {
    (0..value.len()).any(|at| begins_with_time_word(&value[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c22_a_parameter_may_say_now() {
        let text = |value: &[u8]| {
            let mut out = b"\0\0\0\x01".to_vec();
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
            out
        };
        for time in [&b"now"[..], b" NOW ", b"tomorrow 12:00", b"Yesterday", b"{\"n\\ow\"}"] {
            assert!(has_time_word(&text(time)), "{time:?}");
        }
        for other in [&b"2026-01-01"[..], b"nowhere", b"42", b""] {
            assert!(!has_time_word(&text(other)), "{other:?}");
        }
        assert!(!has_time_word(NO_PARAMETERS));
        // In binary format a text is the same bytes, and in an array each has its length before it, which may be a letter.
        let binary = |value: &[u8]| {
            let mut out = b"\0\x01\0\x01\0\x01".to_vec();
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
            out
        };
        let array = [b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x61now" as &[u8], &[b' '; 94]].concat();
        for time in [&b"now"[..], b"tomorrow 12:00", &array] {
            assert!(has_time_word(&binary(time)), "{time:?}");
        }
        for other in [&b"2026-01-01"[..], b"snow", b"\0\0\0\x2a", b""] {
            assert!(!has_time_word(&binary(other)), "{other:?}");
        }
    }
}
