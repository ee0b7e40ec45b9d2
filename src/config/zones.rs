//! Zones as they are configured: whether reads outlive one, and whether any stays in ours. No SQL function tells a server's zone, on RDS and
//! Aurora neither.

use super::Config;
use std::collections::BTreeSet;
use std::fmt;

/// What is unfortunate about where the replicas are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneTrouble {
    /// All of several replicas are in this one.
    AllInOne(String),
    /// None is in this instance's own.
    NoneNear(String),
}

impl fmt::Display for ZoneTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneTrouble::AllInOne(zone) => write!(f, "all replicas are in zone {zone}"),
            ZoneTrouble::NoneNear(zone) => write!(f, "no replica is in this instance's zone, {zone}"),
        }
    }
}

impl Config {
    /// All that is unfortunate about the zones.
    pub fn zone_troubles(&self) -> Vec<ZoneTrouble> {
        let zones: BTreeSet<Option<&str>> = self.replicas.iter().map(|replica| replica.zone.as_deref()).collect();
        let mut troubles = Vec::new();
        if let (2.., [Some(zone)]) = (self.replicas.len(), zones.iter().collect::<Vec<_>>().as_slice()) {
            troubles.push(ZoneTrouble::AllInOne((*zone).to_owned()));
        }
        let own = self.zone.as_deref().filter(|own| !zones.is_empty() && !zones.contains(&Some(own)));
        troubles.extend(own.map(|own| ZoneTrouble::NoneNear(own.to_owned())));
        troubles
    }
}
