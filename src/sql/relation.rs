//! The walk through FROM: what is read, and by which names its parts are known.

use super::Refused;
use super::expression::{Walk, name_of, text_of};
use super::facts::{Cast, Name, Operand, SourceKind};
use super::words::is_reserved;
use sqlparser::ast::{
    FunctionArg, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableAlias, TableFactor,
    TableWithJoins,
};

impl Walk {
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<(), Refused> {
        from.iter().try_for_each(|item| self.joined(item))
    }

    fn joined(&mut self, item: &TableWithJoins) -> Result<(), Refused> {
        self.factor(&item.relation)?;
        item.joins.iter().try_for_each(|join| self.join(join))
    }

    fn join(&mut self, join: &Join) -> Result<(), Refused> {
        if join.global {
            return Err(Refused::UncertainSyntax);
        }
        self.factor(&join.relation)?;
        match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => match constraint {
                JoinConstraint::On(expr) => self.expr(expr),
                JoinConstraint::Using(columns) => {
                    self.operator("=");
                    columns.iter().try_for_each(|column| name_of(column).map(drop))
                }
                JoinConstraint::Natural => {
                    self.operator("=");
                    Ok(())
                }
                JoinConstraint::None => Ok(()),
            },
            _ => Err(Refused::UncertainSyntax),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<(), Refused> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version: None,
                with_ordinality,
                partitions,
                json_path: None,
                sample,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                self.facts.table_sample |= sample.is_some();
                match args {
                    Some(args) if args.settings.is_none() && sample.is_none() => {
                        self.table_function(name, &args.args, alias.as_ref())
                    }
                    None if !with_ordinality => self.relation(name, alias.as_ref()),
                    _ => Err(Refused::UncertainSyntax),
                }
            }
            TableFactor::Derived { subquery, alias, sample: None, .. } => {
                self.query(subquery)?;
                self.alias(alias.as_ref(), SourceKind::Derived)
            }
            TableFactor::Function { name, args, alias, .. } => self.table_function(name, args, alias.as_ref()),
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, .. } => {
                let kind = SourceKind::Function(self.facts.functions.len());
                self.call(Name::plain("unnest"), array_exprs.len(), None);
                self.exprs(array_exprs)?;
                self.function_alias("unnest", alias.as_ref(), kind)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.descend(|walk| walk.joined(table_with_joins))?;
                self.alias(alias.as_ref(), SourceKind::Derived)
            }
            _ => Err(Refused::UncertainSyntax),
        }
    }

    fn table_function(
        &mut self,
        name: &ObjectName,
        arguments: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> Result<(), Refused> {
        let name = name_of(name)?;
        let known_as = name.name.clone();
        let kind = SourceKind::Function(self.facts.functions.len());
        self.call(name, arguments.len(), None);
        self.arguments(arguments)?;
        self.function_alias(&known_as, alias, kind)
    }

    /// A function's result is a source, and a scalar one is a column of the same name.
    fn function_alias(&mut self, name: &str, alias: Option<&TableAlias>, kind: SourceKind) -> Result<(), Refused> {
        let known_as = alias.map_or(name, |alias| &alias.name.value).to_owned();
        self.facts.aliases.push(known_as.clone());
        self.facts.sources.push((known_as, kind));
        self.alias(alias, kind)
    }

    fn relation(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<(), Refused> {
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => self.proper_name(ident)?,
                ObjectNamePart::Function(_) => return Err(Refused::UncertainSyntax),
            }
        }
        let kind = self.read(name_of(name)?);
        if alias.is_none()
            && let Some(ObjectNamePart::Identifier(last)) = name.0.last()
        {
            self.facts.sources.push((last.value.clone(), kind));
        }
        self.alias(alias, kind)
    }

    /// Records a relation that is read, unless the name is a CTE's.
    pub(super) fn read(&mut self, name: Name) -> SourceKind {
        let is_cte = name.schema.is_none() && self.ctes.iter().flatten().any(|cte| *cte == name.name);
        if is_cte {
            return SourceKind::Derived;
        }
        let known = self.facts.relations.iter().position(|r| *r == name);
        SourceKind::Relation(known.unwrap_or_else(|| {
            self.facts.relations.push(name);
            self.facts.relations.len() - 1
        }))
    }

    fn proper_name(&mut self, ident: &Ident) -> Result<(), Refused> {
        let name = text_of(ident)?;
        match ident.quote_style {
            None if is_reserved(name) => Err(Refused::UncertainSyntax),
            _ => Ok(()),
        }
    }

    pub(super) fn alias(&mut self, alias: Option<&TableAlias>, kind: SourceKind) -> Result<(), Refused> {
        let Some(alias) = alias else { return Ok(()) };
        if alias.at.is_some() {
            return Err(Refused::UncertainSyntax);
        }
        self.proper_name(&alias.name)?;
        self.account(&alias.name.value);
        self.facts.sources.push((alias.name.value.clone(), kind));
        for column in &alias.columns {
            // A column definition list converts what a function gives, without saying from what.
            if let Some(data_type) = &column.data_type {
                let target = self.type_name(data_type)?;
                self.facts.casts.push(Cast { target, operand: Operand::Other });
            }
            self.facts.aliases.push(text_of(&column.name)?.to_owned());
        }
        Ok(())
    }
}
