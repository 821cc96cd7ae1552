//! The participant's HTTP listener, and the faults that happen between bytes and messages.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use iso20022::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};
use tower::ServiceExt;

use super::desk::{Answer, Failure};
use super::{Shared, callback};
use crate::fault::Fault;
use crate::wire::Direction;

/// Neither XML nor anything else, as `garbage` answers.
const GARBAGE: &[u8] = b"<Message xmlns=\"urn:tch\"><AppHdr>\x00\xff\x01 not a message <<<";
/// Pieces of a `slow` answer.
const PIECES: usize = 10;

/// The accepting task.
pub(super) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/messages", post(messages))
            .layer(DefaultBodyLimit::max(iso20022::MAX_BYTES))
            .with_state(Arc::clone(&shared));
        let (gate, stop) = (shared.gate.clone(), shared.stop.subscribe());
        let serve = move |stream| serve(Arc::clone(&shared), router.clone(), stream);
        let task = tokio::spawn(gate.keep(listener, stop, serve));
        Ok(Self { address, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of all connections; the stop signal was given.
    pub(super) async fn stopped(self) {
        if self.task.await.is_err() {
            tracing::error!("the RTP participant's listener panicked");
        }
    }
}

/// One connection. Ends with its answer under way when the door closes.
async fn serve(shared: Arc<Shared>, router: Router, stream: TcpStream) {
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
    let mut closings = shared.gate.closings();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request).await as Result<Response, Infallible>;
            if response.extensions().get::<Abort>().is_some() {
                return Err(io::Error::other("the connection is to be closed without an answer"));
            }
            Ok(response)
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        // First, so that an answer of the same moment says that the connection closes.
        _ = closings.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
struct Abort;

fn abort() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Abort);
    response
}

/// Holds a request open until the client gives up (then this future is dropped) or we stop.
async fn hold(shared: &Shared) {
    let mut stop = shared.stop.subscribe();
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = sleep(shared.timings.hold) => {}
    }
}

/// `POST /messages`.
async fn messages(
    State(shared): State<Arc<Shared>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let bytes = match body {
        Ok(bytes) => bytes,
        Err(rejection) => {
            shared.keep_unmatched(&rejection.body_text(), b"");
            return rejection.into_response();
        }
    };
    let fault = shared.faults.take(|_| true);
    if fault == Some(Fault::HalfOpen) {
        hold(&shared).await;
        return abort();
    }
    shared.kept(Direction::Received, &bytes);
    match fault {
        Some(Fault::Refuse) => return abort(),
        Some(Fault::Hang) => {
            hold(&shared).await;
            return abort();
        }
        _ => {}
    }
    // A task of its own: a client that goes away must not undo half of a booking.
    let work = tokio::spawn(process(Arc::clone(&shared), bytes));
    let report = match work.await {
        Ok(Processed::Report(report)) => report,
        Ok(Processed::Silence) => {
            hold(&shared).await;
            return abort();
        }
        Ok(Processed::Refused(status, text)) => return (status, text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a message could not be processed");
            return abort();
        }
    };
    answer(&shared, fault, report).await
}

/// What came of a message.
enum Processed {
    Report(Vec<u8>),
    Silence,
    Refused(StatusCode, String),
}

async fn process(shared: Arc<Shared>, bytes: Bytes) -> Processed {
    let envelope = match iso20022::parse(&bytes) {
        Ok(envelope) => envelope,
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return unmatched(&shared, lines.join("\n"), &bytes);
        }
    };
    let (Some(header), Some(dialect)) = (&envelope.header, envelope.dialect()) else {
        let reason = "a message without a network's wrapper";
        return unmatched(&shared, reason.to_owned(), &bytes);
    };
    let now = shared.now();
    let answered = match &envelope.message {
        Message::CreditTransfer(transfer) => {
            let moment = (now, shared.timings.acceptance_window);
            shared.desk.transfer(transfer, header, dialect, moment).await
        }
        Message::StatusRequest(request) => shared.desk.enquiry(request, header, dialect, now).await,
        Message::StatusReport(_) => {
            let reason = "a pacs.002 answers nothing that was asked";
            return unmatched(&shared, reason.to_owned(), &bytes);
        }
    };
    match answered {
        Ok(Answer::Report(report)) => Processed::Report(report),
        Ok(Answer::ReportThenAway(report)) => {
            // Before the answer: who has it, finds the door closed.
            shared.gate.closed_for(shared.timings.refuse_for).await;
            Processed::Report(report)
        }
        Ok(Answer::ReportThenFinish(report, booking)) => {
            callback::finish_later(&shared, *booking);
            Processed::Report(report)
        }
        Ok(Answer::Silence) => Processed::Silence,
        Err(Failure::NoReport(errors)) => unmatched(&shared, errors, &bytes),
        Err(Failure::Books) => {
            let text = "the books cannot be written; nothing was booked\n";
            Processed::Refused(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
    }
}

fn unmatched(shared: &Shared, mut reason: String, bytes: &[u8]) -> Processed {
    shared.keep_unmatched(&reason, bytes);
    reason.push('\n');
    Processed::Refused(StatusCode::BAD_REQUEST, reason)
}

/// Sends the report, as well as the fault allows.
async fn answer(shared: &Arc<Shared>, fault: Option<Fault>, report: Vec<u8>) -> Response {
    match fault {
        Some(Fault::DropReply) => return abort(),
        Some(Fault::Garbage) => {
            shared.kept(Direction::Sent, GARBAGE);
            return xml(Body::from(GARBAGE));
        }
        Some(Fault::LateReply) => return late(shared, report).await,
        Some(Fault::DuplicateReply) => callback::tell_later(shared, report.clone()),
        _ => {}
    }
    shared.kept(Direction::Sent, &report);
    let length = report.len();
    let report = Bytes::from(report);
    match fault {
        Some(Fault::CloseMidMessage) => {
            let half = report.slice(..length / 2);
            xml(Body::new(Dribble::new([half].into(), Duration::ZERO, length)))
        }
        Some(Fault::Slow) => {
            let size = length.div_ceil(PIECES).max(1);
            let pieces = (0..length)
                .step_by(size)
                .map(|at| report.slice(at..(at + size).min(length)))
                .collect();
            let pause = shared.timings.slow / u32::try_from(PIECES).expect("a few");
            xml(Body::new(Dribble::new(pieces, pause, length)))
        }
        _ => xml(Body::from(report)),
    }
}

/// Waits, then gives the report to the client if it is still there, else posts it.
async fn late(shared: &Arc<Shared>, report: Vec<u8>) -> Response {
    let (sender, receiver) = oneshot::channel::<Vec<u8>>();
    let waiting = Arc::clone(shared);
    tokio::spawn(async move {
        let mut stop = waiting.stop.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(waiting.timings.late) => {}
        }
        if let Err(report) = sender.send(report) {
            callback::tell(&waiting, &report).await;
        }
    });
    match receiver.await {
        Ok(report) => {
            shared.kept(Direction::Sent, &report);
            xml(Body::from(report))
        }
        Err(_) => abort(),
    }
}

fn xml(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// A body in pieces with pauses; if they are shorter than promised, the connection breaks.
struct Dribble {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    left: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Dribble {
    fn new(pieces: VecDeque<Bytes>, pause: Duration, length: usize) -> Self {
        Self { pieces, pause, left: length as u64, sleep: Box::pin(sleep(pause)) }
    }
}

impl hyper::body::Body for Dribble {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        ready!(self.sleep.as_mut().poll(context));
        let next = Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        match self.pieces.pop_front() {
            Some(piece) => {
                self.left -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.left == 0 => Poll::Ready(None),
            None => Poll::Ready(Some(Err(io::Error::other("cut off on purpose")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
