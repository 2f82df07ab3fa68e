//! Permits: a semaphore with a queue, which counts a package's live instances or the outgoing requests in flight.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// A limited number of permits. Clones share it.
///
/// An atomic counter, so that taking a free permit needs no lock; the queue is only locked while somebody waits.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Counted>);

/// Both counters are accessed sequentially consistent (`SeqCst`): either whoever releases a permit sees the waiter, or
/// the waiter sees the permit.
#[derive(Debug)]
struct Counted {
    taken: AtomicUsize,
    limit: AtomicUsize,
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

/// The waiting tasks in order of arrival, with their increasing tickets.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(u64, Waker)>,
    issued: u64,
}

impl Permits {
    /// Up to `limit` permits at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Counted {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }))
    }

    /// Takes a permit; `None` if all are taken or others wait.
    pub(crate) fn take(&self) -> Option<Permit> {
        if self.waiting() > 0 {
            return None;
        }
        self.take_now()
    }

    fn take_now(&self) -> Option<Permit> {
        let Counted { taken, limit, .. } = &*self.0;
        let limit = limit.load(Ordering::Relaxed);
        let free = |now: usize| (now < limit).then_some(now + 1);
        taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, free)
            .ok()?;
        Some(Permit(self.clone()))
    }

    /// Waits for a permit, first come, first served; `None` if `most` wait already. Dropping the future leaves the
    /// queue.
    pub(crate) fn wait(&self, most: usize) -> Option<Waiting> {
        let counted = &*self.0;
        let room = |now: usize| (now < most).then_some(now + 1);
        counted
            .waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, room)
            .ok()?;
        Some(Waiting {
            permits: self.clone(),
            ticket: None,
        })
    }

    /// The number of taken permits.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The number of waiting tasks.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }

    /// The number of permits.
    pub(crate) fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Sets the limit; taken permits stay valid.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::SeqCst);
        self.0.queue.lock().wake_first();
    }
}

/// The right to run one instance or to have one request in flight; dropping it releases it.
#[derive(Debug)]
pub(crate) struct Permit(Permits);

impl Drop for Permit {
    fn drop(&mut self) {
        let counted = &*self.0.0;
        counted.taken.fetch_sub(1, Ordering::SeqCst);
        if counted.waiting.load(Ordering::SeqCst) > 0 {
            counted.queue.lock().wake_first();
        }
    }
}

impl Queue {
    fn wake_first(&self) {
        if let Some((_, waker)) = self.waiting.front() {
            waker.wake_by_ref();
        }
    }

    /// The position of a ticket.
    fn place(&self, ticket: u64) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            .ok()
    }
}

/// The future of a permit.
#[derive(Debug)]
pub(crate) struct Waiting {
    permits: Permits,
    /// `Some` from the first poll on.
    ticket: Option<u64>,
}

impl Future for Waiting {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let permits = self.permits.clone();
        let mut queue = permits.0.queue.lock();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                queue.issued += 1;
                let ticket = queue.issued;
                queue.waiting.push_back((ticket, cx.waker().clone()));
                self.ticket = Some(ticket);
                ticket
            }
        };
        let is_first = queue.place(ticket) == Some(0);
        match is_first.then(|| permits.take_now()).flatten() {
            // When it is dropped, the wait leaves the queue and wakes the next one, for which there may be a permit
            // too.
            Some(permit) => Poll::Ready(permit),
            None => {
                if let Some((_, waker)) = queue.place(ticket).and_then(|at| queue.waiting.get_mut(at)) {
                    waker.clone_from(cx.waker());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let counted = &*self.permits.0;
        let mut queue = counted.queue.lock();
        if let Some(at) = self.ticket.and_then(|ticket| queue.place(ticket)) {
            queue.waiting.remove(at);
        }
        counted.waiting.fetch_sub(1, Ordering::SeqCst);
        queue.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn there_are_as_many_permits_as_said_and_a_dropped_one_is_free_again() {
        let permits = Permits::new(2);
        let (first, second) = (permits.take(), permits.take());
        assert!(first.is_some() && second.is_some() && permits.take().is_none());
        assert_eq!(permits.taken(), 2);
        drop(first);
        assert_eq!(permits.taken(), 1);
        assert!(permits.take().is_some());
    }

    #[tokio::test]
    async fn those_who_wait_come_in_in_the_order_of_their_coming_and_nobody_overtakes_them() {
        let permits = Permits::new(1);
        let held = permits.take().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..5 {
            let (waiting, order) = (permits.wait(5).unwrap(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let permit = waiting.await;
                order.lock().push(number);
                tokio::task::yield_now().await;
                drop(permit);
            }));
            tokio::task::yield_now().await;
        }
        assert!(permits.wait(5).is_none(), "a sixth");
        drop(held);
        assert!(
            permits.take().is_none(),
            "one who has just come, before the first who waits"
        );
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4]);
        assert_eq!((permits.taken(), permits.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn whoever_goes_away_makes_room_and_holds_nobody_up() {
        let permits = Permits::new(1);
        let held = permits.take().unwrap();
        let first = tokio::spawn(permits.wait(2).unwrap());
        tokio::task::yield_now().await;
        let second = tokio::spawn(permits.wait(2).unwrap());
        tokio::task::yield_now().await;
        drop(held);
        // It was woken and does not come.
        first.abort();
        let permit = tokio::time::timeout(Duration::from_secs(10), second).await;
        assert!(permit.is_ok(), "the second has it");
        let _ = first.await;
        assert!(permits.wait(1).is_some());
    }

    #[test]
    fn many_threads_lose_neither_a_permit_nor_a_wait() {
        let permits = Permits::new(3);
        let work = |permits: Permits| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                for _ in 0..2_000 {
                    let permit = match permits.take() {
                        Some(permit) => permit,
                        None => permits.wait(usize::MAX).unwrap().await,
                    };
                    std::hint::black_box(&permit);
                }
            });
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let permits = permits.clone();
                scope.spawn(move || work(permits));
            }
        });
        assert_eq!((permits.taken(), permits.waiting()), (0, 0));
    }
}
