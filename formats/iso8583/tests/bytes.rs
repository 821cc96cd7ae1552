//! Messages written byte by byte: the codec must read exactly these and write exactly these.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod samples;

use iso8583::response::Verdict;
use iso8583::reversal::Reason;
use iso8583::{
    Bitmaps, Code, Content, Error, Field, Format, Message, Mti, Pan, Place, Spec, Stan,
    authorisation, network, parse, parse_partly, reversal, write,
};
use samples::{moment, request};

fn spec() -> Spec {
    Spec::ascii87()
}

#[test]
fn authorisation_request() {
    let bytes: Vec<u8> = [
        // Message type: 1987, authorisation, request, acquirer.
        &b"0100"[..],
        // Fields 2 3 4 7 | 11 12 13 14 | 18 22 | 25 32 | 37 | 41 42 43 | 49 | 63.
        &[0x72, 0x3c, 0x44, 0x81, 0x08, 0xe0, 0x80, 0x02],
        b"164111111111111111",                       // 2: length, number
        b"000000",                                   // 3: payment
        b"000000779901",                             // 4: 7,799.01
        b"1124153336",                               // 7: 24 November, 15:33:36 UTC
        b"000042",                                   // 11
        b"103336",                                   // 12: hhmmss, local
        b"1124",                                     // 13: MMDD, local
        b"2912",                                     // 14: December 2029
        b"5734",                                     // 18
        b"010",                                      // 22
        b"59",                                       // 25
        b"06123456",                                 // 32: length, acquirer
        b"R00000000042",                             // 37
        b"SWITCH01",                                 // 41
        b"MERCHANT01     ",                          // 42
        b"Switchyard            San Francisco   US", // 43
        b"840",                                      // 49
        b"034",                                      // 63: length
        b"0123456789abcdef0123456789abcdef-a",
    ]
    .concat();
    let message = parse(&bytes, &spec()).unwrap();
    assert_eq!(write(&message, &spec()).unwrap(), bytes);
    let typed = authorisation::Request::read(&message).unwrap();
    assert_eq!(typed, request());
    assert_eq!(write(&typed.message(), &spec()).unwrap(), bytes);
    assert!(typed.pan.passes_luhn());
}

#[test]
fn authorisation_response() {
    let bytes: Vec<u8> = [
        &b"0110"[..],
        // Fields 3 4 7 | 11 | 37 38 39 | 41 42 | 49 | 63.
        &[0x32, 0x20, 0x00, 0x00, 0x0e, 0xc0, 0x80, 0x02],
        b"000000",
        b"000000779901",
        b"1124153336",
        b"000042",
        b"R00000000042",
        b"A1B2C3", // 38: approval
        b"00",     // 39: approved
        b"SWITCH01",
        b"MERCHANT01     ",
        b"840",
        b"0340123456789abcdef0123456789abcdef-a",
    ]
    .concat();
    let message = parse(&bytes, &spec()).unwrap();
    let typed = authorisation::Response::read(&message).unwrap();
    assert_eq!(typed, request().response("00", Some("A1B2C3")));
    assert_eq!(typed.verdict(), Verdict::Approved);
    assert_eq!(write(&typed.message(), &spec()).unwrap(), bytes);
    assert_eq!(message.field(2), None, "no card number in an answer");
}

#[test]
fn reversal_and_its_repeat() {
    let reversal =
        reversal::Request::of(&request(), Stan::new(43).unwrap(), moment(30), Reason::TimeOut);
    let bytes: Vec<u8> = [
        &b"0400"[..],
        // Bit 1, for the second bitmap, and 39 more than the original.
        &[0xf2, 0x3c, 0x44, 0x81, 0x0a, 0xe0, 0x80, 0x02],
        // Field 90.
        &[0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00],
        b"164111111111111111",
        b"000000",
        b"000000779901",
        b"1124153406", // 7: the reversal's own
        b"000043",     // 11: the reversal's own
        b"103336",
        b"1124",
        b"2912",
        b"5734",
        b"010",
        b"59",
        b"06123456",
        b"R00000000042",
        b"68", // 39: the answer did not come in time
        b"SWITCH01",
        b"MERCHANT01     ",
        b"Switchyard            San Francisco   US",
        b"840",
        b"0340123456789abcdef0123456789abcdef-a",
        b"0100",        // 90: type of the original,
        b"000042",      // its trace number,
        b"1124153336",  // its transmission,
        b"00000123456", // its acquirer,
        b"00000000000", // and no forwarder.
    ]
    .concat();
    assert_eq!(write(&reversal.message(), &spec()).unwrap(), bytes);
    let message = parse(&bytes, &spec()).unwrap();
    assert_eq!(reversal::Request::read(&message), Ok(reversal.clone()));
    let repeat = write(&reversal.repeated().message(), &spec()).unwrap();
    assert_eq!(repeat[..4], *b"0401");
    assert_eq!(repeat[4..], bytes[4..], "nothing else is different");
    let read = reversal::Request::read(&parse(&repeat, &spec()).unwrap()).unwrap();
    assert!(read.repeat);
    assert_eq!(read.original, reversal::Original::of(&request()));
    let answer = read.response(reversal::NOT_FOUND);
    let bytes = write(&answer.message(), &spec()).unwrap();
    assert_eq!(reversal::Response::read(&parse(&bytes, &spec()).unwrap()), Ok(answer));
}

#[test]
fn sign_on() {
    let bytes: Vec<u8> = [
        &b"0800"[..],
        &[0x82, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00], // bit 1, fields 7 and 11
        &[0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00], // field 70
        b"1124153336",
        b"000007",
        b"001",
    ]
    .concat();
    let typed = network::Request {
        transmitted: moment(0),
        stan: Stan::new(7).unwrap(),
        information: network::Information::SignOn,
    };
    assert_eq!(write(&typed.message(), &spec()).unwrap(), bytes);
    assert_eq!(network::Request::read(&parse(&bytes, &spec()).unwrap()), Ok(typed));
    let answer = typed.response(network::DONE);
    let bytes = write(&answer.message(), &spec()).unwrap();
    assert_eq!(network::Response::read(&parse(&bytes, &spec()).unwrap()), Ok(answer));
}

#[test]
fn every_message_is_read_as_it_was_written() {
    for message in samples::all() {
        let bytes = write(&message, &spec()).unwrap();
        assert_eq!(parse(&bytes, &spec()), Ok(message));
    }
}

fn error(bytes: &[u8]) -> (Place, Code, Option<usize>) {
    let Error { place, code, offset, .. } = parse(bytes, &spec()).unwrap_err();
    (place, code, offset)
}

#[test]
fn errors_name_the_field() {
    let head = |bitmap: u64| [&b"0100"[..], &bitmap.to_be_bytes()].concat();
    let with = |bitmap: u64, rest: &[u8]| [head(bitmap), rest.to_vec()].concat();
    const FIELD_2: u64 = 1 << 62;
    const FIELD_3: u64 = 1 << 61;
    for (bytes, place, code, offset) in [
        (b"010".to_vec(), Place::Mti, Code::TooShort, 0),
        (b"01x0".to_vec(), Place::Mti, Code::Mti, 0),
        (b"1100".to_vec(), Place::Mti, Code::Mti, 0),
        (b"0100\x00".to_vec(), Place::Bitmap, Code::TooShort, 4),
        // Bit 1 is set: a second bitmap must follow.
        (head(1 << 63), Place::Bitmap, Code::TooShort, 12),
        // Bit 65: this dialect ends with field 128.
        (with(1 << 63, &(1_u64 << 63).to_be_bytes()), Place::Field(65), Code::UnknownField, 20),
        (with(FIELD_2, b"2041111111111111111112"), Place::Field(2), Code::Length, 12),
        (with(FIELD_2, b"1x"), Place::Field(2), Code::Length, 12),
        (with(FIELD_2, b"1"), Place::Field(2), Code::TooShort, 12),
        (with(FIELD_2, b"16411111111111111"), Place::Field(2), Code::TooShort, 14),
        (with(FIELD_2, b"16411111111111111x"), Place::Field(2), Code::Content, 29),
        (with(FIELD_3, b"00000"), Place::Field(3), Code::TooShort, 12),
        (with(FIELD_3, b"0000\xb20"), Place::Field(3), Code::Content, 16),
        (with(FIELD_3, b"0000000"), Place::Message, Code::Trailing, 18),
        // All ones: field 2 is read first.
        ([&b"0100"[..], &[0xff; 40]].concat(), Place::Field(65), Code::UnknownField, 20),
    ] {
        assert_eq!(error(&bytes), (place, code, Some(offset)), "{}", bytes.escape_ascii());
    }
    let large = with(FIELD_2, &[b'0'; 4096]);
    assert_eq!(error(&large), (Place::Message, Code::TooLarge, None));
    // What stands before the error is readable.
    let (message, error) = parse_partly(&with(FIELD_2 | FIELD_3, b"03123abcdef"), &spec());
    assert_eq!(message.unwrap().field(2), Some("123"));
    let text = error.unwrap().to_string();
    assert_eq!(
        text,
        "field 3: wrong character at byte 17; found \"abcdef\" with 'a'; expected n 6"
    );
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let message = || Message::new(authorisation::REQUEST);
    for (message, place, code) in [
        (message().with(65, "1"), Place::Field(65), Code::UnknownField),
        (message().with(1, "1"), Place::Field(1), Code::UnknownField),
        (message().with(0, "0100"), Place::Field(0), Code::UnknownField),
        (message().with(200, "1"), Place::Field(200), Code::UnknownField),
        (message().with(3, "00000"), Place::Field(3), Code::Length),
        (message().with(4, "-00000000001"), Place::Field(4), Code::Content),
        (message().with(43, "ä".repeat(20)), Place::Field(43), Code::Content),
        (message().with(2, "1".repeat(20)), Place::Field(2), Code::Length),
        (message().with(63, "x".repeat(1000)), Place::Field(63), Code::Length),
        (Message::new(Mti::parse("1100").unwrap()), Place::Mti, Code::Mti),
    ] {
        let error = write(&message, &spec()).unwrap_err();
        assert_eq!((error.place, error.code), (place, code), "{message:?}");
    }
    let mut large = message();
    for number in [46, 47, 48, 60, 61] {
        large.set(number, "x".repeat(999));
    }
    assert_eq!(write(&large, &spec()).unwrap_err().code, Code::TooLarge);
}

#[test]
fn typed_messages_refuse_what_is_no_value() {
    let read = |number, text: &str| {
        authorisation::Request::read(&request().message().with(number, text)).unwrap_err()
    };
    for (number, text) in
        [(7, "1399000000"), (12, "250000"), (14, "2913"), (3, "010000"), (49, "USD"), (2, "123")]
    {
        let error = read(number, text);
        assert_eq!((error.place, error.code), (Place::Field(number), Code::Value), "{error}");
    }
    for number in [2, 3, 4, 7, 11, 12, 13, 18, 22, 25, 32, 37, 41, 42, 43, 49, 63] {
        let mut message = request().message();
        message.remove(number);
        let error = authorisation::Request::read(&message).unwrap_err();
        assert_eq!((error.place, error.code), (Place::Field(number), Code::Missing), "{error}");
    }
    let error = network::Request::read(&request().message()).unwrap_err();
    assert_eq!((error.place, error.code), (Place::Mti, Code::Mti));
}

#[test]
fn secrets_are_not_shown() {
    let track = "4111111111111111=29122010000000000000";
    let message = request()
        .message()
        .with(35, track)
        .with(45, "B4111111111111111^DOE")
        .with(52, "0123456789ABCDEF")
        .with(55, "9F26");
    let shown = [format!("{message:?}"), format!("{:?}", request())];
    for text in &shown {
        assert!(text.contains("411111******1111"), "{text}");
        for secret in ["411111111111", "2912", "29122010", "DOE", "0123456789ABCDEF", "9F26"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    // Nor in errors, whatever stands where the number is.
    let bad = request().message().with(2, "41111111111111x1");
    let error = write(&bad, &spec()).unwrap_err().to_string();
    assert!(!error.contains("411111"), "{error}");
    let error = authorisation::Request::read(&bad).unwrap_err().to_string();
    assert!(!error.contains("411111"), "{error}");
    // A number that slid into another field.
    let slid = [&b"0100"[..], &(1_u64 << 60).to_be_bytes(), b"4111111111x1"].concat();
    let error = parse(&slid, &spec()).unwrap_err().to_string();
    assert!(error.contains("411111****x1"), "{error}");
    assert_eq!(format!("{:?}", Pan::parse("4111111111111111").unwrap()), "Pan(411111******1111)");
}

#[test]
fn other_dialects_are_tables() {
    let field =
        |length| Field { name: "Test".into(), format: Format::Llvar, content: Content::N, length };
    let spec = Spec::new("three bitmaps", Bitmaps::Hex).with(3, field(6)).with(130, field(9));
    // A third bitmap if and only if bit 65 is set.
    let message = Message::new(authorisation::REQUEST).with(3, "1").with(130, "77");
    let written = write(&message, &spec).unwrap();
    assert_eq!(
        written.escape_ascii().to_string(),
        // Type; bits 1 and 3; bit 65; bit 130; field 3; field 130.
        ["0100", "A000000000000000", "8000000000000000", "4000000000000000", "011", "0277"]
            .concat()
    );
    assert_eq!(parse(&written, &spec), Ok(message));
    let lower = String::from_utf8(written).unwrap().replace("A0", "a0");
    assert!(parse(lower.as_bytes(), &spec).is_ok(), "small digits are read");
    // A bitmap of fixed length, in which bit 1 is never set.
    let spec = Spec::new("always two", Bitmaps::HexAlwaysTwo).with(3, field(6)).with(70, field(3));
    let message = Message::new(authorisation::REQUEST).with(3, "12");
    let written = write(&message, &spec).unwrap();
    assert_eq!(written, b"0100200000000000000000000000000000000212");
    assert_eq!(parse(&written, &spec), Ok(message));
    let with_bit_1 = b"0100A00000000000000000000000000000000212";
    assert_eq!(parse(with_bit_1, &spec).unwrap_err().place, Place::Bitmap);
}
