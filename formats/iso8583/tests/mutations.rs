//! Seeded inputs: what is written is read back the same, and no bytes make the reader panic.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod random;
mod samples;

use iso8583::{Bitmaps, Content, Frames, Message, Mti, Spec, frame, parse, parse_partly, write};
use random::Random;

/// A message of any fields that the dialect has, with any content that they may have.
fn any_message(random: &mut Random, spec: &Spec) -> Message {
    let mti = loop {
        let text = format!("{:04}", random.below(1000));
        if let Some(mti) = Mti::parse(&text) {
            break mti;
        }
    };
    let numbers: Vec<u8> = spec.fields().map(|(number, _)| number).collect();
    let mut message = Message::new(mti);
    for _ in 0..random.below(20) {
        let number = numbers[random.below(numbers.len())];
        let field = spec.field(number).unwrap();
        let length = match field.format {
            iso8583::Format::Fixed => field.length,
            _ => random.below(field.length.min(150) + 1),
        };
        let alphabet: &[u8] = match field.content {
            Content::N => b"0123456789",
            Content::An => b"019AZaz ",
            Content::Ans => b" !0Az~=\"\\",
            Content::Xn => b"0123456789",
            Content::Z => b"0123456789=D",
            Content::Hex => b"0123456789abcdefABCDEF",
        };
        let text: String =
            (0..length).map(|_| char::from(alphabet[random.below(alphabet.len())])).collect();
        message.set(number, text);
    }
    message
}

#[test]
fn what_is_written_is_read_back() {
    let mut random = Random(8583);
    let binary = Spec::ascii87();
    let hex = Spec::ascii87().with_bitmaps(Bitmaps::Hex);
    let always = Spec::ascii87().with_bitmaps(Bitmaps::HexAlwaysTwo);
    let mut longest = 0;
    for _ in 0..20_000 {
        for spec in [&binary, &hex, &always] {
            let message = any_message(&mut random, spec);
            let bytes = write(&message, spec).unwrap();
            longest = longest.max(bytes.len());
            let read = parse(&bytes, spec).unwrap();
            assert_eq!(read, message);
            assert_eq!(write(&read, spec).unwrap(), bytes);
        }
    }
    println!("round trips: 60,000 messages, the longest of {longest} bytes");
    assert!(longest > 1000);
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let to = (at + random.below(20)).min(bytes.len());
        match random.below(5) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at),
            _ => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

#[test]
fn no_bytes_panic() {
    let spec = Spec::ascii87();
    let seeds: Vec<Vec<u8>> =
        samples::all().iter().map(|message| write(message, &spec).unwrap()).collect();
    let mut random = Random(20_261_124);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..200_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut random, &mut bytes);
        match parse(&bytes, &spec) {
            Ok(message) => {
                accepted += 1;
                let again = write(&message, &spec).expect("what was read can be written");
                assert_eq!(parse(&again, &spec), Ok(message.clone()), "round {round}");
                // The typed messages read it or say why not.
                let _ = iso8583::authorisation::Request::read(&message);
                let _ = iso8583::authorisation::Response::read(&message);
                let _ = iso8583::reversal::Request::read(&message);
                let _ = iso8583::reversal::Response::read(&message);
                let _ = iso8583::network::Request::read(&message);
                let _ = iso8583::network::Response::read(&message);
                let _ = format!("{message:?}");
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
                assert_eq!(parse_partly(&bytes, &spec).1, Some(error));
            }
        }
    }
    println!("mutations: {accepted} accepted, {refused} refused");
    assert!(accepted > 10_000 && refused > 50_000);
    for _ in 0..100_000 {
        let length = random.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        if length > 4 && random.below(2) == 0 {
            bytes[..4].copy_from_slice(b"0100");
        }
        let _ = parse(&bytes, &spec);
    }
}

#[test]
fn frames_of_any_pieces() {
    let mut random = Random(3);
    for _ in 0..2_000 {
        let messages: Vec<Vec<u8>> = (0..random.below(6))
            .map(|_| vec![u8::try_from(random.below(256)).unwrap(); 1 + random.below(600)])
            .collect();
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        let mut frames = Frames::new(600);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len().min(700)));
            frames.push(piece);
            while let Some(next) = frames.poll() {
                found.push(next.unwrap());
            }
            rest = after;
        }
        assert_eq!(found, messages);
    }
    // Noise ends with an error or waits for more; it never takes more than was given.
    for _ in 0..10_000 {
        let noise: Vec<u8> =
            (0..random.below(100)).map(|_| random.next().to_le_bytes()[0]).collect();
        let mut frames = Frames::new(iso8583::MAX_BYTES);
        frames.push(&noise);
        let mut taken = 0;
        while let Some(Ok(message)) = frames.poll() {
            taken += message.len() + 2;
        }
        assert!(taken <= noise.len());
    }
}
