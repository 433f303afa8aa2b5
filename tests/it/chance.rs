//! Chance that can be repeated: every test that rolls dice prints its seed, and `CARETHREAD_TEST_SEED` rolls the same again.

use uuid::Uuid;

use carethread::kernel::base::World;

/// A stream of numbers from a seed (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
pub struct Chance(u64);

impl Chance {
    /// A new seed, or the one asked for; printed, so that a failure can be played again.
    pub fn new(test: &str) -> Self {
        let asked = std::env::var("CARETHREAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed =
            asked.unwrap_or_else(|| u64::from_be_bytes(World::system().id().as_bytes()[8..].try_into().unwrap()));
        println!("{test}: CARETHREAD_TEST_SEED={seed}");
        Self(seed)
    }

    /// A stream of its own for a part that runs beside others.
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// One of them.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// An id that nothing has.
    pub fn id(&mut self) -> String {
        let bytes = [self.next().to_be_bytes(), self.next().to_be_bytes()].concat();
        uuid::Builder::from_random_bytes(bytes.try_into().unwrap()).into_uuid().to_string()
    }
}

/// A new id, in the form of the wire: for keys, and for things that never existed.
pub fn fresh_id() -> String {
    Uuid::to_string(&World::system().id())
}
