//! The last label of each camera: which frame shows something new?

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Cameras by site and name, at most as many as told.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    cameras: HashMap<(String, String), Last>,
    max: usize,
    /// Counts frames, to know which camera was unheard of for longest.
    frames: u64,
}

#[derive(Debug, Clone)]
struct Last {
    label: String,
    heard: u64,
}

/// One camera in a saved state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) site: String,
    pub(crate) device: String,
    pub(crate) label: String,
}

impl Changes {
    /// No camera yet, and never more than `max`.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            cameras: HashMap::new(),
            max: max.max(1) as usize,
            frames: 0,
        }
    }

    /// Takes note of a label; whether it is another than the camera's last.
    pub(crate) fn is_new(&mut self, site: &str, device: &str, label: &str) -> bool {
        self.frames += 1;
        let key = (site.to_owned(), device.to_owned());
        let last = Last {
            label: label.to_owned(),
            heard: self.frames,
        };
        if self.cameras.len() >= self.max && !self.cameras.contains_key(&key) {
            let stalest = self.cameras.iter().min_by_key(|(_, last)| last.heard);
            if let Some(stalest) = stalest.map(|(key, _)| key.clone()) {
                self.cameras.remove(&stalest);
            }
        }
        let before = self.cameras.insert(key, last);
        before.is_none_or(|before| before.label != label)
    }

    /// All cameras, the latest heard of first.
    pub(crate) fn saved(&self) -> Vec<Saved> {
        let mut cameras: Vec<_> = self.cameras.iter().collect();
        cameras.sort_by_key(|(_, last)| std::cmp::Reverse(last.heard));
        let saved = |((site, device), last): (&(String, String), &Last)| Saved {
            site: site.clone(),
            device: device.clone(),
            label: last.label.clone(),
        };
        cameras.into_iter().map(saved).collect()
    }

    /// Goes on with those of `saved`, the latest heard of first, that fit.
    pub(crate) fn resume(&mut self, saved: Vec<Saved>) {
        let newest: Vec<_> = saved.into_iter().take(self.max).collect();
        for camera in newest.iter().rev() {
            self.is_new(&camera.site, &camera.device, &camera.label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_new_when_it_differs_from_the_cameras_last() {
        let mut changes = Changes::new(4);
        assert!(changes.is_new("hall", "a", "normal"));
        assert!(!changes.is_new("hall", "a", "normal"));
        assert!(changes.is_new("hall", "b", "normal"));
        assert!(changes.is_new("hall", "a", "high"));
        assert!(changes.is_new("hall", "a", "normal"));
    }

    #[test]
    fn the_camera_unheard_of_for_longest_is_forgotten() {
        let mut changes = Changes::new(2);
        for device in ["a", "b", "a", "c"] {
            changes.is_new("hall", device, "normal");
        }
        assert!(!changes.is_new("hall", "a", "normal"));
        assert!(changes.is_new("hall", "b", "normal"));
    }

    #[test]
    fn a_successor_with_less_room_keeps_the_latest() {
        let mut changes = Changes::new(3);
        for device in ["a", "b", "c"] {
            changes.is_new("hall", device, "normal");
        }
        let mut next = Changes::new(2);
        next.resume(changes.saved());
        assert_eq!(next.saved(), changes.saved()[..2]);
        assert!(!next.is_new("hall", "c", "normal"));
    }
}
