//! The card host from outside: real TCP on a free port, messages made by the format's own types.

mod crash;
mod faults;
mod line;
mod settlement;
mod table;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use iso8583::authorisation::{self, ECOMMERCE, KEYED, Processing, Request};
use iso8583::network::{self, Information};
use iso8583::reversal::{self, Reason};
use iso8583::{Expiry, Frames, Message, Moment, Pan, Spec, Stan, frame, parse, write};
use sandbox::Payment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{START, World};

/// Long enough for an answer that comes at once.
pub const SOON: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the host.
pub struct Client {
    stream: TcpStream,
    frames: Frames,
    spec: Spec,
}

impl Client {
    /// Connected, and not signed on.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Ok(Self { stream, frames: Frames::new(iso8583::MAX_BYTES), spec: Spec::ascii87() })
    }

    pub async fn signed_on(world: &World) -> Self {
        let mut client = Self::connect(world.sandbox.card_address).await.unwrap();
        assert_eq!(client.network(Information::SignOn).await, "00");
        client
    }

    pub async fn network(&mut self, information: Information) -> String {
        let transmitted = Moment::from_unix_micros(START);
        let question = network::Request { transmitted, stan: Stan::FIRST, information };
        self.say(&question.message()).await;
        let answer = network::Response::read(&self.hear().await.unwrap()).unwrap();
        assert_eq!((answer.stan, answer.information), (Stan::FIRST, information));
        answer.code
    }

    pub async fn say(&mut self, message: &Message) {
        let bytes = frame(&write(message, &self.spec).unwrap());
        self.say_bytes(&bytes).await.unwrap();
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message; an error if the connection ends, or nothing comes for long.
    pub async fn hear(&mut self) -> io::Result<Message> {
        let frame = tokio::time::timeout(PATIENCE, self.hear_frame()).await??;
        parse(&frame, &self.spec).map_err(io::Error::other)
    }

    pub async fn hear_frame(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(next) = self.frames.poll() {
                return next.map_err(io::Error::other);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.frames.push(&buffer[..count]),
            }
        }
    }

    /// Whether nothing comes and the connection stays.
    pub async fn hears_nothing(&mut self) -> bool {
        tokio::time::timeout(SOON, self.hear_frame()).await.is_err()
    }

    pub async fn authorise(&mut self, request: &Request) -> authorisation::Response {
        self.say(&request.message()).await;
        authorisation::Response::read(&self.hear().await.unwrap()).unwrap()
    }

    pub async fn reverse(&mut self, reversal: &reversal::Request) -> reversal::Response {
        self.say(&reversal.message()).await;
        reversal::Response::read(&self.hear().await.unwrap()).unwrap()
    }
}

/// A payment that differs from others by its number.
pub fn request(number: u32, amount: i64) -> Request {
    Request {
        pan: Pan::parse("4111111111111111").unwrap(),
        processing: Processing::Payment,
        amount,
        transmitted: Moment::from_unix_micros(START),
        stan: Stan::new(number).unwrap(),
        local: Moment::from_unix_micros(START),
        expiry: Expiry::parse("2912"),
        category: "5734".to_owned(),
        entry_mode: KEYED.to_owned(),
        condition: ECOMMERCE.to_owned(),
        acquirer: "123456".to_owned(),
        retrieval_reference: format!("R{number:011}"),
        terminal: "SWITCH01".to_owned(),
        merchant: "MERCHANT01".to_owned(),
        merchant_name: "Switchyard".to_owned(),
        currency: 840,
        reference: format!("{number:032x}-a"),
    }
}

/// Its reversal, with a number of its own.
pub fn reversal(request: &Request) -> reversal::Request {
    let stan = Stan::new(request.stan.number() + 500_000).unwrap();
    let transmitted = Moment::from_unix_micros(START + 10_000_000);
    reversal::Request::of(request, stan, transmitted, Reason::TimeOut)
}

/// The card payments in the books.
pub async fn books(world: &World) -> Vec<Payment> {
    world.sandbox.books().await.unwrap()
}
