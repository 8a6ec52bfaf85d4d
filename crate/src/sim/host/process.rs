//! The process of a host: how it begins and ends.

use crate::engine::Engine;
use crate::net::send_queue::SendQueue;
use crate::protocol::policy::Policy;
use crate::protocol::time::Time;
use crate::routes::armed::ArmingPolicy;
use crate::routes::planner::RoutePlanner;
use crate::sim::host::{Host, MOST_OUT, OURS};
use crate::sim::host_spec::HostSpec;
use crate::sim::invariant_checker::InvariantChecker;
use crate::sim::random::Random;
use crate::sim::repeat_filter::RepeatFilter;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::state_file::StateFile;

/// How many sessions a host may have.
const MOST_SESSIONS: usize = 1_000;

impl<P: SimulatedProtocol> Host<P> {
    /// The process ends without an announcement.
    pub(in crate::sim) fn kill(&mut self) {
        for spec in &self.sessions {
            self.engine.remove_session(spec.id);
        }
        self.lose_memory();
    }

    /// What a process that ends takes with it, beside its engine.
    pub(super) fn lose_memory(&mut self) {
        self.alive = false;
        self.socket.clear();
        self.send_queue = SendQueue::new(MOST_OUT);
        self.unsent.clear();
        self.dropped = false;
        self.kernel.abandon();
        self.notices.clear();
        (self.wake_at, self.kernel_at, self.stalled_until) = (None, None, None);
    }

    /// Starts a new process with new discriminators. It adopts the routes in the kernel if `adopts` is set, and deletes them
    /// otherwise.
    pub(in crate::sim) fn start(&mut self, now: Time, adopts: bool) {
        if !adopts {
            self.kernel.sweep(OURS);
        }
        self.state_file = StateFile::default();
        self.begin();
        for (spec, options) in self.sessions.clone().into_iter().zip(self.options.clone()) {
            self.start_session(spec, options, now);
        }
        for at in self.order_of_registration() {
            self.find_route(at, false, now);
        }
    }

    /// A process begins, without sessions and routes.
    pub(super) fn begin(&mut self) {
        self.alive = true;
        self.kernel.abandon();
        self.links.forget_changes();
        (self.engine, self.repeat_filter) = new_engine(&self.spec, &mut self.random);
        self.planner = RoutePlanner::new(arming(&self.spec));
        self.checker = InvariantChecker::default();
    }
}

/// An engine, and the filter of the kernel before it, if the host has one.
pub(super) fn new_engine<P: SimulatedProtocol>(spec: &HostSpec, random: &mut Random) -> (Engine<P>, RepeatFilter) {
    let policy = Policy {
        rules: spec.rules,
        min_tx_floor_us: spec.min_tx_floor_us,
        max_tx_ceil_us: spec.max_tx_ceil_us,
        backoff_max_us: spec.backoff_max_us,
        require_discriminator: spec.require_discriminator,
        min_ttl: 0,
        identity: P::identity(spec),
    };
    let key = std::array::from_fn(|_| random.next_u64());
    let engine = Engine::of_protocol(policy, MOST_SESSIONS, random.next_u64() as u32)
        .with_slack(spec.tx_slack_us)
        .with_key(key)
        .with_journal();
    if !spec.filters_repeats {
        return (engine, RepeatFilter::default());
    }
    let (filter, repeats) = RepeatFilter::new(MOST_SESSIONS, P::PLAIN_LEN);
    (engine.with_repeats(repeats), filter)
}

pub(super) fn arming(spec: &HostSpec) -> ArmingPolicy {
    ArmingPolicy {
        take_over: false,
        honor_peer_passive: spec.honor_peer_passive,
        mass_down: None,
        objects: spec.objects,
    }
}
