//! Rows of text to the parts of a catalog. What does not have the agreed shape is an error, never a guess: a
//! catalog half read would prove statements that it should refuse. Knows the order of the queries and of their
//! columns, nothing of lookups.

use super::{
    Column, DefaultSetting, Function, Operator, Parts, Persistence, QUERIES, Relation, RelationKind, Schema,
    SessionState, Storage, Type, TypeKind, Usage, Version, Volatility, Writes, settings,
};
use crate::types::RelationId;
use std::collections::{HashMap, HashSet};

/// Why rows do not make a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Not one result a query.
    #[error("{given} results were given for {} catalog queries", QUERIES.len())]
    Results {
        /// how many there were
        given: usize,
    },
    /// A row of another width, or a column that does not read as what it should be.
    #[error("catalog query {query}, row {row}: column {column} is malformed")]
    Malformed {
        /// position in [`QUERIES`]
        query: usize,
        /// of its rows
        row: usize,
        /// of the row; the width expected, if it is the width that is wrong
        column: usize,
    },
    /// A row speaks of a schema, relation or view that no other row describes: not one snapshot.
    #[error("catalog query {query}, row {row}: nothing is known of oid {oid}")]
    Dangling {
        /// position in [`QUERIES`]
        query: usize,
        /// of its rows
        row: usize,
        /// what was referred to
        oid: u32,
    },
}

/// One row, with its place for errors.
struct Row<'a> {
    query: usize,
    row: usize,
    columns: &'a [Option<String>],
}

impl<'a> Row<'a> {
    fn wrong(&self, column: usize) -> BuildError {
        BuildError::Malformed { query: self.query, row: self.row, column }
    }

    fn dangling(&self, oid: u32) -> BuildError {
        BuildError::Dangling { query: self.query, row: self.row, oid }
    }

    fn text(&self, column: usize) -> Result<&'a str, BuildError> {
        self.columns.get(column).and_then(|text| text.as_deref()).ok_or_else(|| self.wrong(column))
    }

    fn oid(&self, column: usize) -> Result<u32, BuildError> {
        self.text(column)?.parse().map_err(|_| self.wrong(column))
    }

    fn flag(&self, column: usize) -> Result<bool, BuildError> {
        match self.text(column)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.wrong(column)),
        }
    }

    /// Reads a column as one of a closed set.
    fn one_of<T>(&self, column: usize, read: impl FnOnce(&str) -> Option<T>) -> Result<T, BuildError> {
        read(self.text(column)?).ok_or_else(|| self.wrong(column))
    }

    fn name_of(&self, column: usize, schemas: &HashMap<u32, String>) -> Result<String, BuildError> {
        let oid = self.oid(column)?;
        schemas.get(&oid).cloned().ok_or_else(|| self.dangling(oid))
    }
}

/// The results, taken one after the other in the order of [`QUERIES`].
struct Results<'a> {
    left: std::iter::Enumerate<std::slice::Iter<'a, Vec<Vec<Option<String>>>>>,
}

impl<'a> Results<'a> {
    /// Gives each row of the next result, which must be `width` wide, to `take`.
    fn each(
        &mut self,
        width: usize,
        mut take: impl FnMut(Row<'a>) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let (query, rows) = self.left.next().expect("there is a result for every query");
        for (row, columns) in rows.iter().enumerate() {
            let row = Row { query, row, columns };
            if columns.len() != width {
                return Err(row.wrong(width));
            }
            take(row)?;
        }
        Ok(())
    }
}

/// Reads the rows of all queries.
pub(super) fn parts(results: &[Vec<Vec<Option<String>>>]) -> Result<Parts, BuildError> {
    if results.len() != QUERIES.len() {
        return Err(BuildError::Results { given: results.len() });
    }
    let mut results = Results { left: results.iter().enumerate() };
    let mut parts = Parts::default();

    let mut schemas = HashMap::new();
    results.each(3, |row| {
        let usage = if row.flag(2)? { Usage::Everybody } else { Usage::Some };
        schemas.insert(row.oid(0)?, row.text(1)?.to_owned());
        parts.schemas.push(Schema { name: row.text(1)?.to_owned(), usage });
        Ok(())
    })?;
    parts.relations = relations(&mut results, &schemas)?;
    results.each(15, |row| {
        let oid = row.oid(0)?;
        let types =
            |column| row.one_of(column, |text| text.split_ascii_whitespace().map(|oid| oid.parse().ok()).collect());
        let function = Function {
            oid,
            schema: row.name_of(1, &schemas)?,
            volatility: row.one_of(3, volatility)?,
            security_definer: row.flag(4)?,
            built_in: oid < 16384,
            argument_types: types(5)?,
            result_types: types(11)?,
            session_state: match (row.flag(6)?, row.flag(13)?) {
                (false, _) => SessionState::Kept,
                (true, false) => SessionState::MayMove,
                (true, true) => SessionState::MayMoveLastingly,
            },
            body: row.columns[8].clone(),
            may_change_catalog: row.flag(12)?,
            tells_server: row.flag(14)?,
        };
        let (is_unnamed, is_untold) = (row.flag(7)?, row.flag(10)?);
        if is_unnamed && function.session_state != SessionState::Kept {
            parts.writes = parts.writes.max(if is_untold { Writes::MayMoveUntold } else { Writes::MayMoveSettings });
        }
        parts.named_settings.extend(row.columns[9].iter().flat_map(|source| settings::named(source)));
        parts.functions.push((row.text(2)?.to_owned(), function));
        Ok(())
    })?;
    results.each(3, |row| {
        let schema = row.name_of(0, &schemas)?;
        let volatility = row.one_of(2, volatility)?;
        parts.operators.push(Operator { schema, name: row.text(1)?.to_owned(), volatility });
        Ok(())
    })?;
    results.each(7, |row| {
        parts.types.push(r#type(&row, &schemas)?);
        Ok(())
    })?;
    results.each(4, |row| {
        let bearing: Vec<u32> =
            row.one_of(2, |text| text.split_ascii_whitespace().map(|oid| oid.parse().ok()).collect())?;
        if bearing.is_empty() {
            parts.unsafe_casts.push(format!("{} {}", row.text(0)?, row.text(1)?));
        }
        parts.cast_types.extend(bearing);
        parts.casts_write |= row.flag(3)?;
        Ok(())
    })?;
    results.each(2, |row| {
        let (name, value) = row.text(1)?.split_once('=').ok_or_else(|| row.wrong(1))?;
        let (role, name) = (row.text(0)?.to_owned(), name.to_ascii_lowercase());
        parts.default_settings.push(DefaultSetting { role, name, value: value.to_owned() });
        Ok(())
    })?;
    results.each(3, |row| {
        let sum = |column| row.one_of(column, |text| text.parse().ok());
        parts.versions.insert(row.oid(0)?, Version { is: sum(1)?, stores: sum(2)? });
        Ok(())
    })?;
    results.each(1, |row| {
        parts.unsteady_types.insert(row.oid(0)?);
        Ok(())
    })?;
    Ok(parts)
}

/// The relations with all that hangs on them: columns, heirs, definitions.
fn relations(results: &mut Results<'_>, schemas: &HashMap<u32, String>) -> Result<Vec<Relation>, BuildError> {
    let mut relations: Vec<Relation> = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    results.each(8, |row| {
        let oid = row.oid(0)?;
        places.insert(oid, relations.len());
        relations.push(Relation {
            id: RelationId::new(oid),
            schema: row.name_of(1, schemas)?,
            name: row.text(2)?.to_owned(),
            kind: row.one_of(3, kind)?,
            persistence: row.one_of(4, persistence)?,
            storage: row.one_of(7, Storage::named)?,
            row_security: row.flag(5)?,
            policies: Vec::new(),
            columns: Vec::new(),
            descendants: Vec::new(),
            definition: None,
            rule_dependencies: Vec::new(),
            has_rules: row.flag(6)?,
        });
        Ok(())
    })?;
    let place = |row: &Row<'_>, column| {
        let oid = row.oid(column)?;
        places.get(&oid).copied().ok_or_else(|| row.dangling(oid))
    };
    results.each(2, |row| {
        let columns: Vec<(String, u32)> = row.one_of(1, |text| serde_json::from_str(text).ok())?;
        let columns = columns.into_iter().map(|(name, type_oid)| Column { name, type_oid });
        relations[place(&row, 0)?].columns = columns.collect();
        Ok(())
    })?;
    results.each(2, |row| {
        relations[place(&row, 0)?].policies.push(row.columns[1].clone());
        Ok(())
    })?;
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    results.each(2, |row| {
        children.entry(place(&row, 0)?).or_default().push(place(&row, 1)?);
        Ok(())
    })?;
    for &parent in children.keys() {
        relations[parent].descendants = descendants(parent, &children).into_iter().map(|i| relations[i].id).collect();
        relations[parent].descendants.sort_unstable();
    }
    results.each(2, |row| {
        // No definition: the view was dropped while the rows were fetched. Who needs it refuses.
        relations[place(&row, 0)?].definition = row.columns[1].clone();
        Ok(())
    })?;
    results.each(2, |row| {
        let read = relations[place(&row, 1)?].id;
        relations[place(&row, 0)?].rule_dependencies.push(read);
        Ok(())
    })?;
    Ok(relations)
}

/// All that inherit from `parent`, each once, however many ways lead to it.
fn descendants(parent: usize, children: &HashMap<usize, Vec<usize>>) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut open = vec![parent];
    while let Some(next) = open.pop() {
        for &child in children.get(&next).into_iter().flatten() {
            if child != parent && found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn r#type(row: &Row<'_>, schemas: &HashMap<u32, String>) -> Result<Type, BuildError> {
    let (element, base) = (row.oid(5)?, row.oid(6)?);
    let kind = row.one_of(3, |text| match text {
        "b" if element != 0 => Some(TypeKind::Array { element }),
        "b" => Some(TypeKind::Base),
        "c" => Some(TypeKind::Composite),
        "d" => Some(TypeKind::Domain { base }),
        "e" => Some(TypeKind::Enum),
        "r" => Some(TypeKind::Range),
        "m" => Some(TypeKind::Multirange),
        "p" => Some(TypeKind::Pseudo),
        _ => None,
    })?;
    let name = row.text(2)?.to_owned();
    Ok(Type { oid: row.oid(0)?, schema: row.name_of(1, schemas)?, name, kind, array: row.oid(4)? })
}

fn kind(text: &str) -> Option<RelationKind> {
    Some(match text {
        "r" => RelationKind::Table,
        "p" => RelationKind::Partitioned,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::Foreign,
        "S" => RelationKind::Sequence,
        "i" | "I" => RelationKind::Index,
        _ if text.len() == 1 => RelationKind::Other,
        _ => return None,
    })
}

fn persistence(text: &str) -> Option<Persistence> {
    match text {
        "p" => Some(Persistence::Permanent),
        "u" => Some(Persistence::Unlogged),
        "t" => Some(Persistence::Temporary),
        _ => None,
    }
}

fn volatility(text: &str) -> Option<Volatility> {
    match text {
        "i" => Some(Volatility::Immutable),
        "s" => Some(Volatility::Stable),
        "v" => Some(Volatility::Volatile),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
