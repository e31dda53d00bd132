//! The local inference API through real gRPC over its real socket.

mod calls;
mod capture;
mod hostile;
mod peers;
mod reluctant;
mod world;
