//! What one query says, as far as its text alone tells: names, not objects. Whoever has a catalog decides what they mean.

/// A name that may be qualified by a schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    /// A name without a schema.
    pub fn plain(name: &str) -> Self {
        Name { schema: None, name: name.to_owned() }
    }

    /// A name of PostgreSQL's own.
    pub fn built_in(name: &str) -> Self {
        Name { schema: Some("pg_catalog".to_owned()), name: name.to_owned() }
    }
}

/// A function that is called, by name or by special syntax (`EXTRACT`, `AT TIME ZONE`, `unnest` in FROM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    pub name: Name,
    /// How many arguments are written.
    pub arguments: usize,
    /// The argument, if it is the only one: `date(x)` is a cast. Of `timezone` the moment.
    pub operand: Option<Operand>,
}

/// What is cast, as far as it bears on whether text could become a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A constant: strings are checked for time words wherever they stand.
    Literal,
    Parameter,
    Column {
        /** table name or alias */
        qualifier: Option<String>,
        name: String,
    },
    /// Itself a cast to this type.
    Cast(TypeName),
    /// `+` or `-`, which PostgreSQL has for no kind of text, between these.
    Arithmetic(Vec<Operand>),
    /// What this function gives.
    Result(Name),
    /// One of these (COALESCE, max).
    OneOf(Vec<Operand>),
    Other,
}

/// A type as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    pub name: Name,
    pub array: bool,
}

/// An explicit conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    pub target: TypeName,
    pub operand: Operand,
}

/// What a name before a dot may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// `Facts::relations[n]`.
    Relation(usize),
    /// A subquery, CTE, VALUES or join.
    Derived,
    /// In FROM: `Facts::functions[n]`.
    Function(usize),
}

/// `a.b` in an expression: a column, or the function `b` applied to `a`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// `None` if the qualifier is an expression, `(x).b`.
    pub qualifier: Option<String>,
    pub name: String,
}

/// INTO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    Table,
    Temporary,
}

/// The facts of one query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Relations read, CTEs not among them.
    pub relations: Vec<Name>,
    pub functions: Vec<FunctionCall>,
    pub operators: Vec<Name>,
    pub casts: Vec<Cast>,
    pub attributes: Vec<Attribute>,
    /// Names by which FROM makes its parts known.
    pub sources: Vec<(String, SourceKind)>,
    /// Column names that this query makes up (aliases and computed columns of subqueries, column lists).
    pub aliases: Vec<String>,
    /// The highest n of `$n`.
    pub parameters: u16,
    /// A string holds a word that date input takes for the present.
    pub time_literal: bool,
    /// `ctid`, `xmin` and the like.
    pub system_column: bool,
    /// CURRENT_DATE and its kin.
    pub current_time: bool,
    /// FOR UPDATE and its kin.
    pub locking: bool,
    pub into: Option<Into>,
    pub table_sample: bool,
    /// INSERT, UPDATE, DELETE or MERGE anywhere.
    pub modifies: bool,
    /// One of these inside WITH.
    pub modifying_cte: bool,
}
