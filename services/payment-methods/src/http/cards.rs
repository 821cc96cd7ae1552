//! The endpoints of cards, and the writes behind them. A CVV is looked at here and goes no further.

use contracts::{
    Code, Refusal,
    ids::{AccountId, CardId},
    payment_methods::{
        DisableCard, GetCard, LinkCard, LinkCardRequest, ListCards, Nothing, UpdateCard,
        UpdateCardRequest,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Platform, Work};

use super::Results;
use crate::{
    PaymentMethods,
    domain::{
        Method,
        cards::{
            self, Brand, Card, CardChange, CardDecision, CardInput, CardType, Details, Expiry,
            Stated,
        },
        sealing::{CardNumber, NONCE_BYTES},
    },
    events, store,
};

/// Links a card whose details keep their rules.
pub(crate) struct NewCard {
    account: AccountId,
    number: CardNumber,
    details: Details,
}

/// Something happens to a card of an account.
pub(crate) struct ChangeCard {
    account: AccountId,
    card: CardId,
    input: CardInput,
}

impl Command for NewCard {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "NewCard";
    type Done = Card;
}
impl Command for ChangeCard {
    const SERVICE: &'static str = "payment-methods";
    const NAME: &'static str = "ChangeCard";
    type Done = Card;
}

impl Commit<NewCard> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[NewCard]) -> Results<Card> {
        let key = &self.config.sealing_key;
        let mut results = Vec::with_capacity(batch.len());
        for NewCard { account, number, details } in batch {
            let fingerprint = key.card_fingerprint(number);
            if store::is_card_linked(work.tx, *account, &fingerprint)? {
                let what = "this card is linked already";
                results.push(Err(Refusal::new(Code::Conflict, what)));
                continue;
            }
            let id = CardId(work.fresh(account.bucket()));
            let mut nonce = [0; NONCE_BYTES];
            work.secret(&mut nonce);
            let card = Card {
                id,
                account: *account,
                fingerprint,
                brand: Brand::of(number),
                card_type: CardType::of(number, self.config.sandbox),
                bin: number.bin().to_owned(),
                last_four: number.last_four().to_owned(),
                sealed: key.seal_card(id, number, nonce),
                details: details.clone(),
                disabled: None,
                created: work.now,
                updated: work.now,
            };
            events::add_card(work, &self.known, &card)?;
            results.push(Ok(card));
        }
        Ok(results)
    }
}

impl Commit<ChangeCard> for PaymentMethods {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[ChangeCard]) -> Results<Card> {
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            let found = store::load_cards(work.tx, &[command.card])?.pop();
            let Some(card) = found.filter(|card| card.account == command.account) else {
                results.push(Err(Refusal::not_found("card")));
                continue;
            };
            results.push(match cards::decide(&card, &command.input, work.now) {
                CardDecision::Refused(refusal) => Err(refusal),
                CardDecision::AlreadyDone => Ok(card),
                CardDecision::Done(changed) => {
                    events::change_card(work, &self.known, &changed)?;
                    Ok(*changed)
                }
            });
        }
        Ok(results)
    }
}

impl Answer<LinkCard> for PaymentMethods {
    async fn answer(&self, mut ask: Ask<LinkCard>) -> Result<Answered<LinkCard>, Refusal> {
        let body: &mut LinkCardRequest = &mut ask.body;
        let number = CardNumber::new(std::mem::take(&mut body.card_number));
        let stated = Stated {
            number: Some(&number),
            cvv: body.card_cvv.as_deref(),
            expiration: Some(&body.expiration),
            holder_name: body.holder_name.as_deref(),
            address: Some(&body.billing_address),
        };
        cards::check(&stated, Brand::of(&number), ask.platform.clock().now())?;
        let (given, address) = (body.card_cvv.is_some(), body.billing_address.clone());
        let details = Details {
            expires: Expiry::new(&body.expiration).ok_or_else(|| Refusal::not_found("month"))?,
            holder_name: body.holder_name.take(),
            verification: cards::verified(self.config.sandbox, given, &address),
            address,
            on_file: body.card_on_file.unwrap_or(false),
            merchant: body.merchant_account_id,
        };
        let waits = ask.header("x-wait-for").is_some_and(|value| value.trim() == "payment-method");
        let command = NewCard { account: ask.path.account, number, details };
        let card = ask.platform.commit(command).await?;
        let mut shown = card.shown();
        if waits {
            // They are there already: the same commit made them.
            let methods = Method::of_card(&card);
            shown.payment_methods = Some(methods.iter().map(Method::basic).collect());
        }
        Ok(Answered::ok(&shown))
    }
}

impl Answer<ListCards> for PaymentMethods {
    async fn answer(&self, ask: Ask<ListCards>) -> Result<Answered<ListCards>, Refusal> {
        let account = ask.path.account;
        let cards = ask.platform.read(move |tx| store::list_cards(tx, account)).await?;
        Ok(Answered::ok(&cards.iter().map(Card::shown).collect()))
    }
}

/// A card that is this account's and in use.
async fn own(platform: &Platform, account: AccountId, id: CardId) -> Result<Card, Refusal> {
    let cards = platform.read(move |tx| store::load_cards(tx, &[id])).await?;
    let own = |card: &Card| card.account == account && card.disabled.is_none();
    cards.into_iter().find(own).ok_or_else(|| Refusal::not_found("card"))
}

impl Answer<GetCard> for PaymentMethods {
    async fn answer(&self, ask: Ask<GetCard>) -> Result<Answered<GetCard>, Refusal> {
        let card = own(&ask.platform, ask.path.account, ask.path.card).await?;
        Ok(Answered::ok(&card.shown()))
    }
}

impl Answer<UpdateCard> for PaymentMethods {
    async fn answer(&self, mut ask: Ask<UpdateCard>) -> Result<Answered<UpdateCard>, Refusal> {
        let (account, id) = (ask.path.account, ask.path.card);
        let card = own(&ask.platform, account, id).await?;
        // Opened so that it can be kept out of the other fields, and wiped at the end.
        let number = self.config.sealing_key.open_card(id, &card.sealed);
        let body: &mut UpdateCardRequest = &mut ask.body;
        let stated = Stated {
            number: number.as_ref(),
            cvv: body.card_cvv.as_deref(),
            expiration: body.expiration.as_ref(),
            holder_name: body.holder_name.as_deref(),
            address: body.billing_address.as_ref(),
        };
        cards::check(&stated, card.brand, ask.platform.clock().now())?;
        let change = CardChange {
            expires: body.expiration.as_ref().and_then(Expiry::new),
            holder_name: body.holder_name.take(),
            verification: cards::verified_again(
                self.config.sandbox,
                body.card_cvv.is_some(),
                body.billing_address.as_ref(),
                &card.details,
            ),
            address: body.billing_address.take(),
            on_file: body.card_on_file,
            merchant: body.merchant_account_id,
        };
        let command = ChangeCard { account, card: id, input: CardInput::Change(Box::new(change)) };
        Ok(Answered::ok(&ask.platform.commit(command).await?.shown()))
    }
}

impl Answer<DisableCard> for PaymentMethods {
    async fn answer(&self, ask: Ask<DisableCard>) -> Result<Answered<DisableCard>, Refusal> {
        let (account, card) = (ask.path.account, ask.path.card);
        ask.platform.commit(ChangeCard { account, card, input: CardInput::Disable }).await?;
        Ok(Answered::ok(&Nothing {}))
    }
}
