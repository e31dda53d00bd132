//! The library's requests, each of which runs a model once at a time.

use openvino::InferRequest;
use parking_lot::{Condvar, Mutex};

use crate::inference::{Control, RunError};

/// A request, with the tensors that it is fed from.
pub(super) struct Worker {
    pub(super) request: InferRequest,
    pub(super) inputs: Vec<Fed>,
}

/// The tensor that feeds one input.
pub(super) enum Fed {
    /// Nothing in the model reads it.
    Nowhere,
    /// The library's own, of the only shape that there is.
    Fixed(openvino::Tensor),
    /// The one of the run before, and its shape.
    Varying(Option<(Vec<u32>, openvino::Tensor)>),
}

/// Requests that nobody uses at the moment.
pub(super) struct Pool {
    idle: Mutex<Vec<Worker>>,
    returned: Condvar,
    size: usize,
}

impl Pool {
    pub(super) fn new(workers: Vec<Worker>) -> Self {
        Self {
            size: workers.len(),
            idle: Mutex::new(workers),
            returned: Condvar::new(),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Lends one, once there is one. Who asks has a turn already, as a rule, so that
    /// none waits for long.
    pub(super) fn take(&self, control: &Control) -> Result<Lent<'_>, RunError> {
        let mut idle = self.idle.lock();
        loop {
            if let Some(worker) = idle.pop() {
                return Ok(Lent {
                    worker: Some(worker),
                    pool: self,
                });
            }
            let waited = self.returned.wait_until(&mut idle, control.deadline());
            if waited.timed_out() {
                return Err(RunError::Deadline);
            }
        }
    }
}

/// A request for one run; goes back whatever becomes of that.
pub(super) struct Lent<'a> {
    worker: Option<Worker>,
    pool: &'a Pool,
}

impl Lent<'_> {
    /// None after it went back, which is when this is dropped.
    pub(super) fn get(&mut self) -> Option<&mut Worker> {
        self.worker.as_mut()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.idle.lock().extend(self.worker.take());
        self.pool.returned.notify_one();
    }
}
