//! The ACH rail against the sandbox's bank: every row of its table, every fault, uploads cut at each
//! request on two servers, crashes, cancellations, revoked methods, poisoned and doubled files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    mod bank;
    mod corrections;
    mod cuts;
    mod days;
    mod faults;
    mod inbound;
    mod life;
    pub mod proxy;
    pub mod sshd;
    pub mod world;
}
