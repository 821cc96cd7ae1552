//! The endpoints of payment-methods, and the writes behind them.

mod cards;
mod corrections;
mod micro_deposits;
mod sources;

use std::collections::BTreeMap;

use contracts::{
    Code, Refusal,
    ids::{AccountId, BankAccountId, PaymentMethodId},
    payment_methods::{
        BankAccountDetails, DisableBankAccount, Expiration, GetBankAccount, GetPaymentMethod,
        LinkBankAccount, ListBankAccounts, ListPaymentMethods, Nothing, ResolvePaymentMethods,
        Resolved, Reveal, Revealed, RevealedCard, RevealedMethod,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Platform, Work};

use crate::{
    PaymentMethods,
    domain::{
        self, BankAccount, Behind, Decision, Input, Method, Reason, Status,
        sealing::{AccountNumber, NONCE_BYTES, SealingKey},
    },
    events,
    store::{self, Found},
};

pub(crate) use cards::{ChangeCard, NewCard};
pub(crate) use corrections::Correction;
pub(crate) use micro_deposits::{ExpireDeposits, NameDeposits, StartDeposits};
use sources::{Sources, load_with_sources};

/// Payment methods that one [`Reveal`] may open.
const REVEALED_MOST: usize = 256;
/// Payment methods that one [`ResolvePaymentMethods`] may look up.
const RESOLVED_MOST: usize = 100;

type Results<T> = Result<Vec<Result<T, Refusal>>, Fault>;

/// Links a bank account whose details keep their rules.
pub(crate) struct NewBankAccount {
    account: AccountId,
    number: AccountNumber,
    /// Without the account number, which was taken out.
    details: BankAccountDetails,
}

/// Takes a bank account of an account out of use.
pub(crate) struct EndBankAccount {
    account: AccountId,
    bank_account: BankAccountId,
}

impl Command for NewBankAccount {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "NewBankAccount";
    type Done = BankAccount;
}
impl Command for EndBankAccount {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "EndBankAccount";
    type Done = BankAccount;
}

impl Commit<NewBankAccount> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[NewBankAccount]) -> Results<BankAccount> {
        let key = &self.config.sealing_key;
        let mut results = Vec::with_capacity(batch.len());
        for NewBankAccount { account, number, details } in batch {
            let fingerprint = key.fingerprint(&details.routing_number, number);
            if store::is_linked(work.tx, *account, &fingerprint)? {
                let what = "this bank account is linked already";
                results.push(Err(Refusal::new(Code::Conflict, what)));
                continue;
            }
            let id = BankAccountId(work.fresh(account.bucket()));
            let mut nonce = [0; NONCE_BYTES];
            work.secret(&mut nonce);
            let bank = BankAccount {
                id,
                account: *account,
                fingerprint,
                status: Status::New,
                holder_name: details.holder_name.clone(),
                holder_type: details.holder_type.clone(),
                bank_account_type: details.bank_account_type.clone(),
                routing_number: details.routing_number.clone(),
                last_four: number.last_four().to_owned(),
                sealed: key.seal(id, number, nonce),
                attempts: 0,
                reason: Some(Reason::BankAccountCreated),
                exception: None,
                named_until: None,
                disabled: None,
                created: work.now,
                updated: work.now,
            };
            events::add_bank(work, &self.known, &bank)?;
            results.push(Ok(bank));
        }
        Ok(results)
    }
}

impl Commit<EndBankAccount> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[EndBankAccount]) -> Results<BankAccount> {
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            results.push(match own(work, command.account, command.bank_account)? {
                Ok(bank) => self.change(work, bank, Input::Disable)?,
                Err(refusal) => Err(refusal),
            });
        }
        Ok(results)
    }
}

/// A bank account of this account.
fn own(
    work: &mut Work<'_, '_>,
    account: AccountId,
    id: BankAccountId,
) -> Result<Result<BankAccount, Refusal>, Fault> {
    let found = store::load_banks(work.tx, &[id])?.pop();
    let found = found.filter(|bank| bank.account == account);
    Ok(found.ok_or_else(|| Refusal::not_found("bank account")))
}

impl PaymentMethods {
    /// The bank account as an input leaves it.
    fn change(
        &self,
        work: &mut Work<'_, '_>,
        bank: BankAccount,
        input: Input,
    ) -> Result<Result<BankAccount, Refusal>, Fault> {
        match domain::decide(&bank, input, work.now) {
            Decision::Refused(refusal) => Ok(Err(refusal)),
            decision => {
                let changed = events::apply(work, &self.known, decision)?;
                Ok(Ok(changed.map_or(bank, |changed| *changed)))
            }
        }
    }
}

impl Answer<LinkBankAccount> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<LinkBankAccount>,
    ) -> Result<Answered<LinkBankAccount>, Refusal> {
        let mut details = ask.body.account;
        let checked = domain::check_details(&details);
        let number = AccountNumber::new(std::mem::take(&mut details.account_number));
        checked?;
        let command = NewBankAccount { account: ask.path.account, number, details };
        Ok(Answered::ok(&ask.platform.commit(command).await?.shown()))
    }
}

impl Answer<ListBankAccounts> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<ListBankAccounts>,
    ) -> Result<Answered<ListBankAccounts>, Refusal> {
        let account = ask.path.account;
        let banks = ask.platform.read(move |tx| store::list_banks(tx, account)).await?;
        Ok(Answered::ok(&banks.iter().map(BankAccount::shown).collect()))
    }
}

impl Answer<GetBankAccount> for PaymentMethods {
    async fn answer(&self, ask: Ask<GetBankAccount>) -> Result<Answered<GetBankAccount>, Refusal> {
        let (account, id) = (ask.path.account, ask.path.bank_account);
        let banks = ask.platform.read(move |tx| store::load_banks(tx, &[id])).await?;
        let own = |bank: &&BankAccount| bank.account == account && bank.disabled.is_none();
        let bank = banks.iter().find(own).ok_or_else(|| Refusal::not_found("bank account"))?;
        Ok(Answered::ok(&bank.shown()))
    }
}

impl Answer<DisableBankAccount> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<DisableBankAccount>,
    ) -> Result<Answered<DisableBankAccount>, Refusal> {
        let (account, bank_account) = (ask.path.account, ask.path.bank_account);
        ask.platform.commit(EndBankAccount { account, bank_account }).await?;
        Ok(Answered::ok(&Nothing {}))
    }
}

impl Answer<ListPaymentMethods> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<ListPaymentMethods>,
    ) -> Result<Answered<ListPaymentMethods>, Refusal> {
        let (account, query) = (ask.path.account, ask.query);
        let read = ask.platform.read(move |tx| {
            let mut methods = store::list_methods(tx, account)?;
            let kind = query.payment_method_type.as_deref();
            methods.retain(|method| method.fits(query.source_id, kind));
            let sources = Sources::load(tx, &methods)?;
            Ok((methods, sources))
        });
        let (methods, sources) = read.await?;
        Ok(Answered::ok(&methods.iter().map(|method| method.shown(sources.of(method))).collect()))
    }
}

impl Answer<GetPaymentMethod> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<GetPaymentMethod>,
    ) -> Result<Answered<GetPaymentMethod>, Refusal> {
        let (account, id) = (ask.path.account, ask.path.method);
        let read = ask.platform.read(move |tx| load_with_sources(tx, &[id]));
        let (methods, sources) = read.await?;
        let own = |method: &&Method| method.account == account && method.enabled;
        let method =
            methods.iter().find(own).ok_or_else(|| Refusal::not_found("payment method"))?;
        Ok(Answered::ok(&method.shown(sources.of(method))))
    }
}

impl Answer<ResolvePaymentMethods> for PaymentMethods {
    async fn answer(
        &self,
        ask: Ask<ResolvePaymentMethods>,
    ) -> Result<Answered<ResolvePaymentMethods>, Refusal> {
        let ids: Result<Vec<PaymentMethodId>, _> =
            ask.query.ids.split(',').take(RESOLVED_MOST + 1).map(str::parse).collect();
        let ids = ids.ok().filter(|ids| ids.len() <= RESOLVED_MOST);
        let ids = ids.ok_or_else(|| Refusal::field("ids", "is one to 100 ids"))?;
        let details = ask.query.details == Some(true);
        if !details {
            let methods = self.methods(&ask.platform, ids).await?;
            let methods = methods.iter().map(|method| method.resolved(Behind::default())).collect();
            return Ok(Answered::ok(&Resolved { methods }));
        }
        let read = ask.platform.read(move |tx| load_with_sources(tx, &ids));
        let (methods, sources) = read.await?;
        let methods = methods.iter().map(|method| method.resolved(sources.of(method))).collect();
        Ok(Answered::ok(&Resolved { methods }))
    }
}

impl PaymentMethods {
    /// Those of these methods that there are: from memory where this process alone writes them,
    /// else from rows read after the question came.
    async fn methods(
        &self,
        platform: &Platform,
        ids: Vec<PaymentMethodId>,
    ) -> Result<Vec<Method>, Refusal> {
        if platform.store().engine() == ::store::Engine::Postgres {
            return self.shared_read.methods(platform, ids).await;
        }
        let generation = match self.known.get(&ids) {
            Found::All(methods) => return Ok(methods),
            Found::Read(generation) => generation,
        };
        let methods = platform.read(move |tx| store::load_methods(tx, &ids)).await?;
        self.known.fill(generation, &methods);
        Ok(methods)
    }
}

impl Answer<Reveal> for PaymentMethods {
    async fn answer(&self, ask: Ask<Reveal>) -> Result<Answered<Reveal>, Refusal> {
        let asked = asked_versions(&ask.query.methods)
            .ok_or_else(|| Refusal::field("methods", "is up to 256 paymentMethodID:version"))?;
        let ids: Vec<PaymentMethodId> = asked.iter().map(|(id, _)| *id).collect();
        let read = ask.platform.read(move |tx| load_with_sources(tx, &ids));
        let (methods, sources) = read.await?;
        let methods: BTreeMap<_, _> = methods.iter().map(|method| (method.id, method)).collect();
        let mut revealed = Revealed { methods: Vec::with_capacity(asked.len()) };
        let taken_back = ask.query.revoked == Some(true);
        for (id, version) in asked {
            let may = |method: &Method| match taken_back {
                false => method.may_reveal(version),
                true => method.was_revealed(version),
            };
            let method = methods.get(&id).filter(|method| may(method));
            let of = method.map(|method| (*method, sources.of(method)));
            revealed.methods.push(reveal(&self.config.sealing_key, id, version, of)?);
        }
        Ok(Answered::ok(&revealed))
    }
}

/// The methods and versions of a query, at most [`REVEALED_MOST`].
fn asked_versions(query: &str) -> Option<Vec<(PaymentMethodId, i64)>> {
    let asked = query.split(',').take(REVEALED_MOST + 1).map(|item| {
        let (id, version) = item.split_once(':')?;
        Some((id.parse().ok()?, version.parse().ok()?))
    });
    asked.collect::<Option<Vec<_>>>().filter(|asked| asked.len() <= REVEALED_MOST)
}

/// One opened method; revoked where there is neither bank account nor card to open.
fn reveal(
    key: &SealingKey,
    payment_method_id: PaymentMethodId,
    version: i64,
    of: Option<(&Method, Behind<'_>)>,
) -> Result<RevealedMethod, Refusal> {
    let mut revealed = RevealedMethod {
        payment_method_id,
        version,
        revoked: true,
        payment_method_type: String::new(),
        holder_name: String::new(),
        holder_type: String::new(),
        routing_number: String::new(),
        account_number: String::new(),
        bank_account_type: String::new(),
        card: None,
    };
    let Some((method, behind)) = of else { return Ok(revealed) };
    if let Some(bank) = behind.bank {
        let number = key.open(bank.id, &bank.sealed).ok_or_else(cannot_open)?;
        revealed.holder_name.clone_from(&bank.holder_name);
        revealed.holder_type.clone_from(&bank.holder_type);
        revealed.routing_number.clone_from(&bank.routing_number);
        number.digits().clone_into(&mut revealed.account_number);
        revealed.bank_account_type.clone_from(&bank.bank_account_type);
    } else if let Some(card) = behind.card {
        let number = key.open_card(card.id, &card.sealed).ok_or_else(cannot_open)?;
        revealed.holder_name = card.details.holder_name.clone().unwrap_or_default();
        let Expiration { month, year } = card.details.expires.shown();
        let number = number.digits().to_owned();
        revealed.card =
            Some(RevealedCard { number, expiration_month: month, expiration_year: year });
    } else {
        return Ok(revealed);
    }
    revealed.revoked = false;
    method.kind.text().clone_into(&mut revealed.payment_method_type);
    Ok(revealed)
}

fn cannot_open() -> Refusal {
    Refusal::new(Code::Internal, "a sealed number cannot be opened")
}
