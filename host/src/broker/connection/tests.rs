//! Whole connections, over a pipe, with the real codec, bus and store.

mod basics;
mod broker;
mod client;
mod exactly_once;
mod full_window;
mod hostile;
mod idle;
mod lasting;
mod leftovers;
mod settling;
mod slow;
mod subscriptions;
mod taking_over;
mod wills;
