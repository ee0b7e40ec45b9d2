//! The names of refusals, pins and kinds in metrics, `explain` and logs: stable, since dashboards know them.

use super::{Kind, PinReason, Refusal, TransactionControl};
use crate::sql::Refused;

impl Refusal {
    /// The stable name.
    pub const fn label(self) -> &'static str {
        match self {
            Refusal::NotARead => "not_a_read",
            Refusal::Unparsed => "unparsed",
            Refusal::TooLong => "too_long",
            Refusal::TooDeep => "too_deep",
            Refusal::NotUtf8 => "not_utf8",
            Refusal::SeveralStatements => "several_statements",
            Refusal::Locking => "locking",
            Refusal::Into => "into",
            Refusal::DataModifyingCte => "data_modifying_cte",
            Refusal::UnknownRelation => "unknown_relation",
            Refusal::SystemCatalog => "system_catalog",
            Refusal::Unlogged => "unlogged",
            Refusal::TemporaryRelation => "temporary_relation",
            Refusal::ForeignTable => "foreign_table",
            Refusal::Sequence => "sequence",
            Refusal::MaterializedView => "materialized_view",
            Refusal::OtherRelationKind => "other_relation_kind",
            Refusal::TableAccessMethod => "table_access_method",
            Refusal::DistributedTable => "distributed_table",
            Refusal::CompressedTable => "compressed_table",
            Refusal::RowSecurity => "row_security",
            Refusal::SystemColumn => "system_column",
            Refusal::UnknownFunction => "unknown_function",
            Refusal::VolatileFunction => "volatile_function",
            Refusal::StableFunction => "stable_function",
            Refusal::SecurityDefiner => "security_definer",
            Refusal::UnknownOperator => "unknown_operator",
            Refusal::VolatileOperator => "volatile_operator",
            Refusal::UnprovenCast => "unproven_cast",
            Refusal::TimeLiteral => "time_literal",
            Refusal::CurrentTime => "current_time",
            Refusal::TableSample => "table_sample",
            Refusal::UncertainSyntax => "uncertain_syntax",
            Refusal::ViewDefinition => "view_definition",
            Refusal::NoRelation => "no_relation",
            Refusal::LongIdentifier => "long_identifier",
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unparsed => Refusal::Unparsed,
            Refused::TooLong => Refusal::TooLong,
            Refused::TooDeep => Refusal::TooDeep,
            Refused::LongIdentifier => Refusal::LongIdentifier,
            Refused::UncertainSyntax => Refusal::UncertainSyntax,
        }
    }
}

impl PinReason {
    /// The stable name.
    pub const fn label(self) -> &'static str {
        match self {
            PinReason::TemporaryObject => "temporary_object",
            PinReason::Listen => "listen",
            PinReason::AdvisoryLock => "advisory_lock",
            PinReason::HoldCursor => "hold_cursor",
            PinReason::Load => "load",
            PinReason::SqlPrepare => "sql_prepare",
            PinReason::Opaque => "opaque",
            PinReason::Lasting => "lasting",
            PinReason::SessionAuthorization => "session_authorization",
            PinReason::Replication => "replication",
            PinReason::ForeignDatabase => "foreign_database",
        }
    }
}

impl Kind {
    /// The stable name.
    pub const fn label(&self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Copy => "copy",
            Kind::Transaction(control) => match control {
                TransactionControl::Begin { .. } => "begin",
                TransactionControl::Commit { .. } => "commit",
                TransactionControl::Rollback { .. } => "rollback",
                TransactionControl::Savepoint
                | TransactionControl::RollbackToSavepoint
                | TransactionControl::ReleaseSavepoint => "savepoint",
                TransactionControl::TwoPhase => "two_phase",
                TransactionControl::Modes => "transaction_modes",
            },
            Kind::Setting(_) | Kind::SetConfig(_) | Kind::Settings { .. } => "setting",
            Kind::Show(_) => "show",
            Kind::Prepare { .. } => "prepare",
            Kind::Execute { .. } => "execute",
            Kind::Explain { .. } => "explain",
            Kind::Deallocate { .. } => "deallocate",
            Kind::Listen(_) => "listen",
            Kind::Unlisten { .. } => "unlisten",
            Kind::Ddl => "ddl",
            Kind::Unproven => "unproven",
        }
    }
}
