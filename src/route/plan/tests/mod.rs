//! Statements and what is decided about them, in tables.

mod kinds;
mod reads;
mod text;

use super::fake::Fake;
use super::*;

fn path(schemas: &[&str]) -> SearchPath {
    SearchPath(schemas.iter().map(|s| (*s).to_owned()).collect())
}

fn plan_of(text: &str) -> Plan {
    plan_with(text.as_bytes(), &path(&["public"]), true, &Fake::shop())
}

fn reads(text: &str) -> Result<Vec<u32>, Refusal> {
    plan_of(text).cache.map(|recipe| recipe.relations.iter().map(|id| id.oid()).collect())
}

#[track_caller]
fn all_refused(refusal: Refusal, kind: &Kind, texts: &[&str]) {
    for text in texts {
        let plan = plan_of(text);
        assert_eq!(plan.cache, Err(refusal), "{text}");
        assert_eq!(plan.kind, *kind, "{text}");
    }
}

#[track_caller]
fn all_kinds(kind: &Kind, pin: Option<PinReason>, may_change_catalog: bool, texts: &[&str]) {
    for text in texts {
        let plan = plan_of(text);
        assert_eq!((&plan.kind, plan.pin, plan.may_change_catalog), (kind, pin, may_change_catalog), "{text}");
        assert!(plan.cache.is_err(), "{text}");
    }
}
