//! The filter of repeats as a simulated kernel has it: what `net::repeat_filter` has the real one do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use crate::engine::Path;
use crate::engine::repeats::{Place, Repeats, SharedPlaces, discr_in, image_of, loaded, places_of, words_of};
use crate::protocol::time::Time;

/// A host's filter. What it takes in is written down here, too, so that the engine can be asked whether it knows.
#[derive(Default)]
pub(super) struct RepeatFilter {
    places: Option<Arc<Vec<Place>>>,
    packet_len: usize,
    heard: FxHashMap<Path, Time>,
}

struct Shared(Arc<Vec<Place>>);

impl SharedPlaces for Shared {
    fn places(&self) -> &[Place] {
        &self.0
    }
}

impl RepeatFilter {
    /// A filter for so many sessions, whose packets have so many bytes; and the engine's side of it.
    pub(super) fn new(sessions: usize, packet_len: usize) -> (Self, Repeats) {
        let places = std::iter::repeat_with(Place::default).take(Repeats::places_for(sessions)).collect();
        let places = Arc::new(places);
        let shared = Shared(Arc::clone(&places));
        (Self { places: Some(places), packet_len, heard: FxHashMap::default() }, Repeats::new(Box::new(shared), 0))
    }

    /// Takes a datagram in that arrives now, if it is a repeat.
    pub(super) fn takes(&mut self, path: Path, bytes: &[u8], now: Time) -> bool {
        if bytes.len() != self.packet_len {
            return false;
        }
        let Some(place) = self.places.as_ref().and_then(|places| place_of(places, path, bytes)) else { return false };
        let now_ns = now.micros() * 1_000;
        let gap_ns = now_ns.saturating_sub(place.heard_ns.swap(now_ns, Ordering::Relaxed));
        place.worst_gap_ns.fetch_max(gap_ns, Ordering::Relaxed);
        place.count.fetch_add(1, Ordering::Relaxed);
        self.heard.insert(path, now);
        true
    }

    /// When the last repeat of a path was taken in.
    pub(super) fn heard(&self, path: &Path) -> Option<Time> {
        self.heard.get(path).copied()
    }
}

/// The place that tells the datagram to be a repeat.
fn place_of<'a>(places: &'a [Place], path: Path, bytes: &[u8]) -> Option<&'a Place> {
    let image = image_of(bytes)?;
    let mut its = places_of(discr_in(&image), places.len()).map(|number| &places[number as usize]);
    its.find(|place| {
        place.is_armed.load(Ordering::Relaxed) == 1
            && loaded(&place.image) == image
            && (place.source(), place.local()) == (words_of(path.peer), words_of(path.local))
            && place.ifindex.load(Ordering::Relaxed) == path.link.0
    })
}
