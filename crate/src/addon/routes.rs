//! The kernel's routing tables for JavaScript; every operation runs on a pool thread.

use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::addon::errors::{Coded, coded, from_route, rejection};
use crate::addon::objects::NativeRoute;
use crate::routes::{KernelRoute, RouteError, RouteSocket};

#[napi]
pub struct NativeRoutes {
    socket: Arc<Mutex<RouteSocket>>,
}

#[napi]
impl NativeRoutes {
    #[napi(constructor)]
    pub fn new() -> std::result::Result<Self, Coded> {
        let socket = RouteSocket::new().map_err(|error| coded("ERR_NETLINK_UNAVAILABLE", error.to_string()))?;
        Ok(Self { socket: Arc::new(Mutex::new(socket)) })
    }

    /// Fails with EPERM without CAP_NET_ADMIN.
    #[napi]
    pub fn check_access(&self) -> std::result::Result<(), Coded> {
        lock(&self.socket).check_access().map_err(|error| from_route(&error))
    }

    #[napi(ts_return_type = "Promise<void>")]
    pub fn add(&self, route: NativeRoute, take_over: bool) -> std::result::Result<AsyncTask<Change>, Coded> {
        self.change(route, Op::Add { take_over })
    }

    #[napi(ts_return_type = "Promise<void>")]
    pub fn delete(&self, route: NativeRoute) -> std::result::Result<AsyncTask<Change>, Coded> {
        self.change(route, Op::Delete)
    }

    #[napi(ts_return_type = "Promise<NativeRoute[]>")]
    pub fn list(&self, protocol: u8) -> AsyncTask<List> {
        AsyncTask::new(List { socket: Arc::clone(&self.socket), protocol })
    }

    fn change(&self, route: NativeRoute, op: Op) -> std::result::Result<AsyncTask<Change>, Coded> {
        Ok(AsyncTask::new(Change { socket: Arc::clone(&self.socket), route: route.try_into()?, op }))
    }
}

#[derive(Clone, Copy)]
enum Op {
    Add { take_over: bool },
    Delete,
}

pub struct Change {
    socket: Arc<Mutex<RouteSocket>>,
    route: KernelRoute,
    op: Op,
}

impl Task for Change {
    type Output = std::result::Result<(), RouteError>;
    type JsValue = ();

    fn compute(&mut self) -> Result<Self::Output> {
        let mut socket = lock(&self.socket);
        let routes = [self.route];
        let mut answers = match self.op {
            Op::Add { take_over } => socket.add(&routes, take_over),
            Op::Delete => socket.delete(&routes),
        };
        Ok(answers.remove(0))
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<()> {
        answer.map_err(|error| rejection(env, &error))
    }
}

pub struct List {
    socket: Arc<Mutex<RouteSocket>>,
    protocol: u8,
}

impl Task for List {
    type Output = std::result::Result<Vec<KernelRoute>, RouteError>;
    type JsValue = Vec<NativeRoute>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(lock(&self.socket).list(self.protocol))
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<Vec<NativeRoute>> {
        let routes = answer.map_err(|error| rejection(env, &error))?;
        Ok(routes.into_iter().map(Into::into).collect())
    }
}

fn lock(socket: &Mutex<RouteSocket>) -> std::sync::MutexGuard<'_, RouteSocket> {
    socket.lock().expect("no holder of this lock panics")
}
