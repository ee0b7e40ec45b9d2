//! Secrets of users who are in no file, as `auth_query` gives them on the primary: asked once in a while, kept in
//! bounds. What is known of nobody is kept as well, so that a name that is unknown takes the time of one that is known.

use super::generations::Generations;
use super::{End, Shared};
use crate::config::users::Credential;
use crate::types::Moment;
use crate::upstream::{Control, ControlError, Upstream};
use crate::wire::backend::Failure;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Half of the names kept; they come from whoever can connect.
const KEPT_HALF: usize = 2_048;

/// How often a name may be asked for anew within [`ANEW_WITHIN`] because its proof failed: a changed password is learned at once, and
/// who guesses does not make the primary work.
const ANEW: u32 = 3;
const ANEW_WITHIN: Duration = Duration::from_secs(10);

/// What `auth_query` said of names, and the connection that asks.
#[derive(Debug, Default)]
pub struct Secrets {
    known: Arc<Names>,
    /// Made when somebody is asked for. Who holds it asks, and of many who wait for one name the first asks.
    asking: Arc<tokio::sync::Mutex<Option<Asking>>>,
}

/// What was said of them.
#[derive(Debug, Default)]
struct Names(Mutex<Generations<String, Known, KEPT_HALF>>);

#[derive(Debug, Clone)]
struct Known {
    /// None: nobody of that name may connect.
    secret: Option<Credential>,
    asked: Moment,
    doubts: Doubts,
}

/// Proofs of one name that failed, or that the primary did not take.
#[derive(Debug, Clone, Copy, Default)]
struct Doubts {
    /// What is known is not to be used any more.
    standing: bool,
    /// Since then.
    times: u32,
    since: Moment,
}

impl Doubts {
    fn add(&mut self, now: Moment) {
        if now.since(self.since) >= ANEW_WITHIN {
            (self.times, self.since) = (0, now);
        }
        if self.times < ANEW && !self.standing {
            self.times += 1;
            self.standing = true;
        }
    }
}

#[derive(Debug)]
struct Asking {
    control: Control,
    made: Moment,
}

impl Secrets {
    /// The secret of this user, no older than `auth_refresh`; nothing if there is none, or nobody is to be asked.
    ///
    /// # Errors
    /// The primary cannot be asked: then nobody can tell who this is.
    pub(super) async fn of(&self, shared: &Shared, user: &str) -> Result<Option<Credential>, End> {
        let Some(query) = &shared.config.auth_query else { return Ok(None) };
        let age = shared.config.auth_refresh;
        if let Some(known) = self.known.fresh(user, age) {
            return Ok(known);
        }
        let mut asking = Arc::clone(&self.asking).lock_owned().await;
        if let Some(known) = self.known.fresh(user, age) {
            return Ok(known);
        }
        let (known, upstream) = (Arc::clone(&self.known), Arc::clone(&shared.upstream));
        let (query, user) = (query.clone(), user.to_owned());
        // A client that gives up leaves a question on the primary, which nobody asks another before it has been answered, or its time
        // (the connection's `statement_timeout`) is up.
        let answer = tokio::spawn(async move {
            let asked = Moment::now();
            let answer = ask(&mut asking, &upstream, &query, &user, age).await;
            match &answer {
                Ok(secret) => known.keep(&user, secret.clone(), asked),
                Err(cause) => {
                    *asking = None;
                    tracing::warn!(%cause, "auth_query could not be asked");
                }
            }
            answer.ok()
        });
        let answer = answer.await.ok().flatten();
        answer.ok_or_else(|| Failure::fatal("08006", "the primary cannot be asked who may log in").into())
    }

    /// What is known of this user may be outdated: the next who asks is told what the primary says then, if that was not so
    /// just before.
    pub(super) fn doubt(&self, user: &str) {
        self.known.doubt(user);
    }
}

impl Names {
    fn doubt(&self, user: &str) {
        if let Some(known) = self.0.lock().touch(&user.to_owned()) {
            known.doubts.add(Moment::now());
        }
    }

    fn fresh(&self, user: &str, age: Duration) -> Option<Option<Credential>> {
        let mut known = self.0.lock();
        let known = known.touch(&user.to_owned())?;
        let is_fresh = !known.doubts.standing && Moment::now().since(known.asked) < age;
        is_fresh.then(|| known.secret.clone())
    }

    fn keep(&self, user: &str, secret: Option<Credential>, asked: Moment) {
        let mut known = self.0.lock();
        let before = known.touch(&user.to_owned()).map(|known| known.doubts).unwrap_or_default();
        known.insert(user.to_owned(), Known { secret, asked, doubts: Doubts { standing: false, ..before } });
    }
}

async fn ask(
    asking: &mut Option<Asking>,
    upstream: &Upstream,
    query: &str,
    user: &str,
    age: Duration,
) -> Result<Option<Credential>, ControlError> {
    // Another server may be the primary by now: the connection is as old as what it says may be.
    if let Some(kept) = asking.take_if(|kept| Moment::now().since(kept.made) < age)
        && !kept.control.is_closed()
        && let Ok(rows) = kept.control.rows_with(query, &[user]).await
    {
        *asking = Some(kept);
        return read(&rows, user);
    }
    let made = Moment::now();
    let control = upstream.control().await?;
    let rows = control.rows_with(query, &[user]).await?;
    *asking = Some(Asking { control, made });
    read(&rows, user)
}

/// One row, of the name that was asked for and its secret: of SCRAM, or an md5 hash.
fn read(rows: &[Vec<Option<String>>], user: &str) -> Result<Option<Credential>, ControlError> {
    match rows {
        [] => Ok(None),
        [row] => match row.as_slice() {
            [Some(name), secret] if name == user => Ok(secret.as_deref().and_then(Credential::of_secret)),
            // A function that returns a row of NULLs knows nobody.
            [None, _] => Ok(None),
            [_, _] => Err(ControlError("auth_query gave another user than was asked for".to_owned())),
            columns => Err(ControlError(format!("auth_query gave {} columns, not name and secret", columns.len()))),
        },
        more => Err(ControlError(format!("auth_query gave {} rows for one user", more.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA=";

    fn row(columns: &[Option<&str>]) -> Vec<Option<String>> {
        columns.iter().map(|column| column.map(str::to_owned)).collect()
    }

    #[test]
    fn one_row_of_the_user_and_its_scram_secret_is_read() {
        assert_eq!(read(&[row(&[Some("ann"), Some(SECRET)])], "ann").unwrap(), Credential::of_secret(SECRET));
        for nobody in
            [&[][..], &[row(&[None, None])], &[row(&[Some("ann"), None])], &[row(&[Some("ann"), Some("md5x")])]]
        {
            assert_eq!(read(nobody, "ann").unwrap(), None, "{nobody:?}");
        }
        let ann = row(&[Some("ann"), Some(SECRET)]);
        for wrong in [&[row(&[Some("bob"), Some(SECRET)])][..], &[row(&[Some(SECRET)])], &[ann.clone(), ann]] {
            let error = read(wrong, "ann").unwrap_err().to_string();
            assert!(!error.contains("SCRAM"), "{error}");
        }
    }

    #[test]
    fn a_name_is_asked_for_anew_a_few_times_only() {
        let secrets = Names::default();
        let hour = Duration::from_secs(3600);
        let mut asked = 0;
        for _ in 0..1_000 {
            if secrets.fresh("ann", hour).is_none() {
                asked += 1;
                secrets.keep("ann", None, Moment::now());
            }
            secrets.doubt("ann");
        }
        assert_eq!(asked, 1 + ANEW);
        let mut doubts = Doubts { standing: false, times: ANEW, since: Moment::START };
        doubts.add(Moment::from_micros(1));
        assert!(!doubts.standing);
        doubts.add(Moment::from_micros(10_000_000));
        assert!(doubts.standing, "and again after a while");
    }
}
