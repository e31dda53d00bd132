//! Keeps the bus's retained values on the disk.
//!
//! Values below `$selvedge/` are the host's own account of itself and begin
//! afresh with it; all others are there again before anything runs. A value is
//! on the disk before its publisher is told that it is.
