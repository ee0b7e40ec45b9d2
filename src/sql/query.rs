//! One query to its facts: SELECT, VALUES, TABLE, WITH.

use super::Refused;
use super::expression::{Walk, text_of};
use super::facts::{Facts, Into, SourceKind};
use super::parse::parse;
use super::reword::{follows_as_label, is_fetch};
use super::token::Lexed;
use super::words::{calls_nothing, is_reserved};
use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, GroupByWithModifier, LimitClause, NamedWindowExpr, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetQuantifier, Statement, Values,
    WildcardAdditionalOptions, With,
};

/// Stack for parsing, walking and dropping a tree within the bounds of [`super::token`], several times over (bytes).
const STACK: usize = 32 * 1024 * 1024;

/// What PostgreSQL calls computed columns after their syntax (`FigureColname` in parse_target.c), where that is no function's name.
const NAMED_BY_GRAMMAR: &[&str] =
    &["array", "case", "coalesce", "exists", "extract", "greatest", "grouping", "least", "nullif", "row", "user"];

/// Understands one query. The text is one statement that begins with SELECT, VALUES, TABLE, WITH or a parenthesis.
/// Of a query that modifies rows no more is known than that.
pub fn facts(lexed: &Lexed<'_>) -> Result<Facts, Refused> {
    if let Some(doubt) = lexed.doubt() {
        return Err(doubt);
    }
    // The parser guards its stack in some of its recursions, not in all.
    stacker::grow(STACK, || facts_within_bounds(lexed))
}

fn facts_within_bounds(lexed: &Lexed<'_>) -> Result<Facts, Refused> {
    let Statement::Query(query) = parse(lexed)? else { return Err(Refused::UncertainSyntax) };
    let mut walk = Walk::default();
    walk.query(&query)?;
    if walk.facts.modifies {
        // Not a read, and not walked to its end.
        return Ok(walk.facts);
    }
    all_calls_accounted(lexed, &walk)?;
    all_labels_follow_as(lexed, &walk)?;
    Ok(walk.facts)
}

/// Whatever the tree hides, the text shows: every word before a parenthesis must be a keyword or have been recorded.
fn all_calls_accounted(lexed: &Lexed<'_>, walk: &Walk) -> Result<(), Refused> {
    for at in 0..lexed.len() {
        if lexed.sign(at + 1) != Some('(') {
            continue;
        }
        if let Some(name) = lexed.name(at)
            && !walk.is_accounted(&name)
            && !(lexed.is_word(at) && calls_nothing(&name))
            && !at.checked_sub(1).is_some_and(|before| lexed.is(before, "tablesample") || is_fetch(lexed, before))
        {
            return Err(Refused::UncertainSyntax);
        }
    }
    Ok(())
}

/// A keyword without AS before it was no alias: the parser has swallowed grammar.
fn all_labels_follow_as(lexed: &Lexed<'_>, walk: &Walk) -> Result<(), Refused> {
    let labelled = |label: &String| (1..lexed.len()).any(|at| lexed.is(at, label) && follows_as_label(lexed, at - 1));
    if walk.labels.iter().all(labelled) { Ok(()) } else { Err(Refused::UncertainSyntax) }
}

impl Walk {
    pub(super) fn query(&mut self, query: &Query) -> Result<(), Refused> {
        self.queries += 1;
        let scopes = self.ctes.len();
        let result = self.descend(|walk| walk.query_parts(query));
        self.ctes.truncate(scopes);
        self.queries -= 1;
        result
    }

    fn query_parts(&mut self, query: &Query) -> Result<(), Refused> {
        if query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(Refused::UncertainSyntax);
        }
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        self.facts.locking |= !query.locks.is_empty();
        self.set(&query.body)?;
        if let Some(order) = &query.order_by {
            match &order.kind {
                OrderByKind::Expressions(list) if order.interpolate.is_none() => self.order(list)?,
                _ => return Err(Refused::UncertainSyntax),
            }
        }
        match &query.limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                self.exprs(limit.iter().chain(offset.iter().map(|o| &o.value)))?;
            }
            Some(_) => return Err(Refused::UncertainSyntax),
        }
        match &query.fetch {
            None => Ok(()),
            Some(fetch) if !fetch.percent => self.exprs(&fetch.quantity),
            Some(_) => Err(Refused::UncertainSyntax),
        }
    }

    /// Without RECURSIVE a CTE sees those before it, with it all of its list.
    fn with(&mut self, with: &With) -> Result<(), Refused> {
        let name = |cte: &Cte| text_of(&cte.alias.name).map(str::to_owned);
        let mut scope = Vec::new();
        if with.recursive {
            for cte in &with.cte_tables {
                scope.push(name(cte)?);
            }
        }
        self.ctes.push(scope);
        for cte in &with.cte_tables {
            if cte.from.is_some() {
                return Err(Refused::UncertainSyntax);
            }
            let outer = std::mem::replace(&mut self.in_cte, true);
            self.query(&cte.query)?;
            self.in_cte = outer;
            self.alias(Some(&cte.alias), SourceKind::Derived)?;
            let name = name(cte)?;
            if let Some(scope) = self.ctes.last_mut() {
                scope.push(name);
            }
        }
        Ok(())
    }

    fn set(&mut self, set: &SetExpr) -> Result<(), Refused> {
        let mut set = set;
        while let SetExpr::SetOperation { left, set_quantifier, right, .. } = set {
            match set_quantifier {
                SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => {}
                _ => return Err(Refused::UncertainSyntax),
            }
            self.descend(|walk| walk.set(right))?;
            set = left;
        }
        match set {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => self.values(values),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                self.facts.modifies = true;
                self.facts.modifying_cte |= self.in_cte;
                Ok(())
            }
            SetExpr::Table(_) | SetExpr::SetOperation { .. } => Err(Refused::UncertainSyntax),
        }
    }

    fn values(&mut self, values: &Values) -> Result<(), Refused> {
        if values.explicit_row || values.value_keyword {
            return Err(Refused::UncertainSyntax);
        }
        let columns = values.rows.iter().map(|row| row.len()).max().unwrap_or(0);
        self.facts.aliases.extend((1..=columns).map(|n| format!("column{n}")));
        values.rows.iter().try_for_each(|row| self.exprs(row.iter()))
    }

    fn select(&mut self, select: &Select) -> Result<(), Refused> {
        let foreign = !select.optimizer_hints.is_empty()
            || select.select_modifiers.is_some()
            || select.top.is_some()
            || select.exclude.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard;
        if foreign {
            return Err(Refused::UncertainSyntax);
        }
        if let Some(into) = &select.into {
            let temporary = into.temporary || into.targets.iter().any(|t| t.to_string().contains("pg_temp"));
            self.facts.into = Some(if temporary { Into::Temporary } else { Into::Table });
        }
        if let Some(Distinct::On(list)) = &select.distinct {
            self.exprs(list)?;
        }
        self.from(&select.from)?;
        select.projection.iter().try_for_each(|item| self.item(item))?;
        self.exprs(select.selection.iter().chain(&select.having))?;
        self.group(&select.group_by)?;
        for window in &select.named_window {
            text_of(&window.0)?;
            match &window.1 {
                NamedWindowExpr::NamedWindow(name) => drop(text_of(name)?),
                NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
            }
        }
        Ok(())
    }

    fn group(&mut self, group: &GroupByExpr) -> Result<(), Refused> {
        let GroupByExpr::Expressions(list, modifiers) = group else { return Err(Refused::UncertainSyntax) };
        self.exprs(list)?;
        modifiers.iter().try_for_each(|modifier| match modifier {
            GroupByWithModifier::GroupingSets(expr) => self.expr(expr),
            _ => Err(Refused::UncertainSyntax),
        })
    }

    fn item(&mut self, item: &SelectItem) -> Result<(), Refused> {
        let (met, casts) = (self.met.len(), self.facts.casts.len());
        match item {
            SelectItem::UnnamedExpr(expr) => {
                self.expr(expr)?;
                // PostgreSQL names a computed column after something in it.
                if self.queries > 1 && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                    self.facts.aliases.extend_from_slice(&self.met[met..]);
                    let types = self.facts.casts[casts..].iter().map(|cast| cast.target.name.name.clone());
                    self.facts.aliases.extend(types);
                    self.facts.aliases.extend(NAMED_BY_GRAMMAR.iter().map(|name| (*name).to_owned()));
                }
                Ok(())
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = text_of(alias)?.to_owned();
                if alias.quote_style.is_none() && is_reserved(&name) && !self.labels.contains(&name) {
                    self.labels.push(name.clone());
                }
                // What the outermost query calls its columns, no expression sees.
                if self.queries > 1 {
                    self.facts.aliases.push(name);
                }
                self.expr(expr)
            }
            SelectItem::Wildcard(options) => plain(options),
            SelectItem::QualifiedWildcard(kind, options) => {
                plain(options)?;
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => super::expression::name_of(name).map(drop),
                    // Whose columns are not told.
                    SelectItemQualifiedWildcardKind::Expr(_) => Err(Refused::UncertainSyntax),
                }
            }
            SelectItem::ExprWithAliases { .. } => Err(Refused::UncertainSyntax),
        }
    }
}

fn plain(options: &WildcardAdditionalOptions) -> Result<(), Refused> {
    let none = options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none();
    if none { Ok(()) } else { Err(Refused::UncertainSyntax) }
}
