//! A bank corrects the details of an account: the endpoint, and the write behind it.

#[cfg(test)]
mod tests;

use contracts::{
    Code, Refusal,
    payment_methods::{BankAccountDetails, CorrectBankAccount, CorrectBankAccountRequest, Nothing},
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Work};

use super::{Results, cannot_open};
use crate::{
    PaymentMethods,
    domain::{
        self, BankAccount,
        sealing::{AccountNumber, NONCE_BYTES},
    },
    events, store,
};

/// A notice, as the rail told it.
pub(crate) struct Correction(CorrectBankAccountRequest);

impl Command for Correction {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "Correction";
    type Done = ();
}

impl Commit<Correction> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[Correction]) -> Results<()> {
        batch.iter().map(|Correction(notice)| self.correct(work, notice)).collect()
    }
}

impl PaymentMethods {
    fn correct(
        &self,
        work: &mut Work<'_, '_>,
        notice: &CorrectBankAccountRequest,
    ) -> Result<Result<(), Refusal>, Fault> {
        if store::is_corrected(work.tx, &notice.cause)? {
            return Ok(Ok(()));
        }
        let method = store::load_methods(work.tx, &[notice.payment_method_id])?.pop();
        let method = method.filter(|method| (1..=method.version).contains(&notice.version));
        let Some(id) = method.and_then(|method| method.bank_account()) else {
            return Ok(Err(Refusal::not_found("payment method or version")));
        };
        let Some(before) = store::load_banks(work.tx, &[id])?.pop() else {
            return Err(Fault::Poison("a method's bank account is not there".to_owned()));
        };
        let mut nonce = [0; NONCE_BYTES];
        work.secret(&mut nonce);
        let after = match self.corrected(&before, notice, nonce) {
            Ok(after) => BankAccount { updated: work.now, ..after },
            Err(refusal) => return Ok(Err(refusal)),
        };
        let moved = after.fingerprint != before.fingerprint && before.disabled.is_none();
        if moved && store::is_linked(work.tx, after.account, &after.fingerprint)? {
            let what = "the corrected bank account is linked besides";
            return Ok(Err(Refusal::new(Code::Conflict, what)));
        }
        let named = (notice.cause.as_str(), notice.change_code.as_str());
        store::insert_correction(work.tx, work.now, named, &before)?;
        events::correct_bank(work, &self.known, &after)?;
        Ok(Ok(()))
    }
    /// The bank account with what is right, sealed anew; a refusal names the rules that it breaks.
    fn corrected(
        &self,
        before: &BankAccount,
        notice: &CorrectBankAccountRequest,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<BankAccount, Refusal> {
        let (key, right) = (&self.config.sealing_key, &notice.corrected);
        let known = key.open(before.id, &before.sealed).ok_or_else(cannot_open)?;
        let or =
            |right: &Option<String>, known: &str| right.clone().unwrap_or_else(|| known.to_owned());
        let mut details = BankAccountDetails {
            holder_name: or(&right.holder_name, &before.holder_name),
            holder_type: before.holder_type.clone(),
            routing_number: or(&right.routing_number, &before.routing_number),
            account_number: or(&right.account_number, known.digits()),
            bank_account_type: or(&right.bank_account_type, &before.bank_account_type),
        };
        let checked = domain::check_details(&details);
        let number = AccountNumber::new(std::mem::take(&mut details.account_number));
        checked?;
        Ok(BankAccount {
            fingerprint: key.fingerprint(&details.routing_number, &number),
            last_four: number.last_four().to_owned(),
            sealed: key.seal(before.id, &number, nonce),
            holder_name: details.holder_name,
            bank_account_type: details.bank_account_type,
            routing_number: details.routing_number,
            ..before.clone()
        })
    }
}

impl Answer<CorrectBankAccount> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<CorrectBankAccount>,
    ) -> Result<Answered<CorrectBankAccount>, Refusal> {
        domain::check_notice(&ask.body)?;
        ask.platform.commit(Correction(ask.body)).await?;
        Ok(Answered::ok(&Nothing {}))
    }
}
