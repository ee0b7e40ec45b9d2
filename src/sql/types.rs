//! The parser's data types as PostgreSQL's names. Grammar keywords (`int`, `varchar`, `timestamp`) always mean the type in
//! `pg_catalog`; other names go through the search path.

use super::Refused;
use super::expression::{Walk, name_of};
use super::facts::{Name, TypeName};
use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, GeometricTypeKind, TimezoneInfo};

impl Walk {
    pub(super) fn type_name(&mut self, data_type: &DataType) -> Result<TypeName, Refused> {
        for typed in ["timestamptz", "timetz", "varbit"] {
            self.account(typed);
        }
        let grammar = |name: &str| Ok(TypeName { name: Name::built_in(name), array: false });
        let path = |name: &str| Ok(TypeName { name: Name::plain(name), array: false });
        match data_type {
            DataType::Character(_) | DataType::Char(_) => grammar("bpchar"),
            DataType::CharacterVarying(_) | DataType::CharVarying(_) | DataType::Varchar(_) => grammar("varchar"),
            DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => grammar("numeric"),
            DataType::SmallInt(None) => grammar("int2"),
            DataType::Int(None) | DataType::Integer(None) => grammar("int4"),
            DataType::BigInt(None) => grammar("int8"),
            DataType::Int2(None) => path("int2"),
            DataType::Int4(None) => path("int4"),
            DataType::Int8(None) => path("int8"),
            DataType::Float4 => path("float4"),
            DataType::Float8 => path("float8"),
            DataType::Real => grammar("float4"),
            DataType::Float(ExactNumberInfo::None | ExactNumberInfo::Precision(_)) => grammar("float8"),
            DataType::DoublePrecision => grammar("float8"),
            DataType::Boolean => grammar("bool"),
            DataType::Bool => path("bool"),
            DataType::Uuid => path("uuid"),
            DataType::Date => path("date"),
            DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => grammar("time"),
            DataType::Time(_, TimezoneInfo::WithTimeZone) => grammar("timetz"),
            DataType::Time(_, TimezoneInfo::Tz) => path("timetz"),
            DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => grammar("timestamp"),
            DataType::Timestamp(_, TimezoneInfo::WithTimeZone) => grammar("timestamptz"),
            DataType::Timestamp(_, TimezoneInfo::Tz) => path("timestamptz"),
            DataType::Interval { .. } => grammar("interval"),
            DataType::JSON => path("json"),
            DataType::JSONB => path("jsonb"),
            DataType::Regclass => path("regclass"),
            DataType::Text => path("text"),
            DataType::Bytea => path("bytea"),
            DataType::Bit(_) => grammar("bit"),
            DataType::BitVarying(_) => grammar("varbit"),
            DataType::VarBit(_) => path("varbit"),
            DataType::TsVector => path("tsvector"),
            DataType::TsQuery => path("tsquery"),
            DataType::GeometricType(kind) => path(match kind {
                GeometricTypeKind::Point => "point",
                GeometricTypeKind::Line => "line",
                GeometricTypeKind::LineSegment => "lseg",
                GeometricTypeKind::GeometricBox => "box",
                GeometricTypeKind::GeometricPath => "path",
                GeometricTypeKind::Polygon => "polygon",
                GeometricTypeKind::Circle => "circle",
            }),
            DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
                // `int[][][]` is as deep as it is long.
                self.descend(|walk| Ok(TypeName { array: true, ..walk.type_name(element)? }))
            }
            DataType::Custom(name, _) => {
                let name = name_of(name)?;
                self.account(&name.name);
                Ok(TypeName { name, array: false })
            }
            _ => Err(Refused::UncertainSyntax),
        }
    }
}
