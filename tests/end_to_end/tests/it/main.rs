//! The whole program from outside: HTTP in, the sandbox's counterparties out.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

/// One test per engine for each case, a function that takes a started [`end_to_end::Process`].
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            #[tokio::test(flavor = "multi_thread")]
            async fn embedded() {
                super::$case(end_to_end::Process::start().await).await;
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                if let Some(process) = end_to_end::Process::start_on_postgresql().await {
                    super::$case(process).await;
                }
            }
        })*
    };
}

/// Held by cases that load the whole machine: two at once make each other's answers late, and a late
/// answer is a refusal.
static LOADING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

mod ach;
mod ach_codes;
mod bad_input;
mod bulkheads;
mod canaries;
mod card;
mod crashes;
mod dashboard;
mod dead_letters;
mod idempotency;
mod invariants;
mod micro_deposits;
mod points;
mod refunds;
mod rtp;
mod shape;
mod wallets;
