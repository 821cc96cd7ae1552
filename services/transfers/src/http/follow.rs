//! Timelines that are followed live: a new one for each change, until the transfer is final.
//!
//! A follower is woken by the commit that changed its transfer, never by a clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contracts::{Code, Refusal, exchanges::Timeline, ids::TransferId};
use parking_lot::Mutex;
use runtime::{EventSender, HttpBody, Platform, event_stream};
use tokio::sync::Notify;

use super::{existing, timeline};
use crate::domain::is_final;

/// Followers of one process; each holds a connection and a task.
const FOLLOWERS_MOST: usize = 1_024;
/// A follower hears something at least so often, so that one that went away is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long after the end the last timeline is waited for: the public feed gathers half a second.
const LATE_MOST: Duration = Duration::from_millis(1_500);

#[derive(Default)]
struct Following {
    count: usize,
    of: BTreeMap<TransferId, Vec<Arc<Notify>>>,
}

/// Those who follow a transfer. Cheap to clone.
#[derive(Clone, Default)]
pub struct Followers(Arc<Mutex<Following>>);

/// One follower; it is forgotten when this is dropped.
struct Follower {
    of: Followers,
    transfer: TransferId,
    changed: Arc<Notify>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut following = self.of.0.lock();
        following.count -= 1;
        if let Some(of_one) = following.of.get_mut(&self.transfer) {
            of_one.retain(|other| !Arc::ptr_eq(other, &self.changed));
            if of_one.is_empty() {
                following.of.remove(&self.transfer);
            }
        }
    }
}

impl Followers {
    /// These transfers changed, durably.
    pub fn wake(&self, changed: &[TransferId]) {
        let following = self.0.lock();
        if following.count == 0 {
            return;
        }
        for transfer in changed {
            for follower in following.of.get(transfer).into_iter().flatten() {
                follower.notify_one();
            }
        }
    }
    /// Any transfer may have changed in another process.
    pub fn wake_all(&self) {
        for follower in self.0.lock().of.values().flatten() {
            follower.notify_one();
        }
    }
    fn register(&self, transfer: TransferId) -> Result<Follower, Refusal> {
        let mut following = self.0.lock();
        if following.count >= FOLLOWERS_MOST {
            let detail = "too many follow transfers now; ask for the timeline without following";
            return Err(Refusal::new(Code::Busy, detail).retry_after(5));
        }
        let changed = Arc::new(Notify::new());
        following.count += 1;
        following.of.entry(transfer).or_default().push(Arc::clone(&changed));
        Ok(Follower { of: self.clone(), transfer, changed })
    }
    /// The stream of a transfer's timelines.
    pub fn follow(&self, platform: &Platform, transfer: TransferId) -> Result<HttpBody, Refusal> {
        let follower = self.register(transfer)?;
        let (sender, body) = event_stream();
        tokio::spawn(tell(platform.clone(), follower, sender));
        Ok(body)
    }
}

/// `event: timeline` with each new one, `event: end` after the last.
async fn tell(platform: Platform, follower: Follower, mut sender: EventSender) {
    loop {
        let Ok((timeline, ended)) = now(&platform, follower.transfer).await else { return };
        if ended {
            let last = last(&platform, follower.transfer, timeline).await;
            if sender.send("timeline", &json(&last)).await {
                sender.send("end", &serde_json::Value::from(last.status).to_string()).await;
            }
            return;
        }
        if !sender.send("timeline", &json(&timeline)).await {
            return;
        }
        loop {
            tokio::select! {
                biased;
                () = platform.draining() => return,
                () = follower.changed.notified() => break,
                () = tokio::time::sleep(KEEP_ALIVE) => {}
            }
            if !sender.keep_alive().await {
                return;
            }
        }
    }
}

fn json(timeline: &Timeline) -> String {
    serde_json::to_string(timeline).expect("timelines are plain data")
}

async fn now(platform: &Platform, transfer: TransferId) -> Result<(Timeline, bool), Refusal> {
    let record = existing(platform, transfer).await?;
    let ended = is_final(record.progress.status);
    Ok((timeline::of(platform, &record).await?, ended))
}

/// The timeline of a transfer that has ended, with what consumers do a moment later.
async fn last(platform: &Platform, transfer: TransferId, timeline: Timeline) -> Timeline {
    let waits = |timeline: &Timeline| {
        timeline.exchanges.iter().any(|e| e.outcome.as_deref() == Some("not yet consumed"))
    };
    if !waits(&timeline) {
        return timeline;
    }
    tokio::select! {
        biased;
        () = platform.draining() => return timeline,
        () = tokio::time::sleep(LATE_MOST) => {}
    }
    now(platform, transfer).await.map_or(timeline, |(timeline, _)| timeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(number: i64) -> TransferId {
        TransferId::from_parts(number, 0)
    }

    #[tokio::test]
    async fn a_follower_hears_of_its_own_transfer_alone() {
        let followers = Followers::default();
        let (one, other) = (followers.register(transfer(1)), followers.register(transfer(2)));
        let (one, other) = (one.unwrap(), other.unwrap());
        followers.wake(&[transfer(1), transfer(9)]);
        one.changed.notified().await;
        let silent = tokio::time::timeout(Duration::ZERO, other.changed.notified()).await;
        assert!(silent.is_err());
        drop((one, other));
        assert!(followers.0.lock().of.is_empty());
        assert_eq!(followers.0.lock().count, 0);
    }

    #[test]
    fn followers_are_bounded() {
        let followers = Followers::default();
        let all: Vec<Follower> =
            (0..1_024).map(|_| followers.register(transfer(1)).unwrap()).collect();
        let refused = followers.register(transfer(2)).err().unwrap();
        assert_eq!((refused.code, refused.retry_after_seconds), (Code::Busy, Some(5)));
        drop(all);
        assert!(followers.register(transfer(2)).is_ok());
    }
}
