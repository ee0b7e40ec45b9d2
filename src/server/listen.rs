//! Where clients arrive: sockets bound before anything else starts, connections counted, each handed on as a stream.
//! Does not read a byte from them.

use crate::config::Listen;
use crate::types::KeepAlive;
use crate::wire::stream::{Stream, keep_alive};
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Sockets beyond the clients that may have a session: they cancel, or are told that there are too many. Past
/// these, a connection is closed without a word.
pub const SPARE: usize = 128;

/// Who takes over from this process gets all clients that begin to connect from then on. Those that had begun here are still
/// taken, until none has come for the first of these, and not longer than the second.
const LAST_ARRIVALS: Duration = Duration::from_millis(300);
const LAST_ARRIVALS_LIMIT: Duration = Duration::from_secs(3);

/// How long to wait after a failed accept: the usual cause, no free file descriptor, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place} ({key}): {cause}")]
pub struct CannotListen {
    place: String,
    /// The setting that names it.
    key: &'static str,
    cause: io::Error,
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Puts a Unix socket that was bound beside its path in the place of another process's, which from here on gets no new client. For
    /// when nothing can fail any more.
    ///
    /// # Errors
    /// The path cannot be replaced.
    pub fn take_place(&mut self) -> Result<(), CannotListen> {
        let Listener::Unix(_, file) = self else { return Ok(()) };
        file.take_place().map_err(|cause| CannotListen { place: file.path.display().to_string(), key: "listen", cause })
    }
}

/// Removes the socket's file when it is no longer listened on.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file that was made: another process may have put its own in the place.
    identity: Option<(u64, u64)>,
    /// Where it is to be in the end.
    place: Option<PathBuf>,
}

impl SocketFile {
    fn of(path: PathBuf, place: Option<PathBuf>) -> Self {
        SocketFile { identity: identity(&path), path, place }
    }

    fn take_place(&mut self) -> io::Result<()> {
        if let Some(place) = &self.place {
            // In one step, so that no client finds none.
            std::fs::rename(&self.path, place)?;
            self.path.clone_from(place);
            self.place = None;
        }
        Ok(())
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path) == self.identity {
            // Nobody is served by an error here: the next start replaces the file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether another process may listen on the same address, to take over from this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Alone,
    Shared,
}

/// One client that has connected and sent nothing yet.
#[derive(Debug)]
pub struct Arrival {
    pub stream: Stream,
    /// Its address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Its right to a session. Without one it may cancel another's query, and is told 53300 for anything else.
    pub seat: Option<Seat>,
}

/// Binds one configured address. Where another process may be listening on the same Unix socket, beside its path:
/// [`Listener::take_place`] is the rest.
///
/// # Errors
/// The address is taken, not this machine's, or not permitted.
pub fn bind(listen: &Listen, sharing: Sharing) -> Result<Listener, CannotListen> {
    let bound = match listen {
        Listen::Tcp(address) => bind_tcp(*address, sharing).map(Listener::Tcp),
        Listen::Unix(path) => bind_unix(path, sharing).map(|(listener, file)| Listener::Unix(listener, file)),
    };
    bound.map_err(|cause| CannotListen { place: listen.to_string(), key: "listen", cause })
}

/// Binds the address that operators are answered at.
///
/// # Errors
/// The address is taken, not this machine's, or not permitted.
pub fn bind_http(address: SocketAddr, sharing: Sharing) -> Result<TcpListener, CannotListen> {
    bind_tcp(address, sharing).map_err(|cause| CannotListen { place: address.to_string(), key: "http", cause })
}

fn bind_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() {
        // As PostgreSQL does (`ListenServerPort` in pqcomm.c), so that 0.0.0.0 may have the same port.
        SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(sharing == Sharing::Shared)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path, sharing: Sharing) -> io::Result<(UnixListener, SocketFile)> {
    let (path, place) = match sharing {
        Sharing::Alone => (path.to_owned(), None),
        Sharing::Shared => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(format!(".{}", std::process::id()));
            (PathBuf::from(beside), Some(path.to_owned()))
        }
    };
    let stale = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_socket());
    if stale {
        // Left by a process that was killed, if nobody answers.
        match std::os::unix::net::UnixStream::connect(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(&path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let listener = bind_anew(&path)?;
    Ok((listener, SocketFile::of(path, place)))
}

fn bind_anew(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    // As PostgreSQL's `unix_socket_permissions`: who may connect is decided by authentication.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}

/// Accepts until stopped, watches over silent TCP clients by `when`, and runs `session` for each arrival as a task that
/// `sessions` tracks. Where another process may take over, nobody who had begun to connect is left standing.
pub async fn accept<S, F>(
    (listener, when, sharing): (Listener, KeepAlive, Sharing),
    seats: Seats,
    sessions: TaskTracker,
    session: S,
    stop: CancellationToken,
) where
    S: Fn(Arrival) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, when) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(accepted) => admit(accepted, &seats, &sessions, &session),
            Err(cause) => {
                tracing::warn!(%cause, "a client's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if sharing == Sharing::Alone {
        return;
    }
    if let Listener::Tcp(listener) = &listener
        && let Err(cause) = turn_away(listener)
    {
        tracing::warn!(%cause, "clients that connect in this moment may be turned away");
    }
    let limit = tokio::time::Instant::now() + LAST_ARRIVALS_LIMIT;
    while tokio::time::Instant::now() < limit
        && let Ok(last) = tokio::time::timeout(LAST_ARRIVALS, next(&listener, when)).await
    {
        match last {
            Ok(last) => admit(last, &seats, &sessions, &session),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn admit<S, F>((stream, peer): (Stream, Option<SocketAddr>), seats: &Seats, sessions: &TaskTracker, session: &S)
where
    S: Fn(Arrival) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    let Some((socket, seat)) = seats.take() else { return };
    let running = session(Arrival { stream, peer, seat });
    sessions.spawn(async move {
        running.await;
        drop(socket);
    });
}

/// Lets no further client begin to connect here: the beginnings are dropped, and the client's system sends them again after
/// a second, to whoever listens by then. Those who have begun are not touched.
#[cfg(target_os = "linux")]
fn turn_away(listener: &TcpListener) -> io::Result<()> {
    // In the words of classic BPF, which a filter of a TCP socket reads from the TCP header on: A = byte 13, the flags;
    // A &= SYN | ACK; if A == SYN, take nothing of it, else all. Accepted sockets inherit it, and see no SYN.
    const FILTER: [SockFilter; 5] = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&FILTER)
}

#[cfg(not(target_os = "linux"))]
fn turn_away(_listener: &TcpListener) -> io::Result<()> {
    Ok(())
}

async fn next(listener: &Listener, when: KeepAlive) -> io::Result<(Stream, Option<SocketAddr>)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // A protocol of questions and answers: waiting to fill a packet only delays them.
            // Fails only where the client is gone already, which its session will find.
            let _ = stream.set_nodelay(true);
            let _ = keep_alive(&stream, when);
            Ok((Stream::Tcp(stream), Some(peer)))
        }
        Listener::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), None)),
    }
}

/// How many may be here, over all listeners. The most may change meanwhile: who is here stays.
#[derive(Clone)]
pub struct Seats {
    most: Arc<dyn Fn() -> usize + Send + Sync>,
    sockets: Arc<AtomicUsize>,
    clients: Arc<AtomicUsize>,
}

/// One of a limited number of places, given back when dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Seat> {
        let more = |now| (now < most).then_some(now + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Seat(Arc::clone(taken)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seats {
    /// Seats for as many sessions as `most` says when one arrives.
    pub fn new(most: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Seats { most: Arc::new(most), sockets: Arc::default(), clients: Arc::default() }
    }

    /// The right to a socket and, if one is free, to a session; nothing if even sockets have run out.
    fn take(&self) -> Option<(Seat, Option<Seat>)> {
        let most = (self.most)();
        let socket = Seat::take(&self.sockets, most.saturating_add(SPARE))?;
        Some((socket, Seat::take(&self.clients, most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpStream, UnixStream};
    use tokio::sync::mpsc;

    /// As PostgreSQL does for `listen_addresses = '*'`.
    #[tokio::test]
    async fn both_families_may_have_one_port() {
        match bind_tcp("[::1]:0".parse().unwrap(), Sharing::Alone) {
            Ok(v6) => assert!(SockRef::from(&v6).only_v6().unwrap()),
            // A machine without IPv6.
            Err(cause) => assert_ne!(cause.kind(), io::ErrorKind::AddrInUse),
        }
    }

    fn collect(listener: Listener, seats: Seats, stop: &CancellationToken) -> mpsc::UnboundedReceiver<Arrival> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let session = move |arrival| {
            sender.send(arrival).unwrap();
            std::future::pending()
        };
        tokio::spawn(accept(
            (listener, KeepAlive::default(), Sharing::Alone),
            seats,
            TaskTracker::new(),
            session,
            stop.clone(),
        ));
        receiver
    }

    #[tokio::test]
    async fn a_client_beyond_the_limit_arrives_without_a_seat() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap(), Sharing::Alone).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut arrivals = collect(Listener::Tcp(listener), Seats::new(|| 1), &stop);
        let (_first, _second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let first = arrivals.recv().await.unwrap();
        assert!(first.seat.is_some() && first.peer.is_some());
        assert!(arrivals.recv().await.unwrap().seat.is_none());
        drop(first);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(arrivals.recv().await.unwrap().seat.is_some(), "a seat that was given back is taken again");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".s.PGSQL.6432");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let stop = CancellationToken::new();
        let mut arrivals = collect(bind(&Listen::Unix(path.clone()), Sharing::Alone).unwrap(), Seats::new(|| 1), &stop);
        let _client = UnixStream::connect(&path).await.unwrap();
        assert!(arrivals.recv().await.unwrap().peer.is_none());
        let error = bind(&Listen::Unix(path.clone()), Sharing::Alone).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        let file = directory.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(bind(&Listen::Unix(file.clone()), Sharing::Alone).is_err());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "kept");
    }

    #[tokio::test]
    async fn who_had_connected_when_another_takes_over_is_taken_still() {
        let old = bind_tcp("127.0.0.1:0".parse().unwrap(), Sharing::Shared).unwrap();
        let address = old.local_addr().unwrap();
        let new = bind_tcp(address, Sharing::Shared).unwrap();
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let stop = CancellationToken::new();
        stop.cancel();
        let (sender, mut arrivals) = mpsc::unbounded_channel();
        let session = move |arrival| {
            sender.send(arrival).unwrap();
            std::future::ready(())
        };
        for listener in [old, new] {
            let listener = (Listener::Tcp(listener), KeepAlive::default(), Sharing::Shared);
            accept(listener, Seats::new(|| 99), TaskTracker::new(), session.clone(), stop.clone()).await;
        }
        drop(session);
        let mut count = 0;
        while arrivals.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, clients.len());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_begins_to_connect_to_one_that_ends_comes_to_the_next() {
        let old = bind_tcp("127.0.0.1:0".parse().unwrap(), Sharing::Shared).unwrap();
        let address = old.local_addr().unwrap();
        turn_away(&old).unwrap();
        let mut connecting = std::pin::pin!(TcpStream::connect(address));
        let soon = tokio::time::timeout(Duration::from_millis(50), &mut connecting).await;
        assert!(soon.is_err(), "neither taken nor refused: {soon:?}");
        drop(old);
        let new = bind_tcp(address, Sharing::Shared).unwrap();
        let (connected, accepted) = tokio::join!(connecting, new.accept());
        assert!(connected.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let taken = bind_tcp("127.0.0.1:0".parse().unwrap(), Sharing::Alone).unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(&Listen::Tcp(address), Sharing::Alone).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
