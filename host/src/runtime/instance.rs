//! One running guest, and the ways into it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};
use wasmtime::{Store, WasmBacktrace};

use super::authorizing::{Question, Verdict};
use super::pace::Pace;
use super::prepared::Prepared;
use super::state::State;
use crate::bus::Message;
use crate::capabilities::bus::{WireFailure, WireMessage, dispositions};
use crate::capabilities::foreign_text::fit;
use crate::capabilities::port::Disposition;
use crate::capabilities::{PluginState, Services};

/// Bytes that a guest may hand over in one call to the host.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;

/// Bytes of the state that one version hands to the next, as the contract says.
const STATE_BYTES_MAX: usize = 8 << 20;

/// Bytes of what a guest says of its failure.
const FAILURE_BYTES_MAX: usize = 1024;
/// Functions named in a trap.
const FRAMES_MAX: usize = 8;

/// A call may take this many times its computing limit when it waits for
/// something, or when the machine is busy elsewhere.
pub(super) const WAIT_FACTOR: u32 = 4;

type Outcome<T> = (Result<T, String>,);

/// Why a call into a guest did not return what it should.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("`{export}` trapped")]
    Trap {
        export: &'static str,
        source: Trapped,
    },
    #[error("`{export}` has another type than the contract's")]
    Mistyped { export: &'static str },
    #[error("`{export}` did not return within {ms} ms")]
    Deadline { export: &'static str, ms: u64 },
    #[error("`{export}` failed: {reason}")]
    Refused {
        export: &'static str,
        reason: String,
    },
    #[error("`{export}` returned {size} bytes, above {max}")]
    Oversized {
        export: &'static str,
        size: usize,
        max: usize,
    },
}

impl CallError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "guest-trapped",
            Self::Mistyped { .. } => "export-mistyped",
            Self::Deadline { .. } => "call-deadline",
            Self::Refused { .. } => "guest-failed",
            Self::Oversized { .. } => "answer-too-large",
        }
    }

    /// Whether the instance can still be called: it did return.
    pub(super) fn spares_instance(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Oversized { .. })
    }
}

/// One running guest. After an error it must not be called again.
pub struct Instance {
    store: Store<PluginState>,
    pace: Pace,
    wait_max: Duration,
    init: Option<TypedFunc<(), Outcome<()>>>,
    handle: Option<Handle>,
    tick: Option<TypedFunc<(), Outcome<Option<u32>>>>,
    run: Option<TypedFunc<(), Outcome<()>>>,
    snapshot: Option<TypedFunc<(), (State,)>>,
    restore: Option<TypedFunc<(State,), Outcome<()>>>,
    authorize: Option<TypedFunc<(Question,), Outcome<Verdict>>>,
}

type Handle = TypedFunc<(Vec<WireMessage>,), (Result<(), Vec<WireFailure>>,)>;

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("state", self.store.data())
            .finish_non_exhaustive()
    }
}

impl Instance {
    pub(super) async fn new(prepared: &Prepared, services: Services) -> Result<Self, CallError> {
        let limits = &prepared.spec.limits;
        let state = PluginState::grant(&prepared.spec, services);
        let mut store = Store::new(prepared.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        let pace = Pace::default();
        pace.govern(&mut store, limits.call_ms_max.get());
        let wait_max =
            Duration::from_millis(u64::from(limits.call_ms_max.get())).saturating_mul(WAIT_FACTOR);

        let export = "start";
        let instantiate = pace.call(prepared.pre.instantiate_async(&mut store));
        let instance = within(export, wait_max, instantiate).await?;
        let exports = &prepared.exports;
        let mut functions = Functions {
            store: &mut store,
            instance,
        };
        let (init, handle) = (
            functions.get("init", &exports.init)?,
            functions.get("handle", &exports.handle)?,
        );
        let (tick, run) = (
            functions.get("tick", &exports.tick)?,
            functions.get("run", &exports.run)?,
        );
        let (snapshot, restore) = (
            functions.get("snapshot", &exports.snapshot)?,
            functions.get("restore", &exports.restore)?,
        );
        let authorize = functions.get("authorize", &exports.authorize)?;
        Ok(Self {
            store,
            pace,
            wait_max,
            init,
            handle,
            tick,
            run,
            snapshot,
            restore,
            authorize,
        })
    }

    /// Bytes of linear memory that the guest holds.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// Calls `init`, if it is exported.
    pub async fn init(&mut self) -> Result<(), CallError> {
        let Some(init) = self.init else { return Ok(()) };
        self.call("init", init).await
    }

    /// Hands over a batch, and says what became of each message.
    pub async fn handle(
        &mut self,
        messages: &[Arc<Message>],
    ) -> Result<Vec<Disposition>, CallError> {
        let Some(handle) = self.handle else {
            return Ok(vec![Disposition::Done; messages.len()]);
        };
        let wires = messages
            .iter()
            .map(|message| WireMessage::from(&**message))
            .collect();
        self.begin(Some(self.wait_max));
        let call = self.pace.call(handle.call_async(&mut self.store, (wires,)));
        let (outcome,) = within("handle", self.wait_max, call).await?;
        Ok(dispositions(messages.len(), outcome))
    }

    /// Calls `tick`, and says when it wants to be called again.
    pub async fn tick(&mut self) -> Result<Option<Duration>, CallError> {
        let Some(tick) = self.tick else {
            return Ok(None);
        };
        let delay = self.call("tick", tick).await?;
        Ok(delay.map(|ms| Duration::from_millis(u64::from(ms.max(1)))))
    }

    /// Calls `run`, which may wait for as long as it likes.
    pub async fn run(&mut self) -> Result<(), CallError> {
        let Some(run) = self.run else { return Ok(()) };
        self.begin(None);
        let call = self.pace.call(run.call_async(&mut self.store, ()));
        let (outcome,) = call.await.map_err(|error| trap("run", error))?;
        outcome.map_err(|reason| refused("run", &reason))
    }

    /// Asks for its state: none if it does not export any. Only an error that
    /// [spares the instance](CallError::spares_instance) leaves it to be called.
    pub(super) async fn snapshot(&mut self) -> Result<Option<State>, CallError> {
        let Some(snapshot) = self.snapshot else {
            return Ok(None);
        };
        let export = "snapshot";
        self.begin(Some(self.wait_max));
        let call = self.pace.call(snapshot.call_async(&mut self.store, ()));
        let (state,) = within(export, self.wait_max, call).await?;
        let (size, max) = (state.len(), STATE_BYTES_MAX);
        if size > max {
            return Err(CallError::Oversized { export, size, max });
        }
        Ok(Some(state))
    }

    /// Gives it the state of another instance. After an error it must not be
    /// called again: it may have taken half of it.
    pub(super) async fn restore(&mut self, state: &State) -> Result<(), CallError> {
        let Some(restore) = self.restore else {
            return Ok(());
        };
        self.begin(Some(self.wait_max));
        let params = (state.clone(),);
        let call = self.pace.call(restore.call_async(&mut self.store, params));
        let (outcome,) = within("restore", self.wait_max, call).await?;
        outcome.map_err(|reason| refused("restore", &reason))
    }

    /// Asks whether somebody may connect. A refusal is an answer, not a failure.
    pub(super) async fn authorize(
        &mut self,
        question: Question,
    ) -> Result<Result<Verdict, String>, CallError> {
        let Some(authorize) = self.authorize else {
            return Ok(Err("it exports no authorizer".to_owned()));
        };
        self.begin(Some(self.wait_max));
        let call = authorize.call_async(&mut self.store, (question,));
        let (outcome,) = within("authorize", self.wait_max, self.pace.call(call)).await?;
        Ok(outcome.map_err(|reason| fit(&reason, FAILURE_BYTES_MAX)))
    }

    /// A call begins that may take `wait_max`. The clock has gone on meanwhile:
    /// without a new deadline the guest would yield before its first step.
    fn begin(&mut self, wait_max: Option<Duration>) {
        self.store.set_epoch_deadline(1);
        self.store.data_mut().set_deadline(wait_max);
    }

    async fn call<T: Lift + Send + Sync + 'static>(
        &mut self,
        export: &'static str,
        function: TypedFunc<(), Outcome<T>>,
    ) -> Result<T, CallError> {
        self.begin(Some(self.wait_max));
        let call = self.pace.call(function.call_async(&mut self.store, ()));
        let (outcome,) = within(export, self.wait_max, call).await?;
        outcome.map_err(|reason| refused(export, &reason))
    }
}

/// Looks up the functions of a new instance.
struct Functions<'a> {
    store: &'a mut Store<PluginState>,
    instance: wasmtime::component::Instance,
}

impl Functions<'_> {
    fn get<P, R>(
        &mut self,
        export: &'static str,
        index: &Option<wasmtime::component::ComponentExportIndex>,
    ) -> Result<Option<TypedFunc<P, R>>, CallError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let Some(index) = index else { return Ok(None) };
        let function = self.instance.get_typed_func(&mut *self.store, index);
        function
            .map(Some)
            .map_err(|_| CallError::Mistyped { export })
    }
}

async fn within<T>(
    export: &'static str,
    wait_max: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, CallError> {
    let deadline = || CallError::Deadline {
        export,
        ms: u64::try_from(wait_max.as_millis()).unwrap_or(u64::MAX),
    };
    match timeout(wait_max, call).await {
        Ok(outcome) => outcome.map_err(|error| trap(export, error)),
        Err(_) => Err(deadline()),
    }
}

fn trap(export: &'static str, error: wasmtime::Error) -> CallError {
    match error.downcast_ref::<super::pace::Overrun>() {
        Some(overrun) => CallError::Deadline {
            export,
            ms: u64::from(overrun.0),
        },
        None => CallError::Trap {
            export,
            source: Trapped::new(&error),
        },
    }
}

/// A guest says why it failed: as long as it likes, and in whatever characters.
fn refused(export: &'static str, reason: &str) -> CallError {
    let reason = fit(reason, FAILURE_BYTES_MAX);
    CallError::Refused { export, reason }
}

/// Why a guest trapped, and in which of its functions, innermost first. The
/// functions' names are the guest's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trapped(String);

impl Trapped {
    fn new(error: &wasmtime::Error) -> Self {
        let cause = error.root_cause().to_string();
        let frames = error
            .downcast_ref::<WasmBacktrace>()
            .map_or(&[][..], WasmBacktrace::frames);
        let names: Vec<_> = frames
            .iter()
            .take(FRAMES_MAX)
            .map(|frame| match frame.func_name() {
                Some(name) => fit(name, FAILURE_BYTES_MAX / FRAMES_MAX),
                None => format!("#{}", frame.func_index()),
            })
            .collect();
        let place = if names.is_empty() {
            String::new()
        } else {
            format!(" in {}", names.join(" < "))
        };
        Self(fit(&cause, FAILURE_BYTES_MAX) + &place)
    }
}
