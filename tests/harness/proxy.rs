//! A TCP relay that does to bytes what networks do: delays, tiny segments, silence, a cut in mid-message. It may stand
//! before anything: PostgreSQL, Redis, Sidecache itself.

use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens to bytes on their way; the default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// Every segment waits this long, in both directions.
    pub latency: Duration,
    /// Segments of at most so many bytes; `None` leaves them as they are.
    pub slice: Option<usize>,
    /// Nothing passes, nothing is lost, nobody is told.
    pub silence: Silence,
    /// New connections are closed at once.
    pub door: Door,
    /// Each new connection is reset once so many bytes went from target to client.
    pub reset_after: Option<usize>,
    /// Silence begins once these bytes have gone from target to client.
    pub silence_behind: Option<&'static [u8]>,
    /// New connections lead there, as a balancer's do.
    pub towards: Option<SocketAddr>,
}

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Silence {
    #[default]
    None,
    /// Held back, both ways, until this ends.
    Both,
}

/// Whether new connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    #[default]
    Open,
    Closed,
}

struct State {
    weather: Weather,
    pairs: Vec<(TcpStream, TcpStream)>,
    ended: bool,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weather once there is no silence; `None` when all is over.
    fn passing(&self) -> Option<Weather> {
        let state = self.state();
        let hold = |s: &mut State| s.weather.silence == Silence::Both && !s.ended;
        let state = self.changed.wait_while(state, hold).unwrap_or_else(PoisonError::into_inner);
        (!state.ended).then(|| state.weather.clone())
    }
}

/// A relay from a free port of 127.0.0.1 to a target, until dropped.
pub struct FaultProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// Listens for the target.
    pub fn start(target: SocketAddr) -> FaultProxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State { weather: Weather::default(), pairs: Vec::new(), ended: false };
        let shared = Arc::new(Shared { target, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        FaultProxy { address, shared }
    }

    /// Listens for a port of 127.0.0.1.
    pub fn to_port(port: u16) -> FaultProxy {
        FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.shared.state().weather);
        self.shared.changed.notify_all();
    }

    /// Ends every open connection with a FIN to both sides. Returns how many there were.
    pub fn cut(&self) -> usize {
        self.end_all(|s| s.shutdown(Shutdown::Both))
    }

    /// Ends every open connection with a RST to both sides. Returns how many there were.
    pub fn reset(&self) -> usize {
        self.end_all(reset)
    }

    fn end_all(&self, end: impl Fn(&TcpStream) -> std::io::Result<()>) -> usize {
        let pairs = std::mem::take(&mut self.shared.state().pairs);
        for (client, target) in &pairs {
            let _ = end(client);
            let _ = end(target);
        }
        pairs.len()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        self.cut();
        // Wakes the accepting thread, which sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

/// A close that answers with RST: unread bytes or a zero linger make the kernel send it. Both ends of a pair are
/// shared with the pumps, so the write side is shut only once they let go.
fn reset(stream: &TcpStream) -> std::io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    stream.shutdown(Shutdown::Read)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        let weather = {
            let state = shared.state();
            if state.ended {
                return;
            }
            state.weather.clone()
        };
        if weather.door == Door::Closed {
            continue;
        }
        let Ok(target) = TcpStream::connect(weather.towards.unwrap_or(shared.target)) else { continue };
        let _ = (client.set_nodelay(true), target.set_nodelay(true));
        let clones = || Some((client.try_clone().ok()?, target.try_clone().ok()?));
        let (Some(kept), Some(up), Some(down)) = (clones(), clones(), clones()) else { continue };
        shared.state().pairs.push(kept);
        let (forth, back) = (Arc::clone(shared), Arc::clone(shared));
        thread::spawn(move || pump(&forth, up.0, up.1, None));
        thread::spawn(move || pump(&back, down.1, down.0, weather.reset_after));
    }
}

/// Carries bytes one way until either side ends or the budget is spent.
fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream, budget: Option<usize>) {
    let mut left = budget;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let Some(weather) = shared.passing() else { break };
        if !weather.latency.is_zero() {
            thread::sleep(weather.latency);
        }
        let allowed = left.map_or(read, |left| left.min(read));
        let last = weather.silence_behind.and_then(|bytes| {
            let at = buffer[..allowed].windows(bytes.len()).position(|window| window == bytes)?;
            Some(at + bytes.len())
        });
        if let Some(last) = last {
            // Before they go: who sees them may end it at once.
            let mut state = shared.state();
            (state.weather.silence, state.weather.silence_behind) = (Silence::Both, None);
            drop(state);
            let passed = to.write_all(&buffer[..last]);
            if passed.is_err() || shared.passing().is_none() || to.write_all(&buffer[last..allowed]).is_err() {
                break;
            }
            continue;
        }
        let slice = weather.slice.unwrap_or(allowed).max(1);
        if buffer[..allowed].chunks(slice).any(|segment| to.write_all(segment).is_err()) {
            break;
        }
        left = left.map(|left| left - allowed);
        if left == Some(0) {
            let _ = (reset(&from), reset(&to));
            forget(shared, &from, &to);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Lets go of the kept handles of a pair, so that its sockets close.
fn forget(shared: &Shared, one: &TcpStream, other: &TcpStream) {
    let peers = [one.peer_addr().ok(), other.peer_addr().ok()];
    shared.state().pairs.retain(|(client, _)| !peers.contains(&client.peer_addr().ok()));
}
