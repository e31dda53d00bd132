//! Native code, compiled once and kept.
//!
//! Native code runs unchecked, so only code that this device compiled itself is
//! ever loaded: each file carries a code made with the device's key over the
//! component's digest, the compiler's settings and the native code. A file is
//! read once into memory, checked there and loaded from there, so nothing can
//! come between the check and the use. Anything that does not fit is compiled
//! anew. Component bytes that are native code themselves are refused. What is on the
//! disk is bounded: what was needed longest ago makes place.

mod folder;

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};
use wasmtime::component::Component;

use super::component::COMPONENT_BYTES_MAX;
use super::engine::Engine;
use folder::Folder;

use crate::names::Digest;
use crate::storage::DeviceKey;

/// Bytes of the authentication code at the start of a file.
const CODE_BYTES: usize = 32;
/// Bytes of a file that is read at all.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of all files: some hundred components, and one of the largest.
const CACHE_BYTES_MAX: u64 = 2 << 30;

/// Why a component did not become native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the component has {0} bytes; {COMPONENT_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("this is native code, not a component: only this device compiles for itself")]
    Native,
    #[error("this is not a component that can be compiled")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the component needs more than this host has for one plugin")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the compiler failed")]
    Compiler,
}

/// A component, while somebody uses it.
type Slot = Arc<Mutex<Weak<Component>>>;

/// Native code in the data directory, and what of it is in use.
pub struct CodeCache {
    folder: Folder,
    key: DeviceKey,
    /// One for each component that is made or in use. Held while it is made, so
    /// that plugins of the same component wait for one compilation and share it.
    slots: Mutex<HashMap<Digest, Slot>>,
}

impl std::fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeCache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl CodeCache {
    /// The cache in `directory`, which is made if it is not there.
    pub fn open(directory: PathBuf, key: DeviceKey) -> std::io::Result<Self> {
        Ok(Self {
            folder: Folder::open(directory, CACHE_BYTES_MAX)?,
            key,
            slots: Mutex::default(),
        })
    }

    /// The component with these bytes, ready to be instantiated: the one in use,
    /// else from the directory, else compiled. Blocks.
    pub(super) fn component(
        &self,
        engine: &Engine,
        wasm: &[u8],
    ) -> Result<Arc<Component>, CompileError> {
        if wasm.len() > COMPONENT_BYTES_MAX {
            return Err(CompileError::TooLarge(wasm.len()));
        }
        if wasmtime::Engine::detect_precompiled(wasm).is_some() {
            return Err(CompileError::Native);
        }
        let digest = Digest::of(wasm);
        let slot = self.slot(digest);
        let mut slot = slot.lock();
        let same = |component: &Arc<Component>| {
            wasmtime::Engine::same(component.engine(), engine.wasmtime())
        };
        if let Some(component) = slot.upgrade().filter(same) {
            return Ok(component);
        }
        let component = Arc::new(self.make(engine, wasm, &digest)?);
        *slot = Arc::downgrade(&component);
        Ok(component)
    }

    /// The slot of a component. Those that nobody needs any more are let go of.
    fn slot(&self, digest: Digest) -> Slot {
        let mut slots = self.slots.lock();
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || is_used(slot));
        Arc::clone(slots.entry(digest).or_default())
    }

    fn make(
        &self,
        engine: &Engine,
        wasm: &[u8],
        digest: &Digest,
    ) -> Result<Component, CompileError> {
        let settings = settings(engine);
        let path = self.folder.path_of(digest);
        if let Some(component) = self.load(engine, &path, digest, &settings) {
            debug!(digest = %digest, "native code loaded from the cache");
            return Ok(component);
        }
        let native = compile(engine, wasm)?;
        let component =
            deserialize(engine, &native).map_err(|error| CompileError::Unfit(error.into()))?;
        if let Err(error) = self.store(&path, digest, &settings, &native) {
            // The plugin runs all the same; it will be compiled again next time.
            warn!(error = %error, "native code not cached");
        }
        Ok(component)
    }

    /// The cached component, if the file is there and is ours.
    fn load(
        &self,
        engine: &Engine,
        path: &Path,
        digest: &Digest,
        settings: &[u8],
    ) -> Option<Component> {
        let mut file = Vec::new();
        let mut opened = fs_err::File::open(path).ok()?.take(FILE_BYTES_MAX);
        opened.read_to_end(&mut file).ok()?;
        let (code, native) = file.split_at_checked(CODE_BYTES)?;
        if !self
            .key
            .verify(&[digest.as_bytes(), settings, native], code)
        {
            warn!(digest = %digest, "cached native code is not ours: compiling anew");
            return None;
        }
        folder::needed_now(opened.get_ref());
        deserialize(engine, native).ok()
    }

    /// Makes place for it, and writes it.
    fn store(
        &self,
        path: &Path,
        digest: &Digest,
        settings: &[u8],
        native: &[u8],
    ) -> std::io::Result<()> {
        let code = self
            .key
            .authenticate(&[digest.as_bytes(), settings, native]);
        let file = [&code, native].concat();
        let used = self.slots.lock().clone();
        let is_used = |digest: &Digest| used.get(digest).is_some_and(is_used);
        self.folder.make_place(file.len(), is_used)?;
        folder::write(path, &file)
    }
}

/// Whether somebody makes it or uses it.
fn is_used(slot: &Slot) -> bool {
    slot.try_lock()
        .is_none_or(|component| component.strong_count() > 0)
}

/// Compiling foreign bytes is where a bug of the compiler would show: a panic
/// there is this component's failure, not the host's.
fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let compile = || engine.wasmtime().precompile_component(wasm);
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile)) {
        Ok(native) => native.map_err(|error| CompileError::Invalid(error.into())),
        Err(_) => Err(CompileError::Compiler),
    }
}

/// The compiler's settings and version, and ours: code made under others is not
/// looked at.
fn settings(engine: &Engine) -> Vec<u8> {
    struct Sha(Sha256);

    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    let mut hasher = Sha(Sha256::new());
    hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
    engine
        .wasmtime()
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    hasher.0.finalize().to_vec()
}

#[expect(unsafe_code, reason = "loading native code is unsafe by nature")]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that loads native code"
)]
fn deserialize(engine: &Engine, native: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `native` is what `compile` returned, or was read from a file into
    // memory that nobody else can change and then authenticated there with a
    // key that only this device holds; so it is what `compile` returned earlier.
    unsafe { Component::deserialize(engine.wasmtime(), native) }
}

#[cfg(test)]
mod tests;
