//! The host as a service of systemd: what it tells its service manager.

mod notify;
