//! Why a bank account has its status, in Moov's words.

use contracts::{payment_methods::BankAccountException, rails::RailOutcome};

/// Moov's `statusReason`, as far as something here brings it about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    BankAccountCreated,
    VerificationInitiated,
    MicroDepositAttemptsExceeded,
    MicroDepositExpired,
    VerificationSuccessful,
    AchDebitReturn,
    AchCreditReturn,
    RtpCreditFailure,
    MicroDepositReturn,
    /// Micro-deposits were not sent: they may be asked for again.
    Other,
}

impl Reason {
    /// All, in Moov's order.
    pub const ALL: [Self; 10] = [
        Self::BankAccountCreated,
        Self::VerificationInitiated,
        Self::MicroDepositAttemptsExceeded,
        Self::MicroDepositExpired,
        Self::VerificationSuccessful,
        Self::AchDebitReturn,
        Self::AchCreditReturn,
        Self::RtpCreditFailure,
        Self::MicroDepositReturn,
        Self::Other,
    ];
    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::BankAccountCreated => "bank-account-created",
            Self::VerificationInitiated => "verification-initiated",
            Self::MicroDepositAttemptsExceeded => "micro-deposit-attempts-exceeded",
            Self::MicroDepositExpired => "micro-deposit-expired",
            Self::VerificationSuccessful => "verification-successful",
            Self::AchDebitReturn => "ach-debit-return",
            Self::AchCreditReturn => "ach-credit-return",
            Self::RtpCreditFailure => "rtp-credit-failure",
            Self::MicroDepositReturn => "micro-deposit-return",
            Self::Other => "other",
        }
    }
    /// The reason with Moov's name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.text() == text)
    }
}

/// What a rail said of a bank account: its network's code, and what that means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    pub code: String,
    pub meaning: Option<String>,
}

impl Exception {
    /// What an outcome says, where its network gave a code.
    pub fn of(outcome: &RailOutcome) -> Option<Self> {
        let code = outcome.network_code.clone()?;
        Some(Self { code, meaning: outcome.reason.clone() })
    }
    /// As the API shows it. Codes of ACH returns begin with R, and none of ISO 20022 does.
    pub fn shown(&self) -> BankAccountException {
        let is_return = self.code.starts_with('R');
        BankAccountException {
            ach_return_code: is_return.then(|| self.code.clone()),
            rtp_rejection_code: (!is_return).then(|| self.code.clone()),
            description: self.meaning.clone().unwrap_or_else(|| self.code.clone()),
        }
    }
}
