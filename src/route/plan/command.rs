//! Every statement by its first words. Queries go to the parser and the judge; for all else the words are enough, and
//! surer than a parser that reads few utility statements as PostgreSQL does.

use super::calls::{Calls, calls};
use super::functions;
use super::judge::Judge;
use super::names::Names;
use super::set_config;
use super::{
    Draft, Effect, ExplainForm, Kind, PinReason, Place, Refusal, SettingChange, TransactionControl, both, channel,
    named, settings, transaction,
};
use crate::catalog::{RelationKind, SearchPath};
use crate::sql::facts::{Facts, Into, Name};
use crate::sql::query;
use crate::sql::token::Lexed;

/// Options of EXPLAIN by which it does not run the statement, and what they are set to.
const EXPLAIN_OPTIONS: &[&str] = &[
    "verbose",
    "costs",
    "settings",
    "generic_plan",
    "buffers",
    "wal",
    "timing",
    "summary",
    "memory",
    "serialize",
    "format",
    "on",
    "off",
    "true",
    "false",
    "none",
    "text",
    "binary",
    "xml",
    "json",
    "yaml",
];

/// One statement.
pub(super) fn draft(lexed: &Lexed<'_>, path: &SearchPath, names: &dyn Names) -> Draft {
    Command { lexed, path, names }.draft()
}

/// Several statements in one text run as one transaction on one server.
pub(super) fn several(statements: &[Lexed<'_>], path: &SearchPath, names: &dyn Names) -> Draft {
    let drafts: Vec<Draft> = statements.iter().map(|s| draft(s, path, names)).collect();
    // What one answer for all cannot tell the session.
    let pin = |draft: &Draft| match draft.kind {
        Kind::Setting(_) | Kind::SetConfig(_) | Kind::Settings { .. } | Kind::Deallocate { .. } => {
            Some(PinReason::Opaque)
        }
        Kind::Prepare { pin, .. } => both(both(draft.pin, pin), Some(PinReason::SqlPrepare)),
        // What it runs, the session is not asked for among others.
        Kind::Execute { .. } => both(draft.pin, Some(PinReason::Opaque)),
        _ => draft.pin,
    };
    if let Some(kind) = of_session(statements, &drafts, names, path) {
        let pin = drafts.iter().map(|draft| draft.pin).fold(None, both);
        return Draft { pin, ..Draft::new(kind, Refusal::SeveralStatements) };
    }
    let pins = drafts.iter().map(pin);
    let reads = drafts.iter().all(|d| d.kind == Kind::Read);
    let anywhere = reads && drafts.iter().all(|d| d.place == Place::Anywhere);
    Draft {
        kind: if reads { Kind::Read } else { Kind::Unproven },
        place: if anywhere { Place::Anywhere } else { Place::Primary },
        cache: Err(Refusal::SeveralStatements),
        pin: pins.fold(None, both),
        may_change_catalog: drafts.iter().any(|d| d.may_change_catalog),
    }
}

/// What several statements set if all of them touch nothing but the session: as pools say to make a connection as good as new.
fn of_session(statements: &[Lexed<'_>], drafts: &[Draft], names: &dyn Names, path: &SearchPath) -> Option<Kind> {
    let (mut changes, mut unlistens) = (Vec::new(), false);
    for (number, (lexed, draft)) in statements.iter().zip(drafts).enumerate() {
        match &draft.kind {
            // PostgreSQL refuses it among others.
            Kind::Setting(SettingChange::DiscardAll) => return None,
            Kind::Setting(change) => changes.push((number, change.clone())),
            Kind::Settings { changes: own, .. } => {
                changes.extend(own.iter().map(|(_, change)| (number, change.clone())))
            }
            Kind::SetConfig(calls) => {
                for call in calls {
                    changes.push((number, call.change(&[])?));
                }
            }
            Kind::Unlisten { .. } => unlistens = true,
            Kind::Deallocate { name: None } | Kind::Show(_) => {}
            Kind::Unproven if (Command { lexed, path, names }).gives_back() => {}
            _ => return None,
        }
    }
    Some(Kind::Settings { changes, unlistens })
}

struct Command<'a> {
    lexed: &'a Lexed<'a>,
    path: &'a SearchPath,
    names: &'a dyn Names,
}

impl Command<'_> {
    fn draft(&self) -> Draft {
        let lexed = self.lexed;
        if lexed.sign(0) == Some('(') {
            return self.query();
        }
        if !lexed.is_word(0) {
            return Draft::unknown(Refusal::Unparsed);
        }
        let verb = lexed.name(0).unwrap_or_default();
        match &*verb {
            "select" => match set_config::set_config(lexed) {
                Some(calls) if self.is_built_in("set_config") && self.is_built_in("current_setting") => {
                    Draft::new(Kind::SetConfig(calls), Refusal::NotARead)
                }
                _ => self.query(),
            },
            "values" | "table" | "with" => self.query(),
            "update" => match set_config::update(lexed) {
                Some(call) if self.is_system("pg_settings") => {
                    Draft::new(Kind::SetConfig(vec![call]), Refusal::NotARead)
                }
                _ => self.write(Refusal::NotARead),
            },
            "insert" | "delete" | "merge" => self.write(Refusal::NotARead),
            "truncate" => Draft::new(Kind::Write, Refusal::NotARead),
            "copy" => self.copy(),
            "explain" => self.explain(),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => self.transaction(),
            "prepare" if lexed.is(1, "transaction") => self.transaction(),
            "set" => self.set(),
            "reset" => self.reset(),
            "show" => settings::show(lexed).map_or_else(
                || Draft::unknown(Refusal::Unparsed),
                |name| Draft::new(Kind::Show(name), Refusal::NotARead),
            ),
            "discard" => self.discard(),
            "listen" => channel::listen(lexed)
                .map_or_else(unproven, |kind| Draft::new(kind, Refusal::NotARead))
                .pinned(PinReason::Listen),
            "unlisten" => channel::unlisten(lexed).map_or_else(unproven, |kind| Draft::new(kind, Refusal::NotARead)),
            "load" => unproven().pinned(PinReason::Load),
            "prepare" => self.prepare(),
            "execute" => self.execute(),
            "deallocate" => self.deallocate(),
            "declare" => self.declare(),
            // What they do was said before: by DECLARE, or to the server alone.
            "notify" | "lock" | "fetch" | "move" | "close" | "vacuum" | "analyze" | "analyse" | "checkpoint" => {
                unproven()
            }
            "create" | "import" => self.create(),
            "alter" | "drop" | "comment" | "grant" | "revoke" | "refresh" | "cluster" | "reindex" | "security"
            | "reassign" => self.with_calls(Draft::new(Kind::Ddl, Refusal::NotARead)),
            // A block may do anything, to the session too.
            "do" => Draft::unknown(Refusal::NotARead).pinned(match functions::names_lasting(lexed.source()) {
                true => PinReason::Lasting,
                false => PinReason::Opaque,
            }),
            "call" => self.with_calls(Draft::unknown(Refusal::NotARead)),
            _ => self.with_calls(Draft::unknown(Refusal::Unparsed)),
        }
    }

    fn calls(&self) -> Calls {
        calls(self.lexed, self.path, self.names)
    }

    /// Adds what the calls in the text may do.
    fn with_calls(&self, draft: Draft) -> Draft {
        let calls = self.calls();
        let may_change_catalog = draft.may_change_catalog || calls.may_change_catalog;
        Draft { may_change_catalog, ..draft }.also(calls.pin)
    }

    /// Whether a name stands anywhere in the text, quoted or not.
    fn mentions(&self, name: &str) -> bool {
        (0..self.lexed.len()).any(|at| self.lexed.name(at).is_some_and(|n| n == name))
    }

    /// Whether a relation's bare name means the one that PostgreSQL comes with.
    fn is_system(&self, relation: &str) -> bool {
        let found = self.names.relation(&Name::plain(relation), self.path);
        found.is_some_and(|relation| relation.schema == "pg_catalog")
    }

    fn is_built_in(&self, function: &str) -> bool {
        self.names.functions(&Name::plain(function), self.path).iter().all(|f| f.built_in)
    }

    /// Whether it does no more than give back what the session holds on its connection.
    fn gives_back(&self) -> bool {
        let lexed = self.lexed;
        let at = 1 + 2 * usize::from(lexed.is(1, "pg_catalog") && lexed.sign(2) == Some('.'));
        let unlocks = |name: &str| {
            let is_argument =
                |at| lexed.number(at).is_some() || lexed.sign(at) == Some(',') || lexed.operator(at) == Some("-");
            let end = lexed.len() - 1;
            functions::unlocks(name)
                && self.is_built_in(name)
                && lexed.sign(at + 1) == Some('(')
                && (at + 2..end).all(is_argument)
                && lexed.sign(end) == Some(')')
        };
        match lexed.name(0).as_deref() {
            Some("close") => true,
            Some("discard") => lexed.is_any(1, &["sequences", "temp", "temporary", "plans"]),
            Some("select") => lexed.name(at).is_some_and(|name| unlocks(&name)),
            _ => false,
        }
    }

    fn query(&self) -> Draft {
        match query::facts(self.lexed) {
            Ok(facts) => self.understood(&facts),
            Err(refused) => {
                let calls = self.calls();
                let refusal = if self.locks() { Refusal::Locking } else { refused.into() };
                let may_change_catalog = calls.may_change_catalog || calls.unknown || self.may_write();
                let draft = Draft { may_change_catalog, ..unproven() }.also(calls.pin).because(refusal);
                if self.selects_into_temporary() { draft.pinned(PinReason::TemporaryObject) } else { draft }
            }
        }
    }

    fn understood(&self, facts: &Facts) -> Draft {
        if let Some(into) = facts.into {
            let draft = self.with_calls(Draft::new(Kind::Ddl, Refusal::Into));
            let temporary = into == Into::Temporary || self.creates_temporary();
            return if temporary { draft.pinned(PinReason::TemporaryObject) } else { draft };
        }
        if facts.modifies {
            let refusal = if facts.modifying_cte { Refusal::DataModifyingCte } else { Refusal::NotARead };
            return self.write(refusal);
        }
        Judge::query(self.names, self.lexed, facts, self.path)
    }

    /// Whether what a statement creates by name may be temporary by its schema: one that it names, or one of the path, since those before it
    /// may not exist.
    fn creates_temporary(&self) -> bool {
        let is_temporary = |schema: &str| schema.starts_with("pg_temp");
        let is_named = |at| self.lexed.name(at).is_some_and(|name| is_temporary(&name));
        self.path.0.iter().any(|schema| is_temporary(schema)) || (0..self.lexed.len()).any(is_named)
    }

    /// SELECT INTO a temporary table, in a query that the parser did not understand.
    fn selects_into_temporary(&self) -> bool {
        let lexed = self.lexed;
        let is_temporary = |at: usize| {
            let at = at + usize::from(lexed.is_any(at, &["local", "global"]));
            lexed.is_any(at, &["temp", "temporary"]) || self.creates_temporary()
        };
        (0..lexed.len()).any(|at| lexed.is(at, "into") && is_temporary(at + 1))
    }

    /// FOR UPDATE and its kin, in a query that the parser did not understand.
    fn locks(&self) -> bool {
        let lexed = self.lexed;
        (0..lexed.len()).any(|at| lexed.is(at, "for") && lexed.is_any(at + 1, &["update", "share", "no", "key"]))
    }

    fn may_write(&self) -> bool {
        ["insert", "update", "delete", "merge", "into"].into_iter().any(|word| self.lexed.has(word))
    }

    /// INSERT, UPDATE, DELETE, MERGE. Triggers and rules are part of the write.
    fn write(&self, refusal: Refusal) -> Draft {
        let calls = self.calls();
        let pin = both(calls.pin, self.mentions("pg_settings").then_some(PinReason::Opaque));
        let kind = if calls.user_volatile || pin.is_some() { Kind::Unproven } else { Kind::Write };
        let may_change_catalog = calls.may_change_catalog || self.names_the_catalog();
        Draft { may_change_catalog, ..Draft::new(kind, refusal) }.also(pin)
    }

    /// Whether a table of PostgreSQL's own is named, be it to be read.
    fn names_the_catalog(&self) -> bool {
        let is_own = |name: &str| {
            let table = self.names.relation(&Name::plain(name), self.path);
            table.is_some_and(|table| table.schema == "pg_catalog" && table.kind == RelationKind::Table)
        };
        let mut names = (0..self.lexed.len()).filter_map(|at| self.lexed.name(at));
        names.any(|name| name.starts_with("pg_") && is_own(&name))
    }

    fn transaction(&self) -> Draft {
        match transaction::control(self.lexed) {
            Some(control) => Draft::new(Kind::Transaction(control), Refusal::NotARead),
            None => unproven(),
        }
    }

    fn set(&self) -> Draft {
        let lexed = self.lexed;
        if lexed.is(1, "transaction") {
            return Draft::new(Kind::Transaction(TransactionControl::Modes), Refusal::NotARead);
        }
        if lexed.is(1, "session") && lexed.is(2, "characteristics") {
            let Some(changes) = transaction::characteristics(lexed) else {
                return unproven().pinned(PinReason::Opaque);
            };
            let changes = changes.into_iter().map(|change| (0, change)).collect();
            return Draft::new(Kind::Settings { changes, unlistens: false }, Refusal::NotARead);
        }
        if lexed.is(1, "constraints") {
            return unproven();
        }
        self.setting(settings::set(lexed))
    }

    fn reset(&self) -> Draft {
        self.setting(settings::reset(self.lexed))
    }

    /// A change of settings; nothing if it is not certain.
    fn setting(&self, change: Option<SettingChange>) -> Draft {
        let Some(change) = change.filter(|_| self.lexed.doubt().is_none()) else {
            return unproven().pinned(PinReason::Opaque);
        };
        // Who has not taken another session user goes back to none.
        let pin = match &change {
            SettingChange::Reset { local: false, .. } => None,
            change => change.name().and_then(settings::pins),
        };
        Draft::new(Kind::Setting(change), Refusal::NotARead).also(pin)
    }

    fn discard(&self) -> Draft {
        if self.lexed.is(1, "all") && self.lexed.len() == 2 {
            return Draft::new(Kind::Setting(SettingChange::DiscardAll), Refusal::NotARead);
        }
        unproven()
    }

    /// Runs nothing; but what it names is to be run, and must then be found.
    fn prepare(&self) -> Draft {
        let pin = self.calls().pin;
        let Some((name, at)) = named::prepared(self.lexed) else {
            let pin = both(pin, self.mentions("pg_settings").then_some(PinReason::Opaque));
            return unproven().pinned(PinReason::SqlPrepare).also(pin);
        };
        let inner = self.inner(at);
        let rows = matches!(inner.kind, Kind::Read | Kind::Write) && !inner.may_change_catalog;
        let effect = if rows { Effect::Rows } else { Effect::Anything };
        Draft::new(Kind::Prepare { name, effect, pin: both(pin, inner.pin) }, Refusal::NotARead)
    }

    /// Which statement it runs, its session knows.
    fn execute(&self) -> Draft {
        let draft = Draft::unknown(Refusal::NotARead);
        let Some((name, at)) = named::executed(self.lexed) else { return draft.pinned(PinReason::SqlPrepare) };
        let calls = calls(&self.lexed.part(at, self.lexed.len()), self.path, self.names);
        let effect = if calls.user_volatile || calls.unknown { Effect::Anything } else { Effect::Rows };
        Draft { kind: Kind::Execute { name, effect }, ..draft }.also(calls.pin)
    }

    fn deallocate(&self) -> Draft {
        let at = 1 + usize::from(self.lexed.is(1, "prepare") && self.lexed.len() > 2);
        let all = self.lexed.is(at, "all");
        match self.lexed.name(at) {
            Some(name) if self.lexed.len() == at + 1 => {
                let name = (!all).then(|| name.into_owned());
                Draft::new(Kind::Deallocate { name }, Refusal::NotARead)
            }
            _ => unproven(),
        }
    }

    /// `DECLARE c CURSOR … FOR query`: as harmless as its query.
    fn declare(&self) -> Draft {
        let lexed = self.lexed;
        let Some(at) = (0..lexed.len()).find(|at| lexed.is(*at, "for")) else {
            return Draft::unknown(Refusal::Unparsed);
        };
        if lexed.sign(at + 1) != Some('(') && !lexed.is_any(at + 1, &["select", "values", "with", "table"]) {
            return Draft::unknown(Refusal::Unparsed);
        }
        let hold = (0..at).any(|at| lexed.is(at, "with") && lexed.is(at + 1, "hold"));
        let draft = self.inner(at + 1).because(Refusal::NotARead);
        let draft = Draft { place: Place::Primary, ..draft };
        // It outlives the transaction, on the server that it was made on.
        if hold { Draft { kind: Kind::Unproven, ..draft }.pinned(PinReason::HoldCursor) } else { draft }
    }

    fn inner(&self, at: usize) -> Draft {
        self.inner_part(at, self.lexed.len())
    }

    /// The statement inside another. None of those that hold statements may stand there, so that nothing nests without end.
    fn inner_part(&self, from: usize, to: usize) -> Draft {
        if self.lexed.is_any(from, &["explain", "copy", "prepare"]) {
            return Draft::unknown(Refusal::Unparsed);
        }
        let draft = draft(&self.lexed.part(from, to), self.path, self.names);
        match draft.kind {
            // When it sets what, and whether, is not its own answer's to tell.
            Kind::Setting(_) | Kind::SetConfig(_) | Kind::Settings { .. } => unproven().pinned(PinReason::Opaque),
            _ => draft,
        }
    }

    fn create(&self) -> Draft {
        let lexed = self.lexed;
        let draft = self.with_calls(Draft::new(Kind::Ddl, Refusal::NotARead));
        // CREATE TABLE … AS EXECUTE runs what the session is not asked for.
        let executes = (1..lexed.len()).any(|at| lexed.is(at, "as") && lexed.is(at + 1, "execute"));
        let draft = if executes { draft.pinned(PinReason::Opaque) } else { draft };
        let temporary =
            (1..lexed.len().min(6)).any(|at| lexed.is_any(at, &["temp", "temporary"])) || self.creates_temporary();
        if temporary { draft.pinned(PinReason::TemporaryObject) } else { draft }
    }

    /// `EXPLAIN (SIDECACHE [, FORMAT TEXT | JSON]) …`, which no server knows.
    fn explain_here(&self) -> Option<Draft> {
        let lexed = self.lexed;
        if lexed.sign(1) != Some('(') || !lexed.is(2, "sidecache") {
            return None;
        }
        let (form, close) = match lexed.sign(3) {
            Some(',') if lexed.is(4, "format") && lexed.is(5, "json") => (ExplainForm::Json, 6),
            Some(',') if lexed.is(4, "format") && lexed.is(5, "text") => (ExplainForm::Text, 6),
            _ => (ExplainForm::Text, 3),
        };
        let text = lexed.part(close + 1, lexed.len()).source();
        let is_whole = lexed.sign(close) == Some(')') && !text.is_empty();
        is_whole.then(|| Draft::new(Kind::Explain { form, text: text.to_owned() }, Refusal::NotARead))
    }

    fn explain(&self) -> Draft {
        if let Some(draft) = self.explain_here() {
            return draft;
        }
        let lexed = self.lexed;
        let analyzes = |at: usize| lexed.is_any(at, &["analyze", "analyse"]);
        let mut at = 1;
        let mut runs = false;
        if lexed.sign(1) == Some('(')
            && !lexed.is_any(2, &["select", "values", "with", "table"])
            && lexed.sign(2) != Some('(')
        {
            while at < lexed.len() && lexed.sign(at) != Some(')') {
                // An option's name may be quoted, or one that we do not know.
                runs |= lexed.name(at).is_some() && !lexed.is_any(at, EXPLAIN_OPTIONS);
                at += 1;
            }
            at += 1;
        } else {
            while analyzes(at) || lexed.is(at, "verbose") {
                runs |= analyzes(at);
                at += 1;
            }
        }
        if at >= lexed.len() {
            return Draft::unknown(Refusal::NotARead);
        }
        let inner = self.inner(at);
        if matches!(inner.kind, Kind::Execute { .. }) {
            return inner;
        }
        if runs {
            return Draft { kind: Kind::Unproven, place: Place::Primary, ..inner.because(Refusal::NotARead) };
        }
        // Planning runs what is stable or immutable, and nothing else.
        let kind = if inner.kind == Kind::Read { Kind::Read } else { Kind::Unproven };
        Draft { kind, pin: None, may_change_catalog: false, ..inner.because(Refusal::NotARead) }
    }

    fn copy(&self) -> Draft {
        let lexed = self.lexed;
        if lexed.sign(1) == Some('(') {
            let mut depth = 0i64;
            let close = (1..lexed.len()).find(|at| {
                match lexed.sign(*at) {
                    Some('(') => depth += 1,
                    Some(')') => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let Some(close) = close else { return Draft::unknown(Refusal::Unparsed) };
            let inner = self.inner_part(2, close).because(Refusal::NotARead);
            return if lexed.is(close + 1, "to") && lexed.is(close + 2, "stdout") {
                Draft { place: Place::Primary, ..inner }
            } else {
                Draft { kind: Kind::Unproven, place: Place::Primary, ..inner }
            };
        }
        let outside = |at: usize| lexed.is_any(at, &["from", "to"]);
        let Some(at) = (1..lexed.len()).find(|at| outside(*at)) else { return Draft::unknown(Refusal::Unparsed) };
        if lexed.is(at + 1, "program") {
            return unproven();
        }
        if lexed.is(at, "from") {
            let write = self.write(Refusal::NotARead);
            return if write.kind == Kind::Write { Draft { kind: Kind::Copy, ..write } } else { write };
        }
        match self.copied(at) {
            Some(facts) if lexed.is(at + 1, "stdout") => {
                let read = Judge::query(self.names, lexed, &facts, self.path);
                Draft { place: Place::Primary, ..read.because(Refusal::NotARead) }
            }
            _ => unproven(),
        }
    }

    /// The relation before TO, as the facts of a query that reads it.
    fn copied(&self, to: usize) -> Option<Facts> {
        let lexed = self.lexed;
        let first = lexed.name(1)?.into_owned();
        let (name, end) = match lexed.sign(2) {
            Some('.') => (Name { schema: Some(first), name: lexed.name(3)?.into_owned() }, 4),
            _ => (Name { schema: None, name: first }, 2),
        };
        let plain = end == to || (lexed.sign(end) == Some('(') && lexed.sign(to - 1) == Some(')'));
        plain.then(|| Facts { relations: vec![name], ..Facts::default() })
    }
}

fn unproven() -> Draft {
    Draft::new(Kind::Unproven, Refusal::NotARead)
}

impl Draft {
    fn also(self, pin: Option<PinReason>) -> Self {
        Draft { pin: both(self.pin, pin), ..self }
    }

    fn because(self, refusal: Refusal) -> Self {
        Draft { cache: Err(refusal), ..self }
    }
}
