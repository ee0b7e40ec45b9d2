//! Keeps sessions from a primary that has come back to a cluster which has gone on without it, while the one that succeeded it is not heard:
//! nobody leads then. It is the watch that hears who a server is, so whoever is logged in before the watch was waits for it.

use super::control::ControlError;
use super::server::Server;
use super::status::Role;
use super::{LeaseError, Upstream};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// Between two looks at what the watch has heard.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// So many attempts of the watch are waited for.
const ATTEMPTS: u64 = 2;

const CAUSE: &str =
    "it is an old primary: a replica follows a later timeline, of which no server that takes writes is reached";

/// What is known of the leader by those who follow another.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    /// A replica of its cluster is on a later timeline.
    pub is_so: AtomicBool,
    /// There are replicas that would tell.
    pub is_followed: AtomicBool,
}

impl Server {
    /// Whether sessions may not be served there, because it would be the primary and is an old one.
    pub(super) fn is_overtaken(&self) -> bool {
        let starts = self.starts();
        starts.overtaken.is_so.load(Ordering::Acquire) && starts.primary_of(self).is_none()
    }

    /// Whoever has just logged in has the watch ask who the server is, if it has not since the server was lost.
    ///
    /// # Errors
    /// It is an old primary.
    pub(super) async fn is_known(&self) -> Result<(), LeaseError> {
        let starts = self.starts();
        let unheard = || {
            self.role() == Role::Unknown
                && starts.overtaken.is_followed.load(Ordering::Acquire)
                && starts.primary_of(self).is_none()
        };
        if unheard() {
            self.evidence().meet();
            // It may be trying, and fail once for having begun too early. A watch that may not log in holds nobody up.
            let (end, losses) = (Instant::now() + self.target().connect_timeout, self.life());
            while unheard() && self.life() < losses + ATTEMPTS && Instant::now() < end {
                tokio::time::sleep(LOOK).await;
            }
        }
        self.is_rightful()
    }

    /// As [`Server::is_known`], by what has been heard.
    pub(super) fn is_rightful(&self) -> Result<(), LeaseError> {
        if self.is_overtaken() {
            return Err(LeaseError::Unreachable { server: self.target().to_string(), cause: CAUSE.to_owned() });
        }
        Ok(())
    }
}

impl Upstream {
    /// Whether nobody leads, because the server that would be the primary is an old one.
    pub fn is_overtaken(&self) -> bool {
        self.primary().is_overtaken()
    }

    pub(super) fn rightful(&self) -> Result<(), ControlError> {
        self.primary().is_rightful().map_err(|cause| ControlError(cause.to_string()))
    }
}
