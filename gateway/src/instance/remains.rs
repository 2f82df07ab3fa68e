//! What an instance leaves when it ends. A guest may hold tens of thousands of resources, and a worker that dropped
//! them at once would serve nobody meanwhile; so many are dropped in turns, as other guests have theirs.

use std::{sync::Arc, time::Instant};

use tokio::runtime::Handle;
use wasmtime::{
    Store,
    component::{Resource, ResourceTable, ResourceTableError},
};

use super::{host::HostState, memory::MOST_RESOURCES, turns};
use crate::{account::Account, admission::Permit, engine::SHORT_TICK};

/// Resources between two looks at the clock: the largest sets of fields take some 50 microseconds each.
const BETWEEN_LOOKS: u32 = 16;

/// How often what has children is tried again, which are dropped before it: streams of bodies of requests are as deep
/// as it goes.
const GENERATIONS: usize = 4;

/// A store at work, and the slot that it runs in, which is free when all that it held is gone.
pub(super) struct Running {
    pub(super) store: Store<HostState>,
    permit: Option<Permit>,
}

impl Running {
    pub(super) fn new(store: Store<HostState>, permit: Permit) -> Self {
        Self {
            store,
            permit: Some(permit),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let state = self.store.data_mut();
        let Some(table) = state.memory.take_many() else {
            return;
        };
        let remains = Remains {
            table,
            account: Arc::clone(state.account()),
            _permit: self.permit.take(),
        };
        // While a worker ends, nobody waits for it.
        if let Ok(worker) = Handle::try_current() {
            worker.spawn(remains.dropped());
        }
    }
}

struct Remains {
    table: ResourceTable,
    account: Arc<Account>,
    _permit: Option<Permit>,
}

impl Remains {
    async fn dropped(mut self) {
        clear_in_turns(&mut self.table, turns::package(&self.account)).await;
    }
}

/// Drops all resources of a table in turns of a package's.
async fn clear_in_turns(table: &mut ResourceTable, package: usize) {
    for _ in 0..GENERATIONS {
        let mut has_parents = false;
        let mut all = (0..MOST_RESOURCES).rev().peekable();
        while all.peek().is_some() {
            turns::give_way(package, false).await;
            has_parents |= clear(table, &mut all, Instant::now());
        }
        if !has_parents {
            return;
        }
    }
}

/// Drops resources by their numbers until the turn is over, which is as long as a guest's. Returns whether there are
/// some that have children.
fn clear(table: &mut ResourceTable, numbers: &mut impl Iterator<Item = u32>, start: Instant) -> bool {
    let mut has_parents = false;
    for number in numbers {
        // Of another type than this: it is dropped all the same, and told as an error.
        let gone = table.delete(Resource::<Nothing>::new_own(number));
        has_parents |= matches!(gone, Err(ResourceTableError::HasChildren));
        if number.is_multiple_of(BETWEEN_LOOKS) && start.elapsed() >= SHORT_TICK {
            break;
        }
    }
    has_parents
}

/// The type of no resource.
struct Nothing;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A resource that takes its time to be dropped.
    struct Slow;

    impl Drop for Slow {
        fn drop(&mut self) {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(20) {}
        }
    }

    #[tokio::test]
    async fn others_have_their_turns_while_many_are_dropped() {
        let mut table = ResourceTable::new();
        for _ in 0..1000 {
            table.push(Slow).unwrap();
        }
        let clearing = tokio::spawn(async move {
            clear_in_turns(&mut table, 1).await;
            assert!(table.is_empty());
        });
        let mut others = 0;
        while !clearing.is_finished() {
            others += 1;
            tokio::task::yield_now().await;
        }
        clearing.await.unwrap();
        // 20 ms of work, of which each turn has one.
        assert!(others > 10, "{others}");
    }

    #[test]
    fn parents_go_after_their_children_wherever_these_are() {
        let mut table = ResourceTable::new();
        let first = table.push(0_u8).unwrap();
        let second = table.push_child(0_u16, &first).unwrap();
        table.push_child(Arc::new(0_u32), &second).unwrap();
        // In the place of a resource that is gone, so that a child has a lower number than its parent.
        let gap = table.push(0_u8).unwrap();
        let parent = table.push(String::new()).unwrap();
        table.delete(gap).unwrap();
        table.push_child(0_u8, &parent).unwrap();
        let late = || Instant::now() + SHORT_TICK;
        let mut rounds = 0;
        while clear(&mut table, &mut (0..8).rev(), late()) {
            rounds += 1;
        }
        assert!(table.is_empty() && rounds <= GENERATIONS, "{rounds}");
    }
}
