//! The share of an engine's slots that one package may hold: never the last ones while other packages need some.

/// The maximum fraction of the slots that one package may have, if there are not enough for all: the others have at
/// least a quarter.
const MOST_OF_ONE: (usize, usize) = (3, 4);

/// Slots of an engine, or of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    /// Linear memories.
    pub memories: usize,
    /// Tables.
    pub tables: usize,
    /// Instances of components, with their stacks.
    pub instances: usize,
}

impl Slots {
    fn kinds(self) -> [usize; 3] {
        [self.memories, self.tables, self.instances]
    }
}

/// The maximum number of instances of each of an engine's packages, given the slots of one instance and the number that
/// it wants.
pub(crate) fn shares(all: Slots, packages: &[(Slots, usize)]) -> Vec<usize> {
    let wanted = |kind: fn(Slots) -> usize| {
        let each = packages
            .iter()
            .map(|(one, wanted)| kind(*one).saturating_mul(*wanted));
        each.fold(0, usize::saturating_add)
    };
    let wanted = [
        wanted(|slots| slots.memories),
        wanted(|slots| slots.tables),
        wanted(|slots| slots.instances),
    ];
    let share = |(one, own): &(Slots, usize)| {
        if packages.len() < 2 {
            return *own;
        }
        let kinds = all.kinds().into_iter().zip(wanted).zip(one.kinds());
        kinds.fold(*own, |share, ((all, wanted), one)| {
            let (most, of) = MOST_OF_ONE;
            let slots = all / of * most + all % of * most / of;
            match slots.checked_div(one) {
                Some(most) if wanted > all => share.min(most.max(1)),
                _ => share,
            }
        })
    };
    packages.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Slots = Slots {
        memories: 6_000,
        tables: usize::MAX,
        instances: 3_000,
    };

    fn one(memories: usize) -> Slots {
        Slots {
            memories,
            tables: 1,
            instances: 1,
        }
    }

    #[test]
    fn a_package_of_many_memories_leaves_some_to_the_others() {
        let shares = shares(ALL, &[(one(20), 1_000), (one(1), 1_000)]);
        assert_eq!(shares, [225, 1_000]);
        assert!(20 * shares[0] <= 4_500, "a quarter of the memories is left");
    }

    #[test]
    fn what_suffices_for_all_is_not_cut_and_neither_is_who_is_alone() {
        assert_eq!(
            shares(ALL, &[(one(2), 1_000), (one(1), 1_000)]),
            [1_000, 1_000]
        );
        assert_eq!(shares(ALL, &[(one(1), 100_000)]), [100_000]);
    }

    #[test]
    fn instances_are_shared_too_and_everybody_has_one() {
        assert_eq!(shares(ALL, &[(one(1), 5_000), (one(0), 10)]), [2_250, 10]);
        let few = Slots {
            memories: 1,
            tables: 1,
            instances: 1,
        };
        assert_eq!(shares(few, &[(one(1), 1), (one(1), 1)]), [1, 1]);
    }
}
