//! The commands that ask a running host, as an operator meets them: what they
//! print, how they end, and what a host that is none cannot do to them.

mod asking;
mod completion;
mod fake;
mod following;
mod hostile;
mod live;
