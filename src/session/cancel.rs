//! Which session a CancelRequest means, and what it may reach: only the query that this session is running, or has
//! waiting for a connection, at that moment. A connection cannot be given to another session while a cancel for it is under way.

use crate::upstream::{BackendKey, Server, Upstream};
use bytes::Bytes;
use parking_lot::Mutex as SyncMutex;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// The query that a session is running, if it is, or that waits for a connection.
#[derive(Debug, Default)]
pub struct Running {
    query: SyncMutex<Option<(Arc<Server>, BackendKey)>>,
    /// Held by a cancel from before it looks at the query until the server has acted on it.
    cancelling: Mutex<()>,
    waiting: SyncMutex<Option<oneshot::Sender<()>>>,
}

impl Running {
    /// A query waits for a connection from now on, until what is returned is dropped or has a message: it was cancelled.
    pub fn wait(&self) -> oneshot::Receiver<()> {
        let (cancelled, receiver) = oneshot::channel();
        *self.waiting.lock() = Some(cancelled);
        receiver
    }

    /// A query is about to be sent on this connection.
    pub fn begin(&self, server: &Arc<Server>, key: &BackendKey) {
        *self.query.lock() = Some((Arc::clone(server), key.clone()));
    }

    /// It was answered. Waits for a cancel that is under way, so that it cannot hit the connection's next query; one that comes
    /// later finds nothing.
    pub async fn end(&self) {
        *self.query.lock() = None;
        if self.cancelling.try_lock().is_err() {
            drop(self.cancelling.lock().await);
        }
    }

    /// Cancels what runs, if anything does.
    pub async fn cancel(&self, upstream: &Upstream) {
        let _cancelling = self.cancelling.lock().await;
        let query = self.query.lock().clone();
        if let Some((server, key)) = query
            && let Err(error) = upstream.cancel(&server, &key).await
        {
            tracing::warn!(server = server.name(), %error, "a cancel request could not be forwarded");
        }
    }
}

/// All sessions' keys.
#[derive(Debug, Default)]
pub struct Registry(SyncMutex<HashMap<u32, (Bytes, Arc<Running>)>>);

/// A session's key, taken back when it ends.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    pub process: u32,
    pub secret: Bytes,
    pub running: Arc<Running>,
}

pub(super) fn random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the system's random source works");
}

impl Registry {
    /// Gives a session a key whose secret has `length` bytes: 4 in protocol 3.0.
    pub fn register(self: &Arc<Self>, length: usize) -> Registration {
        let mut secret = vec![0; length];
        random(&mut secret);
        let secret = Bytes::from(secret);
        let running = Arc::new(Running::default());
        let mut keys = self.0.lock();
        let process = loop {
            let mut process = [0; 4];
            random(&mut process);
            let process = u32::from_be_bytes(process) & 0x7FFF_FFFF;
            if process != 0 && !keys.contains_key(&process) {
                break process;
            }
        };
        keys.insert(process, (secret.clone(), Arc::clone(&running)));
        Registration { registry: Arc::clone(self), process, secret, running }
    }

    /// Forwards a CancelRequest to the server whose query it means; one that means nothing is ignored, as
    /// PostgreSQL ignores it.
    pub async fn cancel(&self, upstream: &Upstream, process: u32, secret: &[u8]) {
        let running = match self.0.lock().get(&process) {
            Some((known, running))
                if known.len() == secret.len()
                    && known.iter().zip(secret).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0 =>
            {
                Arc::clone(running)
            }
            _ => return,
        };
        if let Some(waiting) = running.waiting.lock().take() {
            // Nobody waits any more, most of the time.
            let _ = waiting.send(());
        }
        running.cancel(upstream).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.lock().remove(&self.process);
    }
}
