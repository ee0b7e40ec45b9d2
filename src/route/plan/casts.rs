//! Which conversions depend on more than their operand. Text that becomes a date may say `now`; a `reg…` type reads the
//! catalog; a time with time zone reads the present day.

use super::judge::{Case, Judge, Proof, has_column};
use super::{Refusal, functions};
use crate::catalog::Relation;
use crate::sql::facts::{Cast, Name, Operand, SourceKind, TypeName};

/// `time`, which PostgreSQL takes for a `timetz` by the offset of the present day wherever it needs one.
pub(super) const TIME: u32 = 1083;
/// `timetz`.
pub(super) const TIMETZ: u32 = 1266;
const TIMETZ_ARRAY: u32 = 1270;
/// Types from here on are the users'.
const FIRST_USER_OID: u32 = 16384;

/// How a type converts from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// By the text alone, and by session inputs that are in the key.
    Plain,
    /// Strings.
    Text,
    /// `now` means the present.
    Time,
    /// Always by more than the text.
    Unsteady,
    /// A type of the users', or one not listed here.
    Unknown,
}

fn class(oid: u32) -> Class {
    match oid {
        // text, name, "char", bpchar, varchar, unknown, cstring, json and their arrays
        25 | 19 | 18 | 1042 | 1043 | 705 | 2275 | 1009 | 1003 | 1002 | 1014 | 1015 | 114 | 199 | 142 | 143 => {
            Class::Text
        }
        // bool, bytea, int8, int2, int4, oid, float4, float8, money, numeric and their arrays
        16 | 17 | 20 | 21 | 23 | 26 | 700 | 701 | 790 | 1700 => Class::Plain,
        1000 | 1001 | 1016 | 1005 | 1007 | 1028 | 1021 | 1022 | 791 | 1231 => Class::Plain,
        // interval, bit, varbit, uuid, jsonb, inet, cidr, macaddr, macaddr8, pg_lsn and their arrays
        1186 | 1560 | 1562 | 2950 | 3802 | 869 | 650 | 829 | 774 | 3220 => Class::Plain,
        1187 | 1561 | 1563 | 2951 | 3807 | 1041 | 651 | 1040 | 775 | 3221 => Class::Plain,
        // geometric types and their arrays
        600 | 601 | 602 | 603 | 604 | 628 | 718 | 1017 | 1018 | 1019 | 1020 | 1027 | 629 | 719 => Class::Plain,
        // tsvector, tsquery, int4range, int8range, numrange, their multiranges, and arrays of these
        3614 | 3615 | 3643 | 3645 | 3904 | 3926 | 3906 | 3905 | 3927 | 3907 | 4451 | 4536 | 4532 => Class::Plain,
        // date, time, timestamp, timestamptz, ranges and multiranges of them, and arrays of these
        1082 | 1083 | 1114 | 1184 | 1182 | 1183 | 1115 | 1185 => Class::Time,
        3908 | 3910 | 3912 | 3909 | 3911 | 3913 | 4533 | 4534 | 4535 => Class::Time,
        TIMETZ | TIMETZ_ARRAY => Class::Unsteady,
        _ if is_catalog_name(oid) => Class::Unsteady,
        _ => Class::Unknown,
    }
}

/// `regproc`, `regprocedure`, `regoper`, `regoperator`, `regclass`, `regtype`, `regconfig`, `regdictionary`, `regnamespace`,
/// `regrole`, `regcollation`, `aclitem`, and arrays of these: they are written with names that others may change.
fn is_catalog_name(oid: u32) -> bool {
    matches!(
        oid,
        24 | 2202
            | 2203
            | 2204
            | 2205
            | 2206
            | 3734
            | 3769
            | 4089
            | 4096
            | 4191
            | 1033
            | 1008
            | 2207
            | 2208
            | 2209
            | 2210
            | 2211
            | 3735
            | 3770
            | 4090
            | 4097
            | 4192
            | 1034
    )
}

/// Whether this is a type of PostgreSQL's own whose values hang on nothing but themselves, or no type at all.
pub fn is_steady(oid: u32) -> bool {
    oid == 0 || matches!(class(oid), Class::Plain | Class::Text | Class::Time)
}

/// Whether a value of this type is a relation's name, so that what it is hangs on which relations there are (`regclass`, `regtype`,
/// their arrays).
pub(super) fn names_relations(oid: u32) -> bool {
    matches!(oid, 2205 | 2206 | 2210 | 2211)
}

/// Whether a function with an argument of this type can be called with a row: the users' types and the pseudo-types
/// (`record`, `any`, `anyelement` and its kin).
pub(super) fn takes_rows(oid: u32) -> bool {
    oid >= FIRST_USER_OID || matches!(oid, 2249 | 2276 | 2283 | 2776 | 5077 | 2277 | 5078)
}

impl Judge<'_> {
    pub(super) fn cast(&mut self, cast: &Cast, case: &Case<'_>) {
        match self.names().type_oid(&cast.target.name, case.path) {
            Some(oid) => self.cast_to(oid, &cast.operand, case),
            None => self.refuse(Refusal::UnprovenCast, Proof::Harmless),
        }
    }

    /// An array converts as its elements do, so `oid` may be the element's.
    pub(super) fn cast_to(&mut self, oid: u32, operand: &Operand, case: &Case<'_>) {
        let steady = match class(oid) {
            Class::Plain | Class::Text => true,
            // What a user's type is made of is not known: perhaps of dates.
            Class::Time | Class::Unknown => self.is_never_stored_text(operand, case),
            Class::Unsteady => false,
        };
        self.meet(oid);
        if !steady {
            self.refuse(Refusal::UnprovenCast, Proof::Harmless);
        }
    }

    /// Whether the operand is no text that was stored or computed. Literals are text too, but their words are seen, and
    /// parameters are looked at when they are bound.
    fn is_never_stored_text(&self, operand: &Operand, case: &Case<'_>) -> bool {
        match operand {
            Operand::Literal => true,
            // What a function is called with is not seen.
            Operand::Parameter => self.bodies == 0,
            Operand::Column { qualifier, name } => self.is_column(qualifier.as_deref(), name, case, is_without_text),
            Operand::Cast(target) => self.is_type(target, case, is_without_text),
            Operand::Arithmetic(_) => self.has_arithmetic_alone(case),
            Operand::Result(name) => self.gives_no_text(name, case),
            Operand::OneOf(list) => list.iter().all(|operand| self.is_never_stored_text(operand, case)),
            Operand::Other => false,
        }
    }

    /// Whether what is taken to another time zone is a moment, and no time of day.
    pub(super) fn is_never_time(&self, operand: &Operand, case: &Case<'_>) -> bool {
        match operand {
            // PostgreSQL prefers a moment.
            Operand::Literal => true,
            Operand::Column { qualifier, name } => self.is_column(qualifier.as_deref(), name, case, is_without_time),
            Operand::Cast(target) => self.is_type(target, case, is_without_time),
            // A time of day comes of another alone.
            Operand::Arithmetic(list) => {
                self.has_arithmetic_alone(case) && list.iter().all(|operand| self.is_never_time(operand, case))
            }
            Operand::OneOf(list) => list.iter().all(|operand| self.is_never_time(operand, case)),
            // Nor do these give a time of day.
            Operand::Result(name) => self.gives_no_text(name, case),
            // The client may have said that it is one.
            Operand::Parameter | Operand::Other => false,
        }
    }

    fn is_type(&self, target: &TypeName, case: &Case<'_>, is: impl Fn(u32) -> bool) -> bool {
        self.names().type_oid(&target.name, case.path).is_some_and(is)
    }

    fn gives_no_text(&self, name: &Name, case: &Case<'_>) -> bool {
        let overloads = self.names().functions(name, case.path);
        functions::gives_no_text(&name.name) && !overloads.is_empty() && overloads.iter().all(|f| f.built_in)
    }

    fn has_arithmetic_alone(&self, case: &Case<'_>) -> bool {
        ["+", "-"].into_iter().all(|operator| self.has_only_built_in(operator, case))
    }

    fn has_only_built_in(&self, operator: &str, case: &Case<'_>) -> bool {
        let in_schema = |schema: &String| {
            let name = Name { schema: Some(schema.clone()), name: operator.to_owned() };
            self.names().operator(&name, case.path)
        };
        !case.path.0.iter().filter(|schema| *schema != "pg_catalog").any(|schema| in_schema(schema).is_some())
    }

    /// Whether a function in FROM may have columns that the query does not name: all but those that give one value a row have.
    fn has_untold_columns(&self, case: &Case<'_>) -> bool {
        let is_untold = |n: usize| {
            let name = &case.facts.functions[n].name;
            let overloads = self.names().functions(name, case.path);
            !functions::gives_one_column(&name.name) || !overloads.iter().all(|f| f.built_in)
        };
        let mut functions = case.facts.sources.iter().filter_map(|(_, kind)| match kind {
            SourceKind::Function(n) => Some(*n),
            _ => None,
        });
        functions.any(is_untold)
    }

    /// Every relation that could have the column has it with such a type, and the query makes up no column of that name.
    fn is_column(&self, qualifier: Option<&str>, name: &str, case: &Case<'_>, is_such: impl Fn(u32) -> bool) -> bool {
        if case.facts.aliases.iter().any(|alias| alias == name) {
            return false;
        }
        let sources = || case.facts.sources.iter().filter(|(source, _)| Some(source.as_str()) == qualifier);
        let is_relation = |kind: &SourceKind| matches!(kind, SourceKind::Relation(_));
        // Its columns are those of the relations below it, if the query makes up none of this name.
        let is_beneath = qualifier.is_none() || sources().any(|(_, kind)| !is_relation(kind));
        if is_beneath && self.has_untold_columns(case) {
            return false;
        }
        let candidates: Vec<&Relation> = match is_beneath {
            true => case.relations.iter().flatten().copied().collect(),
            false => sources()
                .filter_map(|(_, kind)| match kind {
                    SourceKind::Relation(n) => case.relations[*n],
                    _ => None,
                })
                .collect(),
        };
        let mut having = candidates.into_iter().filter(|relation| has_column(relation, name)).peekable();
        having.peek().is_some()
            && having.all(|relation| {
                relation.columns.iter().filter(|column| column.name == name).all(|column| is_such(column.type_oid))
            })
    }
}

fn is_without_text(oid: u32) -> bool {
    matches!(class(oid), Class::Plain | Class::Time)
}

fn is_without_time(oid: u32) -> bool {
    oid != TIME && matches!(class(oid), Class::Plain | Class::Text | Class::Time)
}
