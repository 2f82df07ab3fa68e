//! Fiber stacks: pooled, guarded, capped, zeroed on request.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use wasmtime::{Engine, Instance, Module, StackCreator, Store, Trap};

use super::engine;
use crate::{
    error::Refusal,
    pool::Pool,
    settings::{STACK_GUARD_BYTES, Settings},
};

/// Runs a future that never has to wait for anything else.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

async fn call(engine: &Engine, module: &Module, name: &str) -> wasmtime::Result<i32> {
    let mut store = Store::new(engine, ());
    let instance = Instance::new_async(&mut store, module, &[]).await?;
    let function = instance.get_typed_func::<(), i32>(&mut store, name)?;
    function.call_async(&mut store, ()).await
}

fn guest(engine: &Engine) -> Module {
    let text = r#"(module
      (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1)))
      (func (export "shallow") (result i32) (i32.const 7)))"#;
    Module::new(engine, wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn endless_recursion_traps_and_the_stack_serves_the_next_call() {
    let (engine, pool) = engine(Settings::default());
    let module = guest(&engine);
    for _ in 0..20 {
        let trap = block_on(call(&engine, &module, "deep")).unwrap_err();
        assert_eq!(trap.downcast_ref(), Some(&Trap::StackOverflow));
        assert_eq!(block_on(call(&engine, &module, "shallow")).unwrap(), 7);
    }
    let stacks = pool.metrics().stacks;
    assert_eq!((stacks.live, stacks.warm, stacks.events.created), (0, 1, 1));
}

#[test]
fn a_full_pool_refuses_one_stack_more_until_one_is_returned() {
    let pool = Pool::new(Settings {
        max_stacks: 1,
        ..Settings::default()
    })
    .unwrap();
    let first = pool.new_stack(1 << 20, false).unwrap();
    let refusal = pool.new_stack(1 << 20, false).err().unwrap();
    assert!(matches!(
        refusal.downcast_ref(),
        Some(Refusal::Exhausted { limit: 1, .. })
    ));
    drop(first);
    pool.new_stack(1 << 20, false).unwrap();
    assert_eq!(pool.metrics().refusals.stacks_exhausted, 1);
}

#[test]
fn a_zeroed_stack_is_never_one_that_was_used_without_zeroing() {
    let pool = Pool::new(Settings::default()).unwrap();
    for zeroed in [true, false, true, true, false, true] {
        let stack = pool.new_stack(100_000, zeroed).unwrap();
        let range = stack.range();
        // SAFETY: the stack's own range, readable and writable while the stack lives, used by
        // nobody else.
        let bytes = unsafe { std::slice::from_raw_parts_mut(range.start as *mut u8, range.len()) };
        assert!(!zeroed || bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xEE);
    }
    assert_eq!(pool.metrics().stacks.events.created, 2);
}

#[test]
fn what_is_seldom_used_of_a_large_stack_is_given_back_and_the_rest_is_kept() {
    let pool = Pool::new(Settings::default()).unwrap();
    for bytes in [768 << 10, 2 << 20] {
        for round in 0..3 {
            let stack = pool.new_stack(bytes, false).unwrap();
            let range = stack.range();
            // SAFETY: the stack's own range, readable and writable while the stack lives, used by
            // nobody else.
            let all = unsafe { std::slice::from_raw_parts_mut(range.start as *mut u8, range.len()) };
            let is_used = |byte: &u8| *byte == 0xEE;
            let kept = all.iter().rev().take_while(|byte| is_used(byte)).count();
            assert_eq!(kept, if round == 0 { 0 } else { 768 << 10 });
            assert_eq!(all.iter().filter(|byte| is_used(byte)).count(), kept);
            all.fill(0xEE);
        }
    }
}

#[test]
fn a_stack_is_page_aligned_and_ends_in_a_guard() {
    let pool = Pool::new(Settings::default()).unwrap();
    let stack = pool.new_stack(100_001, false).unwrap();
    let (range, guard) = (stack.range(), stack.guard_range());
    assert_eq!(range.end, stack.top() as usize);
    assert!(range.len() >= 100_001 && range.start.is_multiple_of(4096));
    assert_eq!(guard.end as usize, range.start);
    assert_eq!(guard.end as usize - guard.start as usize, STACK_GUARD_BYTES);
}
