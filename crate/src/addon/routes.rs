//! The class for the kernel's routing tables. Every operation runs on a thread of libuv's pool.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::*;
use napi_derive::napi;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

use crate::addon::doorbell::Doorbell;
use crate::addon::errors::{Coded, coded, from_route, rejection};
use crate::addon::object_sweep::{NativeObjectFilter, SweepObjects};
use crate::addon::objects::{NativeObjectRange, NativeRoute};
use crate::net::interface_names::index_of;
use crate::routes::held::{HeldRouteEvent, HeldRouteMonitor, HeldRoutes};
use crate::routes::kernel_route::{KernelRoute, Presence, RouteError, SystemError};
use crate::routes::monitor::{RouteMonitor, Waker};
use crate::routes::socket::RouteSocket;
use crate::routes::tables::{DesiredRoute, Tables};

#[napi]
pub struct NativeRoutes {
    socket: Arc<Mutex<RouteSocket>>,
    held: HeldRoutes,
    news: Arc<Mutex<Vec<HeldRouteEvent>>>,
    watch: RefCell<Option<(RouteMonitor, Doorbell)>>,
    /// Looks up names of interfaces, which `socket` may be too busy for.
    names: Socket,
}

#[napi]
impl NativeRoutes {
    #[napi(constructor)]
    pub fn new(objects: Option<NativeObjectRange>) -> std::result::Result<Self, Coded> {
        let objects = objects.as_ref().map(Into::into).unwrap_or_default();
        let unavailable = |error: std::io::Error| coded("ERR_NETLINK_UNAVAILABLE", error.to_string());
        Ok(Self {
            socket: Arc::new(Mutex::new(RouteSocket::new().map_err(unavailable)?.with_objects(objects))),
            held: HeldRoutes::default(),
            news: Arc::default(),
            watch: RefCell::default(),
            names: Socket::new(NETLINK_ROUTE).map_err(unavailable)?,
        })
    }

    /// Whether the kernel has next-hop objects.
    #[napi]
    pub fn has_objects(&self) -> std::result::Result<bool, Coded> {
        lock(&self.socket).has_objects().map_err(|error| from_route(&error))
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

    /// Adds a route and deletes the one that it replaces.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn replace(
        &self,
        former: NativeRoute,
        route: NativeRoute,
        take_over: bool,
    ) -> std::result::Result<AsyncTask<Change>, Coded> {
        let former = Target::new(former)?;
        self.change(route, Op::Replace { former, take_over })
    }

    #[napi(ts_return_type = "Promise<void>")]
    pub fn delete(&self, route: NativeRoute) -> std::result::Result<AsyncTask<Change>, Coded> {
        self.change(route, Op::Delete)
    }

    /// Whether the kernel holds exactly this route. From then on, its loss is reported.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn holds(&self, route: NativeRoute) -> std::result::Result<AsyncTask<Look>, Coded> {
        let (socket, held) = (Arc::clone(&self.socket), self.held.clone());
        Ok(AsyncTask::new(Look { socket, held, target: Target::new(route)? }))
    }

    #[napi(ts_return_type = "Promise<NativeRoute[]>")]
    pub fn list(&self, protocol: u8) -> AsyncTask<List> {
        AsyncTask::new(List { socket: Arc::clone(&self.socket), protocol })
    }

    /// Deletes the next-hop objects of a predecessor that no route uses. Resolves with their number.
    #[napi(ts_return_type = "Promise<number>")]
    pub fn sweep_objects(&self, filter: NativeObjectFilter) -> AsyncTask<SweepObjects> {
        AsyncTask::new(SweepObjects::new(lock(&self.socket).objects(), &filter, None))
    }

    /// Starts to watch the routes that were added here; `doorbell` rings when `news` has something to return. Watching does not
    /// keep the process alive.
    #[napi]
    pub fn watch(&self, env: Env, doorbell: Function<'_, (), ()>) -> std::result::Result<(), Coded> {
        let doorbell = Doorbell::new(doorbell)?;
        doorbell.unref(&env).map_err(|error| coded("ERR_NETLINK_UNAVAILABLE", error.reason))?;
        let (ring, news) = (doorbell.button(), Arc::clone(&self.news));
        let tell = move |told: HeldRouteEvent| {
            lock(&news).push(told);
            ring();
        };
        let start = || {
            let watcher = HeldRouteMonitor::new(self.held.clone(), Box::new(tell))?;
            RouteMonitor::start(lock(&self.socket).port(), Waker::new()?, Box::new(watcher))
        };
        let watch = start().map_err(|error: std::io::Error| {
            doorbell.let_go();
            coded("ERR_NETLINK_UNAVAILABLE", format!("the kernel's tables cannot be watched: {error}"))
        })?;
        self.watch.replace(Some((watch, doorbell)));
        Ok(())
    }

    #[napi]
    pub fn unwatch(&self) {
        if let Some((watch, doorbell)) = self.watch.take() {
            drop(watch);
            doorbell.let_go();
        }
    }

    /// The routes that were lost since the previous call, and the reason if watching has ended.
    #[napi]
    pub fn news(&self) -> std::result::Result<NativeRouteNews, Coded> {
        let mut news = NativeRouteNews { taken: Vec::new(), dropped: Vec::new(), unwatched: None };
        for told in std::mem::take(&mut *lock(&self.news)) {
            match told {
                HeldRouteEvent::Taken(routes) => news.taken.extend(self.named(&routes)?),
                HeldRouteEvent::Dropped(routes) => news.dropped.extend(self.named(&routes)?),
                HeldRouteEvent::Unwatched(reason) => news.unwatched = Some(reason),
            }
        }
        Ok(news)
    }

    fn named(&self, routes: &[KernelRoute]) -> std::result::Result<Vec<NativeRoute>, Coded> {
        named(routes, &self.names).map_err(|error| from_route(&error))
    }

    fn change(&self, route: NativeRoute, op: Op) -> std::result::Result<AsyncTask<Change>, Coded> {
        let (socket, held, news) = (Arc::clone(&self.socket), self.held.clone(), Arc::clone(&self.news));
        Ok(AsyncTask::new(Change { socket, held, news, target: Target::new(route)?, op }))
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeRouteNews {
    pub taken: Vec<NativeRoute>,
    pub dropped: Vec<NativeRoute>,
    pub unwatched: Option<String>,
}

/// A route with the name of its interface, which is looked up at each use.
#[derive(Clone)]
struct Target {
    route: KernelRoute,
    interface: Option<String>,
}

impl Target {
    fn new(route: NativeRoute) -> std::result::Result<Self, Coded> {
        let interface = route.iface.clone();
        Ok(Self { route: route.try_into()?, interface })
    }

    /// `None` if there is no such interface now: the kernel has dropped its routes.
    fn resolve(&self, socket: &RouteSocket) -> std::result::Result<Option<KernelRoute>, RouteError> {
        let Some(name) = &self.interface else { return Ok(Some(self.route)) };
        let interface = index_of(socket, name).map_err(|errno| RouteError::System(errno.into()))?;
        Ok(interface.map(|interface| KernelRoute { interface, ..self.route }))
    }
}

#[derive(Clone)]
enum Op {
    Add { take_over: bool },
    Replace { former: Target, take_over: bool },
    Delete,
}

pub struct Change {
    socket: Arc<Mutex<RouteSocket>>,
    held: HeldRoutes,
    news: Arc<Mutex<Vec<HeldRouteEvent>>>,
    target: Target,
    op: Op,
}

impl Change {
    fn run(&self) -> std::result::Result<(), RouteError> {
        let mut socket = lock(&self.socket);
        match &self.op {
            Op::Add { take_over } => self.install(&mut socket, None, *take_over).map(drop),
            Op::Replace { former, take_over } => {
                let former = former.resolve(&socket)?;
                let route = self.install(&mut socket, former, *take_over)?;
                // What cannot be there beside the route is gone, and a deletion of it would delete the route.
                former.filter(|former| !former.excludes(&route)).map_or(Ok(()), |former| socket.remove(&former))
            }
            Op::Delete => self.target.resolve(&socket)?.map_or(Ok(()), |route| {
                self.held.release(&route);
                let answer = socket.remove_anyway(&route.of_any_source());
                if route.priority == 0 {
                    self.restore(&mut socket, &self.held.namesakes(&route));
                }
                answer
            }),
        }
    }

    /// Adds a route again that was deleted in place of another. If that fails, the route is lost, and `news` reports it.
    fn restore(&self, socket: &mut RouteSocket, held: &[KernelRoute]) {
        for (route, presence) in held.iter().zip(socket.look(held)) {
            if presence == Presence::Absent
                && socket.install(DesiredRoute { route: *route, replaces: None, was_listed: false }, false).is_err()
            {
                self.held.release(route);
                lock(&self.news).push(HeldRouteEvent::Dropped(vec![*route]));
            }
        }
    }

    fn install(
        &self,
        socket: &mut RouteSocket,
        replaces: Option<KernelRoute>,
        take_over: bool,
    ) -> std::result::Result<KernelRoute, RouteError> {
        let route = self.target.resolve(socket)?.ok_or(RouteError::System(SystemError::NO_DEVICE))?;
        self.held.hold(route);
        let answer = socket.install(DesiredRoute { route, replaces, was_listed: false }, take_over);
        if answer.is_err() {
            self.held.release(&route);
        }
        answer.map(|()| route)
    }
}

impl Task for Change {
    type Output = std::result::Result<(), RouteError>;
    type JsValue = ();

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.run())
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<()> {
        answer.map_err(|error| rejection(env, &error))
    }
}

pub struct Look {
    socket: Arc<Mutex<RouteSocket>>,
    held: HeldRoutes,
    target: Target,
}

impl Look {
    fn run(&self) -> std::result::Result<bool, RouteError> {
        let mut socket = lock(&self.socket);
        let Some(route) = self.target.resolve(&socket)? else { return Ok(false) };
        self.held.hold(route);
        let answer = socket.holds(&route);
        if answer != Ok(true) {
            self.held.release(&route);
        }
        answer
    }
}

impl Task for Look {
    type Output = std::result::Result<bool, RouteError>;
    type JsValue = bool;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.run())
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<bool> {
        answer.map_err(|error| rejection(env, &error))
    }
}

pub struct List {
    socket: Arc<Mutex<RouteSocket>>,
    protocol: u8,
}

impl Task for List {
    type Output = std::result::Result<Vec<NativeRoute>, RouteError>;
    type JsValue = Vec<NativeRoute>;

    fn compute(&mut self) -> Result<Self::Output> {
        let mut socket = lock(&self.socket);
        Ok(socket.list(self.protocol).and_then(|routes| named(&routes, &*socket)))
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<Vec<NativeRoute>> {
        answer.map_err(|error| rejection(env, &error))
    }
}

fn named(routes: &[KernelRoute], socket: impl AsFd + Copy) -> std::result::Result<Vec<NativeRoute>, RouteError> {
    routes
        .iter()
        .map(|route| NativeRoute::new(route, socket).map_err(|errno| RouteError::System(errno.into())))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
