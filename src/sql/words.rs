//! PostgreSQL's keywords, as far as taking one for a name would be a misreading.

/// Keywords that cannot be a column, table or alias without quotes (PostgreSQL's classes "reserved" and "reserved, can be
/// function or type"). Where the parser takes one for a name it has misread the text.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// Whether an unquoted word cannot be a name.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

/// Keywords before a parenthesis that call nothing, or whose call the walk records under another name. Every other word before
/// a parenthesis must have been recorded by the walk.
const CALL_NOTHING: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "asymmetric",
    "between",
    "bit",
    "both",
    "by",
    "case",
    "cast",
    "ceil",
    "char",
    "character",
    "coalesce",
    "cube",
    "current_time",
    "current_timestamp",
    "dec",
    "decimal",
    "distinct",
    "else",
    "except",
    "exists",
    "extract",
    "filter",
    "float",
    "floor",
    "from",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "intersect",
    "interval",
    "is",
    "join",
    "lateral",
    "leading",
    "least",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "materialized",
    "not",
    "nullif",
    "numeric",
    "offset",
    "on",
    "operator",
    "or",
    "over",
    "overlay",
    "position",
    "repeatable",
    "rollup",
    "row",
    "select",
    "sets",
    "some",
    "substring",
    "symmetric",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "trim",
    "union",
    "using",
    "values",
    "varchar",
    "varying",
    "when",
    "where",
    "with",
];

/// Whether an unquoted word may stand before a parenthesis without calling a function of that name.
pub fn calls_nothing(word: &str) -> bool {
    CALL_NOTHING.binary_search(&word).is_ok()
}

/// What a keyword stands for that is written like a column and works like a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Niladic {
    /// The present date or instant.
    Time,
    /// Something of the session: user, schema, database.
    Session(&'static str),
}

/// The function-like keyword that an unquoted word is.
pub(super) fn niladic(word: &str) -> Option<Niladic> {
    Some(match word {
        "current_date" | "current_time" | "current_timestamp" | "localtime" | "localtimestamp" => Niladic::Time,
        "current_role" | "current_user" | "user" => Niladic::Session("current_user"),
        "session_user" => Niladic::Session("session_user"),
        "current_catalog" => Niladic::Session("current_database"),
        "current_schema" => Niladic::Session("current_schema"),
        _ => return None,
    })
}

/// Columns that every table has and whose values are in no WAL message.
pub(super) fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_binary_search() {
        assert!(RESERVED.is_sorted() && CALL_NOTHING.is_sorted());
    }
}
