//! A guest that looks for what an earlier guest left behind, and leaves something itself.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use wasmtime::{Engine, Error, Instance, Module, Result, Store, TypedFunc};

use super::{Image, ImageOf, Images};

/// A compiled canary with a memory of a given size.
pub(crate) struct Canary {
    module: Module,
    images: Arc<Images>,
}

/// The deeds of one instance after looking.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    /// Pages of 64 KiB to grow by; the new ones are looked at too.
    pub(crate) grow: u32,
    /// Bytes between two words written: 8 fills the memory.
    pub(crate) stride: i32,
    /// End in a trap.
    pub(crate) trap: bool,
}

impl Canary {
    /// A canary that starts with `pages` of 64 KiB.
    pub(crate) fn new(engine: &Engine, pages: u32) -> Result<Self> {
        Self::beginning_with(engine, pages, 0, Images::default())
    }

    /// A canary that starts with `pages` of 64 KiB, of which the first `words` are an image.
    pub(crate) fn with_image(engine: &Engine, pages: u32, words: u32) -> Result<Self> {
        let contents: Vec<u8> = (0..u64::from(words))
            .flat_map(|word| (word * 8).wrapping_mul(PATTERN).to_le_bytes())
            .collect();
        let image = ImageOf {
            minimum_bytes: pages as usize * 65_536,
            maximum_pages: None,
            image: Arc::new(Image::of_bytes(&contents)?),
        };
        Self::beginning_with(engine, pages, words, Images::new(vec![image], 1))
    }

    fn beginning_with(engine: &Engine, pages: u32, words: u32, images: Images) -> Result<Self> {
        let text = GUEST
            .replace("PAGES", &pages.to_string())
            .replace("IMAGE_END", &(words * 8).to_string())
            .replace("PATTERN", &PATTERN.to_string());
        Ok(Self {
            module: Module::new(engine, wat::parse_str(text)?)?,
            images: Arc::new(images),
        })
    }

    fn instantiate(&self, store: &mut Store<()>) -> Result<Instance> {
        let instantiation = async { Instance::new(store, &self.module, &[]) };
        let instantiation = pin!(Arc::clone(&self.images).instantiate(instantiation));
        match instantiation.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(made) => made,
            Poll::Pending => Err(Error::msg("an instantiation that waits")),
        }
    }

    /// Runs one instance to its end and returns how many words it found that were neither zero nor its image's.
    pub(crate) fn visit(&self, visit: Visit) -> Result<i32> {
        let (_store, found) = self.visit_and_stay(visit)?;
        Ok(found)
    }

    /// As `visit`, but the instance lives on in the store.
    pub(crate) fn visit_and_stay(&self, visit: Visit) -> Result<(Store<()>, i32)> {
        let (store, _, found) = self.run(visit)?;
        Ok((store, found))
    }

    /// As `visit`, and hands the instance's memory to `with` before it ends: where it begins, and how long it is.
    #[allow(dead_code, reason = "not everybody who has a canary wants its memory")]
    pub(crate) fn visit_with(&self, visit: Visit, with: impl FnOnce(*mut u8, usize)) -> Result<i32> {
        let (mut store, instance, found) = self.run(visit)?;
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.ok_or_else(|| Error::msg("a canary without memory"))?;
        with(memory.data_ptr(&store), memory.data_size(&store));
        Ok(found)
    }

    fn run(&self, visit: Visit) -> Result<(Store<()>, Instance, i32)> {
        let mut store = Store::new(self.module.engine(), ());
        let instance = self.instantiate(&mut store)?;
        let look: TypedFunc<(i32, i32), i32> = instance.get_typed_func(&mut store, "look")?;
        let grow: TypedFunc<u32, i32> = instance.get_typed_func(&mut store, "grow")?;
        let size: TypedFunc<(), i32> = instance.get_typed_func(&mut store, "size")?;
        let soil: TypedFunc<i32, ()> = instance.get_typed_func(&mut store, "soil")?;
        let start = size.call(&mut store, ())?;
        let mut found = look.call(&mut store, (0, start))?;
        if visit.grow > 0 && grow.call(&mut store, visit.grow)? >= 0 {
            let end = size.call(&mut store, ())?;
            found += look.call(&mut store, (start, end))?;
        }
        soil.call(&mut store, visit.stride)?;
        if visit.trap {
            let boom: TypedFunc<(), ()> = instance.get_typed_func(&mut store, "boom")?;
            assert!(
                boom.call(&mut store, ()).is_err(),
                "unreachable code returned"
            );
        }
        Ok((store, instance, found))
    }
}

/// A word of an image is its address times this: no two are alike.
const PATTERN: u64 = 0x9E37_79B9_7F4A_7C15;

const GUEST: &str = r#"(module
  (memory (export "memory") PAGES)
  (func (export "size") (result i32) (i32.mul (memory.size) (i32.const 65536)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "look") (param $at i32) (param $end i32) (result i32)
    (local $found i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $found (i32.add (local.get $found)
          (i64.ne (i64.load (local.get $at))
            (select (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const PATTERN)) (i64.const 0)
              (i32.lt_u (local.get $at) (i32.const IMAGE_END))))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $next)))
    (local.get $found))
  (func (export "soil") (param $stride i32)
    (local $at i32) (local $end i32)
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (i64.store (local.get $at) (i64.const 0x5ec7e75ec7e75ec7))
        (local.set $at (i32.add (local.get $at) (local.get $stride)))
        (br $next))))
  (func (export "boom") unreachable)
)"#;
