//! Entries as a file. The same rows and the same opened methods give the same bytes, so that no file
//! has to be kept with its account numbers.

use calendar::{Day, Kind};
use contracts::{Timestamp, payment_methods::RevealedMethod, rails::Direction};
use nacha::{
    AccountKind, Addenda, Amount, Batch, BatchHeader, File, FileHeader, FileModifier,
    OriginatorStatus, Purpose, ServiceClass, TransactionCode, routing::RoutingNumber, text::fit,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Class, MODIFIERS, Us, date, time};
use crate::{domain::Entry, store};

/// A file's bytes with their hash.
pub struct Built {
    /// They have account numbers in them: wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    pub hash: String,
}

/// An entry of a class; an error says what does not fit.
pub fn entry(
    us: &Us,
    of: &Entry,
    class: Class,
    method: &RevealedMethod,
) -> Result<nacha::Entry, String> {
    let rdfi = RoutingNumber::parse(&method.routing_number).ok_or("no routing number")?;
    let account = match method.bank_account_type.as_str() {
        "checking" => AccountKind::Checking,
        "savings" => AccountKind::Savings,
        "general-ledger" => AccountKind::GeneralLedger,
        "loan" => AccountKind::Loan,
        other => return Err(format!("no kind of account is {other:?}")),
    };
    let direction = match of.direction {
        Direction::Out => nacha::Direction::Credit,
        Direction::In => nacha::Direction::Debit,
    };
    // A loan's code of debits is for reversals only.
    let code = match (account, direction) {
        (AccountKind::Loan, nacha::Direction::Debit) => None,
        _ => TransactionCode::new(account, direction, Purpose::Live),
    };
    if of.amount.currency.as_str() != "USD" {
        return Err(format!("ACH has no {}", of.amount.currency));
    }
    let cents = u64::try_from(of.amount.value).ok().filter(|cents| *cents > 0);
    let amount = cents.and_then(Amount::new).ok_or("an entry has at most $99,999,999.99")?;
    let holder = fit(&method.holder_name, 22);
    if method.account_number.is_empty() || holder.is_empty() {
        return Err("no account number or no holder".to_owned());
    }
    let hex = of.key.transfer.0.simple().to_string();
    let web = class.direction() == Direction::In && !class.business;
    Ok(nacha::Entry {
        transaction_code: code.ok_or("a loan takes no debits")?,
        rdfi,
        account: method.account_number.clone(),
        amount,
        individual_id: hex[..15].to_owned(),
        individual_name: holder,
        // WEB entries say that they are single ones.
        discretionary: if web { "S".to_owned() } else { String::new() },
        addenda: vec![Addenda::Payment { information: format!("transfer {hex}") }],
        trace: us.trace(of.number),
    })
}

/// A file of entries that are in the order of their numbers; an error says what does not fit.
pub fn build<'a>(
    us: &Us,
    file: &store::File,
    batches: &[store::Batch],
    entries: impl IntoIterator<Item = (&'a Entry, &'a RevealedMethod)>,
) -> Result<Built, String> {
    let mut made = Vec::with_capacity(batches.len());
    let mut entries = entries.into_iter().peekable();
    for batch in batches {
        let class = Class::from_number(batch.class).ok_or("no such class of batches")?;
        let mut all = Vec::new();
        while let Some((of, method)) = entries.next_if(|(of, _)| of.batch == batch.number) {
            all.push(entry(us, of, class, method)?);
        }
        let header = batch_header(us, batch, class)?;
        made.push(Batch { header, entries: all, authentication_code: String::new() });
    }
    if entries.next().is_some() {
        return Err("an entry of no batch".to_owned());
    }
    let made = File { header: file_header(us, file)?, batches: made };
    let written = made.write().map_err(|errors| {
        let first = errors.first().map(ToString::to_string);
        format!("{} errors, {}", errors.len(), first.unwrap_or_default())
    });
    let bytes = Zeroizing::new(written?);
    let hash = hash(&bytes);
    Ok(Built { bytes, hash })
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file_header(us: &Us, file: &store::File) -> Result<FileHeader, String> {
    let at = Timestamp(file.created);
    let line = file.slot / MODIFIERS;
    let modifiers =
        std::iter::successors(Some(FileModifier::FIRST), |modifier| modifier.next()).collect();
    let modifiers: Vec<FileModifier> = modifiers;
    let modifier = usize::try_from(file.slot % MODIFIERS).ok().and_then(|at| modifiers.get(at));
    Ok(FileHeader {
        immediate_destination: RoutingNumber::parse(&us.bank).ok_or("no routing number")?,
        immediate_origin: origin(us, line),
        created: date(Day::of(at)).ok_or("no date of this century")?,
        created_time: time(at),
        modifier: *modifier.ok_or("no such slot of a day")?,
        destination_name: us.bank_name.clone(),
        origin_name: us.origin_name.clone(),
        reference_code: format!("{:08}", file.number % 100_000_000),
    })
}

/// Our name of a line: its last digits count.
fn origin(us: &Us, line: i64) -> String {
    let digits = us.lines.max(1).ilog10() as usize;
    let (kept, counted) = us.origin.split_at(us.origin.len() - digits);
    let first: i64 = counted.parse().unwrap_or(0);
    let number = (first + line) % 10_i64.pow(u32::try_from(digits).expect("at most six"));
    if digits == 0 { us.origin.clone() } else { format!("{kept}{number:0digits$}") }
}

fn batch_header(us: &Us, batch: &store::Batch, class: Class) -> Result<BatchHeader, String> {
    let settles = Timestamp(batch.settles);
    let same_day = (class.kind == Kind::SameDay).then(|| time(settles)).flatten();
    Ok(BatchHeader {
        service_class: match class.direction() {
            Direction::Out => ServiceClass::Credits,
            Direction::In => ServiceClass::Debits,
        },
        company_name: us.company_name.clone(),
        company_data: String::new(),
        company_id: us.company_id.clone(),
        sec: class.sec(),
        entry_description: class.description(us).to_owned(),
        descriptive_date: same_day.map(nacha::same_day).unwrap_or_default(),
        effective_date: date(Day::of(settles)),
        settlement_date: String::new(),
        originator_status: OriginatorStatus::Bound,
        odfi: RoutingNumber::parse(&us.bank).ok_or("no routing number")?.dfi(),
        number: u32::try_from(batch.number).map_err(|_| "a batch number of seven digits")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_another_origin() {
        let us = Us::sandbox();
        assert_eq!(origin(&us, 0), "1990010000");
        assert_eq!(origin(&us, 41), "1990010041");
        assert_eq!(origin(&us, 9_999), "1990019999");
        let one = Us { lines: 1, origin: "091000019".to_owned(), ..us };
        assert_eq!(origin(&one, 0), "091000019");
        let file = store::File {
            number: 1,
            name: "n".to_owned(),
            state: crate::domain::files::FileState::Fixed,
            day: 20_261_125,
            slot: 35,
            created: 1_795_667_400_000_000,
            first: 1,
            last: 1,
            entries: 1,
            debit: 0,
            credit: 1,
            hash: String::new(),
            size: 0,
            attempts: 0,
            at: 0,
            micros: 0,
            heard: 0,
            reason: None,
        };
        let header = file_header(&one, &file).unwrap();
        assert_eq!(
            (header.modifier.to_string(), header.created.to_string()),
            ("9".into(), "261125".into())
        );
        let next = store::File { slot: 36, ..file };
        let header = file_header(&Us::sandbox(), &next).unwrap();
        assert_eq!(
            (header.modifier.to_string().as_str(), header.immediate_origin.as_str()),
            ("A", "1990010001")
        );
    }
}
