//! Turns of guests that compute for long: one at a time on each worker, packages in rotation.
//!
//! A guest that yields is polled again after a few rounds of the worker's queue. With many such guests, each round
//! would contain a turn of each, and a neighbour's short request would wait for all of them, however fair the queue is.
//! So they queue here, and one of them runs between two rounds of everything else.
//!
//! A guest's first turn does not queue, since nobody knows yet how long it will take. Clients that start long
//! computations and disconnect could occupy a worker with first turns alone; so a package has a limited number of them
//! per second.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use crate::{account::Account, engine};

/// Rounds of the worker's task queue between two turns: an event during a turn wakes a connection, which starts a guest
/// in the first round and responds in the second. With one round a neighbour's request would wait for another whole
/// turn between its arrival and its start.
const ROUNDS_TO_OTHERS: u32 = 2;

/// Guests of one package that wait for a turn on one worker before a new one has to queue for its first, short turn: a
/// package with many short and a few long requests is not slowed down by the latter.
const CROWD: usize = 8;

thread_local! {
    static HERE: Arc<Here> = Arc::default();

    /// When this worker began its current work, by [`engine::ticked`].
    static BEGAN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Notes that this worker starts or resumes a guest.
pub(super) fn begin() {
    BEGAN.set(engine::ticked());
}

/// Returns whether the running guest computes for long, rather than having been waiting until a moment ago (the epoch
/// advances meanwhile).
pub(super) fn computes(has_given_way: bool) -> bool {
    lasts(engine::ticked().saturating_sub(BEGAN.get()), has_given_way)
}

/// A guest that has yielded before yields at the first tick of its turn.
fn lasts(turn: Duration, has_given_way: bool) -> bool {
    if has_given_way {
        !turn.is_zero()
    } else {
        turn >= engine::SHORT_TICK
    }
}

/// The number of first turns that one package's guests may use up on one worker before a new guest has to queue, and
/// that it gets back each second: about a fifth of the worker's time.
const FIRST_TURNS: u32 = 8;

/// The time after which a package gets back one of its [`FIRST_TURNS`].
const FIRST_TURN_BACK: Duration = Duration::from_millis(125);

/// A number that identifies the package as long as its account exists.
pub(super) fn package(account: &Arc<Account>) -> usize {
    Arc::as_ptr(account).addr()
}

/// Waits for the next turn of a package's guest on this worker. `package` is any number that identifies it; a guest
/// that yields for the first time has used up its first turn.
pub(super) fn give_way(package: usize, is_first: bool) -> Turn {
    let here = HERE.with(Arc::clone);
    engine::share_workers();
    if is_first {
        here.used_up(package, Instant::now());
    }
    Turn {
        here,
        package,
        ticket: None,
        rounds: 0,
    }
}

/// Waits for a turn if a [`CROWD`] of the package's guests waits on this worker, or its guests have used up their
/// [`FIRST_TURNS`]: a new one queues behind them. Otherwise it costs an atomic load. Returns whether it waited.
pub(super) async fn queue_up(package: usize) -> bool {
    let must_wait = HERE.with(|here| here.is_crowded(package) || here.has_spent(package, Instant::now));
    if must_wait {
        give_way(package, false).await;
    }
    must_wait
}

/// The state of one worker.
#[derive(Debug, Default)]
struct Here {
    /// The number of waiting guests of all packages: with few of them no lock is taken.
    waiting: AtomicUsize,
    turns: Mutex<Turns>,
    /// The length of `spent`: if it is zero, no lock is taken.
    spenders: AtomicUsize,
    /// Packages whose guests have used up first turns, each with the time at which it will have all of them back.
    spent: Mutex<Vec<(usize, Instant)>>,
}

impl Here {
    fn is_crowded(&self, package: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) >= CROWD && self.turns.lock().waiting(package) >= CROWD
    }

    /// Notes that a guest of a package has used up its first turn.
    fn used_up(&self, package: usize, now: Instant) {
        let mut spent = self.spent_at(now);
        match spent.iter_mut().find(|(known, _)| *known == package) {
            Some((_, whole)) => *whole = (*whole + FIRST_TURN_BACK).min(now + FIRST_TURN_BACK * FIRST_TURNS),
            None => spent.push((package, now + FIRST_TURN_BACK)),
        }
        self.spenders.store(spent.len(), Ordering::Relaxed);
    }

    /// Returns whether a package has none of its first turns left.
    fn has_spent(&self, package: usize, now: impl FnOnce() -> Instant) -> bool {
        if self.spenders.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let now = now();
        let left = now + FIRST_TURN_BACK * (FIRST_TURNS - 1);
        let spent = self.spent_at(now);
        spent
            .iter()
            .any(|(known, whole)| *known == package && *whole > left)
    }

    /// The packages that have used up first turns; those that have all of them back are removed.
    fn spent_at(&self, now: Instant) -> MutexGuard<'_, Vec<(usize, Instant)>> {
        let mut spent = self.spent.lock();
        spent.retain(|(_, whole)| *whole > now);
        self.spenders.store(spent.len(), Ordering::Relaxed);
        spent
    }
}

/// A waiting guest: its ticket, and its task's waker once it has been polled.
type Guest = (u64, Option<Waker>);

/// The guests that wait on one worker.
#[derive(Debug, Default)]
struct Turns {
    /// The guest whose turn is next; it waits for the rounds to pass.
    next: Option<u64>,
    /// Packages in rotation, each with its guests in order of arrival.
    packages: VecDeque<(usize, VecDeque<Guest>)>,
    issued: u64,
}

impl Turns {
    fn waiting(&self, package: usize) -> usize {
        let guests = self.packages.iter().find(|(known, _)| *known == package);
        guests.map_or(0, |(_, guests)| guests.len())
    }

    fn enter(&mut self, package: usize) -> u64 {
        self.issued += 1;
        let ticket = self.issued;
        match self
            .packages
            .iter_mut()
            .find(|(known, _)| *known == package)
        {
            Some((_, guests)) => guests.push_back((ticket, None)),
            None => self
                .packages
                .push_back((package, VecDeque::from([(ticket, None)]))),
        }
        self.choose();
        ticket
    }

    /// If no guest is next, chooses the first guest of the first package, which moves to the end of the rotation.
    fn choose(&mut self) {
        if self.next.is_some() {
            return;
        }
        let Some((package, mut guests)) = self.packages.pop_front() else {
            return;
        };
        if let Some((ticket, waker)) = guests.front_mut() {
            self.next = Some(*ticket);
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        self.packages.push_back((package, guests));
    }

    fn leave(&mut self, package: usize, ticket: u64) {
        if let Some((_, guests)) = self
            .packages
            .iter_mut()
            .find(|(known, _)| *known == package)
        {
            guests.retain(|(known, _)| *known != ticket);
        }
        self.packages.retain(|(_, guests)| !guests.is_empty());
        if self.next == Some(ticket) {
            self.next = None;
            self.choose();
        }
    }

    /// Returns whether a ticket is next, and stores its waker if it is not.
    fn is_next(&mut self, package: usize, ticket: u64, waker: &Waker) -> bool {
        if self.next == Some(ticket) {
            return true;
        }
        let guests = self
            .packages
            .iter_mut()
            .find(|(known, _)| *known == package);
        let guest = guests.and_then(|(_, guests)| guests.iter_mut().find(|(known, _)| *known == ticket));
        if let Some((_, kept)) = guest {
            *kept = Some(waker.clone());
        }
        false
    }
}

/// The wait for a turn, and the turn; dropping it passes the turn on.
pub(super) struct Turn {
    here: Arc<Here>,
    package: usize,
    ticket: Option<u64>,
    rounds: u32,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let package = self.package;
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let ticket = self.here.turns.lock().enter(package);
                self.here.waiting.fetch_add(1, Ordering::Relaxed);
                self.ticket = Some(ticket);
                ticket
            }
        };
        if !self.here.turns.lock().is_next(package, ticket, cx.waker()) {
            return Poll::Pending;
        }
        if self.rounds < ROUNDS_TO_OTHERS {
            self.rounds += 1;
            // Tokio polls a yielded task after sockets and timers; a plain wake would be polled before them.
            let mut round = std::pin::pin!(tokio::task::yield_now());
            return round.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.here.turns.lock().leave(self.package, ticket);
            self.here.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which tickets get their turns.
    fn order(turns: &mut Turns, owner: impl Fn(u64) -> usize) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(ticket) = turns.next {
            order.push(ticket);
            turns.leave(owner(ticket), ticket);
        }
        order
    }

    #[test]
    fn packages_take_turns_however_many_guests_of_one_wait() {
        let mut turns = Turns::default();
        for _ in 0..4 {
            turns.enter(1);
        }
        turns.enter(2);
        let owner = |ticket| if ticket == 5 { 2 } else { 1 };
        assert_eq!(order(&mut turns, owner), [1, 2, 5, 3, 4]);
        assert!(turns.packages.is_empty());
    }

    #[test]
    fn whoever_goes_makes_room_for_the_next() {
        let mut turns = Turns::default();
        let [first, second, third] = [1, 1, 2].map(|package| turns.enter(package));
        turns.leave(1, second);
        turns.leave(1, first);
        assert_eq!(turns.next, Some(third));
        turns.leave(2, third);
        assert!(turns.next.is_none() && turns.packages.is_empty());
    }

    #[tokio::test]
    async fn one_guest_has_its_turn_between_two_rounds_of_everything_else() {
        let turn = Arc::new(Mutex::new(Vec::new()));
        let guests = (0..10).map(|package| {
            let turn = Arc::clone(&turn);
            tokio::spawn(async move {
                give_way(package, false).await;
                turn.lock().push("guest");
            })
        });
        let guests: Vec<_> = guests.collect();
        let other = Arc::clone(&turn);
        let other = tokio::spawn(async move {
            while other.lock().iter().filter(|turn| **turn == "guest").count() < 10 {
                other.lock().push("other");
                tokio::task::yield_now().await;
            }
        });
        for guest in guests.into_iter().chain([other]) {
            guest.await.unwrap();
        }
        let turns = turn.lock();
        let between = turns.split(|turn| *turn == "guest");
        assert!(
            between.take(10).all(|others| !others.is_empty()),
            "{turns:?}"
        );
    }

    #[tokio::test]
    async fn whoever_lets_others_go_first_makes_turns_short() {
        let before = engine::shared();
        give_way(1, false).await;
        assert_ne!(engine::shared(), before);
    }

    #[test]
    fn a_guest_computes_for_long_from_the_time_on_when_it_last_had_to_wait() {
        let (none, moment, long) = (Duration::ZERO, Duration::from_micros(1), engine::SHORT_TICK);
        assert_eq!(
            [none, moment, long].map(|turn| lasts(turn, false)),
            [false, false, true]
        );
        assert_eq!(
            [none, moment, long].map(|turn| lasts(turn, true)),
            [false, true, true]
        );
    }

    #[test]
    fn a_package_has_so_many_first_turns_and_gets_them_back() {
        let (here, start) = (Here::default(), Instant::now());
        for used in 0..FIRST_TURNS {
            assert!(!here.has_spent(1, || start), "after {used}");
            here.used_up(1, start);
        }
        assert!(here.has_spent(1, || start));
        assert!(!here.has_spent(2, || start));
        here.used_up(1, start);
        let later = start + FIRST_TURN_BACK;
        assert!(
            !here.has_spent(1, || later),
            "more than there are cannot be used up"
        );
        here.used_up(2, start + FIRST_TURN_BACK * FIRST_TURNS);
        assert_eq!(
            here.spenders.load(Ordering::Relaxed),
            1,
            "who has all of them back is forgotten"
        );
        assert!(!here.has_spent(3, || start + 2 * FIRST_TURN_BACK * FIRST_TURNS));
        assert_eq!(here.spenders.load(Ordering::Relaxed), 0, "by a look too");
    }
}
