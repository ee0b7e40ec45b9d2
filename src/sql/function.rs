//! The walk through calls: ordinary functions, aggregates, windows, and the calls whose names are grammar.

use super::Refused;
use super::expression::{Walk, bare_word, name_of, text_of};
use super::facts::{Name, Operand};
use super::words::{Niladic, niladic};
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentClause, FunctionArguments,
    OrderByExpr, OrderBySort, WindowFrameBound, WindowSpec, WindowType,
};

impl Walk {
    pub(super) fn function(&mut self, function: &Function) -> Result<(), Refused> {
        if function.uses_odbc_syntax
            || !matches!(function.parameters, FunctionArguments::None)
            || function.null_treatment.is_some()
        {
            return Err(Refused::UncertainSyntax);
        }
        let word = bare_word(&function.name);
        match (&function.args, word.and_then(niladic), word) {
            (_, Some(Niladic::Time), _) => self.facts.current_time = true,
            (FunctionArguments::None, Some(Niladic::Session(name)), _) => self.call(Name::built_in(name), 0, None),
            (FunctionArguments::None, None, _) => return Err(Refused::UncertainSyntax),
            (FunctionArguments::Subquery(query), None, Some("array")) => self.query(query)?,
            (FunctionArguments::Subquery(_), ..) => return Err(Refused::UncertainSyntax),
            (FunctionArguments::List(list), _, _) => {
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(order) => self.order(order)?,
                        _ => return Err(Refused::UncertainSyntax),
                    }
                }
                self.called(function, word, &list.args)?;
                self.arguments(&list.args)?;
            }
        }
        self.order(&function.within_group)?;
        self.exprs(function.filter.iter().map(|e| &**e))?;
        match &function.over {
            None => Ok(()),
            Some(WindowType::NamedWindow(name)) => text_of(name).map(drop),
            Some(WindowType::WindowSpec(spec)) => self.window(spec),
        }
    }

    /// Records the call, or the operators that a call by grammar stands for.
    fn called(&mut self, function: &Function, word: Option<&str>, arguments: &[FunctionArg]) -> Result<(), Refused> {
        match word {
            Some("coalesce" | "row" | "grouping") => {}
            Some("nullif") => self.operator("="),
            Some("greatest" | "least") => {
                self.operator("<");
                self.operator(">");
            }
            _ => {
                let name = name_of(&function.name)?;
                let operand = match arguments {
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(only))] => Some(self.operand(only)?),
                    [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(moment))] if name.name == "timezone" => {
                        Some(self.operand(moment)?)
                    }
                    _ => None,
                };
                self.call(name, arguments.len(), operand);
            }
        }
        Ok(())
    }

    pub(super) fn arguments(&mut self, arguments: &[FunctionArg]) -> Result<(), Refused> {
        for argument in arguments {
            let value = match argument {
                FunctionArg::Unnamed(value) => value,
                FunctionArg::Named {
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                    name,
                } => {
                    text_of(name)?;
                    arg
                }
                FunctionArg::ExprNamed {
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                    name: Expr::Identifier(name),
                } => {
                    text_of(name)?;
                    arg
                }
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => return Err(Refused::UncertainSyntax),
            };
            match value {
                FunctionArgExpr::Expr(expr) => self.expr(expr)?,
                FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::QualifiedWildcard(name) => drop(name_of(name)?),
                FunctionArgExpr::WildcardWithOptions(_) => return Err(Refused::UncertainSyntax),
            }
        }
        Ok(())
    }

    pub(super) fn order(&mut self, order: &[OrderByExpr]) -> Result<(), Refused> {
        for by in order {
            if by.with_fill.is_some() || matches!(by.options.sort, Some(OrderBySort::Using(_))) {
                return Err(Refused::UncertainSyntax);
            }
            self.expr(&by.expr)?;
        }
        Ok(())
    }

    pub(super) fn window(&mut self, spec: &WindowSpec) -> Result<(), Refused> {
        spec.window_name.iter().try_for_each(|name| text_of(name).map(drop))?;
        self.exprs(&spec.partition_by)?;
        self.order(&spec.order_by)?;
        let Some(frame) = &spec.window_frame else { return Ok(()) };
        for bound in [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten() {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => {
                    self.exprs(offset.iter().map(|e| &**e))?;
                }
            }
        }
        Ok(())
    }

    /// What a cast of a call converts.
    pub(super) fn function_operand(&mut self, function: &Function) -> Result<Operand, Refused> {
        let word = bare_word(&function.name);
        let FunctionArguments::List(list) = &function.args else { return Ok(Operand::Other) };
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        });
        match word {
            Some("coalesce" | "greatest" | "least" | "max" | "min") => {
                let mut operands = Vec::new();
                for argument in arguments {
                    let Some(argument) = argument else { return Ok(Operand::Other) };
                    operands.push(self.descend(|walk| walk.operand(argument))?);
                }
                Ok(Operand::OneOf(operands))
            }
            _ => Ok(Operand::Result(name_of(&function.name)?)),
        }
    }
}
