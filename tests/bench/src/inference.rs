//! Models: through `wasi:nn` and gRPC beside the same ones called natively, shared
//! by plugins, and exchanged while they run.
//!
//! Each model is run with each library that is here; why one is not is printed.
//! Native is the loaded model alone (`Graph::run`) in this process; through the
//! sandbox is all from a guest's constructor of a tensor to its having the numbers.

mod contention;
mod exchange;
mod grpc;
mod libraries;
mod models;
mod onnx;
mod plugin;
mod single;

use std::sync::Arc;

use crate::Outcome;
use crate::guests::Guests;
use crate::report::Row;

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_infer")?;
    let (store, ways) = libraries::open()?;
    let store = Arc::new(store);
    let mut rows = single::measure(&store, &ways, &wasm)?;
    rows.extend(contention::measure(&store, &ways, &wasm)?);
    rows.extend(exchange::measure(Arc::clone(&store), &ways, &wasm)?);
    let tract = ways.first().ok_or("tract is always here")?;
    rows.extend(grpc::measure(&store, *tract)?);
    Ok(rows)
}
