//! Messages in a stream of bytes: each has its length before it, two bytes, big-endian, the length
//! itself not counted.

use std::fmt;

/// Bytes of the length header.
const HEADER: usize = 2;

/// Puts the length before a message. Panics over 65,535 bytes: [`write`](crate::write) has a lower
/// limit.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("the writer's limit is below 64 KiB");
    let mut bytes = Vec::with_capacity(HEADER + message.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// Takes a stream apart. Bytes may come in any pieces: one by one, or many messages at once.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Where in the buffer the next header begins.
    start: usize,
    limit: usize,
    empty_is_keep_alive: bool,
    broken: Option<FrameError>,
}

/// Why the rest of a stream cannot be taken apart. There is no way back into step: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A header says more than the limit. Nothing was allocated for it.
    TooLarge {
        /// What it says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A header says zero.
    Empty,
}

impl Frames {
    /// Messages of at most `limit` bytes; a length of zero is an error.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, limit, empty_is_keep_alive: false, broken: None }
    }

    /// The same, but a length of zero is a sign of life and skipped.
    #[must_use]
    pub fn with_keep_alives(self) -> Self {
        Self { empty_is_keep_alive: true, ..self }
    }

    /// Takes bytes as they came. Frames that are whole should be taken out before the next push:
    /// then no more is kept than one frame and one push.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if all of it is there. After an error the same error comes again.
    pub fn poll(&mut self) -> Option<Result<Vec<u8>, FrameError>> {
        loop {
            if let Some(error) = self.broken {
                return Some(Err(error));
            }
            let waiting = &self.buffer[self.start..];
            let header = waiting.first_chunk::<HEADER>()?;
            let length = usize::from(u16::from_be_bytes(*header));
            if length > self.limit {
                self.broken = Some(FrameError::TooLarge { length, limit: self.limit });
                continue;
            }
            if length == 0 {
                match self.empty_is_keep_alive {
                    true => self.start += HEADER,
                    false => self.broken = Some(FrameError::Empty),
                }
                continue;
            }
            let message = waiting.get(HEADER..HEADER + length)?.to_vec();
            self.start += HEADER + length;
            return Some(Ok(message));
        }
    }

    /// Whether the stream is within a frame: closing it now cuts one.
    pub fn is_inside(&self) -> bool {
        self.start < self.buffer.len()
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { length, limit } => {
                write!(f, "a frame of {length} bytes, at most {limit} are allowed")
            }
            Self::Empty => f.write_str("a frame of no bytes"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut found = Vec::new();
        while let Some(next) = frames.poll() {
            let broken = next.is_err();
            found.push(next);
            if broken {
                break;
            }
        }
        found
    }

    #[test]
    fn pieces_of_any_size() {
        let stream = [frame(b"first"), frame(b"2"), frame(&[7; 300])].concat();
        assert_eq!(stream[..7], [0, 5, b'f', b'i', b'r', b's', b't']);
        for size in 1..=stream.len() {
            let mut frames = Frames::new(300);
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                frames.push(piece);
                found.extend(all(&mut frames));
            }
            assert_eq!(found, [Ok(b"first".to_vec()), Ok(b"2".to_vec()), Ok(vec![7; 300])]);
            assert!(!frames.is_inside());
        }
    }

    #[test]
    fn lengths_that_are_refused() {
        let mut frames = Frames::new(300);
        frames.push(&[frame(b"good"), vec![0x01, 0x2d]].concat());
        let too_large = FrameError::TooLarge { length: 301, limit: 300 };
        assert_eq!(all(&mut frames), [Ok(b"good".to_vec()), Err(too_large)]);
        frames.push(&frame(b"never"));
        assert_eq!(frames.poll(), Some(Err(too_large)), "there is no way back");
        let mut frames = Frames::new(300);
        frames.push(&[0, 0]);
        assert_eq!(frames.poll(), Some(Err(FrameError::Empty)));
        let mut frames = Frames::new(300).with_keep_alives();
        frames.push(&[&[0, 0, 0, 0][..], &frame(b"x")].concat());
        assert_eq!(all(&mut frames), [Ok(b"x".to_vec())]);
    }
}
