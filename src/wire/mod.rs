//! Protocol frames both ways: lengths checked, bodies decoded only inside a checked frame, everything else relayed
//! as it came. Knows no SQL and no meaning of a statement. The only module that names `pgwire` and `rustls`.

pub mod frame;
pub mod stream;
pub mod tls;
