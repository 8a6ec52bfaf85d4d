//! How the threads call JavaScript: without a payload, and never waiting for it.

use std::sync::{Arc, Mutex, MutexGuard};

use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use crate::addon::errors::{Coded, coded};
use crate::system::doorbell::Bell;

type Ring = ThreadsafeFunction<(), (), (), Status, false>;

/// Keeps the process alive while it is referenced. It holds the JavaScript function, which holds the object that it rings
/// for: only letting go of it lets the collector have them all.
pub(super) struct Doorbell(Arc<Mutex<Option<Ring>>>);

impl Doorbell {
    pub(super) fn new(function: Function<'_, (), ()>) -> std::result::Result<Self, Coded> {
        let ring = function
            .build_threadsafe_function()
            .callee_handled::<false>()
            .build()
            .map_err(|error| coded("ERR_ENGINE_UNAVAILABLE", error.reason))?;
        Ok(Self(Arc::new(Mutex::new(Some(ring)))))
    }

    /// What any thread may press.
    pub(super) fn button(&self) -> Bell {
        let shared = Arc::clone(&self.0);
        Box::new(move || {
            if let Some(ring) = &*locked(&shared) {
                // Refused only while the environment goes down, and then nobody listens.
                let _ = ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        })
    }

    /// Something else that lets go of the same bell.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn let_go(&self) {
        locked(&self.0).take();
    }

    // Deprecated for what they were mostly misused for; nothing else does what `net.Server` has `ref` and `unref` for.
    #[allow(deprecated)]
    pub(super) fn refer(&self, env: &Env) -> Result<()> {
        locked(&self.0).as_mut().map_or(Ok(()), |ring| ring.refer(env))
    }

    #[allow(deprecated)]
    pub(super) fn unref(&self, env: &Env) -> Result<()> {
        locked(&self.0).as_mut().map_or(Ok(()), |ring| ring.unref(env))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
