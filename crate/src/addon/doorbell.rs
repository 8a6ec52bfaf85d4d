//! The call from the threads into JavaScript: it has no payload, and no thread waits for it.

use std::sync::{Arc, Mutex, MutexGuard};

use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use crate::addon::errors::{Coded, coded};
use crate::system::doorbell::Bell;

type Ring = ThreadsafeFunction<(), (), (), Status, false>;

/// A JavaScript function that any thread may call. It keeps the process alive while it is referenced. The function holds the
/// object that it is called for, so the collector frees that object only after the doorbell is dropped.
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

    /// A handle with which any thread may ring.
    pub(super) fn button(&self) -> Bell {
        let shared = Arc::clone(&self.0);
        Box::new(move || {
            if let Some(ring) = &*locked(&shared) {
                // The call fails only while the environment shuts down, when no function can be called.
                let _ = ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        })
    }

    /// Another handle on the same doorbell.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn let_go(&self) {
        locked(&self.0).take();
    }

    // napi deprecates `refer` and `unref` because of frequent misuse; nothing replaces them for an object with `ref` and `unref`.
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
