//! Fair turns for a worker's clients at expensive work such as handshakes: round-robin by client, and after a while
//! clients without such work go first.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    task::yield_now,
};

/// The time for turns before the worker polls its sockets again: one signature of a large RSA key, or a dozen of ECDSA.
/// A request on an open connection waits no longer, however many handshakes there are.
const SLICE: Duration = Duration::from_millis(1);

/// The turns of one worker.
#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    is_taken: bool,
    /// The clients with waiting work, in order.
    ring: VecDeque<IpAddr>,
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// The time used since the sockets were polled.
    spent: Duration,
}

/// A turn; dropping it passes it on.
struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// Runs `work` for a client, in turns: it gets one whenever it can make progress.
    pub(super) async fn run<F: Future>(self: &Arc<Self>, client: IpAddr, work: F) -> F::Output {
        let bell = Arc::new(Bell(Notify::new()));
        let waker = Waker::from(Arc::clone(&bell));
        let mut work = pin!(work);
        loop {
            let turn = self.take(client).await;
            let begin = Instant::now();
            let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
            if self.spend(begin.elapsed()) {
                // It resumes only after the worker has polled all its sockets.
                yield_now().await;
            }
            drop(turn);
            if let Poll::Ready(done) = polled {
                return done;
            }
            bell.0.notified().await;
        }
    }

    /// Returns whether anybody waits for a turn.
    pub(super) fn are_waited_for(&self) -> bool {
        !self.0.lock().ring.is_empty()
    }

    async fn take(self: &Arc<Self>, client: IpAddr) -> Turn {
        let given = {
            let mut state = self.0.lock();
            if !std::mem::replace(&mut state.is_taken, true) {
                return Turn(Some(Arc::clone(self)));
            }
            state.wait(client)
        };
        // The holder passes the turn on to all who wait.
        given.await.unwrap_or(Turn(None))
    }

    /// Adds the time of a turn; returns whether the slice is used up.
    fn spend(&self, time: Duration) -> bool {
        let mut state = self.0.lock();
        state.spent = state.spent.saturating_add(time);
        let is_enough = state.spent >= SLICE;
        if is_enough {
            state.spent = Duration::ZERO;
        }
        is_enough
    }
}

impl State {
    fn wait(&mut self, client: IpAddr) -> oneshot::Receiver<Turn> {
        let (give, given) = oneshot::channel();
        match self.waiting.entry(client) {
            Entry::Vacant(vacant) => {
                self.ring.push_back(client);
                vacant.insert(VecDeque::from([give]));
            }
            Entry::Occupied(mut others) => others.get_mut().push_back(give),
        }
        given
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let client = self.ring.pop_front()?;
        let Entry::Occupied(mut queue) = self.waiting.entry(client) else {
            return None;
        };
        let next = queue.get_mut().pop_front();
        if queue.get().is_empty() {
            queue.remove();
        } else {
            self.ring.push_back(client);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        let mut turn = Self(Some(Arc::clone(&turns)));
        loop {
            let next = {
                let mut state = turns.0.lock();
                let next = state.next();
                state.is_taken = next.is_some();
                next
            };
            let Some(next) = next else {
                turn.0 = None;
                return;
            };
            // A client that has gone meanwhile returns it.
            let Err(back) = next.send(turn) else { return };
            turn = back;
        }
    }
}

/// Wakes the waiting work.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Notes the client at each of so many polls.
    fn work(number: u8, polls: u32, notes: &Arc<Mutex<Vec<u8>>>) -> impl Future<Output = ()> + Send + 'static {
        let (notes, mut left) = (Arc::clone(notes), polls);
        poll_fn(move |cx| {
            notes.lock().push(number);
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn a_client_with_much_to_do_has_one_turn_between_two_of_another() {
        let (turns, notes) = (Arc::new(Turns::default()), Arc::default());
        let first = turns.take(client(1)).await;
        let spawn = |number, polls| {
            let (turns, work) = (Arc::clone(&turns), work(number, polls, &notes));
            tokio::spawn(async move { turns.run(client(number), work).await })
        };
        let flood: Vec<_> = (0..100).map(|_| spawn(1, 1)).collect();
        yield_now().await;
        let other = spawn(2, 3);
        yield_now().await;
        drop(first);
        other.await.unwrap();
        let last = notes.lock().iter().rposition(|number| *number == 2);
        assert!(last.is_some_and(|last| last <= 8), "{last:?}");
        for one in flood {
            one.await.unwrap();
        }
        assert_eq!(notes.lock().len(), 103);
        assert!(!turns.0.lock().is_taken);
    }

    #[tokio::test]
    async fn turns_are_waited_for_only_while_somebody_beside_whoever_has_one_wants_one() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(client(1)).await;
        assert!(!turns.are_waited_for());
        let other = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.run(client(2), ready(())).await }
        });
        yield_now().await;
        assert!(turns.are_waited_for());
        drop(first);
        other.await.unwrap();
        assert!(!turns.are_waited_for());
    }

    #[tokio::test]
    async fn who_goes_while_they_wait_or_have_a_turn_keep_nobody_waiting() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(client(1)).await;
        let gone: Vec<_> = (0..100)
            .map(|number| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.run(client(number % 3), pending::<()>()).await })
            })
            .collect();
        yield_now().await;
        for one in gone.iter().skip(1) {
            one.abort();
        }
        drop(first);
        turns.run(client(1), ready(())).await;
        gone[0].abort();
        turns.run(client(0), ready(())).await;
        assert!(!turns.0.lock().is_taken);
    }
}
