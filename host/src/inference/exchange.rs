//! Other versions behind names that serve already.
//!
//! What is prepared here changes nothing until it is made, all at once and
//! without fail; what it replaced is kept loaded until whoever made it is
//! certain that it stays, and can be put back at any time before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::errors::LoadError;
use super::interface::{Dim, Interface, Port};
use super::model::Model;
use super::model_set::ModelSet;
use super::places::Reserved;
use super::served::Served;
use super::shadow::Shadow;
use crate::names::ModelName;
use crate::spec::{Models, ShadowOptions};

/// Versions that are to serve under names that serve already, and the models that
/// are to follow others.
#[derive(Debug, Default)]
pub struct Exchanges {
    versions: Vec<(Arc<Served>, Arc<Model>)>,
    shadows: Vec<(Arc<Served>, Option<Arc<Shadow>>)>,
}

/// What has to be done to have it as it was.
#[derive(Debug, Default)]
pub struct Exchanged(Exchanges);

/// A set of models that is to serve, and what has to be done for it.
#[derive(Debug, Default)]
pub struct NextModels {
    pub set: Arc<ModelSet>,
    pub exchanges: Exchanges,
    /// Nobody else takes the places of these models meanwhile.
    pub reserved: Reserved,
}

impl Exchanges {
    /// The names whose versions are to change behind those who use them.
    pub fn names(&self) -> impl Iterator<Item = &ModelName> {
        self.versions.iter().map(|(served, _)| served.name())
    }

    /// Lets the new versions serve, from the next run on.
    pub fn make(self) -> Exchanged {
        Exchanged(self.swap())
    }

    /// The version that will serve behind `served`.
    pub fn version_of(&self, served: &Arc<Served>) -> Arc<Model> {
        let mut versions = self.versions.iter();
        let next = versions.find(|(it, _)| Arc::ptr_eq(it, served));
        next.map_or_else(|| served.current(), |(_, next)| Arc::clone(next))
    }

    fn swap(self) -> Self {
        let exchange = |(served, next): (Arc<Served>, Arc<Model>)| {
            let previous = served.exchange(next);
            (served, previous)
        };
        let follow = |(served, next): (Arc<Served>, Option<Arc<Shadow>>)| {
            let previous = served.followed_by(next);
            (served, previous)
        };
        Self {
            versions: self.versions.into_iter().map(exchange).collect(),
            shadows: self.shadows.into_iter().map(follow).collect(),
        }
    }

    /// Says which models of `set` are to be followed by which.
    fn follow(&mut self, set: &ModelSet, shadows: &Models<ShadowOptions>) -> Result<(), LoadError> {
        let interface = |served: &Arc<Served>| self.version_of(served).interface();
        let mut changes = Vec::new();
        for served in set.names().filter_map(|name| set.get(name)) {
            let before = served.shadow();
            let Some(options) = shadows.get(served.name()) else {
                changes.extend(before.map(|_| (Arc::clone(served), None)));
                continue;
            };
            let candidate = set.get(&options.model);
            let fits = |it: &&Arc<Served>| interface(it).is_same(&interface(served));
            let candidate = candidate.filter(fits).ok_or_else(|| LoadError::Shadow {
                model: served.name().clone(),
                shadow: options.model.clone(),
            })?;
            if before.is_none_or(|before| !before.is(candidate, options)) {
                let shadow = Shadow::new(candidate, options.clone());
                changes.push((Arc::clone(served), Some(Arc::new(shadow))));
            }
        }
        self.shadows = changes;
        Ok(())
    }
}

impl Exchanged {
    /// The versions that were replaced, by name.
    pub fn previous(&self) -> impl Iterator<Item = (&ModelName, &Arc<Model>)> {
        let versions = self.0.versions.iter();
        versions.map(|(served, previous)| (served.name(), previous))
    }

    /// Lets the versions serve that were replaced.
    pub fn undo(self) {
        drop(self.0.swap());
    }
}

impl ModelSet {
    /// The set after this one, with `changes`: a model that takes and gives what
    /// the one of its name does is to serve behind that name; any other is a new
    /// one, that those who use the old one do not see.
    pub(super) fn next(
        &self,
        changes: impl IntoIterator<Item = (ModelName, Option<Arc<Model>>)>,
        shadows: &Models<ShadowOptions>,
    ) -> Result<NextModels, LoadError> {
        let (mut versions, mut others) = (Vec::new(), Vec::new());
        for (name, model) in changes {
            let Some(model) = model else {
                others.push((name, None));
                continue;
            };
            match self.get(&name) {
                Some(served) if is_same(&served.current(), &model) => {
                    versions.push((Arc::clone(served), model));
                }
                _ => {
                    let served = Arc::new(Served::new(name.clone(), model));
                    others.push((name, Some(served)));
                }
            }
        }
        let set = Arc::new(self.with(others));
        let mut exchanges = Exchanges {
            versions,
            shadows: Vec::new(),
        };
        exchanges.follow(&set, shadows)?;
        Ok(NextModels {
            set,
            exchanges,
            reserved: Reserved::default(),
        })
    }
}

/// Whether nobody who uses `old` has to know of `new`. What is said of a model is
/// part of it: plugins read it once.
fn is_same(old: &Model, new: &Model) -> bool {
    old.interface().is_same(&new.interface()) && old.metadata() == new.metadata()
}

impl Interface {
    /// Whether both take and give the same: names, kinds, sizes, and which sizes
    /// have to be equal. What such a size is called does not count.
    pub fn is_same(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    /// With the names of sizes by their first occurrence, and no name for a size
    /// that occurs once.
    fn canonical(&self) -> Self {
        let mut seen: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let ports = || self.inputs.iter().chain(&self.outputs);
        for name in ports().flat_map(|port| &port.shape).filter_map(named) {
            *seen.entry(Arc::clone(name)).or_default() += 1;
        }
        let mut order: Vec<Arc<str>> = Vec::new();
        let mut dim = |dim: &Dim| match named(dim) {
            None => dim.clone(),
            Some(name) if seen.get(name) == Some(&1) => Dim::Any,
            Some(name) => {
                let place = order.iter().position(|it| it == name);
                let place = place.unwrap_or_else(|| {
                    order.push(Arc::clone(name));
                    order.len() - 1
                });
                Dim::Named(place.to_string().into())
            }
        };
        let mut port = |port: &Port| Port {
            shape: port.shape.iter().map(&mut dim).collect(),
            ..port.clone()
        };
        Self {
            inputs: self.inputs.iter().map(&mut port).collect(),
            outputs: self.outputs.iter().map(&mut port).collect(),
        }
    }
}

fn named(dim: &Dim) -> Option<&Arc<str>> {
    match dim {
        Dim::Named(name) => Some(name),
        Dim::Fixed(_) | Dim::Any => None,
    }
}

#[cfg(test)]
mod tests;
