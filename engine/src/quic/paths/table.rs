//! What to do with the paths of a connection: pure, with time passed in.
//!
//! Of the paths that answer, the one whose target is named first carries packets; the others wait, kept warm by pings. A path is
//! suspect when nothing that it carries is acknowledged for a while, sooner when another one is heard meanwhile: else it is rather
//! the other host that pauses. It is closed as soon as another one answers: closing it resends elsewhere what it carried. Its target is
//! then tried again, at growing intervals, and takes the packets back when it has answered for a time that grows with its failures.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use noq_proto::{PathId, PathStatus};

use super::reason::PathReason;

/// Shorter than this is what a busy host or a burst in a queue takes.
const LEAST_SILENCE: Duration = Duration::from_millis(100);
/// An acknowledgement may be held back for 25 ms, and both hosts have turns of their own.
const ACKNOWLEDGEMENT_SLACK: Duration = Duration::from_millis(30);
/// How much longer it may be silent when nothing else is heard either.
const WITHOUT_EVIDENCE: u32 = 2;
/// A path in use that was quiet for this long may be dead: a packet that comes over another is answered there.
const QUIET: Duration = Duration::from_millis(50);
/// The acknowledgements of a waiting path come on the path in use.
const BACKUP_PATIENCE: u32 = 4;
/// A timer that runs out this late found the loop busy: what came meanwhile is looked at once more.
const OVERSLEPT: Duration = Duration::from_millis(20);
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// Packets lost on a path that dies are those of one silence; a warm path tells within this that it is alive.
const PING_BUSY: Duration = Duration::from_millis(200);
/// A session without traffic costs a ping in this time; below the 30 s after which NATs forget.
const PING_IDLE: Duration = Duration::from_millis(2_500);
/// How long after its last traffic a session counts as busy.
const BUSY_FOR: Duration = Duration::from_secs(10);

/// The first packets of a path show what it is worth; a path that failed before has to prove more.
const SETTLE: Duration = Duration::from_millis(300);
/// Who waits longer for the better path has the worse one for too long.
const LONGEST_SETTLE: Duration = Duration::from_secs(10);
/// An attempt is answered within three round trips or not at all; its packets are repeated meanwhile.
const GIVE_UP: Duration = Duration::from_secs(2);
/// A path that is back at once is tried at once.
const FIRST_REST: Duration = Duration::from_millis(250);
/// An attempt is four packets; a path that comes back is seen within this.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// Not every address of a peer can be reached from everywhere: what answered none of so many attempts is hardly tried any more.
const PATIENT_ATTEMPTS: u32 = 12;
/// Thousands of peers with an address that can't be reached from here cost next to nothing.
const LONGEST_REST_OF_THE_HOPELESS: Duration = Duration::from_secs(300);
/// As long as no path answers, none is left alone for longer.
const LONGEST_REST_WHEN_DEAD: Duration = Duration::from_millis(500);
/// A path that lasted this long is as good as new.
const GOOD_AS_NEW: Duration = Duration::from_secs(60);

/// Who can send us packets as from anywhere can make us try so many addresses, not more.
const LEARN_INTERVAL: Duration = Duration::from_millis(250);

/// Addresses of a peer that are tried: a handful; the library allows 16 paths.
pub const MAX_TARGETS: usize = 6;
/// Paths that are known at once, with those that are being closed.
const MAX_PATHS: usize = 12;
/// Attempts at once.
const MAX_OPENING: usize = 2;
/// Changes nobody took yet.
const MAX_CHANGES: usize = 32;

/// Where a path may lead. The remote may be a key that stands for a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub remote: SocketAddr,
    /// `None`: whichever the host chooses.
    pub local: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// It is being opened.
    Opening,
    /// Packets go over it.
    Active,
    /// It waits.
    Backup,
    /// It does not answer.
    Suspect,
    Closed,
}

/// A path became what it was not, as told to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathChange {
    pub remote: SocketAddr,
    pub state: PathState,
    pub reason: Option<PathReason>,
}

/// What is seen of a path.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// Packets that wait for an acknowledgement.
    pub in_flight: u64,
    pub acknowledged: Option<u64>,
    pub rtt: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// As a backup.
    Open(Network),
    Close(PathId, PathReason),
    SetStatus(PathId, PathStatus),
    Ping(PathId),
}

#[derive(Debug)]
struct Target {
    network: Network,
    open_at: Instant,
    /// How often its path died, not long after it came.
    failures: u32,
    /// Attempts since the last that was answered.
    unanswered: u32,
    /// Whether the last failure was told.
    told: bool,
    /// Nobody named it: a packet came from there.
    learned: bool,
    /// A packet came from there since it was last tried.
    speaks: bool,
    /// When its last path ended, while another one answered.
    ended_at: Option<Instant>,
}

#[derive(Debug)]
pub struct Path {
    pub id: PathId,
    pub network: Network,
    /// This host's address that it uses, once it is known.
    local: Option<IpAddr>,
    /// Since when that address is gone.
    stranded: Option<Instant>,
    opened_at: Instant,
    pub established_at: Option<Instant>,
    pub status: PathStatus,
    observed: Observation,
    pub jitter: Duration,
    /// Since when something waits for its acknowledgement and none came.
    waiting_since: Option<Instant>,
    /// In this silence: a ping asked whether it is one, and the loop was given a second look.
    asked: bool,
    looked_again: bool,
    pub heard_at: Option<Instant>,
    /// It is to be pinged, so that the other side hears it.
    answer: bool,
    answered_at: Option<Instant>,
    suspect: Option<PathReason>,
    /// What the network says of it: no proof, but a reason to suspect it sooner.
    hint: Option<PathReason>,
    closing: bool,
}

impl Path {
    /// With the address of ours that it goes from, also if it was opened from whichever the host chooses.
    fn used(&self) -> Network {
        Network {
            local: self.network.local.or(self.local),
            ..self.network
        }
    }

    fn is_opening(&self) -> bool {
        self.established_at.is_none() && !self.closing
    }

    fn is_established(&self) -> bool {
        self.established_at.is_some() && !self.closing
    }

    fn is_healthy(&self) -> bool {
        self.is_established() && self.suspect.is_none()
    }

    fn is_usable(&self) -> bool {
        self.is_healthy() && self.stranded.is_none()
    }

    fn is_active(&self) -> bool {
        self.is_established() && self.status == PathStatus::Available
    }

    pub fn state(&self) -> PathState {
        match self.status {
            _ if self.closing => PathState::Closed,
            _ if self.established_at.is_none() => PathState::Opening,
            _ if self.suspect.is_some() => PathState::Suspect,
            PathStatus::Available => PathState::Active,
            PathStatus::Backup => PathState::Backup,
        }
    }

    /// How long it may be silent.
    fn patience(&self) -> Duration {
        let rtt = self.observed.rtt;
        if self.hint.is_some() {
            return rtt + ACKNOWLEDGEMENT_SLACK;
        }
        let patience = LEAST_SILENCE.max(2 * rtt + ACKNOWLEDGEMENT_SLACK);
        match self.status {
            PathStatus::Available => patience,
            PathStatus::Backup => BACKUP_PATIENCE * patience,
        }
    }

    /// How long it may be silent before it is asked: one lost packet is no dead path.
    fn ask_after(&self) -> Duration {
        let answer = self.observed.rtt + ACKNOWLEDGEMENT_SLACK;
        self.patience()
            .saturating_sub(answer)
            .max(ACKNOWLEDGEMENT_SLACK)
    }

    fn wait_anew(&mut self, now: Instant) {
        self.waiting_since = (self.observed.in_flight > 0).then_some(now);
        self.asked = false;
        self.looked_again = false;
    }
}

#[derive(Debug)]
pub struct Table {
    dials: bool,
    targets: Vec<Target>,
    pub paths: Vec<Path>,
    busy_until: Instant,
    ping_at: Instant,
    learn_at: Instant,
    changes: Vec<PathChange>,
}

impl Table {
    /// With the path on which the connection was made.
    pub fn new(dials: bool, network: Network, now: Instant) -> Table {
        let mut table = Table {
            dials,
            targets: Vec::new(),
            paths: Vec::new(),
            busy_until: now + BUSY_FOR,
            ping_at: now + PING_BUSY,
            learn_at: now,
            changes: Vec::new(),
        };
        table.add_path(PathId::ZERO, network, now);
        if let Some(path) = table.paths.first_mut() {
            path.established_at = Some(now);
            path.status = PathStatus::Available;
        }
        table
    }

    fn add_path(&mut self, id: PathId, network: Network, now: Instant) {
        self.paths.push(Path {
            id,
            network,
            local: network.local,
            stranded: None,
            opened_at: now,
            established_at: None,
            status: PathStatus::Backup,
            observed: Observation {
                in_flight: 0,
                acknowledged: None,
                rtt: Duration::ZERO,
            },
            jitter: Duration::ZERO,
            waiting_since: None,
            asked: false,
            looked_again: false,
            heard_at: None,
            answer: false,
            answered_at: None,
            suspect: None,
            hint: None,
            closing: false,
        });
    }

    fn path_mut(&mut self, id: PathId) -> Option<&mut Path> {
        self.paths.iter_mut().find(|path| path.id == id)
    }

    /// The path that packets take.
    pub fn active(&self) -> Option<&Path> {
        let established = || self.paths.iter().filter(|path| path.is_established());
        established()
            .find(|path| path.is_active())
            .or_else(|| established().next())
    }

    pub fn take_changes(&mut self) -> Vec<PathChange> {
        std::mem::take(&mut self.changes)
    }

    fn tell(&mut self, remote: SocketAddr, state: PathState, reason: Option<PathReason>) {
        if self.changes.len() < MAX_CHANGES {
            self.changes.push(PathChange {
                remote,
                state,
                reason,
            });
        }
    }

    // ---- what is known

    /// Where the peer may be reached, best first.
    pub fn set_targets(&mut self, networks: &[Network], now: Instant) {
        let mut old = std::mem::take(&mut self.targets);
        for network in networks {
            let is_named = self.targets.iter().any(|target| target.network == *network);
            if is_named || self.targets.len() >= MAX_TARGETS {
                continue;
            }
            let known = old.iter().position(|target| target.network == *network);
            self.targets.push(match known {
                Some(index) => Target {
                    learned: false,
                    ..old.swap_remove(index)
                },
                None => Target {
                    network: *network,
                    open_at: now,
                    failures: 0,
                    unanswered: 0,
                    told: false,
                    learned: false,
                    speaks: false,
                    ended_at: None,
                },
            });
        }
    }

    /// The network of this host changed: what failed may work now.
    pub fn try_again(&mut self, now: Instant) {
        for target in &mut self.targets {
            target.open_at = now;
        }
    }

    pub fn observe(&mut self, id: PathId, seen: Observation, now: Instant) {
        let Some(path) = self.path_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut path.observed, seen);
        if before.acknowledged != seen.acknowledged {
            path.jitter = path.jitter - path.jitter / 16 + before.rtt.abs_diff(seen.rtt) / 16;
            path.hint = None;
            // It works from this host's other address: behind a relay or a router the other side sees no difference. What came just
            // before may be read just after.
            let late = |since| now.saturating_duration_since(since) >= LEAST_SILENCE;
            if path.stranded.is_some_and(late) {
                (path.stranded, path.local) = (None, None);
            }
            path.wait_anew(now);
            if path.suspect.take().is_some() {
                let (remote, state) = (path.network.remote, path.state());
                self.tell(remote, state, None);
            }
        } else if seen.in_flight == 0 {
            path.wait_anew(now);
        } else if path.waiting_since.is_none() {
            path.waiting_since = Some(now);
        }
    }

    /// A packet came over this network. Returns whether that asks for something.
    pub fn heard(&mut self, network: Network, now: Instant) -> bool {
        let in_use = self.active().map(|path| (path.id, path.heard_at));
        let leads_there = |path: &Path| path.network.remote == network.remote;
        let exact = |path: &Path| leads_there(path) && path.local == network.local;
        let open = |path: &Path| leads_there(path) && path.network.local.is_none();
        let found = self.paths.iter().rposition(exact);
        let found = found.or_else(|| self.paths.iter().rposition(open));
        let Some(path) = found.and_then(|index| self.paths.get_mut(index)) else {
            return self.dials && self.learn(network.remote, now);
        };
        path.heard_at = Some(now);
        path.local = path.local.or(network.local);
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let quiet = in_use.is_some_and(|(id, heard_at)| {
            id != path.id && since(heard_at).is_some_and(|since| since >= QUIET)
        });
        let answered = since(path.answered_at).is_some_and(|since| since < QUIET);
        // What was asked there may be lost, and who speaks from there now would answer. Once: anyone can speak as from there.
        let ask_again =
            path.is_opening() && path.answered_at.is_none() && path.opened_at + QUIET <= now;
        path.answer |= ask_again || quiet && !answered && path.is_healthy();
        path.answer
    }

    /// A packet came from where no path leads: the acceptor, who opens none, may have another address now. That is tried at once.
    fn learn(&mut self, remote: SocketAddr, now: Instant) -> bool {
        if now < self.learn_at {
            return false;
        }
        let leads_there = |target: &&mut Target| target.network.remote == remote;
        let mut named = self.targets.iter_mut().filter(leads_there).peekable();
        if named.peek().is_some() {
            // What was on its way when a path ended says nothing new.
            let is_late = |at: Instant| now.saturating_duration_since(at) < LEARN_INTERVAL;
            let mut waits = false;
            for target in named.filter(|target| !target.ended_at.is_some_and(is_late)) {
                waits |= target.open_at > now;
                target.open_at = target.open_at.min(now);
                target.speaks = true;
            }
            if waits {
                self.learn_at = now + LEARN_INTERVAL;
            }
            return waits;
        }
        self.learn_at = now + LEARN_INTERVAL;
        let is_tried = |target: &Target| {
            let leads_there = |path: &&Path| path.network.remote == target.network.remote;
            let mut paths = self.paths.iter().filter(leads_there);
            target.learned && paths.any(Path::is_opening)
        };
        if self.targets.iter().any(is_tried) {
            return false;
        }
        self.targets.retain(|target| !target.learned);
        if self.targets.len() >= MAX_TARGETS {
            return false;
        }
        self.targets.push(Target {
            network: Network {
                remote,
                local: None,
            },
            open_at: now,
            failures: 0,
            unanswered: 0,
            told: true,
            learned: true,
            speaks: true,
            ended_at: None,
        });
        true
    }

    fn any_answers(&self) -> bool {
        self.paths.iter().any(Path::is_healthy)
    }

    /// Whether another path than this was heard since.
    fn heard_elsewhere(&self, id: PathId, since: Instant) -> bool {
        let others = self.paths.iter().filter(|path| path.id != id);
        let heard = |path: &Path| path.heard_at.is_some_and(|at| at > since);
        others.filter(|path| path.is_established()).any(heard)
    }

    /// Packets of the inside pass.
    pub fn busy(&mut self, now: Instant) {
        self.busy_until = now + BUSY_FOR;
        self.ping_at = self.ping_at.min(now + PING_BUSY);
    }

    pub fn opened(&mut self, id: PathId, network: Network, now: Instant) {
        self.add_path(id, network, now);
    }

    /// It could not even be tried.
    pub fn not_opened(&mut self, network: Network, reason: PathReason, now: Instant) {
        self.fail(network, reason, now);
    }

    pub fn established(&mut self, id: PathId, network: Network, now: Instant) {
        if self.path_mut(id).is_none() && self.paths.len() < MAX_PATHS {
            self.add_path(id, network, now);
        }
        let Some(path) = self.path_mut(id) else {
            return;
        };
        path.established_at.get_or_insert(now);
        path.heard_at = Some(now);
        let (remote, state) = (path.network.remote, path.state());
        if let Some(target) = self.target_of(network) {
            target.told = false;
            target.unanswered = 0;
        }
        self.tell(remote, state, None);
    }

    /// The path leads elsewhere than before: one of the two addresses changed.
    pub fn moved(&mut self, id: PathId, network: Network) {
        let dials = self.dials;
        if let Some(path) = self.path_mut(id) {
            // The dialler goes on from any address. An acceptor's other address is another way; the library does not say which it is.
            let known = network.local.is_some() || dials;
            if known && path.local != network.local {
                (path.stranded, path.local) = (None, network.local);
            }
            path.network = Network {
                local: path.network.local.and(network.local),
                ..network
            };
        }
    }

    /// Addresses of this host are gone. What used them goes over another path at once; returns whether there is none for it.
    pub fn strand(&mut self, is_gone: impl Fn(IpAddr) -> bool, now: Instant) -> bool {
        let mut any = false;
        for path in &mut self.paths {
            let is_stranded = !path.closing && path.local.is_some_and(&is_gone);
            path.stranded = path.stranded.or(is_stranded.then_some(now));
            any |= is_stranded;
        }
        any && !self.paths.iter().any(Path::is_usable)
    }

    /// The other side or the library closed it, or it is our own close that is done.
    pub fn closed(&mut self, id: PathId, reason: PathReason, now: Instant) {
        let Some(index) = self.paths.iter().position(|path| path.id == id) else {
            return;
        };
        let path = self.paths.remove(index);
        if !path.closing {
            self.give_up(&path, reason, now);
        }
        // What they carried is resent on the others, and acknowledged there anew.
        for path in &mut self.paths {
            path.wait_anew(now);
        }
    }

    /// The library kept it, as the last that there is.
    pub fn kept(&mut self, id: PathId) {
        if let Some(path) = self.path_mut(id) {
            path.closing = false;
        }
    }

    pub fn set_status(&mut self, id: PathId, status: PathStatus) {
        let Some(path) = self.path_mut(id) else {
            return;
        };
        if path.status != status {
            path.status = status;
            let (remote, state) = (path.network.remote, path.state());
            if path.is_established() {
                self.tell(remote, state, None);
            }
        }
    }

    /// The network reports that these remotes can't be reached, which anyone may have made up.
    /// Returns whether a path there waits for an answer, and is now given less time for it.
    pub fn hint(&mut self, is_meant: impl Fn(SocketAddr) -> bool, reason: PathReason) -> bool {
        let mut taken = false;
        for path in &mut self.paths {
            let waits = path.waiting_since.is_some() || path.established_at.is_none();
            if waits && !path.closing && is_meant(path.network.remote) {
                path.hint = Some(reason);
                taken = true;
            }
        }
        taken
    }

    /// The target that these addresses belong to: the one for them alone, else the one for that remote from any of ours.
    fn position(&self, network: Network) -> Option<usize> {
        let exact = |target: &Target| network.local.is_some() && target.network == network;
        let open = |target: &Target| {
            target.network.remote == network.remote && target.network.local.is_none()
        };
        let mut targets = self.targets.iter();
        let found = targets.position(exact);
        found.or_else(|| self.targets.iter().position(open))
    }

    fn target_of(&mut self, network: Network) -> Option<&mut Target> {
        let index = self.position(network)?;
        self.targets.get_mut(index)
    }

    /// The place in the order of preference.
    fn rank(&self, path: &Path) -> usize {
        self.position(path.used()).unwrap_or(MAX_TARGETS)
    }

    /// Whose packets it may take: no path that was only learned of takes them from one that answers, since anyone who sees the session
    /// can make us learn.
    fn preference(&self, path: &Path) -> usize {
        let rank = self.rank(path);
        let learned = self.targets.get(rank).is_some_and(|target| target.learned);
        if learned { MAX_TARGETS } else { rank }
    }

    fn fail(&mut self, network: Network, reason: PathReason, now: Instant) {
        let answering = self.any_answers();
        let Some(target) = self.target_of(network) else {
            return;
        };
        let longest = match target.unanswered {
            _ if !answering => LONGEST_REST_WHEN_DEAD,
            0..PATIENT_ATTEMPTS => LONGEST_REST,
            _ => LONGEST_REST_OF_THE_HOPELESS,
        };
        let doublings = target.failures.saturating_sub(1) + target.unanswered;
        let rest = FIRST_REST * 2u32.pow(doublings.min(16));
        target.open_at = now + rest.min(longest);
        target.unanswered = target.unanswered.saturating_add(1);
        let learned = target.learned;
        // A target that never answers is told once, not at each attempt.
        if !std::mem::replace(&mut target.told, true) {
            self.tell(network.remote, PathState::Closed, Some(reason));
        }
        if learned {
            self.targets.retain(|target| !target.learned);
        }
    }

    fn give_up(&mut self, path: &Path, reason: PathReason, now: Instant) {
        let lasted = path
            .established_at
            .is_some_and(|at| now.duration_since(at) >= GOOD_AS_NEW);
        let network = path.used();
        let answering = self.any_answers();
        let Some(target) = self.target_of(network) else {
            if path.established_at.is_none() {
                return;
            }
            return self.tell(network.remote, PathState::Closed, Some(reason));
        };
        if lasted {
            target.failures = 0;
        }
        let was_open = path.established_at.is_some();
        target.ended_at = (was_open && answering).then_some(now);
        if path.stranded.is_some() {
            // No fault of the target's: another address of ours may reach it already.
            target.open_at = now;
            return self.tell(network.remote, PathState::Closed, Some(reason));
        }
        if was_open {
            target.told = false;
            target.failures = target.failures.saturating_add(1);
        }
        self.fail(network, reason, now);
    }

    // ---- what to do

    pub fn poll(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.suspect_the_silent(now, &mut actions);
        self.close_the_dead(now, &mut actions);
        if self.dials {
            self.prefer_the_best(now, &mut actions);
            self.open_targets(now, &mut actions);
        }
        self.keep_warm(now, &mut actions);
        let closing = |id: PathId| {
            let mut paths = self.paths.iter();
            paths.any(|path| path.id == id && path.closing)
        };
        actions.retain(|action| !matches!(action, Action::Ping(id) if closing(*id)));
        actions
    }

    fn suspect_the_silent(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut suspects = Vec::new();
        let mut ask_others = false;
        let evidence: Vec<bool> = self
            .paths
            .iter()
            .map(|path| {
                path.waiting_since
                    .is_some_and(|since| self.heard_elsewhere(path.id, since))
            })
            .collect();
        for (path, evidence) in self.paths.iter_mut().zip(evidence) {
            if std::mem::take(&mut path.answer) {
                path.answered_at = Some(now);
                actions.push(Action::Ping(path.id));
            }
            let (Some(since), true) = (path.waiting_since, path.is_healthy()) else {
                continue;
            };
            let silence = now.saturating_duration_since(since);
            let patience = path.patience();
            if silence >= path.ask_after() && !path.asked {
                path.asked = true;
                ask_others |= path.status == PathStatus::Available;
                actions.push(Action::Ping(path.id));
            }
            let patience = if evidence || path.hint.is_some() {
                patience
            } else {
                WITHOUT_EVIDENCE * patience
            };
            if silence < patience {
                continue;
            }
            if silence > patience + OVERSLEPT && !path.looked_again {
                path.looked_again = true;
                path.waiting_since = now.checked_sub(patience.saturating_sub(SECOND_LOOK));
                continue;
            }
            let reason = path.hint.unwrap_or(PathReason::Timeout);
            path.suspect = Some(reason);
            suspects.push((path.network.remote, reason));
        }
        if !suspects.is_empty() && !self.any_answers() {
            self.try_again(now);
        }
        for (remote, reason) in suspects {
            self.tell(remote, PathState::Suspect, Some(reason));
        }
        if ask_others {
            let waiting = self.paths.iter().filter(|path| path.is_healthy());
            let waiting = waiting.filter(|path| path.status == PathStatus::Backup);
            actions.extend(waiting.map(|path| Action::Ping(path.id)));
        }
    }

    fn close_the_dead(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let answering = self.paths.iter().any(Path::is_usable);
        let mut dead = Vec::new();
        let mut others = self.count_open().saturating_sub(1);
        for path in &mut self.paths {
            // The last is kept as long as there is no other: the library does not let go of it.
            let gave_up = path.is_opening()
                && now.saturating_duration_since(path.opened_at) >= GIVE_UP
                && others > 0;
            others -= usize::from(gave_up);
            let reason = if gave_up {
                Some(path.hint.unwrap_or(PathReason::PeerUnavailable))
            } else if path.stranded.is_some() {
                Some(PathReason::NoRouteToHost).filter(|_| answering)
            } else {
                path.suspect.filter(|_| answering)
            };
            if let Some(reason) = reason.filter(|_| !path.closing) {
                path.closing = true;
                dead.push((path.id, reason));
            }
        }
        self.close_the_surplus(actions);
        for (id, reason) in dead {
            actions.push(Action::Close(id, reason));
            if let Some(index) = self.paths.iter().position(|path| path.id == id) {
                let path = self.paths.swap_remove(index);
                self.give_up(&path, reason, now);
                self.paths.push(path);
            }
        }
    }

    /// A path that recovered needs no second one to the same place.
    fn close_the_surplus(&mut self, actions: &mut Vec<Action>) {
        let ranks: Vec<usize> = self.paths.iter().map(|path| self.rank(path)).collect();
        let ranked = self.paths.iter().zip(&ranks);
        let healthy = ranked.filter(|(path, _)| path.is_healthy());
        let healthy: Vec<_> = healthy.map(|(path, rank)| (*rank, path.id)).collect();
        for (path, rank_of_path) in self.paths.iter_mut().zip(ranks) {
            let doubles = |(rank, id): &(usize, PathId)| {
                *rank < MAX_TARGETS && *rank == rank_of_path && *id < path.id
            };
            if self.dials && !path.closing && healthy.iter().any(doubles) {
                path.closing = true;
                actions.push(Action::Close(path.id, PathReason::CapacityLimited));
            }
        }
    }

    /// When this path may take the packets from one that answers.
    fn settled_at(&self, path: &Path) -> Option<Instant> {
        let failures = self
            .targets
            .get(self.rank(path))
            .map_or(0, |target| target.failures);
        let settle = SETTLE * 2u32.pow(failures.saturating_sub(1).min(8));
        Some(path.established_at? + settle.min(LONGEST_SETTLE))
    }

    fn prefer_the_best(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let in_use = self
            .paths
            .iter()
            .find(|path| path.is_active() && path.is_healthy());
        let settled = |path: &&Path| {
            in_use.is_none() || self.settled_at(path).is_some_and(|settled| settled <= now)
        };
        let best = self
            .paths
            .iter()
            .filter(|path| path.is_healthy())
            .filter(settled)
            .min_by_key(|path| (self.preference(path), path.established_at));
        let Some(best) = best else { return };
        if in_use.is_some_and(|in_use| self.preference(in_use) <= self.preference(best)) {
            return;
        }
        let best = best.id;
        let mut statuses = vec![(best, PathStatus::Available)];
        let others = self
            .paths
            .iter()
            .filter(|path| path.is_active() && path.id != best);
        statuses.extend(others.map(|path| (path.id, PathStatus::Backup)));
        for (id, status) in statuses {
            self.set_status(id, status);
            actions.push(Action::SetStatus(id, status));
        }
    }

    fn open_targets(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let targets = self.targets.iter().enumerate();
        let due = targets.filter(|(index, target)| target.open_at <= now && !self.is_open(*index));
        let mut due: Vec<&Target> = due.map(|(_, target)| target).collect();
        // Those that can't be reached from here wait for those that may be.
        due.sort_by_key(|target| (!target.speaks, target.unanswered));
        let mut opening = self.count_opening();
        let mut known = self.paths.len();
        due.retain(|target| {
            let has_room = known < MAX_PATHS && (target.speaks || opening < MAX_OPENING);
            opening += usize::from(has_room);
            known += usize::from(has_room);
            has_room
        });
        let due: Vec<Network> = due.into_iter().map(|target| target.network).collect();
        // Until it is known what became of it.
        for network in &due {
            if let Some(target) = self.target_of(*network) {
                target.open_at = now + GIVE_UP;
                target.speaks = false;
            }
        }
        actions.extend(due.into_iter().map(Action::Open));
    }

    fn keep_warm(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if now < self.ping_at {
            return;
        }
        let interval = if now < self.busy_until {
            PING_BUSY
        } else {
            PING_IDLE
        };
        self.ping_at = now + interval;
        if self.has_alternatives() {
            let open = self.paths.iter().filter(|path| path.is_established());
            actions.extend(open.map(|path| Action::Ping(path.id)));
        }
    }

    /// A path that is alone is asked by its own traffic and the connection's keep-alive.
    fn has_alternatives(&self) -> bool {
        let open = self.paths.iter().filter(|path| path.is_established());
        open.count() > 1
    }

    /// When `poll` may have something to do. Something else may come before.
    pub fn next_timeout(&self) -> Option<Instant> {
        let mut next = self.has_alternatives().then_some(self.ping_at);
        let mut consider = |at: Option<Instant>| next = next.min(at).or(next).or(at);
        let is_alone = self.count_open() == 1;
        for path in self.paths.iter().filter(|path| !path.closing) {
            if path.is_opening() && !is_alone {
                consider(Some(path.opened_at + GIVE_UP));
            }
            if let Some(since) = path.waiting_since.filter(|_| path.is_healthy()) {
                let after = if !path.asked {
                    path.ask_after()
                } else if path.hint.is_some() || self.heard_elsewhere(path.id, since) {
                    path.patience()
                } else {
                    WITHOUT_EVIDENCE * path.patience()
                };
                consider(Some(since + after));
            }
        }
        if self.dials {
            consider(self.next_opening());
            consider(self.next_promotion());
        }
        next
    }

    fn next_opening(&self) -> Option<Instant> {
        if self.paths.len() >= MAX_PATHS {
            return None;
        }
        let is_full = self.count_opening() >= MAX_OPENING;
        let targets = self.targets.iter().enumerate();
        let may_be_tried =
            targets.filter(|(index, target)| (target.speaks || !is_full) && !self.is_open(*index));
        may_be_tried.map(|(_, target)| target.open_at).min()
    }

    /// Whether a path leads to that target, unless it is suspect.
    fn is_open(&self, target: usize) -> bool {
        let open = |path: &Path| !path.closing && path.suspect.is_none();
        let mut paths = self.paths.iter();
        paths.any(|path| open(path) && self.rank(path) == target)
    }

    fn count_open(&self) -> usize {
        self.paths.iter().filter(|path| !path.closing).count()
    }

    fn count_opening(&self) -> usize {
        self.paths.iter().filter(|path| path.is_opening()).count()
    }

    fn next_promotion(&self) -> Option<Instant> {
        let in_use = self.paths.iter().find(|path| path.is_active())?;
        let better = self
            .paths
            .iter()
            .filter(|path| path.is_healthy() && self.preference(path) < self.preference(in_use));
        better.filter_map(|path| self.settled_at(path)).min()
    }
}
