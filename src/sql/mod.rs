//! Text to statement: its kind, the names it reads and writes, its functions. Knows no catalog and no connection.
//! The only module that names `sqlparser`.
//!
//! A text goes through four stations, each knowing less than PostgreSQL on purpose: [`identity`] strips comments, [`token`]
//! cuts and bounds, [`query`] parses one query from our own tokens (never from the text, so that where a string ends is
//! decided once) and walks the whole tree into [`facts`]. A node that the walk does not know refuses the statement: the list of
//! known nodes is an allow-list.
//!
//! The parser misplaces the precedence of some operators (`a = b ~ c`, `- b ^ c`, `~ c + a`). That moves brackets, never
//! names: the relations, functions and operators of a tree are the same however it is bracketed, so nothing here relies on
//! which operand belongs to which operator. Those that look at an operand, a cast and `AT TIME ZONE`, trust single tokens, casts, calls
//! and sums in parentheses: what `::` and `CAST` bind to is not among the things misplaced, and only a sign binds closer than
//! `AT TIME ZONE` elsewhere, which no time of day has.

pub mod facts;
pub mod fingerprint;
pub mod identity;
pub mod list;
pub mod query;
pub mod template;
pub mod time_words;
pub mod token;

mod expression;
mod function;
mod parse;
mod relation;
mod reword;
mod scan;
mod types;
pub mod words;

/// Why a text is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Not SQL to the parser, or to anybody.
    Unparsed,
    /// Longer than [`token::LONGEST`].
    TooLong,
    /// Deeper than [`token::DEEPEST`], or with more than [`token::MOST_TOKENS`] tokens.
    TooDeep,
    /// An identifier that PostgreSQL would cut.
    LongIdentifier,
    /// A construct that may mean something else to PostgreSQL than to the parser, or that the walk does not know.
    UncertainSyntax,
}

#[cfg(test)]
mod tests;
