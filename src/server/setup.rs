//! `sidecache setup`: the SQL for what Sidecache gains from its database, printed or run: the right to replicate, and two
//! event triggers that tell of DDL in the stream. Nothing needs the triggers; with them DDL is noticed at once even where rows
//! of known tables changed in the same transaction, and even if it is taken back at once.

use super::check::{PrimaryFacts, primary_facts};
use crate::config::Config;
use crate::feed::decode::DDL_PREFIX;
use std::fmt::Write;

/// The event triggers, by name.
pub const TRIGGERS: [(&str, &str); 2] = [("sidecache_ddl", "ddl_command_end"), ("sidecache_drop", "sql_drop")];

/// Tags of commands that change no answer that may be cached. Whatever else they say, each still makes an empty bracket.
const HARMLESS: &str = "'COMMENT', 'CREATE INDEX', 'ALTER INDEX', 'DROP INDEX', 'REINDEX', 'CREATE STATISTICS', \
'ALTER STATISTICS', 'DROP STATISTICS', 'REFRESH MATERIALIZED VIEW'";

/// Whether to print or to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Print,
    Run,
}

/// Asks the primary what it lacks, and gives the SQL, having run it as the URL's user if told to.
///
/// # Errors
/// The primary cannot be reached, or refuses a statement, in a sentence.
pub async fn setup(config: &Config, then: Then) -> Result<String, String> {
    let (control, facts) =
        primary_facts(config).await.map_err(|cause| format!("the primary cannot be asked: {cause}"))?;
    let statements = statements(&facts);
    if then == Then::Run {
        control.rows(&statements.concat()).await.map_err(|cause| {
            format!("the primary refuses: {cause}\nSomeone who may can run it: sidecache setup | psql …")
        })?;
    }
    Ok(script(config, &statements))
}

fn script(config: &Config, statements: &[String]) -> String {
    let mut text = String::new();
    let database = &config.primary.database;
    // Writing into a text cannot fail.
    let _ = writeln!(text, "-- For database {database:?} on the primary, as a superuser (RDS, Aurora: rds_superuser).");
    let _ = writeln!(text, "-- To undo it: DROP SCHEMA sidecache CASCADE;");
    statements.iter().for_each(|statement| text.push_str(statement));
    text
}

/// Each ends its line. All of them or none: one transaction, for psql too.
fn statements(facts: &PrimaryFacts) -> Vec<String> {
    let mut statements = vec!["BEGIN;\n".to_owned()];
    if !facts.may_replicate {
        statements.push(format!("{}\n", facts.replication_grant()));
    }
    statements.push("CREATE SCHEMA IF NOT EXISTS sidecache;\n".to_owned());
    statements.extend(TRIGGERS.map(|(name, _)| format!("DROP EVENT TRIGGER IF EXISTS {name};\n")));
    // Not replaced: who had made one of this name before would own what then runs with everybody's rights.
    statements.push(format!(
        "DROP FUNCTION IF EXISTS sidecache.tell_of_ddl();
CREATE FUNCTION sidecache.tell_of_ddl() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  changed boolean;
BEGIN
  IF tg_tag IN ({HARMLESS}) THEN
    RETURN;
  ELSIF tg_event = 'sql_drop' THEN
    -- A temporary view's rule is not called temporary.
    changed := EXISTS (SELECT FROM pg_event_trigger_dropped_objects()
      WHERE NOT is_temporary AND (original OR object_type <> 'rule'));
  ELSE
    changed := tg_tag IN ('DROP OWNED', 'REASSIGN OWNED') OR EXISTS (
      SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp');
  END IF;
  IF changed THEN
    PERFORM pg_logical_emit_message(true, '{DDL_PREFIX}', tg_tag);
  END IF;
END $$;
"
    ));
    for (name, event) in TRIGGERS {
        statements.push(format!(
            "CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION sidecache.tell_of_ddl();
ALTER EVENT TRIGGER {name} ENABLE ALWAYS;
"
        ));
    }
    statements.push("COMMIT;\n".to_owned());
    statements
}
