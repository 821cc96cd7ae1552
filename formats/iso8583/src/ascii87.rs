//! The table of ISO 8583:1987 with all fields in ASCII and a binary bitmap.
//!
//! Lengths are those of the published ASCII tables that hosts share; where they are wider than the
//! standard (fields 54 and 55), the wider one holds. Fields that the standard calls numeric and that
//! are used with letters (34, 36) take all printable characters.

use crate::spec::Content::{An, Ans, Hex, N, Xn, Z};
use crate::spec::Format::{Fixed, Lllvar, Llvar};
use crate::spec::{Bitmaps, Content, Field, Format, Spec};

/// Number, format, class, length, name.
type Row = (u8, Format, Content, usize, &'static str);

const ROWS: &[Row] = &[
    (2, Llvar, N, 19, "Primary Account Number (PAN)"),
    (3, Fixed, N, 6, "Processing Code"),
    (4, Fixed, N, 12, "Amount, Transaction"),
    (5, Fixed, N, 12, "Amount, Settlement"),
    (6, Fixed, N, 12, "Amount, Cardholder Billing"),
    (7, Fixed, N, 10, "Transmission Date and Time"),
    (8, Fixed, N, 8, "Amount, Cardholder Billing Fee"),
    (9, Fixed, N, 8, "Conversion Rate, Settlement"),
    (10, Fixed, N, 8, "Conversion Rate, Cardholder Billing"),
    (11, Fixed, N, 6, "System Trace Audit Number"),
    (12, Fixed, N, 6, "Time, Local Transaction"),
    (13, Fixed, N, 4, "Date, Local Transaction"),
    (14, Fixed, N, 4, "Date, Expiration"),
    (15, Fixed, N, 4, "Date, Settlement"),
    (16, Fixed, N, 4, "Date, Conversion"),
    (17, Fixed, N, 4, "Date, Capture"),
    (18, Fixed, N, 4, "Merchant Type"),
    (19, Fixed, N, 3, "Acquiring Institution Country Code"),
    (20, Fixed, N, 3, "PAN Country Code"),
    (21, Fixed, N, 3, "Forwarding Institution Country Code"),
    (22, Fixed, N, 3, "Point-of-Service Entry Mode"),
    (23, Fixed, N, 3, "PAN Sequence Number"),
    (24, Fixed, N, 3, "Network International ID"),
    (25, Fixed, N, 2, "Point-of-Service Condition Code"),
    (26, Fixed, N, 2, "Point-of-Service Capture Code"),
    (27, Fixed, N, 1, "Authorizing ID Response Length"),
    (28, Fixed, Xn, 9, "Amount, Transaction Fee"),
    (29, Fixed, Xn, 9, "Amount, Settlement Fee"),
    (30, Fixed, Xn, 9, "Amount, Transaction Processing Fee"),
    (31, Fixed, Xn, 9, "Amount, Settlement Processing Fee"),
    (32, Llvar, N, 11, "Acquiring Institution ID Code"),
    (33, Llvar, N, 11, "Forwarding Institution ID Code"),
    (34, Llvar, Ans, 28, "Primary Account Number, Extended"),
    (35, Llvar, Z, 37, "Track 2 Data"),
    (36, Lllvar, Ans, 104, "Track 3 Data"),
    (37, Fixed, An, 12, "Retrieval Reference Number"),
    (38, Fixed, An, 6, "Authorization ID Response"),
    (39, Fixed, An, 2, "Response Code"),
    (40, Fixed, An, 3, "Service Restriction Code"),
    (41, Fixed, Ans, 8, "Card Acceptor Terminal ID"),
    (42, Fixed, Ans, 15, "Card Acceptor ID Code"),
    (43, Fixed, Ans, 40, "Card Acceptor Name/Location"),
    (44, Llvar, Ans, 25, "Additional Response Data"),
    (45, Llvar, Ans, 76, "Track 1 Data"),
    (46, Lllvar, Ans, 999, "Additional Data, ISO"),
    (47, Lllvar, Ans, 999, "Additional Data, National"),
    (48, Lllvar, Ans, 999, "Additional Data, Private"),
    (49, Fixed, An, 3, "Currency Code, Transaction"),
    (50, Fixed, An, 3, "Currency Code, Settlement"),
    (51, Fixed, An, 3, "Currency Code, Cardholder Billing"),
    (52, Fixed, Hex, 16, "PIN Data"),
    (53, Fixed, N, 16, "Security-Related Control Information"),
    (54, Lllvar, An, 240, "Additional Amounts"),
    (55, Lllvar, Ans, 510, "ICC Data"),
    (64, Fixed, Hex, 16, "Message Authentication Code"),
    (66, Fixed, N, 1, "Settlement Code"),
    (67, Fixed, N, 2, "Extended Payment Code"),
    (68, Fixed, N, 3, "Receiving Institution Country Code"),
    (69, Fixed, N, 3, "Settlement Institution Country Code"),
    (70, Fixed, N, 3, "Network Management Information Code"),
    (71, Fixed, N, 4, "Message Number"),
    (72, Fixed, N, 4, "Message Number, Last"),
    (73, Fixed, N, 6, "Date, Action"),
    (74, Fixed, N, 10, "Credits, Number"),
    (75, Fixed, N, 10, "Credits, Reversal Number"),
    (76, Fixed, N, 10, "Debits, Number"),
    (77, Fixed, N, 10, "Debits, Reversal Number"),
    (78, Fixed, N, 10, "Transfer, Number"),
    (79, Fixed, N, 10, "Transfer, Reversal Number"),
    (80, Fixed, N, 10, "Inquiries, Number"),
    (81, Fixed, N, 10, "Authorizations, Number"),
    (82, Fixed, N, 12, "Credits, Processing Fee Amount"),
    (83, Fixed, N, 12, "Credits, Transaction Fee Amount"),
    (84, Fixed, N, 12, "Debits, Processing Fee Amount"),
    (85, Fixed, N, 12, "Debits, Transaction Fee Amount"),
    (86, Fixed, N, 16, "Credits, Amount"),
    (87, Fixed, N, 16, "Credits, Reversal Amount"),
    (88, Fixed, N, 16, "Debits, Amount"),
    (89, Fixed, N, 16, "Debits, Reversal Amount"),
    (90, Fixed, N, 42, "Original Data Elements"),
    (91, Fixed, An, 1, "File Update Code"),
    (92, Fixed, An, 2, "File Security Code"),
    (93, Fixed, N, 5, "Response Indicator"),
    (94, Fixed, An, 7, "Service Indicator"),
    (95, Fixed, An, 42, "Replacement Amounts"),
    (96, Fixed, Hex, 16, "Message Security Code"),
    (97, Fixed, Xn, 17, "Amount, Net Settlement"),
    (98, Fixed, Ans, 25, "Payee"),
    (99, Llvar, N, 11, "Settlement Institution ID Code"),
    (100, Llvar, N, 11, "Receiving Institution ID Code"),
    (101, Llvar, Ans, 17, "File Name"),
    (102, Llvar, Ans, 28, "Account ID 1"),
    (103, Llvar, Ans, 28, "Account ID 2"),
    (104, Lllvar, Ans, 100, "Transaction Description"),
    (128, Fixed, Hex, 16, "Message Authentication Code"),
];

/// First and last number of fields for private and reserved use, all `ans ..999`.
const RESERVED: [(u8, u8, &str); 6] = [
    (56, 56, "Reserved, ISO"),
    (57, 60, "Reserved, National"),
    (61, 63, "Reserved, Private"),
    (105, 111, "Reserved, ISO"),
    (112, 119, "Reserved, National"),
    (120, 127, "Reserved, Private"),
];

impl Spec {
    /// ISO 8583:1987: ASCII fields and message type, binary bitmap; binary data elements (52, 64,
    /// 96, 128) as hexadecimal digits. No length header: see [`Frames`](crate::Frames).
    pub fn ascii87() -> Self {
        let mut spec = Self::new("ISO 8583:1987, ASCII, binary bitmap", Bitmaps::Binary);
        for &(number, format, content, length, name) in ROWS {
            spec = spec.with(number, Field { name: name.into(), format, content, length });
        }
        for (first, last, name) in RESERVED {
            for number in first..=last {
                let field = Field { name: name.into(), format: Lllvar, content: Ans, length: 999 };
                spec = spec.with(number, field);
            }
        }
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_those_of_bitmaps_is_a_field() {
        let spec = Spec::ascii87();
        let numbers: Vec<u8> = spec.fields().map(|(number, _)| number).collect();
        let expected: Vec<u8> = (2..=128).filter(|number| *number != 65).collect();
        assert_eq!(numbers, expected);
        assert_eq!(spec.field(4).unwrap().shape(), "n 12");
        assert_eq!(spec.field(63).unwrap().shape(), "ans ..999");
        assert!(!spec.has_third_bitmap());
    }
}
