//! The endpoints of accounts, and the writes behind them.

use contracts::{
    Refusal,
    accounts::{
        self as contract, Business, CreateAccount, CreateAccountRequest, CreateKey,
        CreateKeyRequest, GetAccount, GetCapability, ListAccounts, ListCapabilities, ListKeys,
        Paging, Profile, RequestCapabilities, RevokeKey,
    },
    ids::{AccountId, KeyId},
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Work};

use crate::{
    Accounts,
    domain::{self, Account, Key, Revocation},
    events, store,
};

type Results<T> = Result<Vec<Result<T, Refusal>>, Fault>;

/// Makes sure that the platform's own account is there, and makes an operator's key for it.
///
/// The account is made once, each call makes a new key: run it where a first start finds no
/// `credentials.json`, or where an operator lost the key.
pub struct Bootstrap {
    /// The platform's legal business name, if its account is to be made.
    pub name: String,
}

/// What a [`Bootstrap`] left.
pub struct Bootstrapped {
    /// The platform's own account, facilitator of itself.
    pub account_id: AccountId,
    /// True where this call made the account.
    pub created: bool,
    /// The new key, with its secret.
    pub key: contract::Key,
}

/// Makes an account.
pub(crate) struct NewAccount {
    facilitator: AccountId,
    request: CreateAccountRequest,
}

/// Grants capabilities.
pub(crate) struct NewCapabilities {
    account: AccountId,
    asked: Vec<String>,
}

/// Makes an API key.
pub(crate) struct NewKey(CreateKeyRequest);

/// Revokes an API key.
pub(crate) struct EndKey(KeyId);

impl Command for Bootstrap {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "Bootstrap";
    type Done = Bootstrapped;
}
impl Command for NewAccount {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "NewAccount";
    type Done = contract::Account;
}
impl Command for NewCapabilities {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "NewCapabilities";
    type Done = Vec<contract::Capability>;
}
impl Command for NewKey {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "NewKey";
    type Done = contract::Key;
}
impl Command for EndKey {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "EndKey";
    type Done = contract::Key;
}

/// Adds an account with its capabilities; the platform's own where there is no facilitator.
fn open_account(
    work: &mut Work<'_, '_>,
    facilitator: Option<AccountId>,
    request: &CreateAccountRequest,
) -> Result<Account, Fault> {
    let mut bucket = [0];
    work.secret(&mut bucket);
    let id = AccountId(work.fresh(bucket[0]));
    let account = Account {
        id,
        facilitator: facilitator.unwrap_or(id),
        account_type: request.account_type.clone(),
        profile: request.profile.clone(),
        foreign_id: request.foreign_id.clone(),
        metadata: request.metadata.clone(),
        created: work.now,
        updated: work.now,
    };
    let defaults = || domain::DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    let asked = request.capabilities.clone().unwrap_or_else(defaults);
    let granted = domain::grant(id, &[], &asked, work.now);
    store::insert_accounts(work.tx, std::slice::from_ref(&account))?;
    store::save_capabilities(work.tx, &granted)?;
    events::account_created(work, &account);
    events::capabilities_updated(work, &granted);
    Ok(account)
}

/// Adds a key; only the answer holds its secret.
fn open_key(
    work: &mut Work<'_, '_>,
    account: AccountId,
    scopes: &[String],
) -> Result<contract::Key, Fault> {
    let mut random = [0; 48];
    work.secret(&mut random);
    let (public, secret) = domain::key_pair(&random);
    let key = Key {
        id: KeyId(work.fresh(account.bucket())),
        account,
        hash: domain::credentials_hash(&public, &secret),
        public,
        scopes: scopes.to_vec(),
        created: work.now,
        revoked: None,
    };
    store::insert_keys(work.tx, std::slice::from_ref(&key))?;
    events::key_created(work, &key);
    Ok(contract::Key { secret_key: Some(secret), ..key.shown() })
}

impl Commit<Bootstrap> for Accounts {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[Bootstrap]) -> Results<Bootstrapped> {
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            let known = store::load_platform(work.tx)?;
            let (account_id, created) = match known {
                Some(id) => (id, false),
                None => {
                    let legal_business_name = command.name.clone();
                    let business = Some(Business { legal_business_name, email: None });
                    let request = CreateAccountRequest {
                        account_type: "business".to_owned(),
                        profile: Profile { individual: None, business },
                        ..CreateAccountRequest::default()
                    };
                    if let Err(refusal) = domain::check_account(&request) {
                        results.push(Err(refusal));
                        continue;
                    }
                    (open_account(work, None, &request)?.id, true)
                }
            };
            let key = open_key(work, account_id, &["operator".to_owned()])?;
            results.push(Ok(Bootstrapped { account_id, created, key }));
        }
        Ok(results)
    }
}

impl Commit<NewAccount> for Accounts {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[NewAccount]) -> Results<contract::Account> {
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            let account = open_account(work, Some(command.facilitator), &command.request)?;
            results.push(Ok(account.shown(self.mode)));
        }
        Ok(results)
    }
}

impl Commit<NewCapabilities> for Accounts {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[NewCapabilities],
    ) -> Results<Vec<contract::Capability>> {
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            let held = store::list_capabilities(work.tx, command.account)?;
            let granted = domain::grant(command.account, &held, &command.asked, work.now);
            store::save_capabilities(work.tx, &granted)?;
            events::capabilities_updated(work, &granted);
            let all = store::list_capabilities(work.tx, command.account)?;
            let asked = all.iter().filter(|capability| command.asked.contains(&capability.name));
            results.push(Ok(asked.map(domain::Capability::shown).collect()));
        }
        Ok(results)
    }
}

impl Commit<NewKey> for Accounts {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[NewKey]) -> Results<contract::Key> {
        let mut results = Vec::with_capacity(batch.len());
        for NewKey(request) in batch {
            if store::load_accounts(work.tx, &[request.account_id])?.is_empty() {
                results.push(Err(Refusal::not_found("account")));
                continue;
            }
            results.push(Ok(open_key(work, request.account_id, &request.scopes)?));
        }
        Ok(results)
    }
}

impl Commit<EndKey> for Accounts {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[EndKey]) -> Results<contract::Key> {
        let mut results = Vec::with_capacity(batch.len());
        for EndKey(id) in batch {
            let Some(key) = store::load_keys(work.tx, &[*id])?.pop() else {
                results.push(Err(Refusal::not_found("key")));
                continue;
            };
            match domain::revoke(&key, work.now) {
                Revocation::AlreadyDone => results.push(Ok(key.shown())),
                Revocation::Done(key) => {
                    store::update_revoked(work.tx, std::slice::from_ref(&key))?;
                    events::key_revoked(work, &key);
                    results.push(Ok(key.shown()));
                }
            }
        }
        Ok(results)
    }
}

/// Rows to answer with and to leave out, within the limits of [`Paging`].
fn page(paging: &Paging) -> Result<(i64, i64), Refusal> {
    let count = paging.count.unwrap_or(20);
    if count == 0 || count > 1_000 {
        return Err(Refusal::field("count", "is 1 to 1000"));
    }
    Ok((i64::from(count), i64::from(paging.skip.unwrap_or(0))))
}

impl Answer<CreateAccount> for Accounts {
    async fn answer(&self, ask: Ask<CreateAccount>) -> Result<Answered<CreateAccount>, Refusal> {
        domain::check_account(&ask.body)?;
        let facilitator = ask.caller.account()?;
        let command = NewAccount { facilitator, request: ask.body };
        Ok(Answered::ok(&ask.platform.commit(command).await?))
    }
}

impl Answer<ListAccounts> for Accounts {
    async fn answer(&self, ask: Ask<ListAccounts>) -> Result<Answered<ListAccounts>, Refusal> {
        let (own, (count, skip)) = (ask.caller.account()?, page(&ask.query)?);
        let list = ask.platform.read(move |tx| store::list_accounts(tx, own, count, skip)).await?;
        Ok(Answered::ok(&list.iter().map(|account| account.shown(self.mode)).collect()))
    }
}

impl Answer<GetAccount> for Accounts {
    async fn answer(&self, ask: Ask<GetAccount>) -> Result<Answered<GetAccount>, Refusal> {
        let id = ask.path.account;
        let found = ask.platform.read(move |tx| store::load_accounts(tx, &[id])).await?;
        let account = found.first().ok_or_else(|| Refusal::not_found("account"))?;
        Ok(Answered::ok(&account.shown(self.mode)))
    }
}

impl Answer<RequestCapabilities> for Accounts {
    async fn answer(
        &self,
        ask: Ask<RequestCapabilities>,
    ) -> Result<Answered<RequestCapabilities>, Refusal> {
        domain::check_capabilities(&ask.body.capabilities)?;
        let command = NewCapabilities { account: ask.path.account, asked: ask.body.capabilities };
        Ok(Answered::ok(&ask.platform.commit(command).await?))
    }
}

impl Answer<ListCapabilities> for Accounts {
    async fn answer(
        &self,
        ask: Ask<ListCapabilities>,
    ) -> Result<Answered<ListCapabilities>, Refusal> {
        let account = ask.path.account;
        let held = ask.platform.read(move |tx| store::list_capabilities(tx, account)).await?;
        Ok(Answered::ok(&held.iter().map(domain::Capability::shown).collect()))
    }
}

impl Answer<GetCapability> for Accounts {
    async fn answer(&self, ask: Ask<GetCapability>) -> Result<Answered<GetCapability>, Refusal> {
        let account = ask.path.account;
        let held = ask.platform.read(move |tx| store::list_capabilities(tx, account)).await?;
        let found = held.iter().find(|capability| capability.name == ask.path.capability);
        let capability = found.ok_or_else(|| Refusal::not_found("capability"))?;
        Ok(Answered::ok(&capability.shown()))
    }
}

impl Answer<CreateKey> for Accounts {
    async fn answer(&self, ask: Ask<CreateKey>) -> Result<Answered<CreateKey>, Refusal> {
        domain::check_scopes(&ask.body.scopes)?;
        Ok(Answered::ok(&ask.platform.commit(NewKey(ask.body)).await?))
    }
}

impl Answer<ListKeys> for Accounts {
    async fn answer(&self, ask: Ask<ListKeys>) -> Result<Answered<ListKeys>, Refusal> {
        let (count, skip) = page(&ask.query)?;
        let keys = ask.platform.read(move |tx| store::list_keys(tx, count, skip)).await?;
        Ok(Answered::ok(&keys.iter().map(Key::shown).collect()))
    }
}

impl Answer<RevokeKey> for Accounts {
    async fn answer(&self, ask: Ask<RevokeKey>) -> Result<Answered<RevokeKey>, Refusal> {
        Ok(Answered::ok(&ask.platform.commit(EndKey(ask.path.key)).await?))
    }
}
