//! As `update_counts`, to the last key of its configuration, but its state is
//! of form 2. It reads form 1 as well; `update_counts` must refuse form 2.

#[path = "../shared/counting.rs"]
pub mod counting;

use selvedge_plugin::export;

export!(counting::Counts<2>: Lifecycle, Subscriber, Ticker, Stateful);
