//! How many plugins what a plugin publishes has passed through.
//!
//! A message follows from whatever its publisher has in hand, and from what it had
//! in hand a moment ago: a guest may gather first and publish later. A tick follows
//! from all that was handled since the tick before. That is more than is true now
//! and then. What is let go of fades, else a plugin that acts on a machine and reads
//! it again would count higher with each round: a cycle hides from this only if it
//! rests longer at each plugin than [`HOP_FADES`].

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bus::Message;

/// In this time what is not in hand any more counts one plugin less. A loop of
/// control through two plugins may go round thirty times in a second.
const HOP_FADES: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Hops(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Of what follows from what is in hand.
    in_hand: u8,
    /// Of what the next tick publishes.
    tick: u8,
    /// Of what follows from what was in hand before, when that was let go of.
    before: Option<(u8, Instant)>,
}

impl Hops {
    /// Of what is published now.
    pub(super) fn now(&self) -> u8 {
        let counted = self.0.lock();
        counted.in_hand.max(counted.faded(Instant::now()))
    }

    /// These are in hand now. That there are none says nothing.
    pub(super) fn take(&self, messages: &[Arc<Message>]) {
        let most = messages.iter().map(|message| message.hops).max();
        let Some(most) = most else { return };
        let hops = most.saturating_add(1);
        let mut counted = self.0.lock();
        counted.let_go(Instant::now());
        counted.in_hand = hops;
        counted.tick = counted.tick.max(hops);
    }

    /// A tick begins.
    pub(super) fn tick(&self) {
        let mut counted = self.0.lock();
        counted.let_go(Instant::now());
        counted.in_hand = std::mem::take(&mut counted.tick);
    }

    /// Nothing is in hand any more, and no tick goes on.
    pub(super) fn rest(&self) {
        self.0.lock().let_go(Instant::now());
    }
}

impl Counted {
    fn let_go(&mut self, now: Instant) {
        let hops = std::mem::take(&mut self.in_hand);
        if hops > self.faded(now) {
            self.before = Some((hops, now));
        }
    }

    /// What was in hand before, as far as it still counts.
    fn faded(&self, now: Instant) -> u8 {
        let Some((hops, since)) = self.before else {
            return 0;
        };
        let rested = now.saturating_duration_since(since);
        let gone = rested.as_millis() / HOP_FADES.as_millis();
        hops.saturating_sub(u8::try_from(gone).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::{HOP_FADES, Hops};
    use crate::bus::Message;

    fn message(hops: u8) -> Arc<Message> {
        let mut message = Message::new("a".parse().unwrap(), "");
        message.hops = hops;
        Arc::new(message)
    }

    /// Nothing is in hand any more, for as long as it takes to forget all.
    async fn rest_long(hops: &Hops) {
        hops.rest();
        advance(HOP_FADES * u32::from(u8::MAX)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_has_come_one_further_than_the_furthest_in_hand() {
        let hops = Hops::default();
        hops.take(&[message(3), message(7), message(0)]);
        assert_eq!(hops.now(), 8);
        rest_long(&hops).await;
        hops.take(&[message(1)]);
        assert_eq!(hops.now(), 2);
        rest_long(&hops).await;
        assert_eq!(hops.now(), 0);
        // However long ago it was, a tick follows from it.
        hops.tick();
        assert_eq!(hops.now(), 8);
        rest_long(&hops).await;
        // Nothing was handled since.
        hops.tick();
        assert_eq!(hops.now(), 0);
        hops.take(&[message(u8::MAX)]);
        assert_eq!(hops.now(), u8::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gathered_and_published_later_does_not_begin_anew() {
        let hops = Hops::default();
        // A service receives until there is nothing left.
        hops.take(&[message(7)]);
        hops.rest();
        hops.take(&[]);
        assert_eq!(hops.now(), 8);
        // A subscriber publishes with a later batch in hand, or after it.
        hops.take(&[message(0)]);
        assert_eq!(hops.now(), 8);
        hops.rest();
        assert_eq!(hops.now(), 8);
        // A ticker does so in the second tick after it.
        hops.tick();
        hops.rest();
        hops.tick();
        assert_eq!(hops.now(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_in_hand_fades_and_what_is_in_hand_does_not() {
        let hops = Hops::default();
        hops.take(&[message(7)]);
        advance(HOP_FADES * 100).await;
        assert_eq!(hops.now(), 8);
        hops.rest();
        advance(HOP_FADES * 3).await;
        assert_eq!(hops.now(), 5);
        // What is let go of meanwhile and came less far keeps nothing from fading.
        hops.take(&[message(1)]);
        hops.rest();
        advance(HOP_FADES * 2).await;
        assert_eq!(hops.now(), 3);
        advance(HOP_FADES * 3).await;
        assert_eq!(hops.now(), 0);
    }

    /// The hops of what two plugins tell each other after `rounds`, each of which
    /// gathers first and publishes when it has rested for `rest`.
    async fn two_in_a_circle(rounds: usize, rest: std::time::Duration) -> u8 {
        let (one, other) = (Hops::default(), Hops::default());
        let mut last = 0;
        for _ in 0..rounds {
            for plugin in [&one, &other] {
                plugin.take(&[message(last)]);
                plugin.rest();
                plugin.take(&[]);
                advance(rest).await;
                last = plugin.now();
            }
        }
        last
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_circle_is_found_and_a_loop_of_control_is_not_taken_for_one() {
        assert_eq!(two_in_a_circle(20, HOP_FADES / 10).await, 40);
        // A machine that is read and told what to do ten times in a second.
        assert!(two_in_a_circle(1_000, HOP_FADES * 5).await < 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_plugin_begins_itself_counts_no_further_than_what_it_hears() {
        let hops = Hops::default();
        for _ in 0..1_000 {
            hops.take(&[message(3)]);
            hops.rest();
            assert_eq!(hops.now(), 4);
        }
    }
}
