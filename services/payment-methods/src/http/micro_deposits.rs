//! Micro-deposits: their endpoints, and the writes behind them.

use contracts::{
    Amount, Code, Currency, Refusal,
    ids::{AccountId, BankAccountId, TransferId, default_wallet},
    payment_methods::{
        CompleteMicroDeposits, CompletedMicroDeposits, InitiateMicroDeposits, MicroDeposit,
        MicroDepositsInitiated,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Work};

use super::{Results, own};
use crate::{
    PaymentMethods,
    domain::{
        self, BankAccount, Deposits, Input, Kind, Method, Status,
        micro_deposits::{Deposit, cents},
        sealing::NONCE_BYTES,
    },
    store,
};

/// An account's owner asks for micro-deposits, for which its platform pays.
pub(crate) struct StartDeposits {
    account: AccountId,
    bank_account: BankAccountId,
    facilitator: AccountId,
}

/// An account's owner names the amounts seen.
pub(crate) struct NameDeposits {
    account: AccountId,
    bank_account: BankAccountId,
    amounts: [i64; 2],
}

/// Ends the verifications whose time is over.
pub(crate) struct ExpireDeposits;

/// Verifications that one commit ends.
const EXPIRED_MOST: u32 = 256;

impl Command for ExpireDeposits {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "ExpireDeposits";
    type Done = ();
}
impl Command for StartDeposits {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "StartDeposits";
    type Done = BankAccount;
}
impl Command for NameDeposits {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "NameDeposits";
    type Done = BankAccount;
}

impl Commit<StartDeposits> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[StartDeposits]) -> Results<BankAccount> {
        batch.iter().map(|command| self.start_deposits(work, command)).collect()
    }
}

impl Commit<NameDeposits> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[NameDeposits]) -> Results<BankAccount> {
        batch.iter().map(|command| self.name_deposits(work, command)).collect()
    }
}

impl Commit<ExpireDeposits> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[ExpireDeposits]) -> Results<()> {
        let expiring = store::list_expiring(work.tx, EXPIRED_MOST)?;
        let over = expiring.into_iter().filter(|(_, until)| *until <= work.now);
        let over: Vec<BankAccountId> = over.map(|(id, _)| id).collect();
        for bank in store::load_banks(work.tx, &over)? {
            // A verification that is over is never refused.
            let _ = self.change(work, bank, Input::Expire)?;
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

impl PaymentMethods {
    fn start_deposits(
        &self,
        work: &mut Work<'_, '_>,
        command: &StartDeposits,
    ) -> Result<Result<BankAccount, Refusal>, Fault> {
        let bank = match own(work, command.account, command.bank_account)? {
            Ok(bank) => bank,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let deposits = self.config.deposits;
        let due =
            deposits == Deposits::Sent && bank.status == Status::New && bank.disabled.is_none();
        if due && let Err(refusal) = self.send_deposits(work, &bank, command.facilitator)? {
            return Ok(Err(refusal));
        }
        self.change(work, bank, Input::StartDeposits(deposits))
    }
    /// Two deposits of random cents: their secret is kept, and who moves the money is told.
    fn send_deposits(
        &self,
        work: &mut Work<'_, '_>,
        bank: &BankAccount,
        facilitator: AccountId,
    ) -> Result<Result<(), Refusal>, Fault> {
        let wallet_id = default_wallet(facilitator);
        let payer = Method::of_wallet(wallet_id, facilitator, Currency::USD, work.now).id;
        let credits = Method::of_bank_account(bank);
        let credit = credits.iter().find(|method| method.kind == Kind::AchCreditSameDay);
        let Some(credit) = credit.map(|method| method.id) else {
            return Ok(Err(Refusal::new(Code::Conflict, "the bank account takes no credits")));
        };
        let mut there = store::load_methods(work.tx, &[payer, credit])?;
        there.retain(|method| method.enabled);
        let [payer, credit] = there.as_slice() else {
            let what = "the platform has no wallet, or the bank account takes no credits any more";
            return Ok(Err(Refusal::new(Code::Conflict, what)));
        };
        let round = store::newest_deposits(work.tx, bank.id)?.first().map_or(1, |d| d.round + 1);
        let mut event = MicroDepositsInitiated {
            bank_account_id: bank.id,
            facilitator_id: facilitator,
            wallet_id,
            wallet_method_id: payer.id,
            payment_method_id: credit.id,
            version: credit.version,
            payment_method_type: credit.kind.text().to_owned(),
            deposits: Vec::new(),
        };
        let mut kept = Vec::new();
        for _ in 0..2 {
            let transfer_id = TransferId(work.fresh(wallet_id.bucket()));
            let cents = random_cents(work);
            let mut nonce = [0; NONCE_BYTES];
            work.secret(&mut nonce);
            let sealed = self.config.sealing_key.seal_deposit(transfer_id, cents, nonce);
            kept.push(Deposit { transfer: transfer_id, bank_account: bank.id, round, sealed });
            let amount = Amount::new(cents, Currency::USD);
            event.deposits.push(MicroDeposit { transfer_id, amount });
        }
        store::insert_deposits(work.tx, &kept)?;
        // To the home of the transfers, which is the wallet's.
        let shard = work.shard_of(wallet_id.bucket());
        work.emit(bank.id.row(), shard, &event);
        Ok(Ok(()))
    }
    fn name_deposits(
        &self,
        work: &mut Work<'_, '_>,
        command: &NameDeposits,
    ) -> Result<Result<BankAccount, Refusal>, Fault> {
        let bank = match own(work, command.account, command.bank_account)? {
            Ok(bank) => bank,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(sent) = self.sent(work, &bank)? else {
            let what = "no micro-deposits were sent yet";
            return Ok(Err(Refusal::new(Code::Conflict, what)));
        };
        self.change(work, bank, Input::NameDeposits { named: command.amounts, sent })
    }
    /// The amounts that a bank account's owner is to name.
    fn sent(&self, work: &mut Work<'_, '_>, bank: &BankAccount) -> Result<Option<[i64; 2]>, Fault> {
        if self.config.deposits == Deposits::Simulated {
            return Ok(Some([0, 0]));
        }
        let mut amounts = Vec::new();
        for deposit in store::newest_deposits(work.tx, bank.id)? {
            let opened = self.config.sealing_key.open_deposit(deposit.transfer, &deposit.sealed);
            let what = || Fault::Poison("a sealed micro-deposit cannot be opened".to_owned());
            amounts.push(opened.ok_or_else(what)?);
        }
        Ok(amounts.try_into().ok())
    }
}

fn random_cents(work: &mut Work<'_, '_>) -> i64 {
    loop {
        let mut random = [0];
        work.secret(&mut random);
        if let Some(cents) = cents(random[0]) {
            return cents;
        }
    }
}

impl Answer<InitiateMicroDeposits> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<InitiateMicroDeposits>,
    ) -> Result<Answered<InitiateMicroDeposits>, Refusal> {
        let (account, bank_account) = (ask.path.account, ask.path.bank_account);
        let known = ask.platform.access().account(account);
        let facilitator = known.ok_or_else(|| Refusal::not_found("account"))?.facilitator;
        let started = ask.platform.commit(StartDeposits { account, bank_account, facilitator });
        if started.await?.status == Status::VerificationFailed {
            let what = "the micro-deposits are too old: the verification failed";
            return Err(Refusal::new(Code::Conflict, what));
        }
        Ok(Answered::nothing())
    }
}

impl Answer<CompleteMicroDeposits> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<CompleteMicroDeposits>,
    ) -> Result<Answered<CompleteMicroDeposits>, Refusal> {
        let (account, bank_account) = (ask.path.account, ask.path.bank_account);
        let command = NameDeposits { account, bank_account, amounts: ask.body.amounts };
        let bank = ask.platform.commit(command).await?;
        domain::deposits_answer(&bank)?;
        Ok(Answered::ok(&CompletedMicroDeposits { status: bank.status.text().to_owned() }))
    }
}
