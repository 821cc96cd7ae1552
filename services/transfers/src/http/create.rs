//! Steps 1 to 3 of the road: take the request, look up both payment methods in one hop, commit the
//! transfer with its first event, answer.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use contracts::{
    Amount, Code, Currency, Refusal, Timestamp,
    ids::{AccountId, PaymentMethodId, TransferId},
    payment_methods::{ResolvePaymentMethods, ResolvedMethod},
    rails::Purpose,
    transfers::{CreateTransfer, CreateTransferRequest, CreatedTransfer, Party, TransferCreated},
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Platform, Work};

use super::{
    existing,
    request::{Key, facilitator, hash, key, made_before, reused, wait},
};
use crate::{
    Transfers,
    domain::{Extra, Mark, MethodType, Parties, Progress, Side, Trail, is_final, may_pay},
    store::{self, Encoded, Record},
};

/// A transfer that passed every check that needs no order.
pub struct NewTransfer {
    pub facilitator: AccountId,
    pub parties: Parties,
    pub amount: Amount,
    pub key_hash: [u8; 16],
    pub fingerprint: [u8; 16],
    /// The compact forms of parties and extra.
    pub encoded: Encoded,
    pub received: Timestamp,
    pub hop_micros: i64,
    pub request_bytes: i64,
    pub trace: Option<[u8; 24]>,
    /// The transfer that it refunds.
    pub refund_of: Option<TransferId>,
    /// What it is for, where that is no payment.
    pub purpose: Option<Purpose>,
}

/// The transfer that a key stands for.
pub struct Accepted {
    pub created: CreatedTransfer,
    /// It was there before.
    pub repeated: bool,
}

impl Command for NewTransfer {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "CreateTransfer";
    type Done = Accepted;
}

impl Answer<CreateTransfer> for Transfers {
    async fn answer(&self, ask: Ask<CreateTransfer>) -> Result<Answered<CreateTransfer>, Refusal> {
        let key = key(&ask)?;
        let wait = wait(&ask);
        let facilitator = facilitator(&ask.platform, ask.path.account)?;
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
            refund_of: None,
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
            refund_of: None,
            purpose: None,
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
    pub async fn first(
        &self,
        platform: &Platform,
        key_hash: [u8; 16],
        fingerprint: [u8; 16],
    ) -> Result<Option<CreatedTransfer>, Refusal> {
        let indexes = self.indexes.clone();
        let known = platform.read_once(move |tx| indexes.known(tx, &[key_hash])).await?;
        let Some(transfer) = known.into_iter().next().flatten() else { return Ok(None) };
        let found = platform.read(move |tx| store::load(tx, transfer)).await?;
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
            return Err(made_before(
                "this key made a transfer before",
                serde_json::to_value(&transfer),
            ));
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
        let key = |command: &NewTransfer| (command.key_hash, command.fingerprint);
        self.once_per_key(work, batch, key, |work, command| {
            let id = TransferId(work.fresh(command.parties.bucket()));
            Ok((accept(work, id, command), Cow::Borrowed(&command.encoded)))
        })
    }
}

impl Transfers {
    /// Appends the transfers that these commands make, one for each key: a key that made one before
    /// names that. `key` gives the key's hash and the request's fingerprint.
    pub fn once_per_key<'b, C>(
        &self,
        work: &mut Work<'_, '_>,
        batch: &'b [C],
        key: impl Fn(&C) -> ([u8; 16], [u8; 16]),
        mut make: impl FnMut(&mut Work<'_, '_>, &'b C) -> Result<(Record, Cow<'b, Encoded>), Refusal>,
    ) -> Result<Vec<Result<Accepted, Refusal>>, Fault> {
        let keys: Vec<[u8; 16]> = batch.iter().map(|command| key(command).0).collect();
        let known = self.indexes.known(work.tx, &keys)?;
        let mut first = originals(work, &keys, &known)?;
        let mut results = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        let mut encoded = Vec::with_capacity(batch.len());
        for command in batch {
            let (hash, asked) = key(command);
            if let Some((fingerprint, created)) = first.get(&hash) {
                let created = created.clone();
                let again = Accepted { created, repeated: true };
                results.push(if *fingerprint == asked { Ok(again) } else { Err(reused()) });
                continue;
            }
            let (record, bytes) = match make(work, command) {
                Ok(made) => made,
                Err(refusal) => {
                    results.push(Err(refusal));
                    continue;
                }
            };
            let created = CreatedTransfer { transfer_id: record.id, created_on: record.created };
            first.insert(hash, (asked, created.clone()));
            results.push(Ok(Accepted { created, repeated: false }));
            records.push(Box::new(record));
            encoded.push(bytes);
        }
        store::insert_many(work.tx, &self.indexes, &records, &encoded)?;
        self.fresh.lock().extend(records.into_iter().map(|record| (record.id, record)));
        Ok(results)
    }
}

/// What keys stand for, with the fingerprint of their request.
type First = BTreeMap<[u8; 16], ([u8; 16], CreatedTransfer)>;

/// The transfers that keys of this batch made before.
fn originals(
    work: &mut Work<'_, '_>,
    keys: &[[u8; 16]],
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
        first.insert(*key, (record.fingerprint, created));
    }
    Ok(first)
}

/// Makes the transfer and its first event.
pub fn accept(work: &mut Work<'_, '_>, id: TransferId, command: &NewTransfer) -> Record {
    let parties = &command.parties;
    let event = TransferCreated {
        transfer_id: id,
        facilitator_id: command.facilitator,
        source: parties.source.party.clone(),
        destination: parties.destination.party.clone(),
        amount: command.amount,
        refund_of: command.refund_of,
        purpose: command.purpose,
    };
    let shard = work.shard_of(parties.bucket());
    let place = work.emit_traced(id.row(), shard, &event, command.trace);
    let mut trail = Trail::with_room(parties.rail().is_some());
    trail.push(Mark::new("transfers", place));
    Record {
        id,
        facilitator: command.facilitator,
        amount: command.amount,
        parties: parties.clone(),
        extra: command.refund_of.map(Extra::refund),
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
