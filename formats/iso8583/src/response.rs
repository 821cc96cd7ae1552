//! Field 39: what the two characters of an answer say, and whether the money moves.
//!
//! Only a plain approval is one. Where the host approved less than, or on another condition than was
//! asked (08, 10, 32), money may be held though we cannot take it as paid: that is
//! [`Verdict::Conditional`], and must be reversed. A code that is not in the table is a decline.

/// What follows from a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The money moves.
    Approved,
    /// Something was approved that is not what was asked: reverse it.
    Conditional,
    /// The money does not move.
    Declined,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Whether the table has the code.
    pub known: bool,
    /// What follows.
    pub verdict: Verdict,
    /// The standard's words; for a code of private or national use, what networks mean by it.
    pub text: &'static str,
}

const APPROVED: [(&str, &str); 3] = [
    ("00", "approved or completed successfully"),
    ("11", "approved, VIP"),
    ("16", "approved, update track 3"),
];

const CONDITIONAL: [(&str, &str); 3] = [
    // Nobody is there to look at an identification: the number was keyed in.
    ("08", "honour with identification"),
    ("10", "approved for partial amount"),
    ("32", "completed partially"),
];

const DECLINED: [(&str, &str); 72] = [
    ("01", "refer to card issuer"),
    ("02", "refer to card issuer's special conditions"),
    ("03", "invalid merchant"),
    ("04", "pick up"),
    ("05", "do not honour"),
    ("06", "error"),
    ("07", "pick up card, special condition"),
    ("09", "request in progress"),
    ("12", "invalid transaction"),
    ("13", "invalid amount"),
    ("14", "invalid card number"),
    ("15", "no such issuer"),
    ("17", "customer cancellation"),
    ("18", "customer dispute"),
    ("19", "re-enter transaction"),
    ("20", "invalid response"),
    ("21", "no action taken"),
    ("22", "suspected malfunction"),
    ("23", "unacceptable transaction fee"),
    ("24", "file update not supported by receiver"),
    ("25", "unable to locate record on file"),
    ("26", "duplicate file update record"),
    ("27", "file update field edit error"),
    ("28", "file update file locked out"),
    ("29", "file update not successful, contact acquirer"),
    ("30", "format error"),
    ("31", "bank not supported by switch"),
    ("33", "expired card"),
    ("34", "suspected fraud"),
    ("35", "card acceptor contact acquirer"),
    ("36", "restricted card"),
    ("37", "card acceptor call acquirer security"),
    ("38", "allowable PIN tries exceeded"),
    ("39", "no credit account"),
    ("40", "requested function not supported"),
    ("41", "lost card"),
    ("42", "no universal account"),
    ("43", "stolen card, pick up"),
    ("44", "no investment account"),
    ("46", "closed account (network's use)"),
    ("51", "not sufficient funds"),
    ("52", "no chequing account"),
    ("53", "no savings account"),
    ("54", "expired card"),
    ("55", "incorrect PIN"),
    ("56", "no card record"),
    ("57", "transaction not permitted to cardholder"),
    ("58", "transaction not permitted to terminal"),
    ("59", "suspected fraud"),
    ("60", "card acceptor contact acquirer"),
    ("61", "exceeds withdrawal amount limit"),
    ("62", "restricted card"),
    ("63", "security violation"),
    ("64", "original amount incorrect"),
    ("65", "exceeds withdrawal frequency limit"),
    ("66", "card acceptor call acquirer's security department"),
    ("67", "hard capture"),
    ("68", "response received too late"),
    ("75", "allowable number of PIN tries exceeded"),
    ("76", "unable to locate previous message (network's use)"),
    ("77", "previous message differs from this one (network's use)"),
    ("78", "card not activated (network's use)"),
    ("79", "declined for its life cycle (network's use)"),
    ("80", "invalid date (network's use)"),
    ("82", "card verification value does not match (network's use)"),
    ("90", "cutoff is in process"),
    ("91", "issuer or switch is inoperative"),
    ("92", "financial institution or network cannot be found for routing"),
    ("93", "transaction cannot be completed, violation of law"),
    ("94", "duplicate transmission"),
    ("95", "reconcile error"),
    ("96", "system malfunction"),
];

/// The row of a code of two characters; an unknown code is a decline.
pub fn meaning(code: &str) -> Meaning {
    let tables = [
        (Verdict::Approved, &APPROVED[..]),
        (Verdict::Conditional, &CONDITIONAL[..]),
        (Verdict::Declined, &DECLINED[..]),
    ];
    for (verdict, table) in tables {
        if let Some((_, text)) = table.iter().find(|(known, _)| *known == code) {
            return Meaning { known: true, verdict, text };
        }
    }
    Meaning { known: false, verdict: Verdict::Declined, text: "not a code of this table" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_hundred_codes() {
        let mut approved = Vec::new();
        let mut conditional = Vec::new();
        for number in 0..100 {
            let code = format!("{number:02}");
            match meaning(&code).verdict {
                Verdict::Approved => approved.push(code),
                Verdict::Conditional => conditional.push(code),
                Verdict::Declined => {}
            }
        }
        assert_eq!(approved, ["00", "11", "16"]);
        assert_eq!(conditional, ["08", "10", "32"]);
        for unknown in ["", "0", "000", "99", "45", "N7", "0 ", "٠٠"] {
            let row = meaning(unknown);
            assert_eq!((row.known, row.verdict), (false, Verdict::Declined), "{unknown}");
        }
    }

    #[test]
    fn no_code_has_two_rows() {
        let rows = || APPROVED.iter().chain(&CONDITIONAL).chain(&DECLINED);
        let codes: BTreeSet<&str> = rows().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), rows().count());
    }
}
