//! Where a node keeps its tables: in itself (`Fixed`) or on the heap (`Heap`). Everything else is written once.

use core::convert::Infallible;
use core::fmt::Debug;
use core::hash::Hash;
use core::marker::PhantomData;
use core::ops::DerefMut;

/// The origins of the latest messages and the owners of the latest changes that are named, the most of either.
pub(crate) const LATEST: usize = 16;
pub(crate) const FEW_LATEST: usize = 8;

mod sealed {
    use core::panic::{RefUnwindSafe, UnwindSafe};

    use super::{Debug, DerefMut, Hash};

    /// What lists are made of, and lists themselves. That all of them can be sent anywhere is said here, once: where the
    /// compiler had to find that out, the documentation of `Node` would name each of its lists for each of these traits.
    pub trait Element: Clone + Debug + Eq + Hash + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe {}

    impl<T: Clone + Debug + Eq + Hash + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe> Element for T {}

    /// A list with a limit, which refuses beyond it.
    pub trait List<T>: Element {
        /// All elements.
        fn all(&self) -> &[T];
        /// All elements, to be changed.
        fn all_mut(&mut self) -> &mut [T];
        /// Adds an element at the end; false, and nothing changed, if the list is at its limit.
        fn push(&mut self, element: T) -> bool;
        /// Forgets all elements and keeps the memory.
        fn clear(&mut self);
        /// Makes the list this long, with default elements at the end; false, and nothing changed, if that is beyond its
        /// limit.
        fn resize(&mut self, len: usize) -> bool
        where
            T: Default;
        /// Forgets all elements from this one on.
        fn truncate(&mut self, len: usize);
        /// The most elements it will hold.
        fn limit(&self) -> usize;
    }

    /// A short list of what is under way, in the node itself. Reading it is reading a slice.
    pub trait Few<T>: Element + DerefMut<Target = [T]> {
        /// No elements.
        const EMPTY: Self;
        /// Adds an element at the end, or gives it back if there is no room.
        fn push(&mut self, element: T) -> Result<(), T>;
        /// Whether there is no room.
        fn is_full(&self) -> bool;
        /// How many more elements it can hold.
        fn room(&self) -> usize;
        /// Keeps those elements alone, in their order.
        fn retain(&mut self, keep: impl FnMut(&T) -> bool);
        /// Takes out the first element.
        fn take_first(&mut self) -> Option<T>;
        /// Takes out this element; those behind it close up.
        fn take(&mut self, at: usize) -> Option<T>;
        /// Takes out this element; the last one takes its place.
        fn swap_take(&mut self, at: usize) -> Option<T>;
        /// Takes out the last element.
        fn pop(&mut self) -> Option<T>;
        /// Forgets all elements.
        fn clear(&mut self);
    }

    /// How many things may be under way at a time.
    pub trait Breadth: Element {
        /// One or the other of the two limits, for what concerns members.
        type Few<T: Element, const WIDE: usize, const NARROW: usize>: Few<T>;
        /// The same, for what concerns messages and maps.
        type FewData<T: Element, const WIDE: usize, const NARROW: usize>: Few<T>;
        /// The same, for what concerns all of them: the third limit holds where messages and maps are not kept.
        type FewShared<T: Element, const WIDE: usize, const NARROW: usize, const BARE: usize>: Few<T>;
        /// The first type, or the second, which is a part of it, where messages and maps are not kept.
        type Either<D: Element + Copy, P: Part<D>>: Part<D>;
        /// So many elements, if messages and maps are kept.
        type Data<T: Element, const MEMBERS: usize>: List<T> + Empty;
        /// Whether they are.
        const KEEPS_DATA: bool;
    }

    /// Some of the values of another type.
    pub trait Part<T>: Element + Copy + Into<T> + TryFrom<T> {}

    impl<T, P: Element + Copy + Into<T> + TryFrom<T>> Part<T> for P {}

    /// A list that can be made in a constant.
    pub trait Empty {
        /// No elements.
        const EMPTY: Self;
    }

    /// The associated types of a storage.
    pub trait Kind: Element {
        /// How much is under way at a time.
        type Width: Breadth;
        /// One element a member.
        type PerMember<T: Element>: List<T>;
        /// One element a member, if messages and maps are kept.
        type DataPerMember<T: Element>: List<T>;
        /// The payloads of messages.
        type Bytes: List<u8>;
        /// The entries of maps.
        type State: List<u8>;
    }
}

use sealed::Kind;
pub(crate) use sealed::List;
use sealed::Part;
pub(crate) use sealed::{Breadth, Element};

/// A list of what is under way: of `WIDE` elements at most, or of `NARROW` in a storage that is. Where it is used, the second
/// is named as the first, with `FEW` before it.
pub(crate) type Few<S, T, const WIDE: usize, const NARROW: usize> =
    <<S as Kind>::Width as Breadth>::Few<T, WIDE, NARROW>;
/// The same of what concerns messages and maps.
pub(crate) type FewData<S, T, const WIDE: usize, const NARROW: usize> =
    <<S as Kind>::Width as Breadth>::FewData<T, WIDE, NARROW>;
/// The same of what concerns all of them, with a third limit for a [`Bare`] node.
pub(crate) type FewShared<S, T, const WIDE: usize, const NARROW: usize, const BARE: usize> =
    <<S as Kind>::Width as Breadth>::FewShared<T, WIDE, NARROW, BARE>;
/// `D`, or in a [`Bare`] node `P`, which is a part of it.
pub(crate) type Either<S, D, P> = <<S as Kind>::Width as Breadth>::Either<D, P>;
pub(crate) use sealed::{Empty, Few as FewOf};

/// How much may be under way at a time. Sealed: [`Wide`], [`Narrow`] and [`Bare`] are the three there are. It changes how
/// soon things are done when much happens at once, and how much memory a node takes; nodes of all widths understand each
/// other.
pub trait Width: sealed::Breadth {}

impl<W: Breadth> Width for W {}

/// Much may be under way at a time: for clusters of any size, at some 22 kB a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wide {}

/// Little is under way at a time: for clusters of some dozens, where every byte counts. When much happens at once, the
/// rest waits, or comes a little later by anti-entropy.
///
/// Of what an application can have open there is less than in a [`Wide`] node: 8 topics (16), 4 broadcasts that wait for
/// their turn (8), 4 direct messages on their way (16), 2 questions (4) and 2 watched prefixes (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Narrow {}

/// As [`Narrow`], and without any memory for messages and maps: for a node of which only membership is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bare {}

impl Breadth for Wide {
    type Few<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, WIDE>;
    type FewData<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, WIDE>;
    type FewShared<T: Element, const WIDE: usize, const NARROW: usize, const BARE: usize> = heapless::Vec<T, WIDE>;
    type Either<D: Element + Copy, P: Part<D>> = D;
    type Data<T: Element, const MEMBERS: usize> = heapless::Vec<T, MEMBERS>;
    const KEEPS_DATA: bool = true;
}

impl Breadth for Narrow {
    type Few<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, NARROW>;
    type FewData<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, NARROW>;
    type FewShared<T: Element, const WIDE: usize, const NARROW: usize, const BARE: usize> = heapless::Vec<T, NARROW>;
    type Either<D: Element + Copy, P: Part<D>> = D;
    type Data<T: Element, const MEMBERS: usize> = heapless::Vec<T, MEMBERS>;
    const KEEPS_DATA: bool = true;
}

impl Breadth for Bare {
    type Few<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, NARROW>;
    type FewData<T: Element, const WIDE: usize, const NARROW: usize> = heapless::Vec<T, 0>;
    type FewShared<T: Element, const WIDE: usize, const NARROW: usize, const BARE: usize> = heapless::Vec<T, BARE>;
    type Either<D: Element + Copy, P: Part<D>> = P;
    type Data<T: Element, const MEMBERS: usize> = heapless::Vec<T, 0>;
    const KEEPS_DATA: bool = false;
}

impl<T, const N: usize> Empty for heapless::Vec<T, N> {
    const EMPTY: Self = heapless::Vec::new();
}

/// Takes note of an entry for which there must be room, as its table was asked for it before. Otherwise the entry is lost, which
/// is a fault of this crate.
pub(crate) fn must_fit<T>(pushed: Result<(), T>) {
    debug_assert!(pushed.is_ok(), "there must be room");
}

impl<T: Element, const N: usize> FewOf<T> for heapless::Vec<T, N> {
    const EMPTY: Self = heapless::Vec::new();

    fn push(&mut self, element: T) -> Result<(), T> {
        heapless::Vec::push(self, element)
    }

    fn is_full(&self) -> bool {
        self.room() == 0
    }

    fn room(&self) -> usize {
        N - self.len()
    }

    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        // One short loop for each kind of element, in place of the two of the vector's own.
        let mut at = 0;
        while let Some(element) = self.get(at) {
            if keep(element) {
                at += 1;
            } else {
                drop(self.take(at));
            }
        }
    }

    fn take_first(&mut self) -> Option<T> {
        self.take(0)
    }

    fn take(&mut self, at: usize) -> Option<T> {
        (at < self.len()).then(|| self.remove(at))
    }

    fn swap_take(&mut self, at: usize) -> Option<T> {
        (at < self.len()).then(|| self.swap_remove(at))
    }

    fn pop(&mut self) -> Option<T> {
        heapless::Vec::pop(self)
    }

    fn clear(&mut self) {
        heapless::Vec::clear(self);
    }
}

/// Where a node keeps its tables. Sealed: [`Fixed`] and, with the feature `alloc`, `Heap` are the two there are.
///
/// Both have limits, refuse beyond them in the same manner and keep the same order, so that two nodes with equal
/// limits and of one [`Width`] send the same bytes whatever their storage.
pub trait Storage: sealed::Kind {}

impl<S: sealed::Kind> Storage for S {}

/// Tables inside the node itself: no allocator is touched, and the node can sit in a `static`.
///
/// `MEMBERS` counts the node itself and the dead that it remembers. `BROADCAST_BYTES` holds the payloads of messages and
/// 40 bytes beside each: those on their way, those that the application has not read yet, and those that others may
/// have missed, for as long as there is room; with 0 there are no messages. `STATE_BYTES` holds the keys and values of all
/// members' maps, and 24 bytes beside each (32 if it runs out or came in pieces); with 0 there is no state. `W` is how much
/// may be under way at a time: [`Narrow`], unless it is [`Wide`] or [`Bare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fixed<const MEMBERS: usize, const STATE_BYTES: usize = 1024, const BROADCAST_BYTES: usize = 1024, W = Narrow>(
    PhantomData<W>,
    Infallible,
);

impl<const MEMBERS: usize, const STATE_BYTES: usize, const BROADCAST_BYTES: usize, W: Width> sealed::Kind
    for Fixed<MEMBERS, STATE_BYTES, BROADCAST_BYTES, W>
{
    type Width = W;
    type PerMember<T: Element> = heapless::Vec<T, MEMBERS>;
    type DataPerMember<T: Element> = W::Data<T, MEMBERS>;
    type Bytes = heapless::Vec<u8, BROADCAST_BYTES>;
    type State = heapless::Vec<u8, STATE_BYTES>;
}

impl<T: Element, const N: usize> List<T> for heapless::Vec<T, N> {
    // The compiler does not see that a list without room has no elements: what would be done with them is in no program.
    fn all(&self) -> &[T] {
        if N == 0 { &[] } else { self }
    }

    fn all_mut(&mut self) -> &mut [T] {
        if N == 0 { &mut [] } else { self }
    }

    fn push(&mut self, element: T) -> bool {
        heapless::Vec::push(self, element).is_ok()
    }

    fn clear(&mut self) {
        heapless::Vec::clear(self);
    }

    fn resize(&mut self, len: usize) -> bool
    where
        T: Default,
    {
        heapless::Vec::resize_default(self, len).is_ok()
    }

    fn truncate(&mut self, len: usize) {
        heapless::Vec::truncate(self, len);
    }

    fn limit(&self) -> usize {
        N
    }
}

#[cfg(feature = "alloc")]
pub use heap::{Heap, Limits};

#[cfg(feature = "alloc")]
mod heap {
    use alloc::vec::Vec;

    use super::{Element, Infallible, List, PhantomData, Wide, Width, sealed};

    /// Tables on the heap, which grow up to their [`Limits`] and then refuse as [`Fixed`](super::Fixed) does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Heap<W = Wide>(PhantomData<W>, Infallible);

    impl<W: Width> sealed::Kind for Heap<W> {
        type Width = W;
        type PerMember<T: Element> = Limited<T>;
        type DataPerMember<T: Element> = Limited<T>;
        type Bytes = Limited<u8>;
        type State = Limited<u8>;
    }

    /// How far the tables of a `HeapNode` may grow.
    ///
    /// ```
    /// use tidings::Limits;
    /// assert_eq!(Limits::DEFAULT.with_members(500).members(), 500);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[must_use = "a setter gives a new value and changes nothing"]
    pub struct Limits {
        members: usize,
        broadcast_bytes: usize,
        state_bytes: usize,
    }

    impl Limits {
        /// 4,096 members, 256 KiB for messages, and 16 MiB for state.
        pub const DEFAULT: Limits = Limits { members: 4_096, broadcast_bytes: 256 << 10, state_bytes: 16 << 20 };
        /// The most members that a table can be given, 2^24.
        pub const MAX_MEMBERS: usize = 1 << 24;
        /// The most bytes that messages can be given, 2^30.
        pub const MAX_BROADCAST_BYTES: usize = 1 << 30;
        /// The most bytes that state can be given, 2^30.
        pub const MAX_STATE_BYTES: usize = 1 << 30;

        /// At most this many members, this node and the remembered dead among them. Below 2 it counts as 2, above
        /// [`MAX_MEMBERS`](Self::MAX_MEMBERS) as that.
        pub const fn with_members(self, members: usize) -> Self {
            let members = if members < 2 { 2 } else { members };
            Limits { members: if members > Self::MAX_MEMBERS { Self::MAX_MEMBERS } else { members }, ..self }
        }

        /// At most this many bytes for messages, 40 beside each payload included; above
        /// [`MAX_BROADCAST_BYTES`](Self::MAX_BROADCAST_BYTES) it counts as that. How far back others can be given what they
        /// missed depends on it: 256 KiB hold 25 seconds of 100 messages of 64 bytes a second.
        pub const fn with_broadcast_bytes(self, bytes: usize) -> Self {
            let most = Self::MAX_BROADCAST_BYTES;
            Limits { broadcast_bytes: if bytes > most { most } else { bytes }, ..self }
        }

        /// At most this many bytes for the keys and values of all members' maps, 24 beside each included; above
        /// [`MAX_STATE_BYTES`](Self::MAX_STATE_BYTES) it counts as that. One member's map takes at most a quarter of it.
        pub const fn with_state_bytes(self, bytes: usize) -> Self {
            let most = Self::MAX_STATE_BYTES;
            Limits { state_bytes: if bytes > most { most } else { bytes }, ..self }
        }

        /// The most members.
        pub const fn members(self) -> usize {
            self.members
        }

        /// The most bytes for messages.
        pub const fn broadcast_bytes(self) -> usize {
            self.broadcast_bytes
        }

        /// The most bytes for state.
        pub const fn state_bytes(self) -> usize {
            self.state_bytes
        }
    }

    impl Default for Limits {
        fn default() -> Self {
            Limits::DEFAULT
        }
    }

    /// A vector that grows by an eighth at a time, never past its limit: doubling would leave half of it empty.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Limited<T> {
        elements: Vec<T>,
        limit: usize,
    }

    impl<T> Limited<T> {
        pub(crate) const fn new(limit: usize) -> Self {
            Limited { elements: Vec::new(), limit }
        }

        /// Has room for so many elements, and some more.
        fn reserve(&mut self, len: usize) {
            let held = self.elements.len();
            if len > self.elements.capacity() {
                let wanted = len.max(held + (held / 8).max(8)).min(self.limit.max(len));
                self.elements.reserve_exact(wanted - held);
            }
        }
    }

    impl<T: Element> List<T> for Limited<T> {
        fn all(&self) -> &[T] {
            &self.elements
        }

        fn all_mut(&mut self) -> &mut [T] {
            &mut self.elements
        }

        fn push(&mut self, element: T) -> bool {
            let len = self.elements.len();
            if len >= self.limit {
                return false;
            }
            self.reserve(len + 1);
            self.elements.push(element);
            true
        }

        fn clear(&mut self) {
            self.elements.clear();
        }

        fn resize(&mut self, len: usize) -> bool
        where
            T: Default,
        {
            if len > self.limit {
                return false;
            }
            self.reserve(len);
            self.elements.resize(len, T::default());
            true
        }

        fn truncate(&mut self, len: usize) {
            self.elements.truncate(len);
        }

        fn limit(&self) -> usize {
            self.limit
        }
    }
}

#[cfg(feature = "alloc")]
pub(crate) use heap::Limited;
