//! Topic aliases, both ways (MQTT 5.0 section 3.3.2.3.4). Of one connection; a
//! session keeps none.

use std::collections::HashMap;
use std::num::NonZeroU16;

use crate::names::Topic;

/// Aliases that a device may set.
pub(super) const ALIASES_MAX: u16 = 16;

/// Aliases that a device has set.
#[derive(Debug, Default)]
pub(super) struct Incoming(Vec<Option<Topic>>);

/// The alias is not one that was allowed, or stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAlias;

impl Incoming {
    /// The topic that is meant; sets the alias if both are given.
    pub(super) fn resolve(
        &mut self,
        topic: Option<Topic>,
        alias: Option<NonZeroU16>,
    ) -> Result<Topic, NoAlias> {
        let Some(alias) = alias else {
            return topic.ok_or(NoAlias);
        };
        if alias.get() > ALIASES_MAX {
            return Err(NoAlias);
        }
        let place = usize::from(alias.get() - 1);
        if let Some(topic) = topic {
            if self.0.len() <= place {
                self.0.resize(place + 1, None);
            }
            if let Some(slot) = self.0.get_mut(place) {
                *slot = Some(topic.clone());
            }
            return Ok(topic);
        }
        self.0.get(place).cloned().flatten().ok_or(NoAlias)
    }
}

/// Aliases that the device lets us set: the first topics get them.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    max: u16,
    topics: HashMap<Topic, NonZeroU16>,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Plain,
    /// With the alias that stands for it from now on.
    Sets(NonZeroU16),
    /// By its alias alone.
    By(NonZeroU16),
}

impl Outgoing {
    pub(super) fn new(max: u16) -> Self {
        Self {
            max: max.min(ALIASES_MAX),
            topics: HashMap::new(),
        }
    }

    pub(super) fn write(&mut self, topic: &Topic) -> Written {
        if self.max == 0 {
            return Written::Plain;
        }
        if let Some(known) = self.topics.get(topic) {
            return Written::By(*known);
        }
        let next = u16::try_from(self.topics.len() + 1).unwrap_or(u16::MAX);
        match NonZeroU16::new(next).filter(|next| next.get() <= self.max) {
            Some(next) => {
                self.topics.insert(topic.clone(), next);
                Written::Sets(next)
            }
            None => Written::Plain,
        }
    }

    /// What was to be set was not sent.
    pub(super) fn forget(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        // Its number would come twice otherwise.
        self.max = u16::try_from(self.topics.len()).unwrap_or(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIASES_MAX, Incoming, NoAlias, Outgoing, Written};
    use crate::names::Topic;

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    #[test]
    fn an_alias_stands_for_what_it_was_last_set_to() {
        let mut aliases = Incoming::default();
        let alias = |number: u16| std::num::NonZeroU16::new(number);
        assert_eq!(aliases.resolve(None, alias(2)), Err(NoAlias));
        assert_eq!(aliases.resolve(Some(topic("a")), alias(2)), Ok(topic("a")));
        assert_eq!(aliases.resolve(None, alias(2)), Ok(topic("a")));
        assert_eq!(aliases.resolve(None, alias(1)), Err(NoAlias));
        assert_eq!(aliases.resolve(Some(topic("b")), alias(2)), Ok(topic("b")));
        assert_eq!(aliases.resolve(None, alias(2)), Ok(topic("b")));
        assert_eq!(aliases.resolve(Some(topic("c")), None), Ok(topic("c")));
        assert_eq!(aliases.resolve(None, None), Err(NoAlias));
        let beyond = alias(ALIASES_MAX + 1);
        assert_eq!(aliases.resolve(Some(topic("c")), beyond), Err(NoAlias));
    }

    #[test]
    fn the_first_topics_get_the_aliases_that_a_device_allows() {
        let alias = |number: u16| std::num::NonZeroU16::new(number).unwrap();
        let mut aliases = Outgoing::new(2);
        assert_eq!(aliases.write(&topic("a")), Written::Sets(alias(1)));
        assert_eq!(aliases.write(&topic("b")), Written::Sets(alias(2)));
        assert_eq!(aliases.write(&topic("c")), Written::Plain);
        assert_eq!(aliases.write(&topic("a")), Written::By(alias(1)));
        aliases.forget(&topic("b"));
        assert_eq!(aliases.write(&topic("b")), Written::Plain);
        assert_eq!(Outgoing::new(0).write(&topic("a")), Written::Plain);
    }
}
