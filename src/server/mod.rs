//! Listens, limits, answers operators, drains; wires everything together. Does not know what a request is: a
//! client's stream is handed to `session` unread.

pub mod check;
mod console;
mod drain;
pub mod explain;
mod files;
mod http;
mod listen;
mod observe;
mod picture;
mod reload;
pub mod setup;
mod supervise;
mod wiring;

pub use reload::Reread;
pub use wiring::{ServeError, Start, serve};
