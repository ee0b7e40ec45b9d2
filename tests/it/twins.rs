//! The same messages to PostgreSQL itself and through Sidecache, and what each answers: a difference is a bug.

use crate::harness::cluster::Cluster;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Batch, Frame, Login, Wire};
use std::time::Duration;

/// A step that has no answer within this gets none.
const PATIENCE: Duration = Duration::from_secs(20);

/// Messages to send, and how much of the answer to read before the next step.
#[derive(Clone)]
pub struct Step {
    batch: Batch,
    until: Until,
}

#[derive(Clone, Copy)]
enum Until {
    /// So many ReadyForQuery.
    Ready(usize),
    /// The next message with this tag.
    Tag(u8),
}

/// Sends and reads up to ReadyForQuery.
pub fn ready(batch: Batch) -> Step {
    readies(batch, 1)
}

/// Sends and reads up to the last of so many ReadyForQuery; none: sends alone.
pub fn readies(batch: Batch, count: usize) -> Step {
    Step { batch, until: Until::Ready(count) }
}

/// The same with so many ReadyForQuery to read.
pub fn times(step: Step, count: usize) -> Step {
    readies(step.batch, count)
}

/// Sends and reads up to the next message with this tag.
pub fn until(batch: Batch, tag: u8) -> Step {
    Step { batch, until: Until::Tag(tag) }
}

/// Simple queries, one after the other.
pub fn queries(texts: &[&str]) -> Vec<Step> {
    texts.iter().map(|text| ready(Batch::new().query(text))).collect()
}

/// One database, reached both ways.
pub struct Twins {
    pub cluster: &'static Cluster,
    pub database: String,
    pub sidecache: Sidecache,
}

impl Twins {
    /// A database with these objects, and a Sidecache before it.
    pub fn new(label: &str, setup: &str) -> Twins {
        Twins::with(label, setup, |builder| builder)
    }

    /// The same with a Sidecache of other settings.
    pub fn with(label: &str, setup: &str, change: impl FnOnce(SidecacheBuilder) -> SidecacheBuilder) -> Twins {
        let cluster = Cluster::shared();
        let database = cluster.database(label);
        if !setup.is_empty() {
            cluster.connect("app", &database).rows(setup);
        }
        let sidecache = change(Sidecache::build(cluster, &database)).start();
        sidecache.await_stream(cluster);
        Twins { cluster, database, sidecache }
    }

    pub fn direct(&self) -> Wire {
        self.cluster.connect("app", &self.database)
    }

    pub fn through(&self) -> Wire {
        self.sidecache.connect("app")
    }

    /// Runs the script directly and, three times, through Sidecache (so that hits are met too); all answers must be
    /// the same. `reset` runs before each.
    pub fn same(&self, name: &str, reset: &str, script: &[Step]) -> Vec<Vec<Frame>> {
        self.same_as(name, reset, script, |login| login)
    }

    /// The same with other startup parameters.
    pub fn same_as(
        &self,
        name: &str,
        reset: &str,
        script: &[Step],
        change: impl Fn(Login) -> Login,
    ) -> Vec<Vec<Frame>> {
        let mut admin = self.direct();
        let mut play = |login: Login| {
            if !reset.is_empty() {
                admin.rows(reset);
            }
            let mut wire = Wire::connect(&change(login)).unwrap_or_else(|e| panic!("{name}: connecting: {e:?}"));
            transcript(&mut wire, script)
        };
        let direct = play(self.cluster.login("app", &self.database));
        assert_eq!(
            direct.len(),
            script.len(),
            "{name}: directly, the last step gets {:?}",
            told(&direct[direct.len() - 1])
        );
        for round in 1..=3 {
            let through = play(self.sidecache.login("app"));
            for (at, (direct, through)) in direct.iter().zip(&through).enumerate() {
                assert_eq!(
                    told(through),
                    told(direct),
                    "{name}, round {round}, step {at}: left through sidecache, right direct"
                );
            }
            assert_eq!(through.len(), direct.len(), "{name}");
        }
        direct
    }

    /// Several clients take turns, each step with its client's number: directly, each on a connection of its own, and
    /// through Sidecache.
    pub fn same_together(&self, name: &str, script: &[(usize, Step)]) {
        let clients = 1 + script.iter().map(|(who, _)| *who).max().expect("a script has steps");
        let mut direct: Vec<Wire> = (0..clients).map(|_| self.direct()).collect();
        let direct: Vec<Vec<Frame>> = script.iter().map(|(who, step)| play(&mut direct[*who], step)).collect();
        let mut through: Vec<Wire> = (0..clients).map(|_| self.through()).collect();
        for (at, (who, step)) in script.iter().enumerate() {
            let answer = play(&mut through[*who], step);
            let sent = String::from_utf8_lossy(&step.batch.0);
            assert_eq!(told(&answer), told(&direct[at]), "{name}, client {who}, step {at}: {sent:?}");
        }
    }

    /// Two clients through Sidecache take turns, step by step, so that connections change hands between them; each
    /// must be told what it would be told directly, alone.
    pub fn same_in_turns(&self, name: &str, script: &[Step]) {
        let direct = transcript(&mut self.direct(), script);
        let mut clients = [self.through(), self.through()];
        for (at, step) in script.iter().enumerate() {
            for (who, client) in clients.iter_mut().enumerate() {
                let through = play(client, step);
                assert_eq!(told(&through), told(&direct[at]), "{name}, client {who}, step {at}");
            }
        }
    }
}

/// Plays a script up to its end, or to the first step that gets no answer.
fn transcript(wire: &mut Wire, script: &[Step]) -> Vec<Vec<Frame>> {
    let mut all = Vec::new();
    for step in script {
        all.push(play(wire, step));
        if all.last().and_then(|frames: &Vec<Frame>| frames.last()).is_some_and(|f| matches!(f.tag, b'?' | b'!')) {
            break;
        }
    }
    all
}

/// Plays one step; the end of the connection, and that no answer came, are told as messages of their own.
pub fn play(wire: &mut Wire, step: &Step) -> Vec<Frame> {
    wire.set_patience(PATIENCE);
    let mut frames = Vec::new();
    let end = |frames: &mut Vec<Frame>| frames.push(Frame { tag: b'!', body: b"the connection ended".to_vec() });
    if wire.send(&step.batch).is_err() {
        end(&mut frames);
        return frames;
    }
    let (tag, mut missing) = match step.until {
        Until::Ready(count) => (b'Z', count),
        Until::Tag(tag) => (tag, 1),
    };
    while missing > 0 {
        match wire.read_frame() {
            Ok(frame) => {
                missing -= usize::from(frame.tag == tag);
                frames.push(frame);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                frames.push(Frame { tag: b'?', body: b"no answer for too long".to_vec() });
                return frames;
            }
            Err(_) => {
                end(&mut frames);
                return frames;
            }
        }
    }
    frames
}

/// Messages as texts to compare: without the places in PostgreSQL's source that errors name, and without process ids.
pub fn told(frames: &[Frame]) -> Vec<String> {
    let one = |frame: &Frame| match frame.tag {
        b'E' | b'N' => {
            let fields = b"SVCMDHPW".iter().filter_map(|letter| frame.field(*letter).map(|text| (*letter, text)));
            let fields: Vec<String> = fields.map(|(letter, text)| format!("{} {text}", char::from(letter))).collect();
            format!("{}: {}", char::from(frame.tag), fields.join("; "))
        }
        b'A' => format!("A {}", String::from_utf8_lossy(&frame.body[4..])),
        tag => format!("{} {}", char::from(tag), String::from_utf8_lossy(&frame.body)),
    };
    frames.iter().map(one).collect()
}
