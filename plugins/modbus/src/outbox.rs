//! What is published. A refusal costs the message, never the poll after it.

use std::cell::Cell;

use selvedge_plugin::Message;

use crate::net::Bus;

/// Counts what the bus refuses; logs the first refusal in a row and, when the
/// bus takes messages again, how many were lost.
#[derive(Debug, Default)]
pub struct Outbox {
    refused: Cell<u64>,
    in_a_row: Cell<u64>,
}

impl Outbox {
    /// Publishes, or drops and counts.
    pub fn publish(&self, bus: &impl Bus, message: Message) {
        match bus.publish(message) {
            Ok(()) => {
                let lost = self.in_a_row.replace(0);
                if lost > 0 {
                    let total = self.refused.get();
                    bus.info(&format!(
                        "the bus takes messages again: {lost} lost, {total} since the start"
                    ));
                }
            }
            Err(error) => {
                self.refused.set(self.refused.get() + 1);
                if self.in_a_row.replace(self.in_a_row.get() + 1) == 0 {
                    bus.warn(&error.to_string());
                }
            }
        }
    }

    /// Messages refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }
}
