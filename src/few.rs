//! Floor 0: a list that almost always has one element, and then needs no memory of its own.

use std::iter::Chain;
use std::ops::{Deref, DerefMut};
use std::{option, vec};

/// A list of a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Few<T> {
    /// One element.
    One(T),
    /// None, or several.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// Adds an element at the end.
    pub fn push(&mut self, new: T) {
        *self = match std::mem::take(self) {
            Few::Many(many) if many.is_empty() => Few::One(new),
            Few::Many(mut many) => {
                many.push(new);
                Few::Many(many)
            }
            Few::One(one) => Few::Many(vec![one, new]),
        };
    }

    /// Keeps only the elements that `wanted` holds for.
    pub fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        match self {
            Few::One(one) if wanted(one) => {}
            Few::One(_) => *self = Few::default(),
            Few::Many(many) => many.retain(wanted),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few::Many(Vec::new())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Few::One(one) => std::slice::from_ref(one),
            Few::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::One(one) => std::slice::from_mut(one),
            Few::Many(many) => many,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next()) {
            (None, _) => Few::default(),
            (Some(one), None) => Few::One(one),
            (Some(one), Some(other)) => Few::Many([one, other].into_iter().chain(elements).collect()),
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Few::One(one) => (Some(one), Vec::new()),
            Few::Many(many) => (None, many),
        };
        one.into_iter().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_needs_no_memory() {
        assert_eq!(std::iter::once(7).collect::<Few<_>>(), Few::One(7));
        let mut few = Few::default();
        few.push(7);
        assert_eq!(few, Few::One(7));
    }

    proptest! {
        #[test]
        fn is_as_a_vector(first in prop::collection::vec(0_u8..9, 0..4), more in prop::collection::vec(0_u8..9, 0..3)) {
            let mut few: Few<u8> = first.iter().copied().collect();
            let mut vector = first;
            for new in more {
                few.push(new);
                vector.push(new);
            }
            prop_assert_eq!(&*few, &*vector);
            few.retain(|one| one % 3 > 0);
            vector.retain(|one| one % 3 > 0);
            few.iter_mut().chain(&mut vector).for_each(|one| *one += 1);
            prop_assert_eq!(&*few, &*vector);
            prop_assert_eq!(few.into_iter().collect::<Vec<_>>(), vector);
        }
    }
}
