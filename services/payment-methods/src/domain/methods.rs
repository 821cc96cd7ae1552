//! Payment methods: which there are of a wallet, a bank account or a card, and their
//! versions.

use contracts::{
    Currency, Timestamp,
    ids::{AccountId, BankAccountId, CardId, PaymentMethodId, WalletId, derive},
    payment_methods::{self as contract, BasicPaymentMethod, MethodWallet, ResolvedMethod},
    rails::Rail,
};
use uuid::Uuid;

use super::{
    BankAccount, Status,
    cards::{Card, CardType},
    is_rtp_capable,
};

/// A type of payment method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    AchCreditSameDay,
    AchCreditStandard,
    AchDebitCollect,
    AchDebitFund,
    CardPayment,
    MoovWallet,
    PullFromCard,
    PushToCard,
    RtpCredit,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::AchCreditSameDay,
        Self::AchCreditStandard,
        Self::AchDebitCollect,
        Self::AchDebitFund,
        Self::CardPayment,
        Self::MoovWallet,
        Self::PullFromCard,
        Self::PushToCard,
        Self::RtpCredit,
    ];
    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::AchCreditSameDay => "ach-credit-same-day",
            Self::AchCreditStandard => "ach-credit-standard",
            Self::AchDebitCollect => "ach-debit-collect",
            Self::AchDebitFund => "ach-debit-fund",
            Self::CardPayment => "card-payment",
            Self::MoovWallet => "moov-wallet",
            Self::PullFromCard => "pull-from-card",
            Self::PushToCard => "push-to-card",
            Self::RtpCredit => "rtp-credit",
        }
    }
    /// The type with Moov's name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
    /// Whether it takes money from a bank account.
    pub fn is_debit(self) -> bool {
        matches!(self, Self::AchDebitCollect | Self::AchDebitFund)
    }
    /// The rail that moves the money; none for a wallet.
    pub fn rail(self) -> Option<Rail> {
        match self {
            Self::AchCreditSameDay
            | Self::AchCreditStandard
            | Self::AchDebitCollect
            | Self::AchDebitFund => Some(Rail::Ach),
            Self::CardPayment | Self::PullFromCard | Self::PushToCard => Some(Rail::Card),
            Self::MoovWallet => None,
            Self::RtpCredit => Some(Rail::Rtp),
        }
    }
}

/// What is behind a payment method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Wallet(WalletId),
    Bank(BankAccountId),
    Card(CardId),
}

impl Source {
    /// The id of any kind, by which a list of methods is filtered.
    pub fn id(self) -> Uuid {
        match self {
            Self::Wallet(wallet) => wallet.0,
            Self::Bank(bank) => bank.0,
            Self::Card(card) => card.0,
        }
    }
    /// Whether a method of this type may have this source.
    pub fn has(self, kind: Kind) -> bool {
        match self {
            Self::Wallet(_) => kind.rail().is_none(),
            Self::Bank(_) => matches!(kind.rail(), Some(Rail::Ach | Rail::Rtp)),
            Self::Card(_) => kind.rail() == Some(Rail::Card),
        }
    }
}

/// A way to pay from or to a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    pub id: PaymentMethodId,
    /// From 1; raised by each change.
    pub version: i64,
    pub account: AccountId,
    pub enabled: bool,
    pub source: Source,
    pub kind: Kind,
    pub currency: Currency,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Method {
    /// The method of a wallet.
    pub fn of_wallet(
        wallet: WalletId,
        account: AccountId,
        currency: Currency,
        now: Timestamp,
    ) -> Self {
        Self::new(Source::Wallet(wallet), Kind::MoovWallet, account, currency, now)
    }
    /// The methods of a bank account in its state: a debit that funds its holder's own wallet needs
    /// a verified account, the others only one that no rail has refused for good.
    pub fn of_bank_account(bank: &BankAccount) -> Vec<Self> {
        if bank.disabled.is_some() || bank.status == Status::Errored {
            return Vec::new();
        }
        let kinds = [
            (Kind::RtpCredit, is_rtp_capable(&bank.routing_number)),
            (Kind::AchCreditStandard, true),
            (Kind::AchCreditSameDay, true),
            (Kind::AchDebitCollect, true),
            (Kind::AchDebitFund, bank.status == Status::Verified),
        ];
        let kinds = kinds.into_iter().filter_map(|(kind, there)| there.then_some(kind));
        let source = Source::Bank(bank.id);
        kinds
            .map(|kind| Self::new(source, kind, bank.account, Currency::USD, bank.updated))
            .collect()
    }
    /// The methods of a card: any can pay, and a debit card can be pushed to and pulled from.
    pub fn of_card(card: &Card) -> Vec<Self> {
        if card.disabled.is_some() {
            return Vec::new();
        }
        let kinds: &[Kind] = match card.card_type {
            CardType::Debit => &[Kind::CardPayment, Kind::PushToCard, Kind::PullFromCard],
            CardType::Credit | CardType::Unknown => &[Kind::CardPayment],
        };
        let (source, now) = (Source::Card(card.id), card.created);
        let new = |kind: &Kind| Self::new(source, *kind, card.account, Currency::USD, now);
        kinds.iter().map(new).collect()
    }
    /// Its id follows from source and type, so that a repeated cause makes the same.
    fn new(
        source: Source,
        kind: Kind,
        account: AccountId,
        currency: Currency,
        now: Timestamp,
    ) -> Self {
        let (of, text) = (source.id(), kind.text().as_bytes());
        Self {
            id: PaymentMethodId(derive(of, &[text], contracts::ids::bucket_of(of))),
            version: 1,
            account,
            enabled: true,
            source,
            kind,
            currency,
            created: now,
            updated: now,
        }
    }
    /// The wallet behind it.
    pub fn wallet(&self) -> Option<WalletId> {
        match self.source {
            Source::Wallet(id) => Some(id),
            Source::Bank(_) | Source::Card(_) => None,
        }
    }
    /// The bank account behind it.
    pub fn bank_account(&self) -> Option<BankAccountId> {
        match self.source {
            Source::Bank(id) => Some(id),
            Source::Wallet(_) | Source::Card(_) => None,
        }
    }
    /// The card behind it.
    pub fn card(&self) -> Option<CardId> {
        match self.source {
            Source::Card(id) => Some(id),
            Source::Wallet(_) | Source::Bank(_) => None,
        }
    }
    /// The method as it is once disabled; `None` where it is already.
    pub fn disabled(&self, now: Timestamp) -> Option<Self> {
        self.enabled.then(|| Self { enabled: false, ..self.raised(now) })
    }
    /// The method as it is once what is behind it was corrected.
    pub fn raised(&self, now: Timestamp) -> Self {
        let version = self.version.checked_add(1).expect("versions are few");
        Self { version, updated: now, ..self.clone() }
    }
    /// Whether this version may be revealed to a rail. A disabled method never comes back, so that
    /// all its versions are revoked at once. A correction revokes none: it says where the same
    /// account or card is found from now on, and a payment that waits would fail, or be corrected
    /// again, where it went by the older word.
    pub fn may_reveal(&self, version: i64) -> bool {
        self.enabled && (1..=self.version).contains(&version)
    }
    /// Whether this version can have been revealed: what was sent under it may have to be taken back,
    /// also once it is revoked.
    pub fn was_revealed(&self, version: i64) -> bool {
        (1..=self.version).contains(&version)
    }
    /// Whether it is of this source, and of this type.
    pub fn fits(&self, source: Option<Uuid>, kind: Option<&str>) -> bool {
        source.is_none_or(|wanted| wanted == self.source.id())
            && kind.is_none_or(|wanted| wanted == self.kind.text())
    }
    /// As the API shows it, with what is behind it.
    pub fn shown(&self, behind: Behind<'_>) -> contract::PaymentMethod {
        contract::PaymentMethod {
            payment_method_id: self.id,
            payment_method_type: self.kind.text().to_owned(),
            wallet: self.wallet().map(|wallet_id| MethodWallet { wallet_id }),
            bank_account: behind.bank.map(BankAccount::shown),
            card: behind.card.map(Card::shown),
        }
    }
    /// Its id and type.
    pub fn basic(&self) -> BasicPaymentMethod {
        let payment_method_type = self.kind.text().to_owned();
        BasicPaymentMethod { payment_method_id: self.id, payment_method_type }
    }
    /// As a transfer freezes it, or with its bank account or card as one shows it.
    pub fn resolved(&self, details: Behind<'_>) -> ResolvedMethod {
        ResolvedMethod {
            payment_method_id: self.id,
            version: self.version,
            payment_method_type: self.kind.text().to_owned(),
            account_id: self.account,
            enabled: self.enabled,
            rail: self.kind.rail(),
            wallet_id: self.wallet(),
            bank_account_id: self.bank_account(),
            card_id: self.card(),
            currency: self.currency,
            bank_account: details.bank.map(BankAccount::shown),
            card: details.card.map(Card::shown),
        }
    }
}

/// What is behind a method, where it is asked for; a wallet is not this service's.
#[derive(Clone, Copy, Default)]
pub struct Behind<'a> {
    pub bank: Option<&'a BankAccount>,
    pub card: Option<&'a Card>,
}
