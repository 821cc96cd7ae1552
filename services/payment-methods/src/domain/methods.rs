//! Payment methods: which there are of a wallet or a bank account, and their versions.

use contracts::{
    Currency, Timestamp,
    ids::{AccountId, BankAccountId, PaymentMethodId, WalletId, derive},
    payment_methods::{self as contract, MethodWallet, ResolvedMethod},
    rails::Rail,
};
use uuid::Uuid;

use super::{BankAccount, Status, is_rtp_capable};

/// A type of payment method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    AchCreditSameDay,
    AchCreditStandard,
    AchDebitCollect,
    AchDebitFund,
    MoovWallet,
    RtpCredit,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::AchCreditSameDay,
        Self::AchCreditStandard,
        Self::AchDebitCollect,
        Self::AchDebitFund,
        Self::MoovWallet,
        Self::RtpCredit,
    ];
    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::AchCreditSameDay => "ach-credit-same-day",
            Self::AchCreditStandard => "ach-credit-standard",
            Self::AchDebitCollect => "ach-debit-collect",
            Self::AchDebitFund => "ach-debit-fund",
            Self::MoovWallet => "moov-wallet",
            Self::RtpCredit => "rtp-credit",
        }
    }
    /// The type with Moov's name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
    /// The rail that moves the money; none for a wallet.
    pub fn rail(self) -> Option<Rail> {
        match self {
            Self::AchCreditSameDay
            | Self::AchCreditStandard
            | Self::AchDebitCollect
            | Self::AchDebitFund => Some(Rail::Ach),
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
}

impl Source {
    /// The id of either kind, by which a list of methods is filtered.
    pub fn id(self) -> Uuid {
        match self {
            Self::Wallet(wallet) => wallet.0,
            Self::Bank(bank) => bank.0,
        }
    }
    /// Whether a method of this type may have this source.
    pub fn has(self, kind: Kind) -> bool {
        match self {
            Self::Wallet(_) => kind.rail().is_none(),
            Self::Bank(_) => matches!(kind.rail(), Some(Rail::Ach | Rail::Rtp)),
        }
    }
}

/// A way to pay from or to a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    pub id: PaymentMethodId,
    /// From 1; raised by each change. Only the current one of an enabled method may be revealed.
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
    /// The bank account behind it.
    pub fn bank_account(&self) -> Option<BankAccountId> {
        match self.source {
            Source::Bank(id) => Some(id),
            Source::Wallet(_) => None,
        }
    }
    /// The method as it is once disabled; `None` where it is already.
    pub fn disabled(&self, now: Timestamp) -> Option<Self> {
        let version = self.version.checked_add(1).expect("versions are few");
        let disabled = Self { enabled: false, version, updated: now, ..self.clone() };
        self.enabled.then_some(disabled)
    }
    /// Whether this version may be revealed to a rail.
    pub fn may_reveal(&self, version: i64) -> bool {
        self.enabled && self.version == version
    }
    /// Whether it is of this source, and of this type.
    pub fn fits(&self, source: Option<Uuid>, kind: Option<&str>) -> bool {
        source.is_none_or(|wanted| wanted == self.source.id())
            && kind.is_none_or(|wanted| wanted == self.kind.text())
    }
    /// As the API shows it, with its bank account where it has one.
    pub fn shown(&self, bank: Option<&BankAccount>) -> contract::PaymentMethod {
        let wallet = match self.source {
            Source::Wallet(wallet_id) => Some(MethodWallet { wallet_id }),
            Source::Bank(_) => None,
        };
        contract::PaymentMethod {
            payment_method_id: self.id,
            payment_method_type: self.kind.text().to_owned(),
            wallet,
            bank_account: bank.map(BankAccount::shown),
        }
    }
    /// As a transfer freezes it, or with its bank account as one shows it.
    pub fn resolved(&self, details: Option<&BankAccount>) -> ResolvedMethod {
        let wallet_id = match self.source {
            Source::Wallet(wallet) => Some(wallet),
            Source::Bank(_) => None,
        };
        ResolvedMethod {
            payment_method_id: self.id,
            version: self.version,
            payment_method_type: self.kind.text().to_owned(),
            account_id: self.account,
            enabled: self.enabled,
            rail: self.kind.rail(),
            wallet_id,
            bank_account_id: self.bank_account(),
            card_id: None,
            currency: self.currency,
            bank_account: details.map(BankAccount::shown),
            card: None,
        }
    }
}
