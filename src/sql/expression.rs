//! The walk through expressions. Every kind of node is named or refused: a node that hides a function, an operator or a
//! relation would otherwise go unseen.

use super::Refused;
use super::facts::{Attribute, Cast, Facts, FunctionCall, Name, Operand};
use super::time_words::holds_time_word;
use super::words::{Niladic, is_reserved, is_system_column, niladic};
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Ident, ObjectName, ObjectNamePart,
    Subscript, UnaryOperator, Value,
};
use std::collections::HashSet;

/// Tree levels that the walk enters. Long chains of binary operators are not levels: their left side is walked in a loop.
const LEVELS: usize = 100;

/// The state of one walk.
#[derive(Default)]
pub(super) struct Walk {
    pub facts: Facts,
    /// CTE names in scope, innermost last.
    pub ctes: Vec<Vec<String>>,
    /// How many queries the walk is inside of.
    pub queries: usize,
    /// Whether the walk is inside a CTE.
    pub in_cte: bool,
    /// Column and function names met, in order: a computed column of a subquery is named after one of them.
    pub met: Vec<String>,
    /// Aliases that are keywords: such stand only behind AS.
    pub labels: Vec<String>,
    levels: usize,
    accounted: HashSet<String>,
}

/// Identifiers are names only if written plainly or in double quotes; the parser also takes strings.
pub(super) fn text_of(ident: &Ident) -> Result<&str, Refused> {
    match ident.quote_style {
        None | Some('"') => Ok(&ident.value),
        Some(_) => Err(Refused::UncertainSyntax),
    }
}

pub(super) fn name_of(name: &ObjectName) -> Result<Name, Refused> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => text_of(ident).map(str::to_owned),
        ObjectNamePart::Function(_) => Err(Refused::UncertainSyntax),
    };
    match name.0.as_slice() {
        [name] => Ok(Name { schema: None, name: part(name)? }),
        [schema, name] => Ok(Name { schema: Some(part(schema)?), name: part(name)? }),
        _ => Err(Refused::UncertainSyntax),
    }
}

/// Whether a name is one unquoted word.
pub(super) fn bare_word(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] if ident.quote_style.is_none() => Some(&ident.value),
        _ => None,
    }
}

impl Walk {
    /// Goes one level down.
    pub(super) fn descend<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        if self.levels >= LEVELS {
            return Err(Refused::TooDeep);
        }
        self.levels += 1;
        let result = step(self);
        self.levels -= 1;
        result
    }

    /// Notes that a word before a parenthesis has been understood.
    pub(super) fn account(&mut self, word: &str) {
        self.accounted.insert(word.to_owned());
    }

    pub(super) fn is_accounted(&self, word: &str) -> bool {
        self.accounted.contains(word)
    }

    pub(super) fn call(&mut self, name: Name, arguments: usize, operand: Option<Operand>) {
        self.account(&name.name);
        self.met.push(name.name.clone());
        self.facts.functions.push(FunctionCall { name, arguments, operand });
    }

    pub(super) fn operator(&mut self, name: &str) {
        self.named_operator(Name::plain(name));
    }

    pub(super) fn named_operator(&mut self, name: Name) {
        if !self.facts.operators.contains(&name) {
            self.facts.operators.push(name);
        }
    }

    pub(super) fn exprs<'e>(&mut self, list: impl IntoIterator<Item = &'e Expr>) -> Result<(), Refused> {
        list.into_iter().try_for_each(|e| self.expr(e))
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Result<(), Refused> {
        let mut expr = expr;
        while let Expr::BinaryOp { left, op, right } = expr {
            self.binary(op)?;
            self.expr_below(right)?;
            expr = left;
        }
        self.descend(|walk| walk.node(expr))
    }

    fn expr_below(&mut self, expr: &Expr) -> Result<(), Refused> {
        self.descend(|walk| walk.expr(expr))
    }

    fn node(&mut self, expr: &Expr) -> Result<(), Refused> {
        match expr {
            Expr::Identifier(ident) => self.identifier(ident),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::Value(value) => self.value(&value.value),
            Expr::Nested(e)
            | Expr::IsFalse(e)
            | Expr::IsNotFalse(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotUnknown(e)
            | Expr::IsJson { expr: e, .. }
            | Expr::Collate { expr: e, .. } => self.expr(e),
            Expr::IsNormalized { expr: e, .. } => {
                self.call(Name::built_in("is_normalized"), 2, None);
                self.expr(e)
            }
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => {
                self.operator("=");
                self.exprs([&**a, &**b])
            }
            Expr::InList { expr, list, negated } => {
                self.operator(if *negated { "<>" } else { "=" });
                self.expr(expr)?;
                self.exprs(list)
            }
            Expr::InSubquery { expr, subquery, negated } => {
                self.operator(if *negated { "<>" } else { "=" });
                self.operator("=");
                self.expr(expr)?;
                self.query(subquery)
            }
            Expr::Between { expr, low, high, .. } => {
                for operator in ["<", "<=", ">", ">="] {
                    self.operator(operator);
                }
                self.exprs([&**expr, &**low, &**high])
            }
            Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } => {
                self.binary(compare_op)?;
                self.exprs([&**left, &**right])
            }
            Expr::UnaryOp { op, expr } => {
                self.unary(op)?;
                self.expr(expr)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                if operand.is_some() {
                    self.operator("=");
                }
                self.exprs(operand.iter().chain(else_result).map(|e| &**e))?;
                conditions.iter().try_for_each(|when| self.exprs([&when.condition, &when.result]))
            }
            Expr::Exists { subquery, .. } | Expr::Subquery(subquery) => self.query(subquery),
            Expr::Tuple(list) => self.exprs(list),
            Expr::Array(array) => self.exprs(&array.elem),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => self.exprs(sets.iter().flatten()),
            Expr::Function(function) => self.function(function),
            _ => self.special(expr),
        }
    }

    /// Nodes for which the grammar has its own words.
    fn special(&mut self, expr: &Expr) -> Result<(), Refused> {
        match expr {
            Expr::Like { negated, expr, pattern, escape_char, .. } => {
                self.pattern(if *negated { "!~~" } else { "~~" }, [expr, pattern], escape_char.as_deref())
            }
            Expr::ILike { negated, expr, pattern, escape_char, .. } => {
                self.pattern(if *negated { "!~~*" } else { "~~*" }, [expr, pattern], escape_char.as_deref())
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                self.call(Name::built_in("similar_to_escape"), 2, None);
                self.pattern(if *negated { "!~" } else { "~" }, [expr, pattern], escape_char.as_deref())
            }
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
                let cast = Cast { target: self.type_name(data_type)?, operand: self.operand(expr)? };
                self.facts.casts.push(cast);
                self.expr(expr)
            }
            Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
                let cast = Cast { target: self.type_name(&typed.data_type)?, operand: Operand::Literal };
                self.facts.casts.push(cast);
                self.value(&typed.value.value)
            }
            Expr::Interval(interval) => match &*interval.value {
                Expr::Value(value) => {
                    let target = super::facts::TypeName { name: Name::built_in("interval"), array: false };
                    self.facts.casts.push(Cast { target, operand: Operand::Literal });
                    self.value(&value.value)
                }
                _ => Err(Refused::UncertainSyntax),
            },
            Expr::AtTimeZone { timestamp, time_zone } => {
                let moment = self.operand(timestamp)?;
                self.call(Name::built_in("timezone"), 2, Some(moment));
                self.exprs([&**timestamp, &**time_zone])
            }
            Expr::Extract { expr, .. } => {
                self.call(Name::built_in("date_part"), 2, None);
                self.expr(expr)
            }
            Expr::Ceil { expr, field } => self.rounding("ceil", expr, field),
            Expr::Floor { expr, field } => self.rounding("floor", expr, field),
            Expr::Position { expr, r#in } => {
                self.call(Name::built_in("position"), 2, None);
                self.exprs([&**expr, &**r#in])
            }
            Expr::Substring { expr, substring_from, substring_for, special, shorthand } => {
                let parts = [Some(expr), substring_from.as_ref(), substring_for.as_ref()];
                // With commas it is an ordinary call, which the search path may lead elsewhere.
                let name = if *shorthand { "substr" } else { "substring" };
                let name = if *special { Name::plain(name) } else { Name::built_in(name) };
                self.call(name, parts.iter().flatten().count(), None);
                self.exprs(parts.into_iter().flatten().map(|e| &**e))
            }
            Expr::Trim { trim_what, expr, trim_characters, .. } => {
                for name in ["btrim", "ltrim", "rtrim"] {
                    self.call(Name::built_in(name), 2, None);
                }
                self.expr(expr)?;
                self.exprs(trim_what.iter().map(|e| &**e))?;
                self.exprs(trim_characters.iter().flatten())
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.call(Name::plain("overlay"), 4, None);
                self.exprs([&**expr, &**overlay_what, &**overlay_from])?;
                self.exprs(overlay_for.iter().map(|e| &**e))
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root)?;
                access_chain.iter().try_for_each(|access| self.access(access))
            }
            _ => Err(Refused::UncertainSyntax),
        }
    }

    fn pattern(&mut self, operator: &str, operands: [&Expr; 2], escape: Option<&Expr>) -> Result<(), Refused> {
        self.operator(operator);
        if let Some(escape) = escape {
            self.call(Name::built_in("like_escape"), 2, None);
            self.expr(escape)?;
        }
        self.exprs(operands)
    }

    fn rounding(&mut self, name: &str, expr: &Expr, field: &CeilFloorKind) -> Result<(), Refused> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                let operand = self.operand(expr)?;
                self.call(Name::plain(name), 1, Some(operand));
                self.expr(expr)
            }
            _ => Err(Refused::UncertainSyntax),
        }
    }

    fn access(&mut self, access: &AccessExpr) -> Result<(), Refused> {
        match access {
            AccessExpr::Dot(Expr::Identifier(ident)) => {
                let name = text_of(ident)?.to_owned();
                self.facts.system_column |= is_system_column(&name);
                self.met.push(name.clone());
                self.facts.attributes.push(Attribute { qualifier: None, name });
                Ok(())
            }
            AccessExpr::Dot(_) => Err(Refused::UncertainSyntax),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                self.exprs(lower_bound.iter().chain(upper_bound))
            }
            AccessExpr::Subscript(Subscript::Slice { .. }) => Err(Refused::UncertainSyntax),
        }
    }

    fn identifier(&mut self, ident: &Ident) -> Result<(), Refused> {
        let name = text_of(ident)?;
        if ident.quote_style.is_none() {
            match niladic(name) {
                Some(Niladic::Time) => {
                    self.facts.current_time = true;
                    return Ok(());
                }
                Some(Niladic::Session(function)) => {
                    self.call(Name::built_in(function), 0, None);
                    return Ok(());
                }
                None if is_reserved(name) => return Err(Refused::UncertainSyntax),
                None => {}
            }
        }
        self.facts.system_column |= is_system_column(name);
        self.met.push(name.to_owned());
        Ok(())
    }

    fn compound(&mut self, parts: &[Ident]) -> Result<(), Refused> {
        let [.., qualifier, name] = parts else { return Err(Refused::UncertainSyntax) };
        if parts.len() > 3 {
            return Err(Refused::UncertainSyntax);
        }
        parts.iter().try_for_each(|part| text_of(part).map(drop))?;
        self.facts.system_column |= is_system_column(&name.value);
        self.met.push(name.value.clone());
        let attribute = Attribute { qualifier: Some(qualifier.value.clone()), name: name.value.clone() };
        if !self.facts.attributes.contains(&attribute) {
            self.facts.attributes.push(attribute);
        }
        Ok(())
    }

    pub(super) fn value(&mut self, value: &Value) -> Result<(), Refused> {
        match value {
            Value::SingleQuotedString(text) => self.facts.time_literal |= holds_time_word(text),
            Value::Placeholder(text) => {
                let number = text.strip_prefix('$').and_then(|n| n.parse().ok()).ok_or(Refused::UncertainSyntax)?;
                self.facts.parameters = self.facts.parameters.max(number);
            }
            Value::Number(..)
            | Value::Boolean(_)
            | Value::Null
            | Value::HexStringLiteral(_)
            | Value::SingleQuotedByteStringLiteral(_) => {}
            _ => return Err(Refused::UncertainSyntax),
        }
        Ok(())
    }

    fn binary(&mut self, operator: &BinaryOperator) -> Result<(), Refused> {
        match operator {
            BinaryOperator::And | BinaryOperator::Or => {}
            BinaryOperator::Overlaps => self.call(Name::built_in("overlaps"), 4, None),
            BinaryOperator::PGCustomBinaryOperator(parts) => match parts.as_slice() {
                [name] => self.operator(name),
                [schema, name] => self.named_operator(Name { schema: Some(schema.clone()), name: name.clone() }),
                _ => return Err(Refused::UncertainSyntax),
            },
            BinaryOperator::Xor
            | BinaryOperator::DuckIntegerDivide
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::Match
            | BinaryOperator::Regexp
            | BinaryOperator::Glob
            | BinaryOperator::Assignment => return Err(Refused::UncertainSyntax),
            other => self.operator(&other.to_string()),
        }
        Ok(())
    }

    fn unary(&mut self, operator: &UnaryOperator) -> Result<(), Refused> {
        let name = match operator {
            UnaryOperator::Not => return Ok(()),
            UnaryOperator::Plus => "+",
            UnaryOperator::Minus => "-",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::DoubleAt => "@@",
            UnaryOperator::AtDashAt => "@-@",
            UnaryOperator::Hash => "#",
            UnaryOperator::QuestionDash => "?-",
            UnaryOperator::QuestionPipe => "?|",
            // It negates a text search; factorials are gone.
            UnaryOperator::PGPrefixFactorial => "!!",
            UnaryOperator::PGPostfixFactorial | UnaryOperator::BangNot => return Err(Refused::UncertainSyntax),
        };
        self.operator(name);
        Ok(())
    }

    /// What a cast converts. Looks through parentheses alone.
    pub(super) fn operand(&mut self, expr: &Expr) -> Result<Operand, Refused> {
        Ok(match expr {
            Expr::Nested(inner) => return self.descend(|walk| walk.operand(inner)),
            Expr::Value(value) => match &value.value {
                Value::Placeholder(_) => Operand::Parameter,
                _ => Operand::Literal,
            },
            Expr::Identifier(ident) if ident.quote_style.is_some() || niladic(&ident.value).is_none() => {
                Operand::Column { qualifier: None, name: ident.value.clone() }
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., qualifier, name] => {
                    Operand::Column { qualifier: Some(qualifier.value.clone()), name: name.value.clone() }
                }
                _ => Operand::Other,
            },
            Expr::Cast { data_type, .. } => Operand::Cast(self.type_name(data_type)?),
            Expr::TypedString(typed) => Operand::Cast(self.type_name(&typed.data_type)?),
            Expr::Interval(_) => {
                Operand::Cast(super::facts::TypeName { name: Name::built_in("interval"), array: false })
            }
            Expr::BinaryOp { op: BinaryOperator::Plus | BinaryOperator::Minus, .. } => return self.arithmetic(expr),
            Expr::AtTimeZone { .. } => Operand::Result(Name::built_in("timezone")),
            Expr::Extract { .. } => Operand::Result(Name::built_in("date_part")),
            Expr::Function(function) => return self.function_operand(function),
            _ => Operand::Other,
        })
    }

    /// A chain of `+` and `-` may be as long as the text: its left sides are no levels.
    fn arithmetic(&mut self, expr: &Expr) -> Result<Operand, Refused> {
        let mut operands = Vec::new();
        let mut expr = expr;
        while let Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } = expr {
            operands.push(self.descend(|walk| walk.operand(right))?);
            expr = left;
        }
        operands.push(self.descend(|walk| walk.operand(expr))?);
        Ok(Operand::Arithmetic(operands))
    }
}
