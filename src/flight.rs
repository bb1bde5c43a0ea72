//! One does a piece of work, and whoever wants the same meanwhile waits for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The pieces of work that are going on, by what they are about.
#[derive(Debug)]
pub struct Flights<K, V>(Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>);

/// Whether somebody is at work already.
pub enum Joined<K: Eq + Hash, V> {
    /// Nobody was: whoever holds this is.
    Mine(Flight<K, V>),
    /// Somebody is.
    Others(Waiting<V>),
}

/// A piece of work of ours. Dropped without a landing, it leaves those who wait without an outcome.
pub struct Flight<K: Eq + Hash, V> {
    flights: Flights<K, V>,
    key: K,
    outcome: watch::Sender<Option<V>>,
}

/// A piece of work of somebody else.
pub struct Waiting<V>(watch::Receiver<Option<V>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Begins a piece of work, unless somebody is at it.
    #[must_use]
    pub fn join(&self, key: &K) -> Joined<K, V> {
        let mut going_on = self.lock();
        if let Some(outcome) = going_on.get(key) {
            return Joined::Others(Waiting(outcome.clone()));
        }
        let (sender, outcome) = watch::channel(None);
        going_on.insert(key.clone(), outcome);
        Joined::Mine(Flight { flights: self.clone(), key: key.clone(), outcome: sender })
    }
}

impl<K, V> Flights<K, V> {
    /// Whether nobody is at work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Flight<K, V> {
    /// Tells the outcome to those who wait.
    pub fn land(self, outcome: V) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<K: Eq + Hash, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl<V: Clone> Waiting<V> {
    /// The outcome; `None` where the work was given up.
    pub async fn landed(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(flights: &Flights<u8, u8>) -> Flight<u8, u8> {
        match flights.join(&1) {
            Joined::Mine(flight) => flight,
            Joined::Others(_) => panic!("nobody is at work"),
        }
    }

    fn others(flights: &Flights<u8, u8>) -> Waiting<u8> {
        match flights.join(&1) {
            Joined::Mine(_) => panic!("somebody is at work"),
            Joined::Others(waiting) => waiting,
        }
    }

    #[tokio::test]
    async fn those_who_wait_get_the_outcome() {
        let flights = Flights::default();
        let flight = mine(&flights);
        let (one, other) = (others(&flights), others(&flights));
        flight.land(7);
        assert_eq!((one.landed().await, other.landed().await), (Some(7), Some(7)));
        drop(mine(&flights));
    }

    #[tokio::test]
    async fn work_that_is_given_up_leaves_nobody_waiting() {
        let flights = Flights::default();
        let flight = mine(&flights);
        let waiting = others(&flights);
        drop(flight);
        assert_eq!(waiting.landed().await, None);
        drop(mine(&flights));
    }
}
