//! How many models there may be, whoever put them into service.
//!
//! Those of a deployment are counted as a set: the one that serves, or the one that
//! is to serve next if that has more. Each beside it has a place of its own.

use std::sync::Arc;

use parking_lot::Mutex;

use super::errors::LoadError;

/// The places of all models.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Of a set that is to serve.
    next: usize,
    /// Beside any set.
    beside: usize,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        let taken = Mutex::default();
        Self { max, taken }
    }

    /// Whether a set may have so many models.
    pub(super) fn fits(&self, models: usize) -> Result<(), LoadError> {
        self.taken.lock().fits(models, self.max)
    }

    /// Keeps places for a set of so many models, until it serves or will not.
    pub(super) fn reserve(self: &Arc<Self>, models: usize) -> Result<Reserved, LoadError> {
        let mut taken = self.taken.lock();
        taken.fits(models, self.max)?;
        taken.next = models;
        Ok(Reserved(Some(Arc::clone(self))))
    }

    /// A place beside a set that serves and has so many models.
    pub(super) fn beside(self: &Arc<Self>, serving: usize) -> Result<Place, LoadError> {
        let mut taken = self.taken.lock();
        let others = serving.max(taken.next).saturating_add(taken.beside);
        if others >= self.max {
            return Err(LoadError::TooMany { max: self.max });
        }
        taken.beside += 1;
        Ok(Place(Arc::clone(self)))
    }
}

impl Taken {
    fn fits(&self, models: usize, max: usize) -> Result<(), LoadError> {
        if models.saturating_add(self.beside) > max {
            return Err(LoadError::TooMany { max });
        }
        Ok(())
    }
}

/// As long as it lives, the places of a set that is to serve are kept for it.
#[derive(Debug, Default)]
pub struct Reserved(Option<Arc<Places>>);

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(places) = &self.0 {
            places.taken.lock().next = 0;
        }
    }
}

/// The place of one model beside those of the deployment.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.lock().beside -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, LoadError, Places};

    #[test]
    fn models_of_both_kinds_are_counted_together() {
        let places = Arc::new(Places::new(3));
        let one = places.beside(1).unwrap();
        let two = places.beside(1).unwrap();
        let full = |refused| assert!(matches!(refused, Some(LoadError::TooMany { max: 3 })));
        full(places.beside(1).err());
        full(places.reserve(2).err());
        drop(two);
        // What is to serve has its places before it does.
        let next = places.reserve(2).unwrap();
        full(places.beside(1).err());
        drop(next);
        let two = places.beside(1).unwrap();
        drop((one, two));
        drop(places.reserve(3).unwrap());
    }
}
