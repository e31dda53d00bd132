//! The host as a service of systemd: what `selvedge install` puts in place, and
//! what the running host tells its service manager.

mod install;
mod notify;
