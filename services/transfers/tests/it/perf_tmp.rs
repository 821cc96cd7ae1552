//! temp
use crate::harness::{Harness, body};
use std::sync::Arc;
fn ticks() -> Vec<(String, u64)> {
    let mut out = vec![];
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let p = t.unwrap().path();
        let name = std::fs::read_to_string(p.join("comm")).unwrap_or_default();
        let ns: u64 = std::fs::read_to_string(p.join("schedstat"))
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or("0")
            .parse()
            .unwrap_or(0);
        out.push((name.trim().to_owned(), ns));
    }
    out
}
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn perf() {
    let harness = Arc::new(Harness::new().await);
    for (most, total) in [(64usize, 40_000usize), (256, 40_000)] {
        let before: Vec<_> = ticks();
        let began = harness.running.platform.monotonic().micros();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..most {
            let h = Arc::clone(&harness);
            asking.spawn(async move {
                for _ in 0..total / most {
                    let b = body(1, 2, 5).to_string();
                    let r = h.post(&b, &[("x-idempotency-key", &h.fresh_key())]).await;
                    assert_eq!(r.status, 200);
                }
            });
        }
        asking.join_all().await;
        let took = harness.running.platform.monotonic().micros() - began;
        let sum = |v: &[(String, u64)], n: &str| {
            v.iter().filter(|(c, _)| c.starts_with(n)).map(|x| x.1).sum::<u64>()
        };
        let after = ticks();
        for n in ["writer", "tokio", "checkpoint", ""] {
            eprintln!(
                "PERF c={most} {n}: {:.2} us/transfer",
                (sum(&after, n) - sum(&before, n)) as f64 / 1000.0 / total as f64
            );
        }
        eprintln!("PERF c={most}: {:.0}/s", total as f64 * 1e6 / took as f64);
    }
}
