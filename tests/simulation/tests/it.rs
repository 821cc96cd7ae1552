//! Seeds of the simulation: each is judged, and some are run twice; and a crash at each commit of one.

use std::sync::{Arc, LazyLock};

use simulation::{
    Plan, Report, Sums, Template,
    plan::{At, End},
    run,
};

static TEMPLATE: LazyLock<Arc<Template>> = LazyLock::new(Arc::default);

fn simulated(plan: Plan) -> Report {
    run(plan, &TEMPLATE).unwrap_or_else(|broke| panic!("{broke}"))
}

fn judged(plan: Plan) -> Report {
    let report = simulated(plan);
    assert!(report.problems.is_empty(), "{}", report.told());
    report
}

#[test]
fn whatever_happens_what_was_acknowledged_holds() {
    let mut sums = Sums::default();
    for seed in 0..300 {
        sums.adds(&judged(Plan::of(seed)));
    }
    let minutes = sums.minutes();
    let Sums { completed, failed, happened, .. } = sums;
    println!("{completed} transfers completed, {failed} refused for money; {minutes} minutes");
    println!("{happened:#?}");
    // What is not drawn is not tested.
    assert_eq!(happened.len(), 9, "{happened:?}");
    assert!(happened.values().all(|count| *count >= 10), "{happened:?}");
    assert!(completed > 1_000 && failed > 100);
}

#[test]
fn a_seed_runs_the_same_twice() {
    for seed in 0..50 {
        let (one, two) = (simulated(Plan::of(seed)), simulated(Plan::of(seed)));
        let differs = one.history.iter().zip(&two.history).find(|(one, two)| one != two);
        assert_eq!(one.digest, two.digest, "seed {seed}: {differs:#?}");
    }
}

#[test]
fn a_crash_at_each_commit_of_a_run_loses_nothing() {
    let plan = |end| Plan::of(1).ends_so(end);
    // A life that is stopped when all was asked has every commit there is.
    let whole = |number| plan(End::Commit { number, at: At::Before });
    let mut number = 0;
    loop {
        number += 1;
        let report = judged(whole(number));
        if report.ends.iter().any(|(_, came)| !came) {
            break;
        }
        for at in [At::Within, At::After] {
            judged(plan(End::Commit { number, at }));
        }
    }
    println!("crashed at each of {} commits, before it, within it and after it", number - 1);
    assert!(number > 20, "{number} commits");
}
