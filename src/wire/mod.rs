//! Protocol frames both ways: lengths checked, bodies decoded only inside a checked frame, everything else relayed
//! as it came. Knows no SQL and no meaning of a statement. The only module that names `pgwire` and `rustls`.

pub mod backend;
pub mod binding;
pub mod certificate;
pub mod challenge;
pub mod frame;
pub mod frontend;
pub mod scram;
pub mod startup;
pub mod stream;
pub mod tls;
pub mod toil;
pub mod trust;
