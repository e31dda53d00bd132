//! Futures over `wasi:io/poll`: what waits is polled together with the rest.
//!
//! One thread, one call of [`block_on`] at a time. Futures register a pollable
//! and a waker; when nothing can run, all pollables are waited for at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use wasip2::io::poll::{self, Pollable};

#[derive(Default)]
struct Waiting {
    next: u64,
    entries: BTreeMap<u64, (Rc<Pollable>, Waker)>,
}

std::thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// Waits until `pollable` is ready.
pub(crate) fn ready(pollable: Rc<Pollable>) -> Ready {
    Ready { pollable, id: None }
}

/// See [`ready`].
pub(crate) struct Ready {
    pollable: Rc<Pollable>,
    id: Option<u64>,
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.pollable.ready() {
            self.leave();
            return Poll::Ready(());
        }
        WAITING.with_borrow_mut(|waiting| {
            let id = *self.id.get_or_insert_with(|| {
                waiting.next += 1;
                waiting.next
            });
            let entry = (Rc::clone(&self.pollable), context.waker().clone());
            waiting.entries.insert(id, entry);
        });
        Poll::Pending
    }
}

impl Ready {
    fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            let entry = WAITING.with_borrow_mut(|waiting| waiting.entries.remove(&id));
            // Dropped here, where nothing is borrowed: a waker may own futures.
            drop(entry);
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` to its end. An error means that it waits for nothing, so that
/// it could never end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Stuck> {
    let mut future = pin!(future);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    loop {
        flag.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        if !flag.0.load(Ordering::Relaxed) {
            wait()?;
        }
    }
}

/// The future waits for nothing that the host could make ready.
#[derive(Debug, thiserror::Error)]
#[error("the plugin waits for nothing")]
pub(crate) struct Stuck;

/// Waits for anything registered and wakes what has become ready.
fn wait() -> Result<(), Stuck> {
    let entries: Vec<(u64, Rc<Pollable>)> = WAITING.with_borrow(|waiting| {
        let entries = waiting.entries.iter();
        entries
            .map(|(id, (pollable, _))| (*id, Rc::clone(pollable)))
            .collect()
    });
    if entries.is_empty() {
        return Err(Stuck);
    }
    let pollables: Vec<&Pollable> = entries.iter().map(|(_, pollable)| &**pollable).collect();
    let woken: Vec<_> = poll::poll(&pollables)
        .into_iter()
        .filter_map(|place| entries.get(usize::try_from(place).ok()?))
        .filter_map(|(id, _)| WAITING.with_borrow_mut(|waiting| waiting.entries.remove(id)))
        .collect();
    for (_, waker) in woken {
        waker.wake();
    }
    Ok(())
}
