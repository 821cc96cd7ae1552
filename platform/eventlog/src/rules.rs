//! The rules of delivery, as far as a test can see one missing.
//!
//! A build with the feature `mutants` runs without the one rule that `SWITCHYARD_RULE_OFF` names, so
//! that it can be seen which test fails then (`scripts/mutants`). Any other build has the rules and
//! no way around them.

/// A rule, in the order of the road from a commit to a rail. Each is asked for where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What is rolled back gives its numbers back.
    GaplessNumbers,
    /// A relay sends in the order of numbers.
    InOrderProducer,
    /// A relay's durable position moves over what was acknowledged, and nothing else.
    GoBackN,
    /// A relay goes back to what a consumer lacks.
    ReplayAfterLoss,
    /// A number that comes too early stops the consumer.
    GapStops,
    /// A position is moved only from where its consumer believes it is.
    CompareAndSet,
    /// A position becomes durable in the commit of the effects up to it.
    PositionWithEffects,
    /// What is sent to a network stands as claimed before its first byte leaves.
    ClaimBeforeSend,
    /// A message without an answer is neither paid nor failed.
    UnknownIsNotFailure,
}

/// Whether this process keeps a rule.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn hold(_: Rule) -> bool {
    true
}

#[cfg(feature = "mutants")]
pub use switch::hold;

#[cfg(feature = "mutants")]
mod switch {
    use std::sync::LazyLock;

    use super::Rule;

    const NAMES: [(&str, Rule); 9] = [
        ("gapless-numbers", Rule::GaplessNumbers),
        ("in-order-producer", Rule::InOrderProducer),
        ("go-back-n", Rule::GoBackN),
        ("replay-after-loss", Rule::ReplayAfterLoss),
        ("gap-stops", Rule::GapStops),
        ("compare-and-set", Rule::CompareAndSet),
        ("position-with-effects", Rule::PositionWithEffects),
        ("claim-before-send", Rule::ClaimBeforeSend),
        ("unknown-is-not-failure", Rule::UnknownIsNotFailure),
    ];

    /// Read once: a process runs without one rule from its start to its end.
    static OFF: LazyLock<Option<Rule>> = LazyLock::new(|| {
        let name = std::env::var("SWITCHYARD_RULE_OFF").ok()?;
        Some(named(&name).unwrap_or_else(|names| {
            panic!("SWITCHYARD_RULE_OFF={name} is no rule; there are {names}")
        }))
    });

    /// Whether this process keeps a rule.
    pub fn hold(rule: Rule) -> bool {
        *OFF != Some(rule)
    }

    /// The rule of a name, or the names that there are.
    fn named(name: &str) -> Result<Rule, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, rule)| *rule).ok_or_else(|| NAMES.map(|(known, _)| known).join(", "))
    }

    #[cfg(test)]
    mod tests {
        use super::{NAMES, hold, named};

        #[test]
        fn a_rule_is_off_by_its_name_alone() {
            assert_eq!(NAMES.iter().filter(|(_, rule)| !hold(*rule)).count(), 0, "none was named");
            assert!(NAMES.iter().all(|(name, rule)| named(name) == Ok(*rule)));
            let names = named("go-back").expect_err("that is half a name");
            assert!(NAMES.iter().all(|(name, _)| names.contains(name)), "{names}");
        }
        #[test]
        fn the_script_tries_each_rule() {
            let script = include_str!("../../../scripts/mutants");
            for (name, _) in NAMES {
                let row = format!("\n{name} ");
                assert!(script.contains(&row), "scripts/mutants has no row for {name}");
            }
        }
    }
}
