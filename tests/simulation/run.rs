//! One run: everything happens in an order that the seed decides, then the faults end, and what has come of it is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use schemas::outcome::Kind;
use schemas::subjects;
use uuid::Uuid;

use super::clickhouse::ClickHouse;
use super::gateway::Gateway;
use super::nats::{Event, Nats};
use super::recorder::{LATE_MS, Recorder, World};
use super::rng::Rng;
use super::sabotage::Sabotage;

const PARTITIONS: u16 = 2;
const KINDS: [Kind; 3] = [Kind::Stream, Kind::Candidate, Kind::Failure];
/// After the faults everything must have come to rest within so many steps.
const REST_STEPS: usize = 15_000;

/// What may happen in a run; each seed tries some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    GatewayCrash,
    RecorderCrash,
    RecorderFreeze,
    RecorderStop,
    PublishLost,
    AckLost,
    Duplicate,
    NatsRestart,
    NatsWipe,
    NatsRollBack,
    KvLost,
    NatsRequest,
    ClickHouse,
    Retire,
}

const CHANCES: u16 = 14;

/// A run, and all that is needed to repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub steps: usize,
    /// A bit for each [`Chance`].
    pub chances: u16,
}

impl Plan {
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let some = (rng.next() & rng.next()) as u16;
        // One run in eight has everything at once.
        let chances = if rng.below(8) == 0 { u16::MAX } else { some } & ((1 << CHANCES) - 1);
        Self { seed, steps: 200 + rng.index(1000), chances }
    }

    fn has(&self, chance: Chance) -> bool {
        self.chances & (1 << chance as u16) != 0
    }

    /// What `WEIR_SIMULATION` names.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let seed = parts.next()?.parse().ok()?;
        let whole = Self::of_seed(seed);
        let steps = parts.next().map_or(Some(whole.steps), |part| part.parse().ok())?;
        let chances = parts.next().map_or(Some(whole.chances), |part| part.parse().ok())?;
        Some(Self { seed, steps, chances })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.seed, self.steps, self.chances)
    }
}

/// What a run that ended well has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub events: u64,
    pub faults: u64,
}

/// A copy of a pack on its way.
struct Sent {
    epoch: Uuid,
    id: Rc<str>,
    partition: u16,
    events: Rc<[Event]>,
}

struct Run {
    plan: Plan,
    sabotage: Sabotage,
    rng: Rng,
    now_ms: u64,
    base: Instant,
    nats: Nats,
    clickhouse: ClickHouse,
    gateways: Vec<Gateway>,
    recorders: Vec<Recorder>,
    named: u64,
    /// Copies of packs on their way, in no order.
    network: Vec<Sent>,
    appended: Vec<Event>,
    ended: BTreeMap<Uuid, BTreeMap<u16, u64>>,
    /// NATS has lost data while a block had reached the table and not its views.
    views_excused: bool,
    tally: Tally,
}

/// Runs a plan; the error says which promise was broken.
pub fn run(plan: Plan, sabotage: Sabotage) -> Result<Tally, String> {
    let mut run = Run {
        plan,
        sabotage,
        rng: Rng::new(plan.seed),
        now_ms: 0,
        base: Instant::now(),
        nats: Nats::default(),
        clickhouse: ClickHouse::default(),
        gateways: (0..2).map(|index| Gateway::new(Uuid::from_u128(100 + index))).collect(),
        recorders: Vec::new(),
        named: 0,
        network: Vec::new(),
        appended: Vec::new(),
        ended: BTreeMap::new(),
        views_excused: false,
        tally: Tally::default(),
    };
    run.start_recorder();
    run.start_recorder();
    for step in 0..plan.steps {
        run.now_ms += run.rng.below(120);
        if step % 12 == 0 {
            run.nats.remember();
        }
        run.fault();
        run.step(true)?;
    }
    run.rest()?;
    run.check()?;
    run.tally.events = run.appended.len() as u64;
    Ok(run.tally)
}

impl Run {
    fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    fn start_recorder(&mut self) {
        self.named += 1;
        self.recorders.push(Recorder::new(format!("recorder-{}", self.named), PARTITIONS));
    }

    fn chance(&mut self, chance: Chance, in_thousand: u64) -> bool {
        let happens = self.plan.has(chance) && self.rng.one_in_thousand(in_thousand);
        self.tally.faults += u64::from(happens);
        happens
    }

    /// At most one thing goes wrong with a whole party.
    fn fault(&mut self) {
        if self.chance(Chance::GatewayCrash, 8) {
            let at = self.rng.index(self.gateways.len());
            self.gateways[at].crash();
        } else if self.chance(Chance::RecorderCrash, 8) {
            let at = self.rng.index(self.recorders.len());
            self.recorders.remove(at);
            self.start_recorder();
        } else if self.chance(Chance::RecorderFreeze, 8) {
            let (at, time_ms) = (self.rng.index(self.recorders.len()), self.rng.below(25_000));
            self.recorders[at].frozen_until = self.now_ms + time_ms;
        } else if self.chance(Chance::RecorderStop, 6) {
            let at = self.rng.index(self.recorders.len());
            self.recorders[at].stopping = true;
        } else if self.chance(Chance::NatsRestart, 8) {
            self.nats.restart();
        } else if self.clickhouse.raw.is_empty() {
            // Before the first row nothing can be learnt from ClickHouse; see docs/ledger.md.
        } else if self.chance(Chance::NatsWipe, 4) {
            self.data_lost();
            self.nats.wipe();
        } else if self.chance(Chance::NatsRollBack, 6) {
            self.data_lost();
            let Self { nats, rng, .. } = self;
            nats.roll_back(|states| rng.index(states));
        } else if self.chance(Chance::KvLost, 4) {
            self.data_lost();
            self.nats.lose_kv();
        }
    }

    fn data_lost(&mut self) {
        self.views_excused |= self.clickhouse.half_written() > 0;
    }

    fn step(&mut self, appends: bool) -> Result<(), String> {
        self.tally.steps += 1;
        self.clickhouse.pass(self.now_ms);
        match self.rng.below(10) {
            0..=2 => self.gateway(appends)?,
            3..=4 => self.deliver(),
            _ => self.recorder(),
        }
        Ok(())
    }

    fn gateway(&mut self, appends: bool) -> Result<(), String> {
        let (now, at) = (self.now(), self.rng.index(self.gateways.len()));
        if !self.gateways[at].is_up {
            if self.rng.below(6) == 0 {
                self.ended.remove(&self.gateways[at].epoch);
                self.gateways[at].start();
            } else if self.chance(Chance::Retire, 300) {
                let gateway = &self.gateways[at];
                self.ended.insert(gateway.epoch, gateway.last.clone());
            }
            return Ok(());
        }
        let (some, gateway) = (self.rng.below(8), &mut self.gateways[at]);
        match self.rng.below(8) {
            0..=1 if appends => {
                let partition = u16::try_from(self.rng.below(u64::from(PARTITIONS))).unwrap_or(0);
                for _ in 0..=some {
                    let kind = KINDS[self.rng.index(KINDS.len())];
                    self.appended.push(gateway.append(partition, kind));
                }
            }
            0..=4 => {
                gateway.ship(some, now);
                self.send(at);
            }
            5 => {
                gateway.look(&mut self.nats, PARTITIONS, now, self.sabotage);
                let gone = gateway.trim(self.sabotage);
                if let Some(event) = gone.iter().find(|event| !self.clickhouse.raw.contains_key(event)) {
                    return Err(format!("the gateway has trimmed {event:?}, which ClickHouse does not hold"));
                }
            }
            _ => self.send(at),
        }
        Ok(())
    }

    /// Sends a pack that is not acknowledged, for the first time or again.
    fn send(&mut self, at: usize) {
        if self.gateways[at].flying.is_empty() {
            return;
        }
        let index = self.rng.index(self.gateways[at].flying.len());
        let gateway = &self.gateways[at];
        let flight = gateway.flying[index].clone();
        let copy = Sent { epoch: gateway.epoch, id: flight.id, partition: flight.partition, events: flight.events };
        // A publish is repeated when its answer has not come for long; the earlier copy may still be on its way.
        let is_on_its_way = self.network.iter().any(|sent| (&sent.id, &sent.events) == (&copy.id, &copy.events));
        if is_on_its_way && !self.chance(Chance::Duplicate, 200) {
            return;
        }
        if !self.chance(Chance::PublishLost, 150) {
            self.network.push(copy);
        }
    }

    /// One copy of a pack, any of those on their way, arrives.
    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.rng.index(self.network.len());
        let Sent { epoch, id, partition, events } = self.network.swap_remove(at);
        let is_taken = self.nats.publish(partition, &id, &events, self.now_ms);
        if !is_taken || self.chance(Chance::AckLost, 150) {
            return;
        }
        let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.epoch == epoch) else { return };
        let flight = gateway.flying.iter().position(|flight| flight.id == id && flight.events == events);
        if let Some(flight) = flight.filter(|_| gateway.is_up) {
            gateway.acknowledged(flight);
        }
    }

    fn recorder(&mut self) {
        let at = self.rng.index(self.recorders.len());
        if self.recorders[at].frozen_until > self.now_ms {
            return;
        }
        let (nats_faults, clickhouse_faults) =
            (u64::from(self.plan.has(Chance::NatsRequest)) * 30, u64::from(self.plan.has(Chance::ClickHouse)) * 200);
        let now = self.now();
        let mut world = World {
            nats: &mut self.nats,
            clickhouse: &mut self.clickhouse,
            rng: &mut self.rng,
            now_ms: self.now_ms,
            now,
            sabotage: self.sabotage,
            nats_faults,
            clickhouse_faults,
            ended: &self.ended,
        };
        self.recorders[at].step(&mut world);
        if self.recorders[at].has_left(&self.nats) {
            self.recorders.remove(at);
            self.start_recorder();
        }
    }

    /// Nothing goes wrong any more, and everything that was appended arrives.
    fn rest(&mut self) -> Result<(), String> {
        self.plan.chances = 0;
        self.ended.clear();
        for recorder in &mut self.recorders {
            recorder.frozen_until = 0;
        }
        for step in 0..REST_STEPS {
            self.now_ms += self.rng.below(120);
            if step % 300 == 299 {
                // What was put off is sent again under a message id that the server remembers for two minutes.
                self.now_ms += subjects::DUPLICATE_WINDOW.as_millis() as u64;
            }
            for gateway in self.gateways.iter_mut().filter(|gateway| !gateway.is_up) {
                gateway.start();
            }
            self.step(false)?;
            if step % 16 == 0 && self.network.is_empty() && self.gateways.iter().all(Gateway::is_settled) {
                self.now_ms += LATE_MS;
                self.clickhouse.pass(self.now_ms);
                return Ok(());
            }
        }
        let held = |event: &&Event| !self.clickhouse.raw.contains_key(event);
        let away: Vec<&Event> = self.appended.iter().filter(held).collect();
        Err(format!("{} events have not arrived and nothing moves, the first {:?}", away.len(), away.first()))
    }

    /// The stored set is the appended set, each once.
    fn check(&self) -> Result<(), String> {
        for event in &self.appended {
            match self.clickhouse.raw.get(event).copied().unwrap_or(0) {
                1 => {}
                rows => return Err(format!("{event:?} has {rows} rows")),
            }
            match self.clickhouse.view.get(event).copied().unwrap_or(0) {
                1 => {}
                0 if self.views_excused => {}
                rows => return Err(format!("{event:?} is counted {rows} times in the views")),
            }
        }
        match self.clickhouse.raw.len() == self.appended.len() {
            true => Ok(()),
            false => Err("ClickHouse holds events that nobody has appended".to_owned()),
        }
    }
}
