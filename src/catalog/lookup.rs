//! Name resolution as PostgreSQL does it, except where the answer depends on who asks: then there is none. Knows no
//! role, no session and no temporary objects (sessions that have any are not asked about here).

use super::{Catalog, DefaultSetting, Function, Names, Relation, SearchPath, SessionState, Type, Usage, Volatility};
use crate::types::RelationId;

/// Bytes of the longest name that is certainly whole (`NAMEDATALEN`, less what is cut inside a character).
const LONGEST_NAME: usize = 60;

/// What the grammar turns into names of `pg_catalog` before any lookup.
const SPELLINGS: &[(&str, &str)] = &[
    ("int", "int4"),
    ("integer", "int4"),
    ("smallint", "int2"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("float", "float8"),
    ("double precision", "float8"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("boolean", "bool"),
    ("character", "bpchar"),
    ("character varying", "varchar"),
    ("char varying", "varchar"),
    ("national character", "bpchar"),
    ("national character varying", "varchar"),
    ("nchar", "bpchar"),
    ("bit varying", "varbit"),
    ("time with time zone", "timetz"),
    ("time without time zone", "time"),
    ("timestamp with time zone", "timestamptz"),
    ("timestamp without time zone", "timestamp"),
];

impl Catalog {
    /// By name: in `schema` if given, else the first schema of the path that has it. System catalogs are found too
    /// (schema `pg_catalog`, `information_schema`), indexes and temporary relations never.
    ///
    /// A schema of the path that the asking role may not use is passed over by PostgreSQL. So where a name is found
    /// in a schema that is not open to everybody and in a later one too, it depends on the role which is meant, and
    /// nothing is found.
    pub fn relation(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<&Relation> {
        let id = match schema {
            Some(schema) => *self.schemas.get(schema)?.relations.get(name)?,
            // TOAST tables are not listed: with their schema in the path they could stand before what is.
            None if name.starts_with("pg_toast_") => return None,
            None => self.first(path, |names| names.relations.get(name).copied())?,
        };
        self.relations.get(&id)
    }

    /// All overloads that the name could mean: in `schema` if given, else in `pg_catalog` and every schema of the
    /// path. One without arguments hides those of later schemas.
    pub fn functions<'a>(&'a self, schema: Option<&str>, name: &str, path: &SearchPath) -> Vec<&'a Function> {
        let all = self.functions.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_first = path.0.iter().position(|schema| schema == "pg_catalog").is_none_or(|place| place == 0);
        let built_in = |function: &Function| function.schema == "pg_catalog" && function.argument_types.is_empty();
        let hides = schema.is_none() && is_first && all.iter().any(built_in);
        let meant = |function: &&Function| match schema {
            Some(schema) => function.schema == schema,
            None if function.schema == "pg_catalog" => true,
            None => path.0.contains(&function.schema) && !(hides && function.argument_types.is_empty()),
        };
        all.iter().filter(meant).collect()
    }

    /// Whether a word of the text is the name of a volatile function of the users', or of one that may move the session, in whatever schema.
    pub fn has_unsteady_function(&self, text: &str) -> bool {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').filter(|word| !word.is_empty());
        let is_unsteady = |function: &Function| {
            !function.built_in
                && (function.volatility == Volatility::Volatile || function.session_state != SessionState::Kept)
        };
        let of_name = |name: &str| self.functions.get(name).is_some_and(|all| all.iter().any(is_unsteady));
        words.into_iter().any(|word| of_name(word) || of_name(&word.to_lowercase()))
    }

    /// The volatility of the worst operator of this name in `schema`, or in `pg_catalog` and the path; `None` if
    /// there is none. An operator that users made counts as volatile if it is not immutable, nor stable and in C.
    pub fn operator(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<Volatility> {
        match schema {
            Some(schema) => self.schemas.get(schema)?.operators.get(name).copied(),
            None => self.searched(path).filter_map(|names| names.operators.get(name)).copied().max(),
        }
    }

    /// The type's oid; arrays as `name[]`. Without a schema the spellings of the grammar (`integer`, `character
    /// varying`) are known too. No answer for row types of relations, and where it depends on the role.
    pub fn type_oid(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<u32> {
        if let Some(element) = name.strip_suffix("[]") {
            let element = element.trim_end_matches("[]");
            let oid = self.type_oid(schema, element, path)?;
            return self.types.get(&oid).map(|found| found.array).filter(|&array| array != 0);
        }
        match schema {
            Some(schema) => self.schemas.get(schema)?.types.get(name).copied(),
            None => {
                let found = self.first(path, |names| names.type_here(name));
                let spelled = SPELLINGS.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(name));
                match (found, spelled) {
                    (None, Some((_, name))) => self.schemas.get("pg_catalog")?.types.get(*name).copied(),
                    // Somebody quoted a keyword to name a type: which is meant depends on the quotes.
                    (Some(_), Some(_)) => None,
                    (found, None) => found?,
                }
            }
        }
    }

    /// Whether the name may be that of a relation's row type, or of an array of it, in `schema` or in any of the path.
    pub fn is_row_type(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> bool {
        let is_here = |names: &Names| names.type_here(name) == Some(None);
        match schema {
            Some(schema) => self.schemas.get(schema).is_some_and(is_here),
            None => self.searched(path).any(is_here),
        }
    }

    /// A type by its oid, but for row types of relations and their arrays.
    pub fn type_of(&self, oid: u32) -> Option<&Type> {
        self.types.get(&oid)
    }

    /// Whether values of this type hang on more than themselves: on the present day (a time with time zone) or on the catalog (a relation's
    /// name), or on a part that does; or become others by what does ([`is_cast_unsafely`](Self::is_cast_unsafely)).
    pub fn is_unsteady(&self, oid: u32) -> bool {
        self.unsteady_types.contains(&oid) || self.is_cast_unsafely(oid)
    }

    /// Whether values of this type, or their parts, may be converted unseen by a function of the users' that may not be immutable.
    pub fn is_cast_unsafely(&self, oid: u32) -> bool {
        self.cast_types.contains(&oid)
    }

    /// Whether anything that users made, runs without being named in a statement (casts, input and output of
    /// types, constraints of domains, operators behind ORDER BY and DISTINCT) and may not be immutable.
    pub fn has_unsafe_casts(&self) -> bool {
        !self.unsafe_casts.is_empty()
    }

    /// Whether what runs without being named may write, or leave something in the session.
    pub fn may_write_unnamed(&self) -> bool {
        self.casts_write || self.writes.may_move()
    }

    /// What [`Catalog::has_unsafe_casts`] found, in words.
    pub fn unsafe_casts(&self) -> &[String] {
        &self.unsafe_casts
    }

    /// What a session of this user starts with for a setting with a dot in its name (given in lower case).
    pub fn default_setting(&self, user: &str, name: &str) -> Option<&str> {
        let meant =
            |setting: &&DefaultSetting| setting.name == name && (setting.role.is_empty() || setting.role == user);
        self.default_settings.iter().find(meant).map(|setting| setting.value.as_str())
    }

    /// The relation that the stream names `schema.name` (already unquoted).
    pub fn heard(&self, schema: &str, name: &str) -> Option<RelationId> {
        self.schemas.get(schema)?.relations.get(name).copied()
    }

    /// The schemas that are searched for unqualified names, in order: those of the path that exist, `pg_catalog`
    /// before them unless the path places it. `pg_temp` is no schema of that name and so never searched.
    fn searched<'a>(&'a self, path: &'a SearchPath) -> impl Iterator<Item = &'a Names> {
        let implied = if path.0.iter().any(|schema| schema == "pg_catalog") { None } else { Some("pg_catalog") };
        implied.into_iter().chain(path.0.iter().map(String::as_str)).filter_map(|schema| self.schemas.get(schema))
    }

    /// What is found in the first schema that has it, unless it depends on the role which is the first.
    fn first<T: PartialEq>(&self, path: &SearchPath, find: impl Fn(&Names) -> Option<T>) -> Option<T> {
        let mut doubtful: Option<T> = None;
        for names in self.searched(path) {
            let Some(found) = find(names) else { continue };
            match (&doubtful, names.usage) {
                (Some(before), _) if *before != found => return None,
                (_, Usage::Everybody) => return Some(found),
                (_, Usage::Some) => doubtful = Some(found),
            }
        }
        doubtful
    }
}

impl Names {
    /// The type of this name: `Some(None)` for one that exists but is not listed, the row type of a relation or its
    /// array.
    fn type_here(&self, name: &str) -> Option<Option<u32>> {
        if let Some(&oid) = self.types.get(name) {
            return Some(Some(oid));
        }
        // An array's name has as many underscores before as it takes to be free, and is cut to 63 bytes (`makeArrayTypeName` in pg_type.c).
        let beneath = std::iter::successors(Some(name), |name| name.strip_prefix('_'));
        let is_cut = name.len() >= LONGEST_NAME && name.starts_with('_');
        let is_rows = is_cut || beneath.into_iter().any(|name| self.relations.contains_key(name));
        is_rows.then_some(None)
    }
}

#[cfg(test)]
mod tests;
