//! The whole program from outside: HTTP in, the sandbox's counterparties out.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

/// One test per shape for each case, a function that takes a started [`end_to_end::Process`].
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
            #[tokio::test(flavor = "multi_thread")]
            async fn in_several_processes() {
                let _alone = crate::MACHINE.lock().await;
                if let Some(process) = end_to_end::Process::start_several().await {
                    super::$case(process).await;
                }
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn in_several_processes_by_kafka() {
                let _alone = crate::MACHINE.lock().await;
                if let Some(process) = end_to_end::Process::start_several_by_kafka().await {
                    super::$case(process).await;
                }
            }
        })*
    };
}

/// Held by cases that load the whole machine, as all on many processes do: two at once make each
/// other's answers late, and a late answer is a refusal.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The machine, for a case that loads it also from one process; on many it is held already.
async fn machine(process: &end_to_end::Process) -> Option<tokio::sync::MutexGuard<'static, ()>> {
    match process.roles() {
        [_] => Some(MACHINE.lock().await),
        _ => None,
    }
}

mod ach;
mod ach_codes;
mod bad_input;
mod bulkheads;
mod canaries;
mod card;
mod carried;
mod cluster;
mod crashes;
mod dashboard;
mod dead_letters;
mod idempotency;
mod invariants;
mod micro_deposits;
mod points;
mod readme;
mod refunds;
mod restore;
mod rtp;
mod shape;
mod wallets;
