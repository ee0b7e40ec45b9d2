//! Hands the parser our own tokens instead of the text: strings decoded and joined, words folded, operators cut by
//! PostgreSQL's rule. The parser's tokenizer sees single operators alone, to learn its names for them.

use super::Refused;
use super::reword::{Reworded, reworded};
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
    for (at, reworded) in reworded(lexed).into_iter().enumerate() {
        match reworded {
            Reworded::Kept => tokens.push(token(lexed, at).ok_or(Refused::UncertainSyntax)?),
            Reworded::As(words) => tokens.extend(words.iter().map(|word| match *word {
                "*" => Token::Mul,
                word => Token::make_word(word, None),
            })),
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
