//! Hands the parser our own tokens instead of the text: strings decoded and joined, words folded, operators cut by
//! PostgreSQL's rule. The parser's tokenizer sees single operators alone, to learn its names for them.

use super::Refused;
use super::scan::{Kind, Quote};
use super::token::Lexed;
use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

/// Levels of the grammar that the parser may enter; it grows its stack itself where it recurses.
const RECURSION: usize = 200;

/// Parses one query, whose tokens leave no doubt.
pub(super) fn parse(lexed: &Lexed<'_>) -> Result<Statement, Refused> {
    let mut tokens = Vec::with_capacity(lexed.len() + 8);
    for at in 0..lexed.len() {
        if lexed.is(at, "table") && !at.checked_sub(1).is_some_and(|before| lexed.is(before, "into")) {
            // TABLE t is SELECT * FROM t; the parser knows it only behind UNION.
            tokens.extend([Token::make_word("select", None), Token::Mul, Token::make_word("from", None)]);
        } else if lexed.is(at, "isnull") && !at.checked_sub(1).is_some_and(|before| follows_as_label(lexed, before)) {
            // A test, which the parser takes for an alias.
            tokens.extend([Token::make_word("is", None), Token::make_word("null", None)]);
        } else {
            tokens.push(token(lexed, at).ok_or(Refused::UncertainSyntax)?);
        }
    }
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION).with_tokens(tokens);
    let statement = parser.parse_statement().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => Refused::TooDeep,
        ParserError::TokenizerError(_) | ParserError::ParserError(_) => Refused::Unparsed,
    })?;
    match parser.peek_token().token {
        Token::EOF => Ok(statement),
        _ => Err(Refused::Unparsed),
    }
}

/// Whether any keyword may follow as a name: behind AS or a dot.
pub(super) fn follows_as_label(lexed: &Lexed<'_>, before: usize) -> bool {
    lexed.is(before, "as") || lexed.sign(before) == Some('.')
}

fn token(lexed: &Lexed<'_>, at: usize) -> Option<Token> {
    let token = match lexed.kind(at)? {
        Kind::Word => Token::make_word(&lexed.name(at)?, None),
        Kind::QuotedWord | Kind::UnicodeWord => Token::make_word(&lexed.name(at)?, Some('"')),
        Kind::Text(Quote::Bits) => Token::SingleQuotedByteStringLiteral(lexed.raw(at)[1..].to_owned()),
        Kind::Text(Quote::Hex) => Token::HexStringLiteral(lexed.raw(at)[1..].to_owned()),
        Kind::Text(_) => Token::SingleQuotedString(lexed.string(at)?.into_owned()),
        Kind::Number => Token::Number(lexed.raw(at).to_owned(), false),
        Kind::Parameter => Token::Placeholder(lexed.raw(at).to_owned()),
        Kind::Sign => match lexed.sign(at)? {
            ',' => Token::Comma,
            '(' => Token::LParen,
            ')' => Token::RParen,
            '[' => Token::LBracket,
            ']' => Token::RBracket,
            '.' => Token::Period,
            ':' => Token::Colon,
            _ => Token::SemiColon,
        },
        Kind::Operator => operator(lexed.raw(at)),
        Kind::Space | Kind::LineComment | Kind::BlockComment => return None,
    };
    Some(token)
}

fn operator(text: &str) -> Token {
    match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "||" => Token::StringConcat,
        "::" => Token::DoubleColon,
        "=>" => Token::RArrow,
        ":=" => Token::Assignment,
        other => match Tokenizer::new(&PostgreSqlDialect {}, other).tokenize().as_deref() {
            Ok([single]) => single.clone(),
            _ => Token::CustomBinaryOperator(other.to_owned()),
        },
    }
}
