//! What is known of PostgreSQL's own functions by name, beyond their volatility.

use super::PinReason;
use crate::catalog::SessionState;

/// Stable functions whose answer depends on their arguments and on session inputs alone that every key holds (time zone, date
/// style, role, search path, text search configuration), or on what the catalog says of roles. Sorted.
const CACHEABLE: &[&str] = &[
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "current_database",
    "current_schema",
    "current_user",
    "date",
    "date_add",
    "date_part",
    "date_subtract",
    "date_trunc",
    "extract",
    "format",
    "generate_series",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "json_to_record",
    "json_to_recordset",
    "json_to_tsvector",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_to_tsvector",
    "make_timestamptz",
    "overlaps",
    "pg_has_role",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "session_user",
    "time",
    "timestamp",
    "timestamptz",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "ts_headline",
    "websearch_to_tsquery",
];

/// Whether a built-in stable function of this name may be cached.
pub(super) fn is_cacheable(name: &str) -> bool {
    CACHEABLE.binary_search(&name).is_ok()
}

/// Whether a built-in function of this name tells the time. `age` of one argument counts from the present day.
pub(super) fn tells_time(name: &str, arguments: usize) -> bool {
    match name {
        "now" | "transaction_timestamp" | "statement_timestamp" | "clock_timestamp" | "timeofday" => true,
        "age" => arguments == 1,
        _ => false,
    }
}

/// Whether the number of arguments tells the immutable functions of this name from the others.
pub(super) fn tells_apart(name: &str) -> bool {
    matches!(name, "age" | "length" | "ts_rewrite")
}

/// Volatile built-in functions that change nothing and may run anywhere.
pub(super) fn is_harmless(name: &str) -> bool {
    matches!(
        name,
        "clock_timestamp" | "timeofday" | "random" | "random_normal" | "gen_random_uuid" | "uuidv4" | "uuidv7"
    )
}

/// Stable built-in functions that are not cached, but whose answer does not depend on the server that gives it.
pub(super) fn runs_anywhere(name: &str, arguments: usize) -> bool {
    tells_time(name, arguments)
        || matches!(
            name,
            "json_populate_record" | "json_populate_recordset" | "jsonb_populate_record" | "jsonb_populate_recordset"
        )
}

/// Functions by whose result a cast to a date cannot see text: none of their overloads gives text.
pub(super) fn gives_no_text(name: &str) -> bool {
    matches!(
        name,
        "avg"
            | "count"
            | "date_bin"
            | "date_part"
            | "date_trunc"
            | "extract"
            | "make_date"
            | "make_timestamp"
            | "make_timestamptz"
            | "now"
            | "sum"
            | "timezone"
            | "to_date"
            | "to_timestamp"
    )
}

/// Functions that stand in FROM as one column, which has their name or their alias.
pub(super) fn gives_one_column(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "generate_subscripts"
            | "json_object_keys"
            | "jsonb_object_keys"
            | "regexp_matches"
            | "regexp_split_to_table"
            | "string_to_table"
    )
}

/// Functions that give back advisory locks of the session, and do no more.
pub(super) fn unlocks(name: &str) -> bool {
    matches!(name, "pg_advisory_unlock" | "pg_advisory_unlock_shared" | "pg_advisory_unlock_all")
}

/// Words that PostgreSQL's grammar reads as calls of its own, in one version or another, where no function has their name: SQL's of JSON and XML.
pub(super) fn is_of_grammar(name: &str) -> bool {
    matches!(
        name,
        "columns"
            | "json"
            | "json_array"
            | "json_arrayagg"
            | "json_exists"
            | "json_object"
            | "json_objectagg"
            | "json_query"
            | "json_scalar"
            | "json_serialize"
            | "json_table"
            | "json_value"
            | "merge_action"
            | "passing"
            | "xmlattributes"
            | "xmlconcat"
            | "xmlelement"
            | "xmlexists"
            | "xmlforest"
            | "xmlnamespaces"
            | "xmlparse"
            | "xmlpi"
            | "xmlroot"
            | "xmlserialize"
            | "xmltable"
    )
}

/// Why a call of this function ties the session to its connection.
pub(super) fn pins(name: &str) -> Option<PinReason> {
    match name {
        "pg_advisory_lock" | "pg_advisory_lock_shared" | "pg_try_advisory_lock" | "pg_try_advisory_lock_shared" => {
            Some(PinReason::AdvisoryLock)
        }
        // They read or change state of the connection, or run text that may.
        "set_config" | "set_limit" | "currval" | "lastval" => Some(PinReason::Opaque),
        // DISCARD ALL leaves the seed of random() as it is.
        "setseed" => Some(PinReason::Lasting),
        // What they make may end with the connection.
        "pg_create_logical_replication_slot"
        | "pg_create_physical_replication_slot"
        | "pg_copy_logical_replication_slot"
        | "pg_copy_physical_replication_slot"
        | "pg_backup_start"
        | "pg_start_backup" => Some(PinReason::Lasting),
        _ if name.starts_with("dblink") || name.starts_with("pg_replication_origin_session_") => {
            Some(PinReason::Lasting)
        }
        _ if name.starts_with("query_to_xml") => Some(PinReason::Opaque),
        _ => None,
    }
}

/// Why a call of a user's function does, by what its source says that it may leave.
pub(super) fn pins_by(state: SessionState) -> Option<PinReason> {
    match state {
        SessionState::Kept => None,
        SessionState::MayMove => Some(PinReason::Opaque),
        SessionState::MayMoveLastingly => Some(PinReason::Lasting),
    }
}

/// Whether a block of code may do what even DISCARD ALL does not end.
pub(super) fn names_lasting(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let (mut rest, mut before) = (&code[..], "");
    while let Some(begin) = rest.find(is_part) {
        let word = &rest[begin..];
        let (word, behind) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
        let lasts = match word {
            "load" => behind.trim_start().starts_with('\''),
            "seed" => matches!(before, "set" | "session" | "local" | "set_config"),
            word => pins(word) == Some(PinReason::Lasting),
        };
        if lasts {
            return true;
        }
        (rest, before) = (behind, word);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::CACHEABLE;

    #[test]
    fn list_is_sorted_for_binary_search() {
        assert!(CACHEABLE.is_sorted());
    }
}
