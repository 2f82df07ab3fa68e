//! The waiting writes: a queue per app, served in turns.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use parking_lot::{Condvar, Mutex};

use crate::app::AppId;

/// Writes of one app that wait at most: more than requests and deliveries of a package are under way by default, few
/// enough that they cost little to keep.
const MAX_WAITING: usize = 4096;

/// Whose turn something takes; none is the runtime's own work.
pub(crate) type Owner = Option<AppId>;

/// Items of many owners, of which each has its turn after all others have had theirs.
pub(super) struct Turns<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    /// Those for whom something waits, the next one first.
    ring: VecDeque<Owner>,
    by_owner: HashMap<Owner, VecDeque<T>>,
    closed: bool,
}

/// An item that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// So much of its owner waits that no more is taken.
    Crowded,
    /// Nothing is taken any more.
    Closed,
}

impl<T> Turns<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                ring: VecDeque::new(),
                by_owner: HashMap::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Puts an item at the end of its owner's queue.
    pub(super) fn push(&self, owner: Owner, item: T) -> Result<(), Refused> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        let Waiting { ring, by_owner, .. } = &mut *waiting;
        match by_owner.entry(owner) {
            Entry::Vacant(vacant) => {
                ring.push_back(vacant.key().clone());
                vacant.insert(VecDeque::from([item]));
            }
            Entry::Occupied(mut queue) => {
                if queue.key().is_some() && queue.get().len() >= MAX_WAITING {
                    return Err(Refused::Crowded);
                }
                queue.get_mut().push_back(item);
            }
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// The items that wait, of all owners.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.by_owner.values().map(VecDeque::len).sum()
    }

    /// Takes the next item, if there is one.
    pub(super) fn try_next(&self) -> Option<T> {
        self.waiting.lock().next()
    }

    /// Waits for the next item; none once the queue is closed and empty.
    pub(super) fn next(&self) -> Option<T> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(item) = waiting.next() {
                return Some(item);
            }
            if waiting.closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
    }

    /// Takes nothing more; what waits is still given out.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}

impl<T> Waiting<T> {
    fn next(&mut self) -> Option<T> {
        let owner = self.ring.pop_front()?;
        let queue = self.by_owner.get_mut(&owner)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.by_owner.remove(&owner);
        } else {
            self.ring.push_back(owner);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Some(AppId::new(name).unwrap())
    }

    #[test]
    fn each_owner_has_its_turn_however_much_waits_for_another() {
        let turns = Turns::new();
        for n in 0..100 {
            turns.push(owner("flood"), n).unwrap();
        }
        turns.push(owner("calm"), 1000).unwrap();
        turns.push(None, 2000).unwrap();
        let first: Vec<_> = (0..5).filter_map(|_| turns.try_next()).collect();
        assert_eq!(first, [0, 1000, 2000, 1, 2]);
    }

    #[test]
    fn one_owner_fills_its_own_queue_alone() {
        let turns = Turns::new();
        for n in 0..MAX_WAITING {
            turns.push(owner("flood"), n).unwrap();
        }
        assert_eq!(turns.push(owner("flood"), 0), Err(Refused::Crowded));
        turns.push(owner("calm"), 0).unwrap();
        turns.close();
        assert_eq!(turns.push(owner("calm"), 0), Err(Refused::Closed));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), MAX_WAITING + 1);
    }
}
