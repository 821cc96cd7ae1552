//! Steps 1 to 3 of the road: take the request, look up both payment methods in one hop, commit the
//! transfer with its first event, answer.

use std::{collections::BTreeMap, time::Duration};

use contracts::{
    Amount, Code, Currency, Refusal, Timestamp,
    ids::{AccountId, PaymentMethodId, TransferId},
    payment_methods::{ResolvePaymentMethods, ResolvedMethod},
    transfers::{
        CreateTransfer, CreateTransferRequest, CreatedTransfer, IDEMPOTENCY_HEADERS, Party,
        TransferCreated,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Platform, Work};

use super::existing;
use crate::{
    Transfers,
    domain::{Extra, Mark, MethodType, Parties, Progress, Side, Trail, is_final, may_pay},
    store::{self, Record},
};

/// The longest wait that a caller may ask for.
const WAIT_MOST_SECONDS: u64 = 15;

/// A transfer that passed every check that needs no order.
pub struct NewTransfer {
    facilitator: AccountId,
    parties: Parties,
    amount: Amount,
    key_hash: [u8; 16],
    fingerprint: [u8; 16],
    /// The compact forms of parties and extra.
    encoded: (Vec<u8>, Option<Vec<u8>>),
    received: Timestamp,
    hop_micros: i64,
    request_bytes: i64,
    trace: Option<[u8; 24]>,
}

/// The transfer that a key stands for.
pub struct Accepted {
    created: CreatedTransfer,
    /// It was there before.
    repeated: bool,
}

impl Command for NewTransfer {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "CreateTransfer";
    type Done = Accepted;
}

/// The key of a request, and under which header's rules a repeat is answered.
struct Key {
    text: String,
    /// Moov's: a repeat is a 409 with the original transfer.
    moov: bool,
}

impl Answer<CreateTransfer> for Transfers {
    async fn answer(&self, ask: Ask<CreateTransfer>) -> Result<Answered<CreateTransfer>, Refusal> {
        let key = key(&ask)?;
        let wait = wait(&ask);
        let facilitator = facilitator(&ask)?;
        let key_hash = hash(&[facilitator.as_bytes(), key.text.as_bytes()]);
        let fingerprint = fingerprint(facilitator, &ask.body);
        let (parties, hop_micros) = match resolve(&ask, facilitator).await {
            Ok(resolved) => resolved,
            // The key goes before every other rule: a retry is answered also where the method has
            // been disabled since. Where nothing is wrong, the writer looks for it in any case.
            Err(refusal) => match self.first(&ask.platform, key_hash, fingerprint).await? {
                Some(known) => return self.repeat(&ask.platform, &key, wait, known).await,
                None => return Err(refusal),
            },
        };
        let request = &ask.body;
        let extra = Extra {
            description: request.description.clone(),
            metadata: request.metadata.clone(),
            foreign_id: request.foreign_id.clone(),
        };
        let extra = (extra != Extra::default()).then(|| store::encode(&extra));
        let command = NewTransfer {
            facilitator,
            encoded: (store::encode(&parties), extra),
            parties,
            amount: request.amount,
            key_hash,
            fingerprint,
            received: ask.received,
            hop_micros,
            request_bytes: i64::try_from(ask.raw.len()).unwrap_or(i64::MAX),
            trace: ask.trace,
        };
        let accepted = ask.platform.commit(command).await?;
        if accepted.repeated {
            return self.repeat(&ask.platform, &key, wait, accepted.created).await;
        }
        match wait {
            None => Ok(Answered::ok(&accepted.created)),
            Some(most) => Ok(self.waited(&ask.platform, accepted.created, most).await),
        }
    }
}

impl Transfers {
    /// The transfer that this key made, if any; refused where it was for another request.
    async fn first(
        &self,
        platform: &Platform,
        key_hash: [u8; 16],
        fingerprint: [u8; 16],
    ) -> Result<Option<CreatedTransfer>, Refusal> {
        let indexes = self.indexes.clone();
        let found = platform
            .read(move |tx| match indexes.known(tx, &[key_hash])?.pop().flatten() {
                Some(transfer) => store::load(tx, transfer),
                None => Ok(None),
            })
            .await?;
        let Some(record) = found else { return Ok(None) };
        if record.fingerprint != fingerprint {
            return Err(reused());
        }
        Ok(Some(CreatedTransfer { transfer_id: record.id, created_on: record.created }))
    }
    /// The answer to a request whose key was used before.
    async fn repeat(
        &self,
        platform: &Platform,
        key: &Key,
        wait: Option<Duration>,
        first: CreatedTransfer,
    ) -> Result<Answered<CreateTransfer>, Refusal> {
        if key.moov {
            let record = existing(platform, first.transfer_id).await?;
            let transfer = self.show(platform, &record).await?;
            let mut refusal = Refusal::new(Code::DuplicateKey, "this key made a transfer before");
            let body = serde_json::to_value(&transfer).expect("a transfer is plain data");
            refusal.body = Some(Box::new(body));
            return Err(refusal);
        }
        match wait {
            None => Ok(Answered::ok(&first)),
            Some(most) => Ok(self.waited(platform, first, most).await),
        }
    }
    /// 200 with the transfer once it is final, 202 with it as it is when the time is over, 201 with
    /// the short answer where the transfer is made and cannot be shown.
    async fn waited(
        &self,
        platform: &Platform,
        created: CreatedTransfer,
        most: Duration,
    ) -> Answered<CreateTransfer> {
        let settled = async {
            let record = self.settled(platform, created.transfer_id, most).await?;
            Ok::<_, Refusal>((
                is_final(record.progress.status),
                self.show(platform, &record).await?,
            ))
        };
        match settled.await {
            Ok((true, transfer)) => Answered::json(200, &transfer),
            Ok((false, transfer)) => Answered::json(202, &transfer),
            Err(_) => Answered::json(201, &created),
        }
    }
}

fn reused() -> Refusal {
    Refusal::new(Code::KeyReused, "this idempotency key was used before with another request")
}

/// The idempotency key: 1 to 36 printable characters under either header.
fn key(ask: &Ask<CreateTransfer>) -> Result<Key, Refusal> {
    let missing = |detail: &str| Refusal::new(Code::IdempotencyKeyMissing, detail);
    let mut keys: Vec<String> = Vec::new();
    for name in IDEMPOTENCY_HEADERS {
        for value in ask.headers.get_all(name) {
            let rule = "an idempotency key has 1 to 36 printable ASCII characters";
            let text = value.to_str().map_err(|_| missing(rule))?.trim();
            // The draft's header is a quoted string; the quotes are no part of the key.
            let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let text = quoted.unwrap_or(text);
            let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if text.is_empty() || text.len() > 36 || !printable {
                return Err(missing(rule));
            }
            keys.push(text.to_owned());
        }
    }
    let text = keys.pop().ok_or_else(|| missing("X-Idempotency-Key is missing"))?;
    if keys.iter().any(|other| *other != text) {
        let detail = "the idempotency keys of this request differ";
        return Err(Refusal::new(Code::IdempotencyKeyAmbiguous, detail));
    }
    Ok(Key { text, moov: ask.headers.contains_key(IDEMPOTENCY_HEADERS[0]) })
}

/// How long the caller wants to wait: `X-Wait-For: rail-response`, or `Prefer: wait=N`.
fn wait(ask: &Ask<CreateTransfer>) -> Option<Duration> {
    if ask.header("x-wait-for").is_some_and(|value| value.trim() == "rail-response") {
        return Some(Duration::from_secs(WAIT_MOST_SECONDS));
    }
    let preferences = ask.header("prefer")?.split([',', ';']);
    let seconds = preferences
        .filter_map(|preference| preference.trim().strip_prefix("wait="))
        .find_map(|seconds| seconds.trim().parse::<u64>().ok())?;
    Some(Duration::from_secs(seconds.min(WAIT_MOST_SECONDS)))
}

/// The path's account, which must be a platform account.
fn facilitator(ask: &Ask<CreateTransfer>) -> Result<AccountId, Refusal> {
    let account = ask.path.account;
    let known = ask.platform.access().account(account);
    let known = known.ok_or_else(|| Refusal::not_found("account"))?;
    if known.facilitator == account {
        return Ok(account);
    }
    Err(Refusal::new(Code::Forbidden, "transfers are made under the platform's own account"))
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

/// Of method, path and body; the body as parsed, so that spaces and the order of names do not count.
fn fingerprint(facilitator: AccountId, request: &CreateTransferRequest) -> [u8; 16] {
    let body = serde_json::to_vec(request).expect("a request is plain data");
    hash(&[b"POST /accounts/{accountID}/transfers", facilitator.as_bytes(), &body])
}

/// Step 2: both payment methods in one hop, with its microseconds, and every rule about them.
async fn resolve(
    ask: &Ask<CreateTransfer>,
    facilitator: AccountId,
) -> Result<(Parties, i64), Refusal> {
    let (source, destination) =
        (ask.body.source.payment_method_id, ask.body.destination.payment_method_id);
    let path = format!("/internal/payment-methods?ids={source},{destination}");
    let called = ask.platform.call::<ResolvePaymentMethods>("transfers", &path).await;
    let called = called.map_err(|refusal| {
        // Whatever the hop's fault is: nothing was written, the same key may try again.
        let seconds = refusal.retry_after_seconds.unwrap_or(1);
        Refusal::new(Code::Unavailable, refusal.detail).retry_after(seconds)
    })?;
    let methods = called.reply.methods;
    let mut refusal = Refusal::new(Code::InvalidField, "some fields break their rules");
    let mut side = |key: &str, id: PaymentMethodId, may: fn(MethodType) -> bool| {
        let found = methods.iter().find(|method| method.payment_method_id == id);
        match check(&ask.platform, facilitator, ask.body.amount.currency, found, may) {
            Ok(side) => Some(side),
            Err((of_amount, rule)) => {
                let key = if of_amount { "amount" } else { key };
                refusal.fields.insert(key.to_owned(), rule.to_owned());
                None
            }
        }
    };
    let source = side("sourcePaymentMethodID", source, MethodType::is_source);
    let destination = side("destinationPaymentMethodID", destination, MethodType::is_destination);
    match (source, destination) {
        (Some(source), Some(destination)) => {
            may_pay(source.kind, destination.kind)
                .map_err(|rule| Refusal::field("destinationPaymentMethodID", rule))?;
            let micros = i64::try_from(called.micros).unwrap_or(i64::MAX);
            Ok((Parties { source, destination }, micros))
        }
        _ => Err(refusal),
    }
}

/// One side's rules: the side, or what is wrong with it (true where it is the amount).
fn check(
    platform: &Platform,
    facilitator: AccountId,
    currency: Currency,
    found: Option<&ResolvedMethod>,
    may: fn(MethodType) -> bool,
) -> Result<Side, (bool, &'static str)> {
    // Another platform's method is as unknown as one that never was.
    let method = found
        .filter(|method| {
            let owner = platform.access().account(method.account_id);
            owner.is_some_and(|owner| owner.facilitator == facilitator)
        })
        .ok_or((false, "no such payment method"))?;
    if !method.enabled {
        return Err((false, "the payment method is disabled"));
    }
    let kind = MethodType::from_name(&method.payment_method_type)
        .filter(|kind| may(*kind))
        .ok_or((false, "a payment method of this type cannot be used here"))?;
    if method.currency != currency {
        return Err((true, "has another currency than the payment method"));
    }
    if currency != Currency::USD {
        return Err((true, "only USD can be moved"));
    }
    let account_id = method.account_id;
    let party = match (kind.rail(), method.wallet_id, method.rail) {
        (None, Some(wallet_id), _) => Party::Wallet { account_id, wallet_id },
        (Some(rail), _, Some(named)) if rail == named => Party::External {
            account_id,
            payment_method_id: method.payment_method_id,
            version: method.version,
            rail,
        },
        _ => return Err((false, "the payment method leads nowhere")),
    };
    Ok(Side { party, method: method.payment_method_id, kind })
}

impl Commit<NewTransfer> for Transfers {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[NewTransfer],
    ) -> Result<Vec<Result<Accepted, Refusal>>, Fault> {
        let keys: Vec<&[u8; 16]> = batch.iter().map(|command| &command.key_hash).collect();
        let known = self.indexes.known(work.tx, &keys)?;
        let mut first = originals(work, &keys, &known)?;
        let mut results = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        let mut encoded = Vec::with_capacity(batch.len());
        for command in batch {
            if let Some((fingerprint, created)) = first.get(&command.key_hash) {
                let same = *fingerprint == command.fingerprint;
                let created = created.clone();
                let again = || Accepted { created, repeated: true };
                results.push(if same { Ok(again()) } else { Err(reused()) });
                continue;
            }
            let record = accept(work, command);
            let created = CreatedTransfer { transfer_id: record.id, created_on: record.created };
            first.insert(command.key_hash, (command.fingerprint, created.clone()));
            results.push(Ok(Accepted { created, repeated: false }));
            records.push(Box::new(record));
            encoded.push(&command.encoded);
        }
        store::insert_many(work.tx, &self.indexes, &records, &encoded)?;
        self.fresh.lock().extend(records.into_iter().map(|record| (record.id, record)));
        Ok(results)
    }
}

type First = BTreeMap<[u8; 16], ([u8; 16], CreatedTransfer)>;

/// The transfers that keys of this batch made before.
fn originals(
    work: &mut Work<'_, '_>,
    keys: &[&[u8; 16]],
    known: &[Option<TransferId>],
) -> Result<First, Fault> {
    let mut first = First::new();
    let ids: Vec<TransferId> = known.iter().flatten().copied().collect();
    if ids.is_empty() {
        return Ok(first);
    }
    let records = store::load_many(work.tx, ids)?;
    for (key, known) in keys.iter().zip(known) {
        let Some(id) = known else { continue };
        let record = records.get(id).ok_or_else(|| {
            Fault::Store(::store::Error::Other(format!("a key names {id}, which is not stored")))
        })?;
        let created = CreatedTransfer { transfer_id: *id, created_on: record.created };
        first.insert(**key, (record.fingerprint, created));
    }
    Ok(first)
}

/// Makes the transfer and its first event.
fn accept(work: &mut Work<'_, '_>, command: &NewTransfer) -> Record {
    let parties = &command.parties;
    let bucket = parties.bucket();
    let id = TransferId(work.fresh(bucket));
    let event = TransferCreated {
        transfer_id: id,
        facilitator_id: command.facilitator,
        source: parties.source.party.clone(),
        destination: parties.destination.party.clone(),
        amount: command.amount,
    };
    let shard = work.shard_of(bucket);
    let place = work.emit_traced(id.row(), shard, &event, command.trace);
    let mut trail = Trail::with_room(parties.rail().is_some());
    trail.push(Mark::new("transfers", place));
    Record {
        id,
        facilitator: command.facilitator,
        amount: command.amount,
        parties: parties.clone(),
        extra: None,
        key_hash: command.key_hash,
        fingerprint: command.fingerprint,
        created: work.now,
        received: command.received,
        hop_micros: command.hop_micros,
        request_bytes: command.request_bytes,
        progress: Progress::created(),
        trail,
    }
}
