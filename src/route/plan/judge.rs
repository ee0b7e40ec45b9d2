//! Puts the facts of a query before the catalog: what do its names mean, may it be cached, may it run on a replica?
//! Views are judged by their definitions, down to tables and functions.

use super::calls::calls;
use super::casts::{TIME, TIMETZ, names_relations, takes_rows};
use super::names::Names;
use super::unwritten::settings_read;
use super::{Draft, Kind, PinReason, Place, Recipe, Refusal, both, functions};
use crate::catalog::{Function, Persistence, Relation, RelationKind, SearchPath, Storage, Volatility};
use crate::sql::facts::{Attribute, Facts, FunctionCall, Name, Operand, SourceKind};
use crate::sql::query;
use crate::sql::token::{Lexed, lex};
use crate::types::RelationId;
use std::collections::{BTreeSet, HashSet};

/// Views in views, and policies beneath them, beyond which none is expanded.
pub(super) const DEEPEST_VIEW: usize = 32;

/// What a refusal says about the statement beyond the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Not cacheable, but proven to change nothing.
    Harmless,
    /// As [`Proof::Harmless`], but only the primary gives the primary's answer.
    OnPrimary,
    /// It may change anything.
    Unproven,
}

/// The state of one judgement.
pub(super) struct Judge<'n> {
    names: &'n dyn Names,
    refusal: Option<Refusal>,
    proven: bool,
    place: Place,
    pin: Option<PinReason>,
    may_change_catalog: bool,
    relations: BTreeSet<RelationId>,
    /// Settings of the users' own whose values decide the answer.
    settings: BTreeSet<String>,
    /// Views and tables with policies that were judged by what is beneath.
    pub(super) expanded: HashSet<RelationId>,
    /// And functions, by their oids, which may be those of relations too.
    pub(super) read: HashSet<u32>,
    pub(super) depth: usize,
    /// By which the bodies of functions read names, wherever they are called.
    pub(super) path: &'n SearchPath,
    /// How many functions' bodies the judgement is inside of.
    pub(super) bodies: usize,
}

/// A query that the judge looks at: the statement itself, or a view's.
pub(super) struct Case<'a> {
    pub facts: &'a Facts,
    pub path: &'a SearchPath,
    /// What `facts.relations` name, in the same order.
    pub relations: Vec<Option<&'a Relation>>,
    /// The settings that `current_setting` is asked for; `None` if not all are written out.
    pub settings: Option<Vec<String>>,
}

impl<'n> Judge<'n> {
    fn new(names: &'n dyn Names, path: &'n SearchPath) -> Self {
        Judge {
            names,
            refusal: None,
            proven: true,
            place: Place::Anywhere,
            pin: None,
            may_change_catalog: false,
            relations: BTreeSet::new(),
            settings: BTreeSet::new(),
            expanded: HashSet::new(),
            read: HashSet::new(),
            depth: 0,
            path,
            bodies: 0,
        }
    }

    /// Judges one query to its end: what was understood of these tokens.
    pub fn query(names: &'n dyn Names, lexed: &Lexed<'_>, facts: &Facts, path: &'n SearchPath) -> Draft {
        let mut judge = Judge::new(names, path);
        judge.case(lexed, facts, path);
        if judge.relations.is_empty() {
            judge.refuse(Refusal::NoRelation, Proof::Harmless);
        }
        let recipe = Recipe {
            relations: judge.relations.into_iter().collect(),
            settings: judge.settings.into_iter().collect(),
            parameters: facts.parameters,
            // Whether a parameter is taken as a date is not known before the server has given it a type.
            time_parameters: facts.parameters > 0,
        };
        Draft {
            kind: if judge.proven { Kind::Read } else { Kind::Unproven },
            place: if judge.proven { judge.place } else { Place::Primary },
            cache: judge.refusal.map_or(Ok(recipe), Err),
            pin: judge.pin,
            may_change_catalog: judge.may_change_catalog,
        }
    }

    /// The first refusal is the one that is told.
    pub(super) fn refuse(&mut self, refusal: Refusal, proof: Proof) {
        self.refusal.get_or_insert(refusal);
        match proof {
            Proof::Harmless => {}
            Proof::OnPrimary => self.place = Place::Primary,
            Proof::Unproven => self.proven = false,
        }
    }

    pub(super) fn names(&self) -> &'n dyn Names {
        self.names
    }

    pub(super) fn case(&mut self, lexed: &Lexed<'_>, facts: &Facts, path: &SearchPath) {
        let names = self.names;
        let relations = facts.relations.iter().map(|name| names.relation(name, path)).collect();
        let case = Case { facts, path, relations, settings: settings_read(lexed) };
        if facts.modifies {
            self.refuse(Refusal::DataModifyingCte, Proof::Unproven);
        }
        if facts.into.is_some() {
            self.refuse(Refusal::Into, Proof::Unproven);
        }
        if facts.locking {
            self.refuse(Refusal::Locking, Proof::Unproven);
        }
        for relation in &case.relations {
            match relation {
                Some(relation) => self.relation(relation),
                None => self.refuse(Refusal::UnknownRelation, Proof::Unproven),
            }
        }
        facts.functions.iter().for_each(|call| self.call(call, &case));
        facts.attributes.iter().for_each(|attribute| self.attribute(attribute, &case));
        facts.operators.iter().for_each(|name| self.operator(name, path));
        facts.casts.iter().for_each(|cast| self.cast(cast, &case));
        if names.has_unsafe_casts() {
            // Such a cast may be implied anywhere.
            self.unsafe_cast();
        }
        for (found, refusal) in [
            (facts.table_sample, Refusal::TableSample),
            (facts.system_column, Refusal::SystemColumn),
            (facts.current_time, Refusal::CurrentTime),
            (facts.time_literal, Refusal::TimeLiteral),
        ] {
            if found {
                self.refuse(refusal, Proof::Harmless);
            }
        }
    }

    /// A function of the users' may run unnamed.
    fn unsafe_cast(&mut self) {
        let proof = if self.names.may_write_unnamed() { Proof::Unproven } else { Proof::Harmless };
        self.refuse(Refusal::UnprovenCast, proof);
    }

    /// A value of this type is met.
    pub(super) fn meet(&mut self, oid: u32) {
        if self.names.is_cast_unsafely(oid) {
            self.unsafe_cast();
        } else if self.names.is_unsteady(oid) {
            self.refuse(Refusal::UnprovenCast, Proof::Harmless);
        }
    }

    fn relation(&mut self, relation: &Relation) {
        self.relations.insert(relation.id);
        self.properties(relation);
        if relation.kind == RelationKind::View && !is_system(relation) {
            self.view(relation);
        }
        if relation.row_security {
            self.policies(relation);
        }
        for id in &relation.descendants {
            self.relation_by_id(*id);
        }
    }

    /// A relation that only the catalog names. One that it does not know is too new to be reasoned about.
    fn relation_by_id(&mut self, id: RelationId) {
        if self.relations.contains(&id) {
            return;
        }
        match self.names.relation_by_id(id) {
            Some(relation) => self.relation(relation),
            None => self.refuse(Refusal::UnknownRelation, Proof::Unproven),
        }
    }

    fn properties(&mut self, relation: &Relation) {
        if is_system(relation) {
            return self.refuse(Refusal::SystemCatalog, Proof::OnPrimary);
        }
        match relation.persistence {
            Persistence::Permanent => {}
            Persistence::Unlogged => self.refuse(Refusal::Unlogged, Proof::OnPrimary),
            Persistence::Temporary => self.refuse(Refusal::TemporaryRelation, Proof::OnPrimary),
        }
        match relation.kind {
            RelationKind::Table | RelationKind::Partitioned | RelationKind::View => {}
            RelationKind::MaterializedView => self.refuse(Refusal::MaterializedView, Proof::Harmless),
            // What a foreign server does when it is read is not known.
            RelationKind::Foreign => self.refuse(Refusal::ForeignTable, Proof::Unproven),
            RelationKind::Sequence => self.refuse(Refusal::Sequence, Proof::OnPrimary),
            RelationKind::Index | RelationKind::Other => self.refuse(Refusal::OtherRelationKind, Proof::Unproven),
        }
        match relation.storage {
            Storage::Own => {}
            // Nor is it known what else its servers show, and when.
            Storage::AccessMethod => self.refuse(Refusal::TableAccessMethod, Proof::OnPrimary),
            Storage::Shards => self.refuse(Refusal::DistributedTable, Proof::OnPrimary),
            Storage::Compressed => self.refuse(Refusal::CompressedTable, Proof::Harmless),
        }
        relation.columns.iter().for_each(|column| self.meet(column.type_oid));
    }

    fn view(&mut self, view: &Relation) {
        if !self.expanded.insert(view.id) {
            return;
        }
        match &view.definition {
            Some(text) if self.depth < DEEPEST_VIEW => self.beneath(text.trim_end_matches([';', ' ', '\n'])),
            _ => return self.refuse(Refusal::ViewDefinition, Proof::Unproven),
        }
        self.depth += 1;
        for id in &view.rule_dependencies {
            self.relation_by_id(*id);
        }
        self.depth -= 1;
    }

    /// Judges a query that the server has written, of a view or a policy. Names outside `pg_catalog` are qualified there, and
    /// strings hold for any setting of `standard_conforming_strings`.
    pub(super) fn beneath(&mut self, text: &str) {
        self.depth += 1;
        let path = SearchPath::default();
        match lex(text, true) {
            Ok(lexed) => match query::facts(&lexed) {
                Ok(facts) => self.case(&lexed, &facts, &path),
                Err(refused) => {
                    let calls = calls(&lexed, &path, self.names);
                    self.may_change_catalog |= calls.may_change_catalog || calls.unknown;
                    self.refuse(refused.into(), Proof::Unproven);
                }
            },
            Err(refused) => {
                self.may_change_catalog = true;
                self.refuse(refused.into(), Proof::Unproven);
            }
        }
        self.depth -= 1;
    }

    fn call(&mut self, call: &FunctionCall, case: &Case<'_>) {
        self.pin = both(self.pin, functions::pins(&call.name.name));
        let names = self.names;
        let overloads = names.functions(&call.name, case.path);
        // `date(x)` is a cast if no function fits; `regclass('t')` too.
        let as_type = (call.arguments == 1).then(|| names.type_oid(&call.name, case.path)).flatten();
        if call.arguments == 1 && names.is_row_type(&call.name, case.path) {
            // Where no function fits, it is a cast.
            self.refuse(Refusal::UnprovenCast, Proof::Harmless);
        }
        if let (Some(oid), Some(operand)) = (as_type, &call.operand) {
            self.cast_to(oid, operand, case);
        } else if overloads.is_empty() {
            self.refuse(Refusal::UnknownFunction, Proof::Unproven);
            self.may_change_catalog |= call.name.schema.is_some() || !functions::is_of_grammar(&call.name.name);
        }
        let built_in = overloads.iter().all(|function| function.built_in);
        match &case.settings {
            // Its answer is the setting's value, and that is in the key or asked for when the answer is stored.
            Some(settings) if call.name.name == "current_setting" && built_in => {
                self.settings.extend(settings.iter().cloned());
            }
            _ => overloads.iter().for_each(|f| self.overload(&call.name.name, call.arguments, f)),
        }
        self.takes_time(call, &overloads, case);
    }

    /// A time of day is given where one with time zone is wanted, unless another function of the name takes it as it is.
    fn takes_time(&mut self, call: &FunctionCall, overloads: &[&Function], case: &Case<'_>) {
        let has_own = |function: &Function| {
            let own = |oid: &u32| if *oid == TIMETZ { TIME } else { *oid };
            let own: Vec<u32> = function.argument_types.iter().map(own).collect();
            overloads.iter().any(|other| other.argument_types == own)
        };
        let takes = |function: &&&Function| function.built_in && function.argument_types.contains(&TIMETZ);
        let is_moment = || call.operand.as_ref().is_some_and(|moment| self.is_never_time(moment, case));
        let mut taking = overloads.iter().filter(takes).filter(|function| !has_own(function)).peekable();
        if taking.peek().is_some() && !(call.name.name == "timezone" && is_moment()) {
            self.refuse(Refusal::UnprovenCast, Proof::Harmless);
        }
    }

    fn overload(&mut self, name: &str, arguments: usize, function: &Function) {
        match function.built_in {
            true => self.built_in(name, arguments, function),
            false => self.user_function(function),
        }
        // An argument becomes one unseen, and what a function of the users' gives is one.
        for oid in function.argument_types.iter().chain(&function.result_types) {
            match function.built_in {
                true if names_relations(*oid) => self.refuse(Refusal::UnprovenCast, Proof::Harmless),
                true => {}
                false => self.meet(*oid),
            }
        }
    }

    fn built_in(&mut self, name: &str, arguments: usize, function: &Function) {
        // Two of its overloads take a time with time zone: whether one is given is asked of each call.
        let of_time_zone = name == "timezone" && function.argument_types.contains(&TIMETZ);
        if of_time_zone {
            return;
        }
        let place = if functions::runs_anywhere(name, arguments) { Proof::Harmless } else { Proof::OnPrimary };
        match function.volatility {
            Volatility::Immutable => {}
            _ if functions::tells_apart(name) && arguments != function.argument_types.len() => {}
            _ if functions::tells_time(name, arguments) => self.refuse(Refusal::CurrentTime, Proof::Harmless),
            Volatility::Stable if functions::is_cacheable(name) => {}
            Volatility::Stable => self.refuse(Refusal::StableFunction, place),
            Volatility::Volatile if functions::is_harmless(name) => {
                self.refuse(Refusal::VolatileFunction, Proof::Harmless);
            }
            Volatility::Volatile => self.refuse(Refusal::VolatileFunction, Proof::Unproven),
        }
    }

    /// PostgreSQL keeps stable and immutable functions from writing, and the catalog takes those for volatile that call what
    /// does; volatile ones may do anything. They pin only where
    /// their source says that they may leave something in the session: pinning on every call would pin most applications.
    fn user_function(&mut self, function: &Function) {
        if let Some(reason) = functions::pins_by(function.session_state) {
            self.pin = both(self.pin, Some(reason));
            self.refuse(Refusal::VolatileFunction, Proof::Unproven);
        }
        match function.volatility {
            Volatility::Volatile => {
                self.refuse(Refusal::VolatileFunction, Proof::Unproven);
                self.may_change_catalog |= function.may_change_catalog;
            }
            Volatility::Stable | Volatility::Immutable if function.security_definer => {
                self.refuse(Refusal::SecurityDefiner, of_unread(function));
            }
            Volatility::Stable => self.body(function),
            Volatility::Immutable => {}
        }
    }

    /// `a.b` that is not certainly a column may be the function `b` called with the row `a`.
    fn attribute(&mut self, attribute: &Attribute, case: &Case<'_>) {
        let sources = case.facts.sources.iter().filter(|(name, _)| Some(name) == attribute.qualifier.as_ref());
        let sources: Vec<SourceKind> = sources.map(|(_, kind)| *kind).collect();
        let is_column = |kind: &SourceKind| match kind {
            SourceKind::Relation(n) => case.relations[*n].is_some_and(|relation| has_column(relation, &attribute.name)),
            SourceKind::Derived | SourceKind::Function(_) => false,
        };
        if !sources.is_empty() && sources.iter().all(is_column) {
            return;
        }
        // The row of a table or subquery is a composite type, that of a function or expression may be any type.
        let rows_only = !sources.is_empty() && !sources.iter().any(|kind| matches!(kind, SourceKind::Function(_)));
        let names = self.names;
        for function in names.functions(&Name::plain(&attribute.name), case.path) {
            let takes = |oid: &u32| !rows_only || takes_rows(*oid);
            if function.argument_types.first().is_some_and(takes) {
                self.pin = both(self.pin, functions::pins(&attribute.name));
                self.overload(&attribute.name, 1, function);
            }
        }
        if sources.is_empty() {
            // Or the type `b` that `a` is cast to.
            let name = Name::plain(&attribute.name);
            if names.is_row_type(&name, case.path) {
                self.refuse(Refusal::UnprovenCast, Proof::Harmless);
            }
            if let Some(oid) = names.type_oid(&name, case.path) {
                self.cast_to(oid, &Operand::Other, case);
            }
        }
    }

    /// An operator is its function. Built-in ones are immutable, or stable by the time zone alone; a schema of the path may hold
    /// another of the same name.
    fn operator(&mut self, name: &Name, path: &SearchPath) {
        let names = self.names;
        let Some(worst) = names.operator(name, path) else {
            return self.refuse(Refusal::UnknownOperator, Proof::Unproven);
        };
        let built_in = |schema: &str| schema == "pg_catalog";
        let in_schema = |schema: &str| names.operator(&Name { schema: Some(schema.to_owned()), ..name.clone() }, path);
        let users = match &name.schema {
            Some(schema) if built_in(schema) => None,
            Some(_) => Some(worst),
            None => path.0.iter().filter(|schema| !built_in(schema)).filter_map(|schema| in_schema(schema)).max(),
        };
        if worst == Volatility::Volatile {
            self.refuse(Refusal::VolatileOperator, Proof::Unproven);
        } else if users.is_some_and(|volatility| volatility != Volatility::Immutable) {
            // One in C, which may read settings of its extension's, and each server's configuration may give another.
            self.refuse(Refusal::VolatileOperator, Proof::OnPrimary);
        }
    }
}

/// Of one that changes nothing, and whose body is not judged.
pub(super) fn of_unread(function: &Function) -> Proof {
    if function.tells_server { Proof::OnPrimary } else { Proof::Harmless }
}

pub(super) fn has_column(relation: &Relation, name: &str) -> bool {
    relation.columns.iter().any(|column| column.name == name)
}

fn is_system(relation: &Relation) -> bool {
    matches!(relation.schema.as_str(), "pg_catalog" | "information_schema" | "pg_toast")
}
