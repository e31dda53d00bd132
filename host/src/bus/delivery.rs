//! Hands one message to all inboxes of a route, or to none.
//!
//! Where an inbox makes publishers wait, room is first reserved in all of those
//! and only then is the message put anywhere: a refused message reaches nobody.

use std::cell::OnceCell;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Message;
use super::mailbox::{Mailbox, Room, Waiter};
use super::router::{Group, Route};

/// A message on its way in: with its receipt for those who answer for it, without
/// for the others.
#[derive(Debug)]
pub(super) struct Parcel {
    message: Arc<Message>,
    plain: OnceCell<Arc<Message>>,
    pub(super) size: u64,
}

impl Parcel {
    #[inline]
    pub(super) fn new(message: Message) -> Self {
        Self {
            size: message.size(),
            message: Arc::new(message),
            plain: OnceCell::new(),
        }
    }

    /// Of a value that is kept: nobody waits for its receipt.
    pub(super) fn of_kept(message: Arc<Message>) -> Self {
        Self {
            size: message.size(),
            message,
            plain: OnceCell::new(),
        }
    }

    #[inline]
    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    /// The message for who does or does not answer for it.
    #[inline]
    pub(super) fn share(&self, answers: bool) -> &Arc<Message> {
        if answers || self.message.receipt.is_none() {
            return &self.message;
        }
        let plain = || Arc::new(self.message.without_receipt());
        self.plain.get_or_init(plain)
    }
}

/// The inboxes that had no room; room in any of them is reason to try again.
pub(super) type Full = Vec<Arc<Mailbox>>;

/// Delivers to every inbox of `route`, using the room that `line` holds.
pub(super) fn deliver(route: &Route, parcel: &Parcel, line: &mut Line) -> Result<(), Full> {
    line.found = route.generation;
    if route.groups.is_empty() && line.held.is_empty() {
        if route.blocking == 0 {
            for mailbox in &route.direct {
                // Full and to be waited for only since this route was found.
                if !mailbox.push(parcel, route.generation) {
                    mailbox.push_late(parcel, route.generation);
                }
            }
            return Ok(());
        }
        if let [mailbox] = &*route.direct {
            let taken = mailbox.push(parcel, route.generation);
            return if taken {
                Ok(())
            } else {
                Err(vec![Arc::clone(mailbox)])
            };
        }
    }
    let mut plan = Plan {
        size: parcel.size,
        found: route.generation,
        lossy: false,
        targets: Vec::with_capacity(route.direct.len() + route.groups.len()),
    };
    for mailbox in &route.direct {
        if plan.add(mailbox, line) == Room::Full {
            return Err(vec![Arc::clone(mailbox)]);
        }
    }
    for group in &route.groups {
        plan.add_one_of(group, line)?;
    }
    plan.commit(parcel);
    Ok(())
}

/// Delivers to every inbox of `route` that has room; the others drop it.
pub(super) fn deliver_lossy(route: &Route, parcel: &Parcel) {
    let mut plan = Plan {
        size: parcel.size,
        found: route.generation,
        lossy: true,
        targets: route
            .direct
            .iter()
            .map(|mailbox| (mailbox, false))
            .collect(),
    };
    for group in &route.groups {
        if let Err(full) = plan.add_one_of(group, &mut Line::new(parcel.size)) {
            // The first is the one whose turn it was.
            full.iter()
                .take(1)
                .for_each(|mailbox| mailbox.count_dropped(1));
        }
    }
    plan.commit(parcel);
}

/// Where a message will go. Dropped, it gives the reserved room back.
struct Plan<'a> {
    size: u64,
    /// The generation that the route was found in.
    found: u64,
    /// Whether who has no room misses it.
    lossy: bool,
    /// With each, whether room is reserved there.
    targets: Vec<(&'a Arc<Mailbox>, bool)>,
}

impl<'a> Plan<'a> {
    fn add(&mut self, mailbox: &'a Arc<Mailbox>, line: &mut Line) -> Room {
        let room = if !mailbox.blocks() {
            Room::Unneeded
        } else if line.spend(mailbox) {
            Room::Reserved
        } else {
            mailbox.reserve(self.size)
        };
        if room != Room::Full {
            self.targets.push((mailbox, room == Room::Reserved));
        }
        room
    }

    /// Adds one member of a group: the first in turn that has room. If none
    /// has, it waits for those that block; if none blocks, the one whose turn it is
    /// does what its policy says. A member that gets the message anyway, by
    /// another subscription, stands for its group.
    fn add_one_of(&mut self, group: &'a Group, line: &mut Line) -> Result<(), Full> {
        let mut full = Vec::new();
        let mut last_resort = None;
        for member in group.in_turn() {
            if self
                .targets
                .iter()
                .any(|(other, _)| Arc::ptr_eq(other, member))
            {
                return Ok(());
            }
            if !member.blocks() {
                if member.has_room(self.size) {
                    self.targets.push((member, false));
                    return Ok(());
                }
                last_resort = last_resort.or(Some(member));
                continue;
            }
            match self.add(member, line) {
                Room::Reserved => return Ok(()),
                Room::Full => full.push(Arc::clone(member)),
                // Closed, or too small for this message.
                Room::Unneeded => {
                    self.targets.pop();
                    last_resort = last_resort.or(Some(member));
                }
            }
        }
        if full.is_empty() {
            self.targets
                .extend(last_resort.map(|member| (member, false)));
            Ok(())
        } else {
            Err(full)
        }
    }

    fn commit(mut self, parcel: &Parcel) {
        for (mailbox, reserved) in std::mem::take(&mut self.targets) {
            if reserved {
                mailbox.push_reserved(parcel, self.found);
            } else if mailbox.push(parcel, self.found) {
                // Taken, or dropped and counted there.
            } else if self.lossy {
                mailbox.count_dropped(1);
            } else {
                mailbox.push_late(parcel, self.found);
            }
        }
    }
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        for (mailbox, reserved) in &self.targets {
            if *reserved {
                mailbox.release(self.size);
            }
        }
    }
}

/// The lines one publisher stands in with one message, and the room it was
/// promised. Dropped, it leaves all of them and gives the room back.
#[derive(Debug)]
pub(super) struct Line {
    size: u64,
    /// The generation of the route last tried.
    found: u64,
    places: Vec<(Arc<Mailbox>, Arc<Waiter>)>,
    held: Vec<Arc<Mailbox>>,
}

impl Line {
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            found: 0,
            places: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Waits until one of `full` has room, which is then held. False if all
    /// their lines are too long to join.
    pub(super) async fn wait(&mut self, full: Full) -> bool {
        self.leave();
        let turn = Arc::new(Notify::new());
        for mailbox in full {
            if let Some(waiter) = mailbox.join(self.size, &turn, self.found) {
                self.places.push((mailbox, waiter));
            }
        }
        if self.places.is_empty() {
            return false;
        }
        turn.notified().await;
        for (mailbox, waiter) in self.places.drain(..) {
            if mailbox.leave(&waiter) {
                self.held.push(mailbox);
            }
        }
        true
    }

    /// Whether room is held at `mailbox`; the caller uses it.
    fn spend(&mut self, mailbox: &Arc<Mailbox>) -> bool {
        let place = self.held.iter().position(|held| Arc::ptr_eq(held, mailbox));
        place.map(|place| self.held.swap_remove(place)).is_some()
    }

    fn leave(&mut self) {
        for (mailbox, waiter) in self.places.drain(..) {
            if mailbox.leave(&waiter) {
                mailbox.release(self.size);
            }
        }
        for mailbox in self.held.drain(..) {
            mailbox.release(self.size);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.leave();
    }
}
