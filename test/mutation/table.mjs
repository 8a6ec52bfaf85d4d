// The faults. Each row of the state table and of the rule sets, and each formula of the timers, is broken once in each engine.
// `rule` names the rule that is broken; `from` occurs exactly once in its file.

const RUST = { engine: 'rust', file: 'crate/src/protocol/session.rs' };
const RUST_SENDING = { engine: 'rust', file: 'crate/src/protocol/session/sending.rs' };
const RUST_INTERVALS = { engine: 'rust', file: 'crate/src/protocol/session/intervals.rs' };
const RUST_RULES = { engine: 'rust', file: 'crate/src/protocol/rules.rs' };
const RUST_JITTER = { engine: 'rust', file: 'crate/src/protocol/jitter.rs' };
const RUST_TABLE = { engine: 'rust', file: 'crate/src/protocol/liveness/state_table.rs' };
const RUST_LIVENESS = { engine: 'rust', file: 'crate/src/protocol/liveness/mod.rs' };
const RUST_CONTINUATION = { engine: 'rust', file: 'crate/src/protocol/session/continuation.rs' };
const RUST_RESUMING = { engine: 'rust', file: 'crate/src/engine/continuation.rs' };
const TS = { engine: 'ts', file: 'ts/protocol/session-core.ts' };
const TS_TABLE = { engine: 'ts', file: 'ts/protocol/state-table.ts' };
const TS_LIVENESS = { engine: 'ts', file: 'ts/protocol/liveness.ts' };
const TS_RULES = { engine: 'ts', file: 'ts/protocol/rules.ts' };
const TS_JITTER = { engine: 'ts', file: 'ts/protocol/jitter.ts' };
const RUST_DETECTION = { engine: 'rust', file: 'crate/src/engine/detection.rs' };
const TS_TIMELINE = { engine: 'ts', file: 'ts/protocol/timeline.ts' };
const TS_INTERVALS = { engine: 'ts', file: 'ts/base/intervals.ts' };
const TS_SESSION = { engine: 'ts', file: 'ts/protocol/session.ts' };

const RUST_BFD = { engine: 'rust', file: 'crate/src/protocol/bfd/mod.rs' };
const RUST_BFD_TABLE = { engine: 'rust', file: 'crate/src/protocol/bfd/state_table.rs' };
const RUST_BFD_SPECIFICS = { engine: 'rust', file: 'crate/src/protocol/bfd/specifics.rs' };
const RUST_BFD_POLL = { engine: 'rust', file: 'crate/src/protocol/bfd/poll.rs' };
const RUST_BFD_SEQUENCE = { engine: 'rust', file: 'crate/src/protocol/bfd/authentication/sequence.rs' };
const TS_BFD = { engine: 'ts', file: 'ts/protocol/bfd/bfd.ts' };
const TS_BFD_TABLE = { engine: 'ts', file: 'ts/protocol/bfd/state-table.ts' };
const TS_BFD_SPECIFICS = { engine: 'ts', file: 'ts/protocol/bfd/specifics.ts' };
const TS_BFD_POLL = { engine: 'ts', file: 'ts/protocol/bfd/poll.ts' };
const TS_BFD_SEQUENCE = { engine: 'ts', file: 'ts/protocol/bfd/authentication/sequence.ts' };

const STATE_TABLE = [
  {
    rule: 'AdminDown ignores every packet',
    rustTable: ['(State::AdminDown, _) => return Verdict::Ignore(IgnoreReason::AdminDown),', '(State::AdminDown, _) => {}'],
    tsTable: ["if (state === 'admin_down') return IGNORED_IN_ADMIN_DOWN;", 'if (false as boolean) return IGNORED_IN_ADMIN_DOWN;'],
  },
  {
    rule: 'Down receives AdminDown: stays Down',
    rustTable: [
      '(_, State::AdminDown) => State::Down,',
      '(State::Down, State::AdminDown) => State::Init,\n        (_, State::AdminDown) => State::Down,',
    ],
    tsTable: [
      "if (received === 'admin_down') return REMOTE_ADMIN;",
      "if (received === 'admin_down') return state === 'down' ? TO_INIT : REMOTE_ADMIN;",
    ],
  },
  {
    rule: 'Down receives AdminDown: reason remote_admin',
    rust: ['self.last_down_reason = DownReason::RemoteAdmin;', 'self.last_down_reason = DownReason::RemoteDown;'],
    ts: [
      "if (packet.state === 'admin_down') this.lastDownReason = reason;",
      "if (packet.state === 'admin_down') this.lastDownReason = 'remote_down';",
    ],
  },
  {
    rule: 'Down receives Down: to Init',
    rustTable: ['(State::Down, State::Down) => State::Init,', '(State::Down, State::Down) => State::Down,'],
    tsTable: ["if (received === 'down') return TO_INIT;", "if (received === 'down') return REMOTE_DOWN;"],
  },
  {
    rule: 'Down receives Down that names us: to Init, not Up',
    rustTable: ['(State::Down, State::Down) => State::Init,', '(State::Down, State::Down) => if mine { State::Up } else { State::Init },'],
    tsTable: ["if (received === 'down') return TO_INIT;", "if (received === 'down') return namesUs ? TO_UP : TO_INIT;"],
  },
  {
    rule: 'Down receives Init or Up that names us: to Up',
    rustTable: ['(State::Down, _) => {\n            if mine {', '(State::Down, _) => {\n            if false {'],
    tsTable: ['Init for those that do not.\n      return namesUs ? TO_UP : TO_INIT;', 'Init for those that do not.\n      return TO_INIT;'],
  },
  {
    rule: 'Down receives Init or Up that does not name us: to Init',
    rustTable: ['(State::Down, _) => {\n            if mine {', '(State::Down, _) => {\n            if true {'],
    tsTable: ['Init for those that do not.\n      return namesUs ? TO_UP : TO_INIT;', 'Init for those that do not.\n      return TO_UP;'],
  },
  {
    rule: 'Init receives AdminDown: to Down',
    rustTable: [
      '(_, State::AdminDown) => State::Down,',
      '(State::Init, State::AdminDown) => State::Init,\n        (_, State::AdminDown) => State::Down,',
    ],
    tsTable: [
      "if (received === 'admin_down') return REMOTE_ADMIN;",
      "if (received === 'admin_down') return state === 'init' ? TO_INIT : REMOTE_ADMIN;",
    ],
  },
  {
    rule: 'Init receives Init or Up that names us: to Up',
    rustTable: ['(State::Init, _) => {\n            if mine {', '(State::Init, _) => {\n            if false {'],
    tsTable: ['only those that name us.\n      return namesUs ? TO_UP : TO_INIT;', 'only those that name us.\n      return TO_INIT;'],
  },
  {
    rule: 'Init receives Init or Up that does not name us: stays Init',
    rustTable: ['(State::Init, _) => {\n            if mine {', '(State::Init, _) => {\n            if true {'],
    tsTable: ['only those that name us.\n      return namesUs ? TO_UP : TO_INIT;', 'only those that name us.\n      return TO_UP;'],
  },
  {
    rule: 'Up receives AdminDown: to Down',
    rustTable: [
      '(_, State::AdminDown) => State::Down,',
      '(State::Up, State::AdminDown) => State::Up,\n        (_, State::AdminDown) => State::Down,',
    ],
    tsTable: [
      "if (received === 'admin_down') return REMOTE_ADMIN;",
      "if (received === 'admin_down') return state === 'up' ? TO_UP : REMOTE_ADMIN;",
    ],
  },
  {
    rule: 'a change by AdminDown has reason remote_admin',
    rust: ['{ DownReason::RemoteAdmin } else { DownReason::RemoteDown };', '{ DownReason::RemoteDown } else { DownReason::RemoteDown };'],
    tsTable: ["{ to: 'down', reason: 'remote_admin' }", "{ to: 'down', reason: 'remote_down' }"],
  },
  {
    rule: 'Up receives Down: to Down',
    rustTable: ['(State::Up, State::Down) => State::Down,', '(State::Up, State::Down) => State::Up,'],
    tsTable: ['Down of the peer takes us Down.\n      return REMOTE_DOWN;', 'Down of the peer takes us Down.\n      return TO_UP;'],
  },
  {
    rule: 'Up receives Down: reason remote_down',
    rust: ['{ DownReason::RemoteAdmin } else { DownReason::RemoteDown };', '{ DownReason::RemoteAdmin } else { DownReason::Timeout };'],
    tsTable: ["{ to: 'down', reason: 'remote_down' }", "{ to: 'down', reason: 'remote_admin' }"],
  },
  {
    rule: 'Up receives Init or Up: stays Up',
    rustTable: ['(State::Up, _) => State::Up,', '(State::Up, State::Init) => State::Init,\n        (State::Up, _) => State::Up,'],
    tsTable: ["if (received !== 'down') return TO_UP;", "if (received !== 'down') return REMOTE_DOWN;"],
  },
  {
    rule: 'a packet that names another session is dropped',
    rustTable: ['(_, Names::Another) => return Verdict::Ignore(IgnoreReason::ForeignDiscriminator),', '(_, Names::Another) => {}'],
    ts: ["if (peerDiscr === this.localDiscr) return 'us';", "if (peerDiscr !== 0) return 'us';"],
  },
  {
    rule: 'a packet that names no session is accepted',
    rustTable: ['(_, Names::Nobody) => {}', '(_, Names::Nobody) => return Verdict::Ignore(IgnoreReason::ForeignDiscriminator),'],
    tsTable: ["if (names === 'nobody' && state === 'up'", "if (names === 'nobody' && state !== 'up'"],
  },
  {
    rule: 'with requireDiscriminator, Up accepts only packets that name us',
    rustTable: ['if situation.requires_discriminator =>', 'if situation.requires_discriminator && false =>'],
    tsTable: ['&& situation.requiresDiscriminator) return', '&& situation.requiresDiscriminator && !names) return'],
  },
  {
    rule: 'a stale Down is ignored',
    rust: ['came_up.is_some_and(|since| arrival < since.plus(self.detect_time_us()))', 'came_up.is_some_and(|_| false)'],
    ts: ['arrival < upSince + this.detectTimeUs;', 'arrival < upSince;'],
  },
  {
    rule: 'a Down is stale for less than one detection time',
    rust: ['came_up.is_some_and(|since| arrival < since', 'came_up.is_some_and(|since| arrival <= since'],
    ts: ['arrival < upSince + this.detectTimeUs;', 'arrival <= upSince + this.detectTimeUs;'],
  },
  {
    rule: 'a stale Down refreshes no timer',
    rust: [
      'Verdict::Ignore(reason) => return RxOutcome::Ignored(reason),',
      'Verdict::Ignore(reason) => {\n                if reason == IgnoreReason::StaleDown {\n                    self.detect_deadline = Some(arrival.plus(self.detect_time_us()));\n                }\n                return RxOutcome::Ignored(reason);\n            }',
    ],
    tsTable: ['if (isFreshlyUp) return STALE_DOWN;', 'if (isFreshlyUp) return TO_UP;'],
  },
  {
    rule: 'an accepted packet sets the peer’s intervals',
    rust: ['self.take_peer_timers(&header, P::peer_details(packet));', ''],
    ts: ['this.#applyPeerFields(packet);', 'void packet;'],
  },
  {
    rule: 'an accepted packet sets lastRx, which never goes back',
    rust: ['self.last_rx.map_or(arrival, |last| last.max(arrival))', 'arrival'],
    ts: ['Math.max(this.lastRx ?? arrival, arrival)', 'arrival'],
  },
  {
    rule: 'an accepted packet sets the detection deadline',
    rust: [
      'self.detect_deadline = self.silence_allowed_us().map(|us| heard_at.plus(us));\n        if let',
      'self.detect_deadline = self.detect_deadline.or(self.silence_allowed_us().map(|us| heard_at.plus(us)));\n        if let',
    ],
    ts: [
      'this.detectDeadline = allowedUs === undefined ? undefined : lastRx + allowedUs;',
      'this.detectDeadline ??= allowedUs === undefined ? undefined : lastRx + allowedUs;',
    ],
  },
  {
    rule: 'a change to Down clears the deadline',
    rust: ['self.detect_deadline = None;\n                self.init_said', 'self.init_said'],
    ts: ['this.detectDeadline = undefined;\n      this.#firstInitTx', 'this.#firstInitTx'],
  },
  {
    rule: 'a change resets the backoff',
    rust: ['self.doublings = 0;\n', ''],
    ts: ['this.#doublings = 0;\n    this.timestamps', 'this.timestamps'],
  },
  {
    rule: 'a detection timeout has reason timeout',
    rust: ['self.enter(State::Down, now, DownReason::Timeout,', 'self.enter(State::Down, now, DownReason::RemoteDown,'],
    ts: ["this.#enter('down', now, 'timeout',", "this.#enter('down', now, 'remote_down',"],
  },
  {
    rule: 'a session that is taken out of service has reason local_admin',
    rust: ['self.enter(State::AdminDown, now, DownReason::LocalAdmin,', 'self.enter(State::AdminDown, now, DownReason::None,'],
    ts: ["this.#enter('admin_down', now, 'local_admin',", "this.#enter('admin_down', now, 'none',"],
  },
  {
    rule: 'a session back in service sends: no AdminDown announcement ends its transmit timer',
    rustSending: ['self.state == State::AdminDown && self.announce_until', 'self.announce_until'],
    ts: ['this.#announceAdminDownUntil = undefined;\n    if', 'if'],
  },
];

const RULE_SETS = [
  ['learns_from_every_packet', 'learnsFromEveryPacket', 'learning the peer’s discriminator'],
  ['forgets_after_silence', 'forgetsAfterSilence', 'forgetting it'],
  ['accepts_foreign_discriminator_when_down', 'acceptsForeignDiscriminatorWhenDown', 'foreign peerDiscr'],
  ['stays_init_on_down', 'staysInitOnDown', 'Init, packet Down'],
  ['accepts_slower_peers', 'acceptsSlowerPeers', 'ceiling and the peer’s transmit interval'],
].flatMap(([rust, ts, rule]) => [
  // Only the values end with a comma.
  { rule: `reference: ${rule}`, rustRules: [`${rust}: false,`, `${rust}: true,`], tsRules: [`${ts}: false,`, `${ts}: true,`] },
  { rule: `robust: ${rule}`, rustRules: [`${rust}: true,`, `${rust}: false,`], tsRules: [`${ts}: true,`, `${ts}: false,`] },
]);

const RULE_DETAILS = [
  {
    rule: 'reference: detect deadline in Init',
    rustRules: ['init_detect_min_us: 0,', 'init_detect_min_us: 3_300_000,'],
    tsRules: ['initDetectMinUs: 0,', 'initDetectMinUs: 3_300_000,'],
  },
  {
    rule: 'robust: detect deadline in Init',
    rustRules: ['init_detect_min_us: 3_300_000,', 'init_detect_min_us: 0,'],
    tsRules: ['initDetectMinUs: 3_300_000,', 'initDetectMinUs: 0,'],
  },
  {
    rule: 'Init: the longer of detection time and 3.3 s',
    rustIntervals: [
      'self.detect_time_us().max(self.policy.rules.least_init_us(self.tx_interval_us()))',
      'self.policy.rules.least_init_us(self.tx_interval_us())',
    ],
    ts: [
      "this.state === 'init' ? Math.max(this.detectTimeUs, this.#leastInitUs)",
      "this.state === 'init' ? Math.max(1, this.#leastInitUs)",
    ],
  },
  {
    rule: 'reference: learns the peer’s discriminator only while it knows none',
    rustTable: ['(!knows_peer || matches!(state, State::Up))', 'true'],
    tsTable: ["(!knowsPeer || state === 'up')", '(state.length > 0 || knowsPeer)'],
  },
  {
    rule: 'reference: in Up it also learns another discriminator',
    rustTable: ['(!knows_peer || matches!(state, State::Up))', '!knows_peer'],
    tsTable: ["(!knowsPeer || state === 'up')", '!knowsPeer'],
  },
  {
    rule: 'reference: learns none from the Down that takes it Down',
    rustTable: ['!matches!(to, State::Down) && (', '('],
    tsTable: [": to !== 'down' && (!knowsPeer", ': (!knowsPeer'],
  },
  {
    rule: 'robust: in Up it learns only from a packet that names us',
    rustTable: ['!matches!(to, State::Up) || mine', 'true'],
    tsTable: ["to !== 'up' || namesUs", 'to.length > 0'],
  },
  {
    rule: 'robust: learns also from the Down that takes it Down',
    rustTable: ['!matches!(to, State::Up) || mine', '(!matches!(to, State::Up) && !matches!(state, State::Up)) || mine'],
    tsTable: ["to !== 'up' || namesUs", "(to !== 'up' && state !== 'up') || namesUs"],
  },
  {
    rule: 'robust: a received AdminDown clears the discriminator',
    rustTable: ['if rules.learns_from_every_packet { PeerDiscriminator::Forget }', 'if false { PeerDiscriminator::Forget }'],
    tsTable: ["rules.learnsFromEveryPacket ? 'forget' : 'keep'", "'keep'"],
  },
  {
    rule: 'reference: a received AdminDown clears no discriminator',
    rustTable: ['if rules.learns_from_every_packet { PeerDiscriminator::Forget }', 'if true { PeerDiscriminator::Forget }'],
    tsTable: ["rules.learnsFromEveryPacket ? 'forget' : 'keep'", "'forget'"],
  },
  {
    rule: 'robust: forgets the discriminator after one more detection time, not sooner',
    rust: ['self.forget_at = Some(at.plus(self.detect_time_us()));', 'self.forget_at = Some(at);'],
    ts: ['this.#forgetAt = at + this.detectTimeUs;', 'this.#forgetAt = at;'],
  },
  {
    rule: 'robust: forgets the discriminator also after a received Down',
    rust: [
      'if self.policy.rules.forgets_after_silence {\n                    // Whatever',
      'if self.policy.rules.forgets_after_silence && reason == DownReason::Timeout {\n                    // Whatever',
    ],
    ts: [
      'if (this.policy.rules.forgetsAfterSilence) this.#forgetAt',
      "if (this.policy.rules.forgetsAfterSilence && reason === 'timeout') this.#forgetAt",
    ],
  },
  {
    rule: 'robust: an accepted packet keeps the discriminator',
    rust: ['self.forget_at = None;\n        let interval_us', 'let interval_us'],
    ts: ['this.#forgetAt = undefined;\n    const intervalUs', 'const intervalUs'],
  },
  {
    rule: 'robust: a session back in service knows no discriminator',
    rust: ['self.peer.discr = 0;\n        }\n        self.enter', '}\n        self.enter'],
    ts: ['this.peer.discr = 0;\n    }\n    this.#enter', '}\n    this.#enter'],
  },
  {
    rule: 'robust: a packet that names another session is accepted in Down only',
    rustTable: ['(State::Down, Names::Another)', '(_, Names::Another)'],
    tsTable: ["acceptsForeignDiscriminatorWhenDown && state === 'down' &&", 'acceptsForeignDiscriminatorWhenDown &&'],
  },
  {
    rule: 'robust: a packet that names another session is accepted only while no discriminator is known',
    rustTable: ['&& !knows_peer && received', '&& received'],
    tsTable: ["state === 'down' && !knowsPeer && received", "state === 'down' && received"],
  },
  {
    rule: 'robust: an AdminDown that names another session is dropped',
    rustTable: [' && received != State::AdminDown =>', ' =>'],
    tsTable: ["&& !knowsPeer && received !== 'admin_down';", '&& !knowsPeer;'],
  },
  {
    rule: 'robust: a packet that names another session counts as one that names none',
    rustTable: ['(received, names) = (State::Down, Names::Nobody);', 'names = Names::Us;'],
    tsTable: ["[received, names] = ['down', 'nobody'];", "names = 'us';"],
  },
  {
    rule: 'robust: an interval above 60 s is refused',
    rust: ['header.desired_min_tx_us <= MAX_PEER_INTERVAL_US', 'header.desired_min_tx_us != 0'],
    ts: ['packet.desiredMinTxUs <= MAX_PEER_INTERVAL_US', 'packet.desiredMinTxUs <= 2 * MAX_PEER_INTERVAL_US'],
  },
  {
    rule: 'robust: an interval of 60 s is accepted',
    rust: ['header.desired_min_tx_us <= MAX_PEER_INTERVAL_US', 'header.desired_min_tx_us < MAX_PEER_INTERVAL_US'],
    ts: ['packet.desiredMinTxUs <= MAX_PEER_INTERVAL_US', 'packet.desiredMinTxUs < MAX_PEER_INTERVAL_US'],
  },
];

const FORMULAS = [
  {
    rule: 'localStall of a Down that the peer says is the delay that the peer may have noticed',
    rustDetection: [
      'slot.session.last_down_reason() != DownReason::RemoteDown',
      'slot.session.last_down_reason() == DownReason::RemoteDown',
    ],
    tsTimeline: ["session.lastDownReason !== 'remote_down'", "session.lastDownReason === 'remote_down'"],
  },
  {
    rule: 'a Down that the peer says counts as one that may be our fault beyond a quarter of its detection time',
    rustDetection: ['u64::from(delay_us > peer_detect_time_us / 4)', 'u64::from(delay_us > peer_detect_time_us / 2)'],
  },
  {
    rule: 'changed timers: a slower transmit interval waits until the peer must know it',
    rustIntervals: ['previous.tx_min_us < timers.tx_min_us', 'false'],
    ts: ['previous.txMinUs < timers.txMinUs', '(false as boolean)'],
  },
  {
    rule: 'changed timers: a faster receive interval counts once the peer must know it',
    rustIntervals: ['previous.rx_min_us > timers.rx_min_us', 'false'],
    ts: ['previous.rxMinUs > timers.rxMinUs', '(false as boolean)'],
  },
  {
    rule: 'changed timers: a slower receive interval counts at once',
    rustIntervals: ['allowed.map_or(deadline, |at| at.max(deadline))', 'allowed.map_or(deadline, |_| deadline)'],
    ts: ['Math.max(this.detectDeadline, this.lastRx + allowedUs)', 'this.detectDeadline'],
  },
  {
    rule: 'a shorter interval brings the next packet forward',
    rustIntervals: ['self.interval_in_state_us(self.tx_interval_us()) < previous_us', 'false'],
    ts: [
      'if (this.#intervalInStateUs(this.txIntervalUs) < this.#intervalInStateUs(previousIntervalUs)) this',
      'if (previousIntervalUs < 0) this',
    ],
  },
  {
    rule: 'txInterval: the longer of both sides’ intervals',
    rustIntervals: ['desired.max(self.peer.rx_min_us)', 'desired.min(self.peer.rx_min_us)'],
    ts: ['Math.max(desired, rxMinUs)', 'Math.min(desired, rxMinUs)'],
  },
  {
    rule: 'txInterval: our own interval counts',
    rustIntervals: ['desired.max(self.peer.rx_min_us)', 'self.peer.rx_min_us'],
    ts: ['Math.max(desired, rxMinUs)', 'rxMinUs'],
  },
  {
    rule: 'txInterval: the peer’s interval counts',
    rustIntervals: ['desired.max(self.peer.rx_min_us)', 'desired'],
    ts: ['Math.max(desired, rxMinUs)', 'desired'],
  },
  {
    rule: 'clamp: not below the floor',
    rustIntervals: [
      'interval_us.clamp(self.policy.min_tx_floor_us, self.policy.max_tx_ceil_us)',
      'interval_us.min(self.policy.max_tx_ceil_us)',
    ],
    ts: [
      'Math.min(Math.max(intervalUs, this.policy.minTxFloorUs), this.policy.maxTxCeilUs)',
      'Math.min(intervalUs, this.policy.maxTxCeilUs)',
    ],
  },
  {
    rule: 'clamp: not above the ceiling',
    rustIntervals: [
      'interval_us.clamp(self.policy.min_tx_floor_us, self.policy.max_tx_ceil_us)',
      'interval_us.max(self.policy.min_tx_floor_us)',
    ],
    ts: [
      'Math.min(Math.max(intervalUs, this.policy.minTxFloorUs), this.policy.maxTxCeilUs)',
      'Math.max(intervalUs, this.policy.minTxFloorUs)',
    ],
  },
  {
    rule: 'rxInterval: the peer’s interval counts',
    rustIntervals: ['self.peer.tx_min_us.max(desired).max(min_tx_floor_us)', 'desired.max(min_tx_floor_us)'],
    ts: ['Math.max(this.peer.txMinUs, desired, minTxFloorUs)', 'Math.max(desired, minTxFloorUs)'],
  },
  {
    rule: 'rxInterval: our own interval counts',
    rustIntervals: ['self.peer.tx_min_us.max(desired).max(min_tx_floor_us)', 'self.peer.tx_min_us.max(min_tx_floor_us)'],
    ts: ['Math.max(this.peer.txMinUs, desired, minTxFloorUs)', 'Math.max(this.peer.txMinUs, minTxFloorUs)'],
  },
  {
    rule: 'rxInterval: not below the floor',
    rustIntervals: [
      'self.peer.tx_min_us.max(desired).max(min_tx_floor_us)',
      'self.peer.tx_min_us.max(desired).max(min_tx_floor_us / 1000)',
    ],
    ts: ['Math.max(this.peer.txMinUs, desired, minTxFloorUs)', 'Math.max(this.peer.txMinUs, desired)'],
  },
  {
    rule: 'rxInterval: under reference not above the ceiling',
    rustIntervals: ['agreed.min(max_tx_ceil_us)', 'agreed.min(max_tx_ceil_us * 2)'],
    ts: ['agreed : Math.min(agreed, maxTxCeilUs)', 'agreed : Math.min(agreed, 2 * maxTxCeilUs)'],
  },
  {
    rule: 'detectTime: our own multiplier, not the peer’s',
    rustIntervals: ['P::detect_mult(self.detect_mult, self.peer.detect_mult)', 'P::detect_mult(self.peer.detect_mult, self.detect_mult)'],
    tsLiveness: ['({ own }) => own', '({ peer }) => peer'],
  },
  {
    rule: 'detectTime: the receive interval, not the transmit interval',
    rustIntervals: ['self.peer.detect_mult)) * self.rx_interval_us()', 'self.peer.detect_mult)) * self.tx_interval_us()'],
    ts: ['detectMult(this.#multipliers) * this.rxIntervalUs', 'detectMult(this.#multipliers) * this.txIntervalUs'],
  },
  {
    rule: 'the advertised transmit interval is clamped',
    rustSending: ['P::advertised_tx_us(self.state, self.within_bounds(self.tx_min_us))', 'self.tx_min_us'],
    ts: ['advertisedTxUs(this.state, this.#withinBounds(this.timers.txMinUs))', 'advertisedTxUs(this.state, this.timers.txMinUs)'],
  },
  {
    rule: 'the advertised receive interval is clamped',
    rustSending: ['required_min_rx_us: self.within_bounds(self.rx_min_us),', 'required_min_rx_us: self.rx_min_us,'],
    ts: ['requiredMinRxUs: this.#withinBounds(this.timers.rxMinUs)', 'requiredMinRxUs: this.timers.rxMinUs'],
  },
  {
    rule: 'next transmit: jitter down to −10 %',
    rustLiveness: [
      '(interval_us - interval_us / 10, interval_us + interval_us / 10)',
      '(interval_us - interval_us / 20, interval_us + interval_us / 10)',
    ],
    tsJitter: [': intervalUs - tenth;\n  const most', ': intervalUs;\n  const most'],
  },
  {
    rule: 'next transmit: jitter up to +10 %',
    rustLiveness: ['(interval_us - interval_us / 10, interval_us + interval_us / 10)', '(interval_us - interval_us / 10, interval_us)'],
    tsJitter: [': intervalUs + tenth;', ': intervalUs;'],
  },
  {
    rule: 'next transmit: −25 % … −10 % where the peer’s multiplier is 1',
    rustLiveness: ['if peer_mult == 1 {', 'if peer_mult == 0 {'],
    tsJitter: ['peerDetectMult === 1', 'peerDetectMult === 0'],
  },
  {
    rule: 'next transmit: no more than −25 %',
    rustLiveness: ['interval_us - interval_us / 4', 'interval_us - interval_us / 5'],
    tsJitter: ['Math.floor(intervalUs / 4)', 'Math.floor(intervalUs / 5)'],
  },
  {
    rule: 'next transmit: no less than −10 %',
    rustLiveness: ['interval_us / 4, interval_us - interval_us / 10)', 'interval_us / 4, interval_us)'],
    tsJitter: ['isStrict ? intervalUs - tenth : intervalUs + tenth', 'isStrict ? intervalUs : intervalUs + tenth'],
  },
  {
    rule: 'next transmit: by the peer’s multiplier, not ours',
    rustSending: [
      'P::jitter_bounds_us(interval_us, self.detect_mult, self.peer.detect_mult)',
      'P::jitter_bounds_us(interval_us, self.peer.detect_mult, self.detect_mult)',
    ],
    tsLiveness: [
      '(intervalUs, { peer }, random) => jittered(intervalUs, peer, random)',
      '(intervalUs, { own }, random) => jittered(intervalUs, own, random)',
    ],
  },
  {
    rule: 'next transmit: one random number for each packet',
    rustJitter: ['self.0 ^= self.0 << 13;', 'self.0 ^= self.0 << 12;'],
    tsJitter: ['state ^= state << 13;', 'state ^= state << 12;'],
  },
  {
    rule: 'backoff: only while Down',
    rustSending: ['if self.state == State::Down {\n            self.doublings', 'if self.state != State::Up {\n            self.doublings'],
    ts: ["if (this.state === 'down') this.#doublings", "if (this.state !== 'up') this.#doublings"],
  },
  {
    rule: 'backoff: doubles while Down',
    rustSending: ['if self.state == State::Down {\n            self.doublings', 'if false {\n            self.doublings'],
    ts: ["if (this.state === 'down') this.#doublings", 'if (false as boolean) this.#doublings'],
  },
  {
    rule: 'backoff: the factor starts at 1',
    rust: ['doublings: 0,', 'doublings: 1,'],
    ts: ['#doublings = 0;\n  #forgetAt', '#doublings = 1;\n  #forgetAt'],
  },
  {
    rule: 'backoff: the factor doubles',
    rustSending: ['(self.doublings + 1)', '(self.doublings + 2)'],
    tsLiveness: ['agreedUs * 2 ** doublings', 'agreedUs * 3 ** doublings'],
  },
  {
    rule: 'backoff: at most backoffMax',
    rustLiveness: ['(agreed_us << doublings).min(longest_us)', 'agreed_us << doublings'],
    tsLiveness: ['Math.min(agreedUs * 2 ** doublings, Math.max(backoffMaxUs, agreedUs))', 'agreedUs * 2 ** doublings + 0 * backoffMaxUs'],
  },
  {
    rule: 'backoff: never faster than either side wants',
    rustLiveness: ['backoff_max_us.max(agreed_us)', 'backoff_max_us'],
    tsLiveness: ['Math.max(backoffMaxUs, agreedUs)', 'backoffMaxUs'],
  },
  {
    rule: 'detection: runs in Init',
    rustIntervals: [
      'State::AdminDown | State::Down => None,',
      'State::AdminDown | State::Down | State::Init => None,\n            #[expect(unreachable_patterns)]',
    ],
    ts: ["return this.state === 'init' ? Math.max", "return this.state === 'down' ? Math.max"],
  },
  {
    rule: 'detection: runs in Up',
    rustIntervals: ['State::Up => Some(self.detect_time_us()),', 'State::Up => None,'],
    ts: ["if (this.state === 'up') return this.detectTimeUs;", "if (this.state === 'up') return undefined;"],
  },
  {
    rule: 'detection: not in Down',
    rustIntervals: [
      'State::AdminDown | State::Down => None,',
      'State::AdminDown => None,\n            State::Down => Some(self.detect_time_us()),',
    ],
    ts: [
      "return this.state === 'init' ? Math.max(this.detectTimeUs, this.#leastInitUs) : undefined;",
      'return Math.max(this.detectTimeUs, this.#leastInitUs);',
    ],
  },
  {
    rule: 'detection: Down at the deadline itself',
    rust: ['self.detect_deadline.is_none_or(|deadline| deadline > now)', 'self.detect_deadline.is_none_or(|deadline| deadline >= now)'],
    ts: [
      'this.detectDeadline === undefined || this.detectDeadline > now',
      'this.detectDeadline === undefined || this.detectDeadline >= now',
    ],
  },
  {
    rule: 'peer’s receive interval: clamped',
    rustIntervals: ['self.within_bounds(header.required_min_rx_us)', 'header.required_min_rx_us / 2'],
    ts: [': this.#withinBounds(requiredMinRxUs)', ': Math.floor(requiredMinRxUs / 2)'],
  },
  {
    rule: 'convUpStart: the first valid packet while Down',
    rust: [
      'if self.state == State::Down && header.state != State::AdminDown {\n            self.timestamps.conv_up_start.get_or_insert(arrival);',
      'if header.state != State::AdminDown {\n            self.timestamps.conv_up_start = Some(arrival);',
    ],
    ts: [
      "if (this.state === 'down' && packet.state !== 'admin_down') this.timestamps.convUpStart ??= arrival;",
      "if (packet.state !== 'admin_down') this.timestamps.convUpStart = arrival;",
    ],
  },
  {
    rule: 'convUpStart: an AdminDown does not count',
    rust: ['if self.state == State::Down && header.state != State::AdminDown {', 'if self.state == State::Down {'],
    ts: ["if (this.state === 'down' && packet.state !== 'admin_down') this.timestamps", "if (this.state === 'down') this.timestamps"],
  },
  {
    rule: 'convDownStart: lastRx + rxInterval',
    rust: ['self.last_rx.map_or(now, |last| last.plus(self.rx_interval_us()))', 'self.last_rx.map_or(now, |last| last.plus(0))'],
    ts: ['this.lastRx === undefined ? now : this.lastRx + this.rxIntervalUs', 'this.lastRx === undefined ? now : this.lastRx'],
  },
  {
    rule: 'convDownStart: after a received Down, its arrival',
    rust: [
      'self.timestamps.conv_down_start = Some(since);',
      'self.timestamps.conv_down_start = self.last_rx.map(|last| last.plus(self.rx_interval_us()));',
    ],
    ts: ['this.timestamps.convDownStart = since;', 'this.timestamps.convDownStart = (this.lastRx ?? since) + this.rxIntervalUs;'],
  },
];

const TS_ONLY = [
  {
    ...TS,
    rule: 'armDetect: a stale deadline is set anew',
    from: 'this.detectDeadline = now + this.detectTimeUs;\n    return',
    to: 'return',
  },
  {
    ...TS,
    rule: 'armDetect: a deadline that lies ahead is left',
    from: 'if (this.detectDeadline !== undefined && this.detectDeadline <= now)',
    to: 'if (this.detectDeadline !== undefined)',
  },
  { ...TS_INTERVALS, rule: 'default: minTxFloor 50 ms', from: 'minTxFloor: 50,', to: 'minTxFloor: 40,' },
  { ...TS_INTERVALS, rule: 'default: maxTxCeil 1 s', from: 'maxTxCeil: 1_000 }', to: 'maxTxCeil: 2_000 }' },
  {
    ...TS_SESSION,
    rule: 'default: backoffMax is maxTxCeil',
    from: 'const { backoffMax = maxTxCeil,',
    to: 'const { backoffMax = 2 * maxTxCeil,',
  },
  { ...TS_SESSION, rule: 'default: the reference’s rules', from: 'rules = REFERENCE } = options', to: 'rules = ROBUST } = options' },
];

const BFD = [
  {
    rule: 'BFD: Down ignores Up',
    rustBfdTable: ['(State::Down, State::Up) => State::Down,', '(State::Down, State::Up) => State::Up,'],
    tsBfdTable: ["return received === 'init' ? 'up' : 'down';", "return received.length > 0 ? 'up' : 'down';"],
  },
  {
    rule: 'BFD: Init stays in Init on a Down',
    rustBfdTable: ['(State::Init, State::Down) => State::Init,', '(State::Init, State::Down) => State::Down,'],
    tsBfdTable: ["return received === 'down' ? 'init' : 'up';", "return received === 'down' ? 'down' : 'up';"],
  },
  {
    // An engine finds no session for such a packet: only the table's own test sees it.
    rule: 'BFD: a packet that names another session is dropped in Down, too',
    tsBfdTable: ["if (names === 'another') return", "if (names === 'another' && state !== 'down') return"],
  },
  {
    rule: "BFD: the peer's multiplier counts",
    rustBfd: [
      'fn detect_mult(_: u8, peer: u8) -> u8 {\n        peer',
      'fn detect_mult(own: u8, peer: u8) -> u8 {\n        own.max(peer.min(1))',
    ],
    tsBfd: ['({ peer }) => peer', '({ own, peer }) => Math.max(own, Math.min(peer, 1))'],
  },
  {
    rule: 'BFD: at most 90 % of the interval with a multiplier of 1',
    rustBfd: ['if local_mult == 1 {', 'if local_mult == 0 {'],
    tsBfd: ['own === 1 ?', 'own === 0 ?'],
  },
  {
    rule: 'BFD: slow while not Up',
    rustBfd: ['if state == State::Up { agreed_us }', 'if state >= State::Init { agreed_us }'],
    tsBfd: ["(state === 'up' ? agreedUs :", "(state !== 'down' ? agreedUs :"],
  },
  {
    rule: 'BFD: says that it is slow while not Up',
    rustBfd: ['if state == State::Up { wanted_us }', 'if state >= State::Init { wanted_us }'],
    tsBfd: ["(state === 'up' ? wantedUs :", "(state !== 'down' ? wantedUs :"],
  },
  {
    rule: 'BFD: AdminDown is said for the detection time of the peer',
    rustBfd: ['told_us.max(detect_time_us)', 'told_us.min(detect_time_us)'],
    tsBfd: ['Math.max(toldUs, detectTimeUs)', 'Math.min(toldUs, detectTimeUs)'],
  },
  {
    rule: 'BFD: previous timers count until the Final',
    rustBfd: ['u64::MAX', '100_000'],
    tsBfd: ['() => Infinity', '() => 100_000'],
  },
  {
    rule: 'BFD: never Poll and Final together',
    rustBfd: ['specifics.poll().is_active() && !is_answer', 'specifics.poll().is_active()'],
    tsBfd: ['poll: specifics.polling && !isAnswer', 'poll: specifics.polling'],
  },
  {
    rule: 'BFD: a Poll is answered',
    rustBfdSpecifics: ['self.owes_final = packet.poll;', 'self.owes_final = false;'],
    tsBfdSpecifics: ['this.#owesFinal = packet.poll;', 'this.#owesFinal = false;'],
  },
  {
    rule: 'BFD: a session that comes Up polls',
    rustBfdSpecifics: ['self.local_diag = Diagnostic::None;\n                self.poll.begin();', 'self.local_diag = Diagnostic::None;'],
    tsBfdSpecifics: ['is another one since.\n      this.#poll.begin();', 'is another one since.'],
  },
  {
    rule: 'BFD: a Poll ends when the session goes Down',
    rustBfdSpecifics: ['                self.poll = Poll::Idle;\n', ''],
    tsBfdSpecifics: ['      this.#poll.end();\n', ''],
  },
  {
    rule: 'BFD: a peer that requires no packets gets none periodically',
    rustBfdSpecifics: ['self.remote_receives_nothing ||', 'false ||'],
    tsBfdSpecifics: ['this.#remoteReceivesNothing ||', '(false as boolean) ||'],
  },
  {
    rule: 'BFD: Demand counts only while both are Up',
    rustBfdSpecifics: ['self.remote_demand && both_are_up &&', 'self.remote_demand &&'],
    tsBfdSpecifics: ['this.#remoteDemand && bothAreUp &&', 'this.#remoteDemand && (bothAreUp || state.length > 0) &&'],
  },
  {
    rule: 'BFD: a passive session is silent before it hears its peer',
    rustBfdSpecifics: ['self.role == Role::Passive && !knows_peer', 'self.role == Role::Passive && knows_peer'],
    tsBfdSpecifics: ['this.#isPassive && !knowsPeer', 'this.#isPassive && knowsPeer'],
  },
  {
    rule: 'BFD: a Final that may answer an earlier Poll is followed by another Poll',
    rustBfdPoll: ['Poll::Sent | Poll::SentAndChanged => Poll::SentAndChanged,', 'Poll::Sent | Poll::SentAndChanged => Poll::Sent,'],
    tsBfdPoll: ["? 'begun' : 'sent_and_changed'", "? 'begun' : 'sent'"],
  },
  {
    rule: 'BFD: a sequence number is in the window',
    rustBfdSequence: ['step <= window &&', 'step <= 2 * window &&'],
    tsBfdSequence: ['step <= window &&', 'step <= 2 * window &&'],
  },
  {
    rule: 'BFD: a meticulous sequence number never repeats',
    rustBfdSequence: ['(step > 0 || !is_meticulous)', '(step > 0 || !is_meticulous || is_meticulous)'],
    tsBfdSequence: ['(step > 0 || !isMeticulous)', '(step >= 0 || !isMeticulous)'],
  },
  {
    rule: 'BFD: sequence numbers are forgotten after two silent detection times',
    rustBfdSequence: ['< 2 * detect_time_us', '< 2_000 * detect_time_us'],
    tsBfdSequence: ['>= 2 * detectTimeUs', '>= 2_000 * detectTimeUs'],
  },
];

/** What snapshots and metrics tell of a session's life. */
const LIFE = [
  {
    rule: 'flaps: counted where a session leaves Up',
    rust: ['self.flaps = self.flaps.saturating_add(1);', 'self.flaps = self.flaps.saturating_add(2);'],
    ts: ['this.flaps = Math.min(this.flaps + 1, MOST_COUNTED);', 'this.flaps = Math.min(this.flaps + 2, MOST_COUNTED);'],
  },
  {
    rule: 'worst gap: the longest, rounded up',
    rust: ['gap_us.div_ceil(1_000)', 'gap_us / 1_000'],
    ts: ['Math.ceil(gapUs / 1_000)', 'Math.floor(gapUs / 1_000)'],
  },
  {
    rule: 'worst gap: begins anew with each Up',
    rust: ['                self.worst_gap_ms = 0;\n', ''],
    ts: ['      this.worstGapMs = 0;\n', ''],
  },
];

/** How sessions outlive their process; only the native engine has it. */
const RESTARTS = [
  {
    rule: 'restart: silence counts from the start of the successor, for the whole detection time',
    rustContinuation: ['.map(|us| now.plus(us));', '.map(|us| now.plus(us / 2));'],
  },
  {
    rule: 'restart: timers that the peer has not heard of count as before',
    rustContinuation: ['session.previous = saved.previous.map(Box::new);', 'session.previous = None;'],
  },
  {
    rule: 'restart: a session that the peer has given up begins anew',
    rustResuming: ['if age_us >= session.peer_patience_us() {', 'if age_us > session.peer_patience_us() {'],
  },
  {
    rule: 'restart: what the peer says anew is written down',
    rustContinuation: ['!= (peer.discr, peer.tx_min_us, peer.rx_min_us)', '!= (peer.discr, self.peer.tx_min_us, peer.rx_min_us)'],
  },
  {
    rule: 'restart: what is out of service is not gone on with',
    rustContinuation: ['        if self.state == State::AdminDown {\n            return None;\n        }\n', ''],
  },
  {
    rule: 'restart: a discriminator that was forgotten is not named again',
    rustContinuation: ['session.forget_at = Some(heard_at.plus(', 'session.forget_at = Some(now.plus('],
  },
  {
    rule: 'BFD: a restart begins its Poll anew',
    rustBfdSpecifics: ['if flags & POLLING != 0 {', 'if flags & POLLING != 0 && false {'],
  },
];

const REPEATS = [
  {
    rule: 'repeats: a packet that was not accepted says nothing of the next',
    watching: [
      'if self.handle_packet(now, datagram.arrival, index, &packet) {',
      'if self.handle_packet(now, datagram.arrival, index, &packet) || true {',
    ],
  },
  {
    rule: 'repeats: while previous timers count every packet is heard',
    watchedSession: ['            && self.previous.is_none()\n', ''],
  },
  {
    rule: 'repeats: only a session that is Up has some',
    watchedSession: ['self.state == State::Up\n            &&', 'true &&'],
  },
  { rule: 'repeats: a Poll is answered each time', watchedBfd: ['!packet.poll && !packet.is_final', '!packet.is_final'] },
  { rule: 'repeats: a Final is heard', watchedBfd: ['!packet.poll && !packet.is_final', '!packet.poll'] },
  { rule: 'repeats: a datagram with more than a packet is heard', watching: ['bytes.len() == P::PLAIN_LEN && ', ''] },
  {
    rule: 'repeats: they count before a detection time is judged',
    watchedDetection: [
      'self.take_repeats(index);\n        let slot = self.sessions.get_mut(index);\n        let is_due',
      'let slot = self.sessions.get_mut(index);\n        let is_due',
    ],
  },
  {
    rule: 'repeats: they end where the detection time is extended',
    watchedDetection: ['self.end_repeats(index);\n            let slot', 'let slot'],
  },
  { rule: 'repeats: they end with Up', watchedEngine: ['if from == State::Up {\n            self.end_repeats(index);\n        }', ''] },
  {
    rule: 'repeats: other timers end them',
    watchedEngine: [
      'self.end_repeats(index);\n        let slot = self.sessions.get_mut(index);\n        slot.session.set_timers',
      'let slot = self.sessions.get_mut(index);\n        slot.session.set_timers',
    ],
  },
  {
    rule: 'repeats: other keys end them',
    watchedEngine: [
      'self.end_repeats(index);\n        self.sessions.get_mut(index).session.set_options',
      'self.sessions.get_mut(index).session.set_options',
    ],
  },
  {
    rule: 'repeats: another least TTL ends them',
    watchedEngine: ['self.end_repeats(index);\n        self.sessions.get_mut(index).min_ttl', 'self.sessions.get_mut(index).min_ttl'],
  },
  {
    rule: 'repeats: the longest gap between them counts',
    watchedSession: ['        self.note_gap(worst_gap_us);\n', ''],
  },
  {
    rule: 'filter: a datagram of another length is handed over',
    filter: ['p.jump_if_value(If::NotEqual, R2, UDP_HEADER + narrow(packet_len), hand_over);', ''],
  },
  {
    rule: 'filter: a packet that differs is handed over',
    filter: [
      'PAYLOAD + field(at));\n        p.load(Width::Double, R2, PLACE, field(offset_of!(Place, image) + at));\n        p.jump_if(If::NotEqual, R1, R2, hand_over);',
      'PAYLOAD + field(at));',
    ],
  },
  {
    rule: 'filter: a packet by another interface is handed over',
    filter: ['p.jump_if(If::NotEqual, R1, R2, hand_over);\n    p.here(any_interface);', 'p.here(any_interface);'],
  },
  { rule: 'filter: a packet with a lower TTL is handed over', filter: ['p.jump_if(If::Less, R1, R2, hand_over);', ''] },
  {
    rule: 'filter: a packet from or to another address is handed over',
    filter: ['p.load(Width::Word, R2, PLACE, known);\n            p.jump_if(If::NotEqual, R1, R2, hand_over);', ''],
  },
  {
    rule: 'filter: a session that is disarmed is handed every packet',
    filter: ['p.jump_if_value(If::NotEqual, R1, 0, found);', 'p.jump(found);'],
  },
  {
    rule: 'filter: it notes when a repeat arrived',
    filter: ['p.store(Width::Double, PLACE, field(offset_of!(Place, heard_ns)), R0);', ''],
  },
  { rule: 'filter: it counts repeats', filter: ['p.add_in_memory(PLACE, field(offset_of!(Place, count)), R1);', ''] },
  { rule: 'filter: it counts the repeats of all sessions', filter: ['p.add_in_memory(R0, field(offset_of!(Place, total)), R1);', ''] },
];

const ROUTES = [
  {
    rule: 'sweep: an object of another protocol number stays',
    rustObjectSweep: ['is_of_family && object.protocol == self.protocol && self.range', 'is_of_family && self.range'],
  },
  {
    rule: 'sweep: an object that came into a group meanwhile is put back',
    rustObjectSweep: ['        if members.contains(&object.id) {', '        if members.is_empty() && members.contains(&object.id) {'],
  },
  {
    rule: 'objects: a route that is not there keeps to its next hop when others move with their object',
    rustObjects: ['if !uses.contains(&true) {', 'if uses.contains(&false) {'],
  },
  {
    rule: 'objects: an adopted route on another object counts as installed',
    rustEntry: ['self.is_present() || self.elsewhere().is_some()', 'self.is_present()'],
  },
  {
    rule: 'objects: what others do to one that was refused is heard',
    rustNextHop: ['if !self.may_be_there && !matches!(self.state, ObjectState::Refused(_)) {', 'if !self.may_be_there {'],
  },
  {
    rule: 'objects: what others do to one while the kernel is asked to move it is heard',
    rustNextHop: [
      'if let Some(by_rival) = object.doubted.take() {',
      'if let Some(by_rival) = object.doubted.take().filter(|_| object.state == ObjectState::Present) {',
    ],
  },
  {
    rule: 'objects: one that could not be moved is asked for when its route is armed again',
    rustPlanner: ['self.next_hops.found(entry.route.object(), spec.id);', ''],
  },
  {
    rule: 'objects: a deletion that failed is made again when the object has moved',
    rustObjects: ['            self.enqueue(id, now);\n        }\n        Some(news)', '        }\n        Some(news)'],
  },
  {
    rule: 'objects: routes go with one only where all of their session are looked at',
    rustObjects: [
      '.flat_map(|session| self.routes_of(*session)).filter(follows).collect();',
      '.flat_map(|session| self.routes_of(*session)).collect();',
    ],
  },
  {
    rule: 'objects: an adopted route on another object stays while its session is suppressed',
    rustEntry: ['self.presence != Presence::Absent || self.elsewhere().is_some()', 'self.presence != Presence::Absent'],
  },
  {
    rule: 'objects: a number that was refused and leads another way is given up',
    rustNextHop: ['matches!(self.state(id), Some(ObjectState::Refused(_))).then', 'matches!(self.state(id), None).then'],
  },
  {
    rule: 'objects: one that no route needs is not deleted unasked where others have touched it',
    rustNextHop: [
      'let op = if is_ours { ObjectOp::Delete } else { ObjectOp::Add };',
      'let op = if is_ours { ObjectOp::Delete } else { ObjectOp::Delete };',
    ],
  },
  {
    rule: 'IPv6: a route that must stay and was never there leaves no siblings',
    rustEntry: ['.previous_to_leave()\n                .or_else(|| self.previous_on_failed_backup())', '.previous_on_failed_backup()'],
  },
];

const FILES = {
  watching: { engine: 'filter', file: 'crate/src/engine/watching.rs' },
  watchedEngine: { engine: 'filter', file: 'crate/src/engine/mod.rs' },
  watchedDetection: { engine: 'filter', file: 'crate/src/engine/detection.rs' },
  watchedSession: { engine: 'filter', file: 'crate/src/protocol/session.rs' },
  watchedBfd: { engine: 'filter', file: 'crate/src/protocol/bfd/specifics.rs' },
  filter: { engine: 'filter', file: 'crate/src/net/repeat_filter.rs' },
  rustObjectSweep: { engine: 'rust', file: 'crate/src/routes/object_sweep.rs' },
  rustNextHop: { engine: 'rust', file: 'crate/src/routes/next_hop.rs' },
  rustObjects: { engine: 'rust', file: 'crate/src/routes/planner/objects.rs' },
  rustPlanner: { engine: 'rust', file: 'crate/src/routes/planner.rs' },
  rustEntry: { engine: 'rust', file: 'crate/src/routes/entry.rs' },
  rustContinuation: RUST_CONTINUATION,
  rustResuming: RUST_RESUMING,
  rustBfd: RUST_BFD,
  rustBfdTable: RUST_BFD_TABLE,
  rustBfdSpecifics: RUST_BFD_SPECIFICS,
  rustBfdPoll: RUST_BFD_POLL,
  rustBfdSequence: RUST_BFD_SEQUENCE,
  tsBfd: TS_BFD,
  tsBfdTable: TS_BFD_TABLE,
  tsBfdSpecifics: TS_BFD_SPECIFICS,
  tsBfdPoll: TS_BFD_POLL,
  tsBfdSequence: TS_BFD_SEQUENCE,
  rust: RUST,
  rustSending: RUST_SENDING,
  rustIntervals: RUST_INTERVALS,
  rustRules: RUST_RULES,
  rustJitter: RUST_JITTER,
  rustDetection: RUST_DETECTION,
  rustTable: RUST_TABLE,
  rustLiveness: RUST_LIVENESS,
  ts: TS,
  tsTable: TS_TABLE,
  tsLiveness: TS_LIVENESS,
  tsRules: TS_RULES,
  tsJitter: TS_JITTER,
  tsTimeline: TS_TIMELINE,
};

/** @type {{ engine: 'rust' | 'ts' | 'filter', file: string, rule: string, from: string, to: string }[]} */
export const MUTATIONS = [
  ...[...STATE_TABLE, ...RULE_SETS, ...RULE_DETAILS, ...FORMULAS, ...LIFE, ...BFD, ...RESTARTS, ...REPEATS, ...ROUTES].flatMap(
    ({ rule, ...changes }) => Object.entries(changes).map(([where, [from, to]]) => ({ ...FILES[where], rule, from, to })),
  ),
  ...TS_ONLY,
];
