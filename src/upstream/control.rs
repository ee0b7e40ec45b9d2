//! A connection of Sidecache's own, by tokio-postgres: for the catalog, pings and probes. Answers in text; what the
//! rows mean is the asker's matter, but for who a server is and where its log stands.

use super::bound::AsItIs;
use super::dialect::{ACCESS, Dialect};
use super::login::HASHLESS;
use super::transport::Target;
use super::{Account, LoginProof};
use crate::config::ChannelBinding;
use crate::types::{Epoch, Lsn, Moment};
use crate::wire::binding::Bindable;
use ring::digest;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::config::{ChannelBinding as Wanted, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;

/// We end waiting for an answer after this long: the server's own timeout and the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// What holds on every connection of ours, whatever was set for the role or the database. First the search path, so
/// that no object of a user's can stand in for one of PostgreSQL's in the rest; the rest by name where the version
/// has it. `synchronous_commit`: what we commit ourselves need not wait for a standby.
const BASELINE: &str = "SET search_path = pg_catalog;
SELECT set_config(s.name, w.value, false) FROM (VALUES
    ('application_name', 'sidecache'), ('statement_timeout', '30s'), ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
    ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'),
    ('synchronous_commit', 'local'), ('DateStyle', 'ISO, YMD'), ('TimeZone', 'UTC'), ('IntervalStyle', 'postgres'),
    ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('quote_all_identifiers', 'off'),
    ('standard_conforming_strings', 'on'), ('row_security', 'on')
) AS w(name, value) JOIN pg_settings AS s ON lower(s.name) = lower(w.name)";

/// Facts of the primary that make an epoch, and what serving depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// None (the default) of a server in recovery: it lives its primary's life, which it cannot name.
    pub epoch: Epoch,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// The setting.
    pub wal_level: String,
    /// `server_version_num`.
    pub version: u32,
}

/// Why a question of ours found no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub String);

impl From<tokio_postgres::Error> for ControlError {
    fn from(error: tokio_postgres::Error) -> Self {
        ControlError(match error.as_db_error() {
            Some(refusal) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
            None => match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        })
    }
}

/// A connection of Sidecache's own to the primary, for the catalog, pings and probes (tokio-postgres).
pub struct Control {
    client: tokio_postgres::Client,
    /// Made once: which functions it may call differs by server.
    probe: String,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Control {
    /// Connects, within the target's time for connecting, and puts the connection on known settings.
    pub(super) async fn connect(target: &Target, account: &Account, database: &str) -> Result<Self, ControlError> {
        let work = async {
            // TLS is ours, as for every other connection: tokio-postgres, told that it begins at once, is given the stream as it is.
            let stream = target.open().await.map_err(|e| ControlError(e.to_string()))?;
            let mut config = tokio_postgres::Config::new();
            config.user(&account.user).dbname(database).application_name("sidecache");
            config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
            config.channel_binding(match target.channel_binding {
                ChannelBinding::Disable => Wanted::Disable,
                ChannelBinding::Prefer => Wanted::Prefer,
                ChannelBinding::Require => Wanted::Require,
            });
            if let LoginProof::Password(secret) = &account.proof {
                config.password(&secret.0);
            }
            let is_hashless =
                target.channel_binding != ChannelBinding::Disable && Bindable::of_server(&stream) == Bindable::Hashless;
            // That the server refuses what cannot be bound is no reason to go without TLS.
            let goes_without = target.may_go_without(&stream) && !is_hashless;
            let (client, connection) = match config.connect_raw(stream, AsItIs).await {
                Err(refused)
                    if goes_without && refused.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) =>
                {
                    let stream = target.open_in_clear().await.map_err(|e| ControlError(e.to_string()))?;
                    // What was told on TLS is what counts if neither way leads in.
                    config.connect_raw(stream, AsItIs).await.map_err(|_| refused)?
                }
                Err(refused) if is_hashless && refused.code().is_some_and(refuses_binding) => {
                    let ControlError(cause) = refused.into();
                    return Err(ControlError(format!("{cause}; {HASHLESS}")));
                }
                outcome => outcome?,
            };
            // Ends with the client. Its error is told to whoever asks next.
            tokio::spawn(connection);
            let mut control = Control { client, probe: String::new() };
            control.rows(BASELINE).await?;
            let access = control.rows(ACCESS).await?;
            control.probe = Dialect::read(access.first().map(Vec::as_slice).unwrap_or_default()).probe();
            Ok(control)
        };
        match tokio::time::timeout(target.connect_timeout, work).await {
            Ok(outcome) => outcome.map_err(|ControlError(cause)| ControlError(format!("{target}: {cause}"))),
            Err(_) => Err(ControlError(format!("{target}: no answer within {:?}", target.connect_timeout))),
        }
    }

    /// Rows of a query as text, by column. Of several statements, the rows of all, one after the other.
    ///
    /// # Errors
    /// The server refused the query or was lost.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ControlError> {
        let messages = tokio::time::timeout(ANSWER_TIMEOUT, self.client.simple_query(sql))
            .await
            .map_err(|_| ControlError(format!("no answer within {ANSWER_TIMEOUT:?}")))??;
        let mut rows = Vec::with_capacity(messages.len());
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                let columns = (0..row.len()).map(|column| Ok(row.try_get(column)?.map(str::to_owned)));
                rows.push(columns.collect::<Result<Vec<_>, tokio_postgres::Error>>()?);
            }
        }
        Ok(rows)
    }

    /// Rows of one query as text, by column: all of types that are text. Parameters go beside the query, never into it.
    ///
    /// # Errors
    /// The server refused the query or was lost, or a column is not text.
    pub async fn rows_with(&self, sql: &str, parameters: &[&str]) -> Result<Vec<Vec<Option<String>>>, ControlError> {
        let parameters: Vec<_> = parameters.iter().map(|p| p as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let rows = tokio::time::timeout(ANSWER_TIMEOUT, self.client.query(sql, &parameters))
            .await
            .map_err(|_| ControlError(format!("no answer within {ANSWER_TIMEOUT:?}")))??;
        let columns = |row: &tokio_postgres::Row| (0..row.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>();
        Ok(rows.iter().map(columns).collect::<Result<_, _>>()?)
    }

    /// `sent` is read just before sending, so that what committed before it is at or below the returned insert position.
    ///
    /// # Errors
    /// The server is lost, or is in recovery.
    pub async fn ping(&self) -> Result<(Moment, Lsn), ControlError> {
        let sent = Moment::now();
        let rows = self.rows("SELECT pg_catalog.pg_current_wal_insert_lsn()").await?;
        let position = rows.first().and_then(|row| row.first()).and_then(Option::as_deref).unwrap_or_default();
        Ok((sent, position.parse().map_err(|e| ControlError(format!("{e}")))?))
    }

    /// Who the server is now.
    ///
    /// # Errors
    /// The server is lost, or its answer makes no sense.
    pub async fn identity(&self) -> Result<Identity, ControlError> {
        Ok(self.probe().await?.identity)
    }

    /// Whether the connection is known to have ended.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) async fn probe(&self) -> Result<Probe, ControlError> {
        let sent = Moment::now();
        let rows = self.rows(&self.probe).await?;
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        Probe::read(sent, row).ok_or_else(|| ControlError(format!("a probe's answer makes no sense: {row:?}")))
    }
}

/// Whether a server that was to check what a login is bound to may say this: it found another hash, or none (`be_tls_get_certificate_hash`).
fn refuses_binding(code: &SqlState) -> bool {
    [SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::INTERNAL_ERROR].contains(code)
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The question went out then.
    pub sent: Moment,
    pub identity: Identity,
    pub standing: Standing,
    /// The cluster's identifier, where it may be read.
    pub system: Option<String>,
    /// The timeline it writes, or the one it receives.
    pub timeline: Option<u32>,
    /// When it started, in microseconds.
    pub started: Option<u64>,
}

/// Where a server's log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Primary {
        inserted: Lsn,
        block_size: u64,
    },
    Replica {
        replayed: Option<Lsn>,
        /// It has a connection by which it receives more.
        receives: bool,
    },
    /// It reads the primary's own storage, and is so late at most.
    Reader {
        lag: Option<Duration>,
    },
}

impl Probe {
    fn read(sent: Moment, row: &[Option<String>]) -> Option<Self> {
        let [
            recovery,
            inserted,
            file,
            replayed,
            received,
            system,
            started,
            reset,
            wal_level,
            version,
            block,
            lag,
            receives,
            instant,
        ] = row
        else {
            return None;
        };
        let in_recovery = recovery.as_deref()? == "t";
        let lsn = |text: &Option<String>| text.as_deref().map(str::parse::<Lsn>).transpose().ok();
        let (standing, timeline) = if in_recovery {
            let timeline = received.as_deref().map(str::parse).transpose().ok()?;
            let standing = match lag.as_deref() {
                None => Standing::Replica { replayed: lsn(replayed)?, receives: receives.as_deref() == Some("t") },
                Some(lag) => Standing::Reader { lag: lag.parse().map(Duration::from_millis).ok() },
            };
            (standing, timeline)
        } else {
            let timeline = u32::from_str_radix(file.as_deref()?.get(..8)?, 16).ok()?;
            let block_size = block.as_deref()?.parse().ok()?;
            (Standing::Primary { inserted: lsn(inserted)??, block_size }, Some(timeline))
        };
        let epoch = if in_recovery {
            Epoch::default()
        } else {
            let timeline = timeline?.to_string();
            let facts = [system.as_deref(), Some(&timeline), started.as_deref(), reset.as_deref()];
            epoch(facts.map(|fact| fact.unwrap_or("unavailable")))
        };
        let wal_level = wal_level.clone()?;
        let version = version.as_deref()?.parse().ok()?;
        let identity = Identity { epoch, in_recovery, wal_level, version };
        let started = instant.as_deref().and_then(|instant| instant.parse().ok());
        Some(Probe { sent, identity, standing, system: system.clone(), timeline, started })
    }
}

/// The same on every instance that sees the same facts.
fn epoch(facts: [&str; 4]) -> Epoch {
    let digest = digest::digest(&digest::SHA256, facts.join("\0").as_bytes());
    let (&first, _) = digest.as_ref().split_first_chunk::<8>().expect("SHA-256 has 32 bytes");
    Epoch::new(u64::from_be_bytes(first).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: [&str; 11]) -> Vec<Option<String>> {
        columns.iter().chain([&"-", &"t", &"1700"]).map(|&text| (text != "-").then(|| text.to_owned())).collect()
    }

    const STARTED: &str = "2026-11-22 10:00:00+00";

    #[test]
    fn a_primary_says_where_it_is_and_which_life_it_lives() {
        let columns = [
            "f",
            "0/1C000028",
            "00000002000000000000001C",
            "-",
            "-",
            "75",
            STARTED,
            STARTED,
            "logical",
            "150018",
            "8192",
        ];
        let probe = Probe::read(Moment::START, &row(columns)).unwrap();
        assert_eq!(probe.standing, Standing::Primary { inserted: Lsn::new(0x1C00_0028), block_size: 8192 });
        assert_eq!((probe.timeline, probe.system.as_deref(), probe.started), (Some(2), Some("75"), Some(1700)));
        assert_eq!((probe.identity.version, probe.identity.wal_level.as_str()), (150_018, "logical"));
        assert_ne!(probe.identity.epoch, Epoch::default());

        for (column, other) in [(2, "00000003000000000000001C"), (5, "76"), (5, "-"), (6, "later"), (7, "later")] {
            let mut changed = columns;
            changed[column] = other;
            let changed = Probe::read(Moment::START, &row(changed)).unwrap();
            assert_ne!(changed.identity.epoch, probe.identity.epoch, "column {column} makes the epoch");
        }
        let mut further = columns;
        (further[1], further[8]) = ("0/1D000000", "replica");
        let further = Probe::read(Moment::START, &row(further)).unwrap();
        assert_eq!(further.identity.epoch, probe.identity.epoch, "position and settings don't");
    }

    #[test]
    fn the_epoch_is_the_same_on_every_instance() {
        assert_eq!(epoch(["1", "1", "a", "b"]), epoch(["1", "1", "a", "b"]));
        assert_ne!(epoch(["1", "11", "a", "b"]), epoch(["11", "1", "a", "b"]));
        // Instances of different builds share the second tier: the digest may not change unnoticed.
        assert_eq!(epoch(["1", "1", "a", "b"]).to_string(), "eba5da3e28527d18");
    }

    #[test]
    fn a_replica_has_no_epoch_and_may_not_know_its_timeline() {
        let columns = ["t", "-", "-", "0/3000148", "-", "75", STARTED, STARTED, "replica", "150018", "8192"];
        let probe = Probe::read(Moment::START, &row(columns)).unwrap();
        assert_eq!(probe.standing, Standing::Replica { replayed: Some(Lsn::new(0x300_0148)), receives: true });
        assert_eq!((probe.timeline, probe.identity.epoch), (None, Epoch::default()));
    }

    #[test]
    fn r10_a_reader_of_shared_storage_tells_time_and_no_position() {
        let columns =
            ["t", "0/1", "000000010000000000000000", "-", "1", "aurora:a", STARTED, "-", "replica", "150018", "8192"];
        for (lag, expected) in [("17", Some(Duration::from_millis(17))), ("unknown", None)] {
            let mut row = row(columns);
            row[11] = Some(lag.to_owned());
            assert_eq!(Probe::read(Moment::START, &row).unwrap().standing, Standing::Reader { lag: expected });
        }
    }

    #[test]
    fn r25_answers_that_make_no_sense_are_no_answers() {
        let sane = ["f", "0/1", "000000020000000000000001", "-", "-", "-", "-", "-", "logical", "150018", "8192"];
        assert!(Probe::read(Moment::START, &row(sane)).is_some());
        for (column, other) in [(0, "-"), (1, "-"), (1, "x"), (2, "0000"), (2, "éééééé"), (9, "new"), (10, "-")] {
            let mut broken = sane;
            broken[column] = other;
            assert_eq!(Probe::read(Moment::START, &row(broken)), None, "{other} in column {column}");
        }
        assert_eq!(Probe::read(Moment::START, &[]), None);
    }
}
