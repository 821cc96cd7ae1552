//! One connection of the host: reading, answering, and the faults that happen between.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use iso8583::authorisation::{self, Request};
use iso8583::network::{self, Information};
use iso8583::{Class, Frames, Function, Message, frame, parse, reversal, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::booking::Trace;
use super::desk::{Arrival, Decision};
use crate::fault::Fault;
use crate::wire::Direction;

/// Messages of one connection that are worked on at a time; then no more are read.
const AT_WORK_MOST: u32 = 512;
/// Answers that wait for the socket.
const ANSWERS_MOST: usize = 1024;
/// Pieces of a `slow` answer.
const PIECES: usize = 10;
/// How long a closing connection is read to its end, so that its last answer is not lost.
const LINGER: Duration = Duration::from_secs(1);
/// A frame whose content is no message.
const GARBAGE: &[u8] = b"0110\x00\xff not a message";

/// Field 39: the host takes nothing yet.
const NOT_SIGNED_ON: &str = "91";
/// Field 39: format error.
const FORMAT_ERROR: &str = "30";
/// Field 39: system malfunction.
const MALFUNCTION: &str = "96";

/// What the writer does next.
enum Out {
    /// These bytes.
    Frame(Vec<u8>),
    /// These, in pieces.
    Slow(Vec<u8>),
    /// Half of these, and the end.
    Cut(Vec<u8>),
    /// The end.
    End,
}

/// What the reader shares with the tasks that answer.
#[derive(Clone)]
struct Line {
    shared: Arc<Shared>,
    out: mpsc::Sender<Out>,
}

/// Whether a connection goes on.
enum Next {
    Read,
    /// Answers that are under way are sent, then it is closed.
    Close,
    /// It is dead, and not closed.
    Dead,
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let mut closings = shared.gate.closings();
    match shared.faults.take(|fault| matches!(fault, Fault::Refuse | Fault::HalfOpen)) {
        Some(Fault::Refuse) => {
            // A close with no lingering is a reset.
            if let Err(error) = stream.set_zero_linger() {
                tracing::warn!(%error, "a connection was closed, not reset");
            }
            return;
        }
        Some(_) => return hold(&shared).await,
        None => {}
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (mut read, write) = stream.into_split();
    let (out, answers) = mpsc::channel(ANSWERS_MOST);
    let mut writer = std::pin::pin!(write_all(Arc::clone(&shared), write, answers));
    let line = Line { shared, out };
    let permits = Arc::new(Semaphore::new(AT_WORK_MOST as usize));
    let mut reader = Reader { line, permits, frames: Frames::new(iso8583::MAX_BYTES), on: false };
    let next = {
        let mut reading = std::pin::pin!(reader.read_all(&mut read));
        tokio::select! {
            biased;
            _ = closings.changed() => Next::Close,
            () = writer.as_mut() => return,
            next = reading.as_mut() => next,
        }
    };
    match next {
        Next::Dead => hold(&reader.line.shared).await,
        _ => reader.close(writer, read).await,
    }
}

struct Reader {
    line: Line,
    permits: Arc<Semaphore>,
    frames: Frames,
    /// Whether it is signed on.
    on: bool,
}

impl Reader {
    /// Reads until the connection ends; messages are answered by tasks of their own.
    async fn read_all(&mut self, read: &mut OwnedReadHalf) -> Next {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = match read.read(&mut buffer).await {
                Ok(0) | Err(_) => return Next::Close,
                Ok(count) => count,
            };
            self.frames.push(&buffer[..count]);
            while let Some(next) = self.frames.poll() {
                let bytes = match next {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        self.line.shared.keep_unmatched(&error.to_string());
                        return Next::Close;
                    }
                };
                self.line.shared.kept(Direction::Received, &frame(&bytes));
                let message = match parse(&bytes, &self.line.shared.spec) {
                    Ok(message) => message,
                    Err(error) => {
                        self.line.shared.keep_unmatched(&error.to_string());
                        return Next::Close;
                    }
                };
                match self.take(message).await {
                    Next::Read => {}
                    end => return end,
                }
            }
        }
    }

    async fn take(&mut self, message: Message) -> Next {
        let line = &self.line;
        match (message.mti.class, message.mti.function) {
            (Class::NetworkManagement, Function::Request) => {
                match network::Request::read(&message) {
                    Ok(question) => {
                        match question.information {
                            Information::SignOn => self.on = true,
                            Information::SignOff => self.on = false,
                            Information::Echo => {}
                        }
                        let answer = question.response(network::DONE).message();
                        line.send(None, &answer).await;
                    }
                    Err(error) => line.shared.keep_unmatched(&error.to_string()),
                }
                Next::Read
            }
            (Class::Authorisation | Class::Reversal, Function::Request) => {
                self.money(message).await
            }
            _ => {
                let reason = format!("a message of type {}", message.mti);
                line.shared.keep_unmatched(&reason);
                Next::Read
            }
        }
    }

    /// A request or a reversal: books and answers it in a task of its own, which the end of the
    /// connection does not undo.
    async fn money(&mut self, message: Message) -> Next {
        let line = self.line.clone();
        let reverses = message.mti.class == Class::Reversal;
        let fault = line.shared.faults.take(|one| reverses || one != Fault::ForgetReversals);
        match fault {
            Some(Fault::Refuse) => return Next::Close,
            Some(Fault::HalfOpen) => return Next::Dead,
            Some(Fault::Hang) => return Next::Read,
            _ => {}
        }
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        let work = match Work::of(&line.shared, &message, self.on) {
            Ok(work) => work,
            Err(refusal) => {
                line.send(fault, &refusal).await;
                return Next::Read;
            }
        };
        tokio::spawn(line.work(work, fault, permit));
        Next::Read
    }

    /// Waits for the answers under way, sends them, and closes.
    async fn close(self, mut writer: impl Future<Output = ()> + Unpin, mut read: OwnedReadHalf) {
        let Self { line, permits, .. } = self;
        let finished = async {
            let _all = permits.acquire_many(AT_WORK_MOST).await;
            let _ = line.out.send(Out::End).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = &mut writer => {}
            () = finished => {}
        }
        // To close while bytes are unread would reset the connection, and the last answer with it.
        let mut rest = [0; 1024];
        let drained = async { while matches!(read.read(&mut rest).await, Ok(1..)) {} };
        let _ = timeout(LINGER, drained).await;
    }
}

/// A message of money, understood, with what it found in the books when it came.
enum Work {
    Authorise(Box<Request>, Arrival),
    Reverse(Box<reversal::Request>, Arrival),
}

impl Work {
    /// Understands a message, or says what to answer instead.
    fn of(shared: &Shared, message: &Message, signed_on: bool) -> Result<Self, Message> {
        let is_reversal = message.mti.class == Class::Reversal;
        if !signed_on {
            return Err(refusal(message, NOT_SIGNED_ON));
        }
        let read = match is_reversal {
            false => Request::read(message).map(|request| {
                let arrival = shared.desk.arrive(&Trace::of(&request));
                Self::Authorise(Box::new(request), arrival)
            }),
            true => reversal::Request::read(message).map(|reversal| {
                let arrival = shared.desk.arrive(&Trace::of_original(&reversal));
                Self::Reverse(Box::new(reversal), arrival)
            }),
        };
        read.map_err(|error| {
            shared.keep_unmatched(&format!("{} with {error}", message.mti));
            refusal(message, FORMAT_ERROR)
        })
    }
}

/// An answer to a message that was not understood: what it has of the fields that are given back.
fn refusal(message: &Message, code: &str) -> Message {
    let is_reversal = message.mti.class == Class::Reversal;
    let mti = if is_reversal { reversal::RESPONSE } else { authorisation::RESPONSE };
    let mut answer = Message::new(mti).with(39, code);
    for number in [3, 4, 7, 11, 37, 41, 42, 49, 63] {
        if let Some(text) = message.field(number) {
            answer.set(number, text);
        }
    }
    answer
}

impl Line {
    /// Books, then answers. The permit says that an answer is under way.
    async fn work(self, work: Work, fault: Option<Fault>, permit: OwnedSemaphorePermit) {
        let now = self.shared.now();
        match work {
            Work::Authorise(request, arrival) => {
                let decided = self.shared.desk.authorise(&request, arrival, now).await;
                self.decided(&request, decided.ok(), fault).await;
            }
            Work::Reverse(reversal, arrival) => {
                let forgotten = fault == Some(Fault::ForgetReversals);
                let answered = self.shared.desk.reverse(&reversal, arrival, now, forgotten).await;
                let key = Trace::of_original(&reversal).key();
                let held = self.shared.held.lock().remove(&key);
                if let Some(held) = held {
                    self.put(Out::Frame(held)).await;
                }
                let answer = answered.unwrap_or_else(|_| reversal.response(MALFUNCTION));
                self.send(fault, &answer.message()).await;
            }
        }
        drop(permit);
    }

    async fn decided(&self, request: &Request, decided: Option<Decision>, fault: Option<Fault>) {
        match decided {
            None => self.send(fault, &request.response(MALFUNCTION, None).message()).await,
            Some(Decision::Answer(answer)) => self.send(fault, &answer.message()).await,
            Some(Decision::AnswerThenAway(answer)) => {
                // Before the answer: who has it, finds the door closed.
                self.shared.gate.closed_for(self.shared.timings.refuse_for).await;
                self.send(fault, &answer.message()).await;
            }
            Some(Decision::AnswerWhenReversed(answer)) => {
                let key = Trace::of(request).key();
                let Some(bytes) = self.framed(&answer.message()) else { return };
                self.shared.held.lock().insert(key, bytes);
                let line = self.clone();
                tokio::spawn(async move {
                    if !line.pause(line.shared.timings.hold).await {
                        return;
                    }
                    let held = line.shared.held.lock().remove(&key);
                    if let Some(held) = held {
                        line.put(Out::Frame(held)).await;
                    }
                });
            }
            Some(Decision::Silence) => {}
        }
    }

    /// Sends an answer, as well as the fault allows.
    async fn send(&self, fault: Option<Fault>, answer: &Message) {
        let Some(bytes) = self.framed(answer) else { return };
        match fault {
            Some(Fault::DropReply) => self.put(Out::End).await,
            Some(Fault::Garbage) => self.put(Out::Frame(frame(GARBAGE))).await,
            Some(Fault::CloseMidMessage) => self.put(Out::Cut(bytes)).await,
            Some(Fault::Slow) => self.put(Out::Slow(bytes)).await,
            Some(Fault::DuplicateReply) => {
                self.put(Out::Frame(bytes.clone())).await;
                self.put(Out::Frame(bytes)).await;
            }
            Some(Fault::LateReply) => {
                let line = self.clone();
                tokio::spawn(async move {
                    if line.pause(line.shared.timings.late).await {
                        line.put(Out::Frame(bytes)).await;
                    }
                });
            }
            _ => self.put(Out::Frame(bytes)).await,
        }
    }

    fn framed(&self, message: &Message) -> Option<Vec<u8>> {
        match write(message, &self.shared.spec) {
            Ok(bytes) => Some(frame(&bytes)),
            Err(error) => {
                tracing::error!(%error, "an answer that cannot be written");
                None
            }
        }
    }

    /// An error is a connection that has ended: its client cannot be told.
    async fn put(&self, out: Out) {
        let _ = self.out.send(out).await;
    }

    /// Waits; `false` if the host stops meanwhile.
    async fn pause(&self, duration: Duration) -> bool {
        let mut stop = self.shared.stop.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => false,
            () = sleep(duration) => true,
        }
    }
}

/// Writes what the tasks hand over, one answer after another, until the end or an error.
async fn write_all(
    shared: Arc<Shared>,
    mut write: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Out>,
) {
    while let Some(out) = answers.recv().await {
        let written = match out {
            Out::End => break,
            Out::Frame(bytes) => {
                shared.kept(Direction::Sent, &bytes);
                write.write_all(&bytes).await
            }
            Out::Slow(bytes) => {
                shared.kept(Direction::Sent, &bytes);
                dribble(&mut write, &bytes, shared.timings.slow).await
            }
            Out::Cut(bytes) => {
                let half = &bytes[..bytes.len() / 2];
                shared.kept(Direction::Sent, half);
                let _ = write.write_all(half).await;
                break;
            }
        };
        if let Err(error) = written {
            tracing::debug!(%error, "a connection ended");
            break;
        }
    }
    if let Err(error) = write.shutdown().await {
        tracing::debug!(%error, "a connection was closed by the other side");
    }
}

async fn dribble(write: &mut OwnedWriteHalf, bytes: &[u8], time: Duration) -> io::Result<()> {
    let pause = time / u32::try_from(PIECES).expect("a few");
    for piece in bytes.chunks(bytes.len().div_ceil(PIECES).max(1)) {
        sleep(pause).await;
        write.write_all(piece).await?;
    }
    Ok(())
}

/// Holds a dead connection open until the host stops, or long enough for anyone to give it up.
async fn hold(shared: &Shared) {
    let mut stop = shared.stop.subscribe();
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = sleep(shared.timings.hold) => {}
    }
}
