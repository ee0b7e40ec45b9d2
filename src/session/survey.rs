//! What a unit's messages run, prepare, describe and set, as far as their plans and parameters tell. Sends nothing and decides
//! nothing.

use super::Session;
use super::client::{UnitEnd, frames};
use super::namings::{Drops, Latest, Naming, Namings};
use super::own;
use super::portal::Prepared;
use super::serve::Understood;
use super::settings::{Settings, is_mode};
use crate::catalog::CatalogVersion;
use crate::route::plan::{Kind, PinReason, Plan, Refusal, SetConfig, SettingChange, TransactionControl};
use crate::wire::backend::{Failure, failure_frame};
use crate::wire::frame::HEADER;
use crate::wire::frontend::{self, Bind, Malformed, Parse, Subject};
use bytes::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;

/// What clients call by FunctionCall (`lo_initialize` in libpq's fe-lobj.c): nothing of it outlives its transaction in the session.
const LARGE_OBJECTS: &[u32] = &[715, 764, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172];

/// What the messages of a unit do, as far as their plans tell.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many of its messages read well. What stands behind them is not looked at: a server refuses the next, and skips what follows.
    pub sound: usize,
    /// The plan of each execution, in order; `None` for a portal that is not known.
    pub runs: SmallVec<[Option<Arc<Plan>>; 4]>,
    /// What the unit does to names, in order.
    pub namings: Namings,
    /// Plans that are prepared, described or bound without being run here.
    pub touches: SmallVec<[Arc<Plan>; 4]>,
    /// Every execution is a proven read that may run anywhere.
    pub reads: bool,
    /// It has the form of one request, which leaves nothing behind.
    pub is_request: bool,
    /// An Execute asked for a part of the rows.
    pub partial: bool,
    /// The last execution of the unnamed portal, unless it is bound anew behind that.
    pub unnamed_run: Option<usize>,
    /// The execution that asks what a sequence gave last, on a connection where it gave that to another session.
    pub others_sequence: Option<usize>,
    /// It is a call of one of the functions that work on large objects.
    pub calls_large_object: bool,
    /// What its executions set by `set_config`, by their number; `None` where that is not certain.
    pub set: Vec<(usize, Option<Vec<SettingChange>>)>,
    /// The statements that it describes, by themselves or by a portal, in order; `None` for what is not known.
    pub described: SmallVec<[Option<Arc<Prepared>>; 2]>,
    /// The statements that it runs without asking again what the client was told of their results before.
    pub blind: SmallVec<[Arc<Prepared>; 2]>,
    /// Those of them whose results have another shape now.
    pub reshaped: SmallVec<[u64; 1]>,
    /// The catalog's version when the unit was read.
    pub catalog: CatalogVersion,
    /// Named statements that it binds and that were prepared before.
    pub earlier: SmallVec<[Arc<Prepared>; 4]>,
    /// What it does with statements that SQL knows by name. Boxed, since every session keeps room for a survey.
    pub by_name: Box<ByNames>,
}

/// What a unit does with statements that SQL knows by name.
#[derive(Debug, Default)]
pub struct ByNames {
    /// The texts of its executions that are a PREPARE, by their number.
    pub makes: Vec<(usize, Arc<str>)>,
    /// Its executions of statements that ask what a sequence gave last, by their number.
    pub asks: Vec<usize>,
    /// Names that it takes for those of statements, whether SQL's or the protocol's, and needs on the connection.
    pub needs: Vec<(String, Need)>,
    /// Those of them that the connection cannot be given, with the error that tells why.
    pub spoiled: Vec<(String, Bytes)>,
}

/// What a unit needs of a statement by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It runs or describes the statement.
    Itself,
    /// It drops it, or fails because there is one: any will do.
    Any,
    /// It drops what it has parsed itself: any will do, and there has to be one.
    Parsed,
}

impl Survey {
    /// What the unit's own messages so far have made of a statement's name; `None` if nothing.
    pub fn named(&self, name: &[u8]) -> Option<Option<&Arc<Prepared>>> {
        self.namings.named(name)
    }

    /// The error that an execution ends with without a server: of a setting that none knows, or a statement that it cannot be given.
    pub fn own_failure(&self, run: usize) -> Option<Bytes> {
        let plan = self.runs.get(run)?.as_ref()?;
        if self.others_sequence == Some(run) {
            return Some(failure_frame(&others_sequence()));
        }
        self.spoiled(plan).or_else(|| own::failure(plan).map(|failure| failure_frame(&failure)))
    }

    /// The error of an EXECUTE whose statement the connection cannot be given.
    pub fn spoiled(&self, plan: &Plan) -> Option<Bytes> {
        let Kind::Execute { name, .. } = &plan.kind else { return None };
        self.by_name.spoiled.iter().find(|(spoiled, _)| spoiled == name).map(|(_, failure)| failure.clone())
    }

    /// Whether it touches no row, but the session and its transaction alone.
    pub fn is_control(&self) -> bool {
        self.runs.iter().all(|plan| plan.as_ref().is_some_and(|plan| plan.kind.is_control()))
    }

    /// Whether something runs that is not known to do no more than read and write rows.
    pub fn may_leave_anything(&self) -> bool {
        let may = |plan: &Arc<Plan>| match plan.kind {
            Kind::Unproven => true,
            Kind::Execute { .. } => plan.may_change_catalog,
            _ => false,
        };
        self.runs.iter().any(|plan| plan.as_ref().is_none_or(may))
    }

    /// Whether it may have a sequence give something.
    pub fn may_draw(&self) -> bool {
        let draws = |plan: &Arc<Plan>| match plan.kind {
            Kind::Write => !["update", "delete", "truncate"]
                .iter()
                .any(|verb| plan.identity.get(..verb.len()).is_some_and(|first| first.eq_ignore_ascii_case(verb))),
            Kind::Read | Kind::Ddl => false,
            _ => !plan.kind.is_control(),
        };
        self.runs.iter().any(|plan| plan.as_ref().is_none_or(draws))
    }

    /// Whether a transaction begins in it by itself. What only may begin one may draw too.
    pub fn opens_block(&self) -> bool {
        let opens = |plan: &Arc<Plan>| matches!(plan.kind, Kind::Transaction(TransactionControl::Begin { .. }));
        self.runs.iter().flatten().any(opens)
    }

    /// The first execution that asks what a sequence gave last, which each backend remembers for itself, before the unit itself may have had
    /// it give something.
    pub fn asks_sequence(&self) -> Option<usize> {
        let asks =
            |plan: &Arc<Plan>| matches!(plan.pin, Some(PinReason::Opaque | PinReason::Lasting)) && asks_sequence(plan);
        let by_name = self.by_name.asks.first().copied();
        let first = self.runs.iter().position(|plan| plan.as_ref().is_some_and(asks));
        let first = first.into_iter().chain(by_name).min()?;
        let reads = |plan: &Option<Arc<Plan>>| {
            plan.as_ref().is_some_and(|plan| plan.kind == Kind::Read || plan.kind.is_control())
        };
        self.runs[..first].iter().all(reads).then_some(first)
    }

    /// Whether a text in it asks what a sequence gave last, be it after the unit's own draws.
    pub fn names_last_of_sequence(&self) -> bool {
        let names = |plan: &Arc<Plan>| {
            matches!(plan.pin, Some(PinReason::Opaque | PinReason::Lasting)) && names_last_of_sequence(&plan.identity)
        };
        !self.by_name.asks.is_empty() || self.runs.iter().flatten().any(names)
    }

    /// Whether it sets the modes of the transaction that it is in, or may.
    pub fn sets_modes(&self) -> bool {
        let sets = |plan: &Arc<Plan>| match &plan.kind {
            Kind::Transaction(TransactionControl::Modes) => true,
            Kind::Setting(change) => is_mode(change),
            _ => plan.cache == Err(Refusal::SeveralStatements),
        };
        self.runs.iter().flatten().any(sets)
            || self.set.iter().any(|(_, set)| set.as_ref().is_none_or(|changes| changes.iter().any(is_mode)))
    }

    /// Whether it may have seen rows that others write.
    pub fn reads_rows(&self) -> bool {
        let sees = |plan: &Arc<Plan>| match &plan.cache {
            Err(Refusal::NoRelation) => false,
            // COPY … TO is one for the router.
            Err(Refusal::NotARead) => plan.kind == Kind::Read,
            _ => true,
        };
        self.runs.iter().any(|plan| plan.as_ref().is_none_or(sees))
    }
}

/// Whether a text names a function that says what a sequence gave last.
pub(super) fn names_last_of_sequence(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["lastval", "currval"].iter().any(|word| text.contains(word))
}

/// Whether a text asks what a sequence gave last, and not behind what has it give something.
fn asks_sequence(plan: &Plan) -> bool {
    let text = plan.identity.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_own = has(&["nextval", "setval"]) || (plan.cache == Err(Refusal::SeveralStatements) && has(&["insert"]));
    names_last_of_sequence(&text) && !is_own
}

/// What another session was given is not told: PostgreSQL would say the same of a session that has asked for nothing yet.
fn others_sequence() -> Failure {
    let text = "lastval and currval are not known: others have used the connection since \
                (use RETURNING, ask within the transaction of the INSERT, or set pool = session)";
    Failure::error("55000", text)
}

/// What calls of `set_config` set with these parameters, if all of them are texts.
fn changes(calls: &[SetConfig], bind: &Bind<'_>, statement: &Prepared) -> Option<Vec<SettingChange>> {
    /// unspecified, text, unknown, varchar: sent alike as text and binary.
    const TEXTS: [u32; 4] = [0, 25, 705, 1043];
    if !statement.oids.iter().all(|oid| TEXTS.contains(oid)) {
        return None;
    }
    let values = bind.values().map(|(_, value)| value.map(std::str::from_utf8).transpose());
    let values: Vec<Option<&str>> = values.collect::<Result<_, _>>().ok()?;
    calls.iter().map(|call| call.change(&values)).collect()
}

impl Session {
    /// Reads a unit's messages: what they run and prepare.
    pub(super) fn survey(&mut self, unit: &Bytes, end: UnitEnd, known: Understood) -> Survey {
        let mut survey = Survey { catalog: self.shared.catalog.version(), ..Survey::default() };
        if self.survey_messages(unit, &mut survey, known).is_err() {
            // Whatever a server makes of it.
            survey.runs.push(None);
        }
        if end == UnitEnd::Call {
            survey.runs.push(None);
            let function = unit.get(HEADER..HEADER + 4).and_then(|oid| oid.try_into().ok()).map(u32::from_be_bytes);
            survey.calls_large_object = function.is_some_and(|oid| LARGE_OBJECTS.contains(&oid));
        }
        survey
    }

    /// # Errors
    /// A message whose fields do not fill its frame.
    fn survey_messages(&mut self, unit: &Bytes, survey: &mut Survey, mut known: Understood) -> Result<(), Malformed> {
        let mut portals: Latest<&[u8], Arc<Prepared>> = Latest::default();
        let mut bound: Latest<&[u8], Option<Vec<SettingChange>>> = Latest::default();
        // Of statements that SQL's PREPARE made.
        let mut made: Latest<&[u8], Arc<Plan>> = Latest::default();
        let mut described: Latest<*const Prepared, ()> = Latest::default();
        // Something in the unit may have changed how the texts behind it are read.
        let mut moved = false;
        for (header, body) in frames(unit) {
            match header.tag {
                b'Q' => {
                    let text = frontend::query(body)?;
                    let known = known.plan.take().filter(|plan| self.is_current(plan, survey.catalog));
                    let plan = known.unwrap_or_else(|| self.plan(text));
                    let plan = self.plan_by_name(plan, text, survey);
                    if let Kind::SetConfig(calls) = &plan.kind {
                        survey.set.push((0, calls.iter().map(|call| call.change(&[])).collect()));
                    }
                    survey.runs.push(Some(plan));
                }
                b'P' => {
                    let parse = Parse::read(body)?;
                    let statement = known.parsed.take().unwrap_or_else(|| self.prepare(&parse, moved));
                    survey.touches.push(Arc::clone(&statement.plan));
                    self.need(parse.name, Need::Any, survey);
                    survey.namings.push(Naming::Prepared(unit.slice_ref(parse.name), statement));
                }
                b'B' => {
                    // A server looks at the statement before it reads on.
                    let bind = Bind::read(body).or_else(|Malformed| Bind::of_names(body))?;
                    if bind.portal.is_empty() {
                        survey.unnamed_run = None;
                    }
                    self.need(bind.statement, Need::Itself, survey);
                    if let Some(statement) = self.statement(survey, bind.statement, moved) {
                        if statement.is_named && survey.named(bind.statement).is_none() {
                            survey.earlier.push(Arc::clone(&statement));
                        }
                        let plan = self.plan_in(survey.catalog, &statement);
                        if let Kind::SetConfig(calls) = &plan.kind {
                            bound.put(bind.portal, changes(calls, &bind, &statement));
                        }
                        survey.touches.push(plan);
                        portals.put(bind.portal, statement);
                        made.take(bind.portal);
                    } else if let Some(plan) = self.made_plan(bind.statement, survey) {
                        portals.take(bind.portal);
                        made.put(bind.portal, plan);
                    }
                }
                b'D' | b'C' => {
                    let (subject, name) = frontend::subject(body)?;
                    if header.tag == b'D' {
                        let statement = match subject {
                            Subject::Statement => self.statement(survey, name, moved),
                            Subject::Portal => portals.get(name).or_else(|| self.statements.portal(name)).cloned(),
                        };
                        if subject == Subject::Statement {
                            self.need(name, Need::Itself, survey);
                        }
                        if let Some(statement) = statement.as_ref().filter(|_| subject == Subject::Statement) {
                            survey.touches.push(self.plan_in(survey.catalog, statement));
                        }
                        if let Some(statement) = &statement {
                            described.put(Arc::as_ptr(statement), ());
                        }
                        survey.described.push(statement);
                    }
                    if header.tag == b'C' {
                        let name = unit.slice_ref(name);
                        survey.namings.push(match subject {
                            Subject::Statement => Naming::Closed(name),
                            Subject::Portal => Naming::ClosedPortal(name),
                        });
                    }
                }
                b'E' => {
                    let (name, rows) = frontend::execute(body)?;
                    survey.partial |= rows != 0;
                    if name.is_empty() {
                        survey.unnamed_run = Some(survey.runs.len());
                    }
                    let here = portals.get(name);
                    if let Some(here) = here.filter(|here| here.told.shape().is_some())
                        && described.get(Arc::as_ptr(here)).is_none()
                    {
                        survey.blind.push(Arc::clone(here));
                    }
                    let by_sql = made.get(name);
                    let statement = here.or_else(|| self.statements.portal(name)).filter(|_| by_sql.is_none()).cloned();
                    // Taken away: a portal runs once.
                    if let Some(set) = bound.take(name) {
                        survey.set.push((survey.runs.len(), set));
                    }
                    let plan = statement.map(|statement| {
                        let plan = self.plan_in(survey.catalog, &statement);
                        self.plan_by_name(plan, &statement.sql, survey)
                    });
                    let plan = match by_sql {
                        Some(made) => {
                            if names_last_of_sequence(&made.identity) {
                                survey.by_name.asks.push(survey.runs.len());
                            }
                            Some(Arc::clone(made))
                        }
                        None => plan,
                    };
                    let plan = plan.map(|plan| if moved { self.by_other_names(plan) } else { plan });
                    let set = survey.set.last().filter(|(run, _)| *run == survey.runs.len());
                    moved |= plan.as_ref().is_none_or(|plan| self.may_reread(plan, set.map(|(_, set)| set.as_deref())));
                    if let Some(drops) = Drops::of(plan.as_deref()) {
                        survey.namings.push(Naming::Ran(survey.runs.len(), drops));
                    }
                    survey.runs.push(plan);
                }
                b'S' | b'H' if !body.is_empty() => return Err(Malformed),
                _ => {}
            }
            survey.sound += 1;
        }
        Ok(())
    }

    /// What runs behind a change of the path in its own batch was judged by names that may mean something else there: if one of them is also
    /// a function of the users' that may do anything.
    fn by_other_names(&self, plan: Arc<Plan>) -> Arc<Plan> {
        let may_differ = || self.shared.catalog.load().has_unsteady_function(&plan.identity);
        match plan.kind {
            Kind::Execute { .. } => Arc::new(Plan { pin: Some(PinReason::Opaque), ..Plan::clone(&plan) }),
            Kind::Read | Kind::Write if may_differ() => {
                Arc::new(Plan { kind: Kind::Unproven, pin: Some(PinReason::Opaque), ..Plan::clone(&plan) })
            }
            _ => plan,
        }
    }

    fn statement(&mut self, survey: &Survey, name: &[u8], moved: bool) -> Option<Arc<Prepared>> {
        match survey.named(name) {
            Some(own) => own.cloned(),
            None => self.known_statement(name, moved),
        }
    }

    /// Whether texts may be read in another way once this has run. `set`: what it sets by `set_config`, if that is certain.
    fn may_reread(&self, plan: &Plan, set: Option<Option<&[SettingChange]>>) -> bool {
        let rereads = |change: &SettingChange| match change {
            SettingChange::Set { name, .. } | SettingChange::Reset { name, .. } => {
                matches!(name.as_str(), "role" | "session_authorization" | "search_path")
                    || Settings::decides_texts(name)
            }
            SettingChange::ResetAll | SettingChange::DiscardAll => true,
        };
        match &plan.kind {
            Kind::Setting(change) => rereads(change),
            Kind::Settings { changes, .. } => changes.iter().any(|(_, change)| rereads(change)),
            Kind::SetConfig(_) => set.flatten().is_none_or(|changes| changes.iter().any(rereads)),
            Kind::Transaction(_) => self.settings.changed_in_transaction(),
            _ => matches!(plan.pin, Some(PinReason::Opaque | PinReason::Lasting)),
        }
    }
}
