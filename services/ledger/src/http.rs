//! What the ledger answers: wallets, their transactions, the books.

use contracts::{
    Amount, Code, Currency, Refusal,
    accounts::Paging,
    ids::{AccountId, TransferId, WalletId, derive},
    ledger::{
        CreateWallet, CreateWalletRequest, FundWallet, GetJournal, GetProof, GetWallet,
        ListLedgerAccounts, ListWalletTransactions, ListWallets, Wallet,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Work};
use uuid::Uuid;

use crate::{
    Ledger,
    domain::{self, Decision, Movement, NOWHERE, Place, Places, Role, decide},
    events::{announce, fault},
    store::{self, Books, NewWallet, Origin},
};

/// An account has at most so many wallets.
const WALLETS_MOST: u32 = 10;
/// Rows of a page where the caller names no count, and at most.
const PAGE: (u32, u32) = (20, 1_000);
/// The last row that a page by offset may begin at: every row before it is read.
const SKIP_MOST: u32 = 100_000;

fn page(paging: &Paging) -> Result<(u32, u32), Refusal> {
    let skip = paging.skip.unwrap_or(0);
    if skip > SKIP_MOST {
        return Err(Refusal::field("skip", format!("is at most {SKIP_MOST}")));
    }
    Ok((skip, paging.count.unwrap_or(PAGE.0).min(PAGE.1)))
}

impl Answer<ListWallets> for Ledger {
    async fn answer(&self, ask: Ask<ListWallets>) -> Result<Answered<ListWallets>, Refusal> {
        let account = ask.path.account;
        let (skip, count) = page(&ask.query)?;
        let read = move |tx: &mut ::store::Tx<'_>| store::list_wallets(tx, account, skip, count);
        Ok(Answered::ok(&ask.platform.read(read).await?))
    }
}

/// Makes a general wallet.
pub struct MakeWallet {
    account: AccountId,
    request: CreateWalletRequest,
    metadata: String,
}

impl Command for MakeWallet {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "make-wallet";
    type Done = Wallet;
}

fn check(request: &CreateWalletRequest) -> Result<(), Refusal> {
    let mut refusal = Refusal::field("error", "some fields break their rules");
    refusal.fields.clear();
    let mut rule = |field: &str, broken: bool, rule: &str| {
        if broken {
            refusal.fields.insert(field.to_owned(), rule.to_owned());
        }
    };
    let bad = |text: &str, most: usize| text.chars().count() > most || text.contains('\0');
    let name = request.name.trim();
    rule("name", name.is_empty() || bad(name, 64), "has 1 to 64 characters, none a NUL");
    let description = request.description.as_deref().unwrap_or_default();
    rule("description", bad(description, 256), "has at most 256 characters, none a NUL");
    let metadata = &request.metadata;
    let wrong = metadata.len() > 100 || metadata.iter().any(|(n, v)| bad(n, 100) || bad(v, 1_000));
    rule("metadata", wrong, "has at most 100 names of 100 characters, values 1,000, none a NUL");
    if refusal.fields.is_empty() { Ok(()) } else { Err(refusal) }
}

impl Answer<CreateWallet> for Ledger {
    async fn answer(&self, ask: Ask<CreateWallet>) -> Result<Answered<CreateWallet>, Refusal> {
        check(&ask.body)?;
        let metadata = serde_json::to_string(&ask.body.metadata).expect("texts by texts are JSON");
        let command = MakeWallet { account: ask.path.account, request: ask.body, metadata };
        Ok(Answered::ok(&ask.platform.commit(command).await?))
    }
}

impl Commit<MakeWallet> for Ledger {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[MakeWallet],
    ) -> Result<Vec<Result<Wallet, Refusal>>, Fault> {
        let mut books = self.books.lock();
        batch.iter().map(|command| make_wallet(work, &mut books, command)).collect()
    }
}

fn make_wallet(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    command: &MakeWallet,
) -> Result<Result<Wallet, Refusal>, Fault> {
    let held = store::list_wallets(work.tx, command.account, 0, WALLETS_MOST)?;
    if held.len() >= WALLETS_MOST as usize {
        let most = format!("an account has at most {WALLETS_MOST} wallets");
        return Ok(Err(Refusal::new(Code::Conflict, most)));
    }
    let mut id = work.fresh(0);
    // A byte of a hash, so that wallets spread over the buckets.
    let bucket = derive(command.account.0, &[id.as_bytes()], 0).as_bytes()[0];
    let mut bytes = *id.as_bytes();
    bytes[15] = bucket;
    id = Uuid::from_bytes(bytes);
    let new = NewWallet {
        id: WalletId(id),
        owner: command.account,
        shard: work.shard_of(bucket),
        currency: Currency::USD,
        kind: "general",
        label: command.request.name.trim(),
        description: command.request.description.as_deref(),
        metadata: &command.metadata,
        created: work.now,
    };
    books.insert_wallet(work.tx, &new).map_err(fault)?;
    announce(work, &new);
    shown(work, new.id).map(Ok)
}

/// A wallet that is there, as it is shown.
fn shown(work: &mut Work<'_, '_>, id: WalletId) -> Result<Wallet, Fault> {
    let wallet = store::load_wallet(work.tx, id)?;
    wallet.ok_or_else(|| Fault::Poison(format!("the wallet {id} is not there")))
}

impl Answer<GetWallet> for Ledger {
    async fn answer(&self, ask: Ask<GetWallet>) -> Result<Answered<GetWallet>, Refusal> {
        let id = ask.path.wallet;
        let wallet = ask.platform.read(move |tx| store::load_wallet(tx, id)).await?;
        match wallet.filter(|wallet| wallet.partner_account_id == ask.path.account) {
            Some(wallet) => Ok(Answered::ok(&wallet)),
            None => Err(Refusal::not_found("wallet")),
        }
    }
}

impl Answer<ListWalletTransactions> for Ledger {
    async fn answer(
        &self,
        ask: Ask<ListWalletTransactions>,
    ) -> Result<Answered<ListWalletTransactions>, Refusal> {
        let (account, id) = (ask.path.account, ask.path.wallet);
        let (skip, count) = page(&ask.query)?;
        let index = self.index.clone();
        let read = move |tx: &mut ::store::Tx<'_>| {
            let wallet = store::load_wallet(tx, id)?;
            if wallet.is_none_or(|wallet| wallet.partner_account_id != account) {
                return Ok(None);
            }
            store::load_transactions(tx, &index, id, skip as usize, count as usize).map(Some)
        };
        match ask.platform.read(read).await? {
            Some(transactions) => Ok(Answered::ok(&transactions)),
            None => Err(Refusal::not_found("wallet")),
        }
    }
}

/// Puts money into a wallet.
pub struct Fund {
    wallet: WalletId,
    amount: Amount,
}

impl Command for Fund {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "fund";
    type Done = Wallet;
}

impl Answer<FundWallet> for Ledger {
    async fn answer(&self, ask: Ask<FundWallet>) -> Result<Answered<FundWallet>, Refusal> {
        if !ask.platform.settings().sandbox {
            return Err(Refusal::not_found("path"));
        }
        if ask.body.amount.value <= 0 {
            return Err(Refusal::field("amount", "must be above 0, in minor units"));
        }
        let command = Fund { wallet: ask.body.wallet_id, amount: ask.body.amount };
        Ok(Answered::ok(&ask.platform.commit(command).await?))
    }
}

impl Commit<Fund> for Ledger {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Fund],
    ) -> Result<Vec<Result<Wallet, Refusal>>, Fault> {
        let mut books = self.books.lock();
        books.load_many(work.tx, batch.iter().map(|command| command.wallet))?;
        let mut funded = Vec::with_capacity(batch.len());
        for command in batch {
            funded.push(fund(work, &mut books, command)?);
        }
        books.save(work.tx, work.now).map_err(fault)?;
        let show = |done: Result<WalletId, Refusal>| match done {
            Ok(id) => shown(work, id).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        };
        funded.into_iter().map(show).collect()
    }
}

fn fund(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    command: &Fund,
) -> Result<Result<WalletId, Refusal>, Fault> {
    let slot = books.wallet(command.wallet);
    if slot == NOWHERE {
        return Ok(Err(Refusal::not_found("wallet")));
    }
    let bucket = command.wallet.bucket();
    let (shard, currency) = (work.shard_of(bucket), command.amount.currency);
    if books.accounts()[slot as usize].currency != currency {
        return Ok(Err(Refusal::field("amount", "has another currency than the wallet")));
    }
    let adjustments = books.system(work.tx, shard, currency, Role::Adjustments).map_err(fault)?;
    let places =
        Places::default().with(Place::Destination, slot).with(Place::Adjustments, adjustments);
    let amount = command.amount.value;
    let ask = domain::Ask { movement: Movement::Fund, places, amount, currency };
    match decide(books.accounts(), &ask, None) {
        Decision::Done(plan) => {
            let id = TransferId(work.fresh(bucket));
            books.record(&Origin::new(id, 0, bucket, shard), &plan);
            Ok(Ok(command.wallet))
        }
        _ => Ok(Err(Refusal::field("amount", "would overflow the balance"))),
    }
}

impl Answer<ListLedgerAccounts> for Ledger {
    async fn answer(
        &self,
        ask: Ask<ListLedgerAccounts>,
    ) -> Result<Answered<ListLedgerAccounts>, Refusal> {
        let (query, index) = (ask.query, self.index.clone());
        let read = move |tx: &mut ::store::Tx<'_>| match query.at {
            None => store::balances_now(tx, query.name.as_deref()),
            Some(at) => store::balances_at(tx, &index, query.name.as_deref(), at),
        };
        Ok(Answered::ok(&ask.platform.read(read).await?))
    }
}

impl Answer<GetJournal> for Ledger {
    async fn answer(&self, ask: Ask<GetJournal>) -> Result<Answered<GetJournal>, Refusal> {
        let query = ask.query;
        let count = query.count.unwrap_or(200).min(1_000);
        let read = move |tx: &mut ::store::Tx<'_>| store::load_journal(tx, &query, count);
        Ok(Answered::ok(&ask.platform.read(read).await?))
    }
}

impl Answer<GetProof> for Ledger {
    async fn answer(&self, ask: Ask<GetProof>) -> Result<Answered<GetProof>, Refusal> {
        Ok(Answered::ok(&ask.platform.read(store::heads).await?))
    }
}
