//! Each node's two clocks: rates that differ, offsets, jumps, and pauses with and without the monotonic
//! clock going on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use env::{Clock, Mono, Wall};

use crate::executor::{Due, TimerId};
use crate::shared::Handle;

/// A node's clocks as a function of the world's time.
#[derive(Clone, Debug)]
pub(crate) struct NodeClock {
    /// How much faster than the world's time the clocks run, in millionths.
    rate_ppm: i64,
    anchor_at: u64,
    anchor_mono: u64,
    anchor_wall_ns: i64,
    /// The monotonic clock stands still.
    frozen: bool,
}

const MILLION: i128 = 1_000_000;

/// The wall clock at the start of a world: 2026-01-01T00:00:00Z, in nanoseconds.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

impl NodeClock {
    pub(crate) fn new(now: u64, rate_ppm: i64, mono: u64, wall_offset_ms: i64) -> NodeClock {
        assert!(
            rate_ppm.abs() < 500_000,
            "a clock that runs at half or twice the speed is broken"
        );
        let true_wall = EPOCH_NS.saturating_add(i64::try_from(now).unwrap_or(i64::MAX));
        NodeClock {
            rate_ppm,
            anchor_at: now,
            anchor_mono: mono,
            anchor_wall_ns: true_wall.saturating_add(wall_offset_ms.saturating_mul(1_000_000)),
            frozen: false,
        }
    }

    fn elapsed(&self, now: u64) -> u64 {
        let real = i128::from(now - self.anchor_at);
        let scaled = real * (MILLION + i128::from(self.rate_ppm)) / MILLION;
        u64::try_from(scaled).expect("rates are positive")
    }

    pub(crate) fn mono(&self, now: u64) -> u64 {
        if self.frozen {
            self.anchor_mono
        } else {
            self.anchor_mono + self.elapsed(now)
        }
    }

    fn wall_ns(&self, now: u64) -> i64 {
        self.anchor_wall_ns
            .saturating_add(i64::try_from(self.elapsed(now)).unwrap_or(i64::MAX))
    }

    pub(crate) fn wall_ms(&self, now: u64) -> i64 {
        self.wall_ns(now).div_euclid(1_000_000)
    }

    /// The first moment of the world's time at which the monotonic clock shows `mono`, if nothing changes.
    pub(crate) fn moment_of(&self, mono: u64) -> u64 {
        let wanted = i128::from(mono.saturating_sub(self.anchor_mono));
        let rate = MILLION + i128::from(self.rate_ppm);
        let real = (wanted * MILLION + rate - 1) / rate;
        self.anchor_at
            .saturating_add(u64::try_from(real).unwrap_or(u64::MAX))
    }

    fn anchor(&mut self, now: u64) {
        let (mono, wall) = (self.mono(now), self.wall_ns(now));
        (self.anchor_at, self.anchor_mono, self.anchor_wall_ns) = (now, mono, wall);
    }

    pub(crate) fn set_rate(&mut self, now: u64, rate_ppm: i64) {
        assert!(
            rate_ppm.abs() < 500_000,
            "a clock that runs at half or twice the speed is broken"
        );
        self.anchor(now);
        self.rate_ppm = rate_ppm;
    }

    pub(crate) fn jump_wall(&mut self, now: u64, by_ms: i64) {
        self.anchor(now);
        self.anchor_wall_ns = self
            .anchor_wall_ns
            .saturating_add(by_ms.saturating_mul(1_000_000));
    }

    pub(crate) fn freeze(&mut self, now: u64, frozen: bool) {
        self.anchor(now);
        self.frozen = frozen;
    }

    /// A new process, or a machine that booted: the monotonic clock starts anew.
    pub(crate) fn restart(&mut self, now: u64, mono: u64) {
        self.anchor(now);
        (self.anchor_mono, self.frozen) = (mono, false);
    }
}

/// The clocks of the node a process runs on.
#[derive(Clone)]
pub struct SimClock(pub(crate) Handle);

impl Clock for SimClock {
    fn mono(&self) -> Mono {
        let core = self.0.lock();
        Mono(core.nodes[self.0.node as usize].clock.mono(core.now))
    }

    fn wall(&self) -> Wall {
        let core = self.0.lock();
        Wall(core.nodes[self.0.node as usize].clock.wall_ms(core.now))
    }

    fn sleep_until(&self, at: Mono) -> impl Future<Output = ()> + Send + 'static {
        Sleep {
            handle: self.0.clone(),
            at: at.0,
            timer: None,
        }
    }
}

struct Sleep {
    handle: Handle,
    at: u64,
    timer: Option<TimerId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut core = this.handle.shared.lock();
        let core = &mut *core;
        let clock = &core.nodes[this.handle.node as usize].clock;
        if clock.mono(core.now) >= this.at {
            if let Some(timer) = this.timer.take() {
                core.timers.cancel(timer);
            }
            return Poll::Ready(());
        }
        if let Some(waker) = this.timer.and_then(|timer| core.timers.waker_mut(timer)) {
            if !waker.will_wake(cx.waker()) {
                waker.clone_from(cx.waker());
            }
            return Poll::Pending;
        }
        // First poll, or the clock was slowed, or stood still, since the timer was set.
        let moment = clock.moment_of(this.at).max(core.now + 1);
        let slack = core.jitter(core.profile.timer_slack_ns_max);
        if slack > 0 {
            core.strikes.hit("timer-late");
        }
        let waker = cx.waker().clone();
        this.timer = Some(
            core.timers
                .insert(moment.saturating_add(slack), Due::Wake(waker)),
        );
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.handle.lock().timers.cancel(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_reading_is_the_first_that_shows_it() {
        for rate in [-200_000, -50, 0, 7, 200, 300_000] {
            let clock = NodeClock::new(1000, rate, 77, 0);
            for mono in [0, 77, 78, 79, 1_000, 123_456_789, 1 << 60] {
                let moment = clock.moment_of(mono);
                assert!(clock.mono(moment) >= mono, "rate {rate} mono {mono}");
                if moment > 1000 {
                    assert!(clock.mono(moment - 1) < mono, "rate {rate} mono {mono}");
                }
            }
        }
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let mut clock = NodeClock::new(0, 0, 5, -3);
        assert_eq!(clock.wall_ms(0), EPOCH_NS / 1_000_000 - 3);
        let mut last = 0;
        for now in (0..100_000).step_by(1000) {
            match now % 7000 {
                0 => clock.set_rate(now, (now as i64 % 9) * 1000 - 4000),
                3000 => clock.jump_wall(now, -1_000_000),
                4000 => clock.freeze(now, now % 2000 == 0),
                _ => {}
            }
            assert!(clock.mono(now) >= last);
            last = clock.mono(now);
        }
        assert!(clock.wall_ms(100_000) < EPOCH_NS / 1_000_000);
    }
}
