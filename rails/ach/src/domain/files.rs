//! A file's life at the bank: what is to be done next follows from what was durably begun and what is
//! seen there, never from what a broken connection may have meant.

/// States in the order of life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FileState {
    /// Its bytes are fixed; none of them left.
    Fixed,
    /// Bytes may be at the bank under a name that hands nothing over.
    Sending,
    /// The rename that hands it over was begun.
    Renaming,
    /// Whether the bank has it is not known: its acknowledgement or a person decides.
    Held,
    /// The bank has it, and has not said what it thinks of it.
    Sent,
    /// The bank took it.
    Acknowledged,
    /// The bank refused it as a whole.
    Refused,
}

impl FileState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fixed,
        Self::Sending,
        Self::Renaming,
        Self::Held,
        Self::Sent,
        Self::Acknowledged,
        Self::Refused,
    ];
    /// The number stored; those below 5 wait for something.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
    /// What an operator sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sending => "sending",
            Self::Renaming => "renaming",
            Self::Held => "held",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
        }
    }
    /// Whether it is still to be brought to the bank.
    pub fn is_to_send(self) -> bool {
        self < Self::Held
    }
}

/// What is seen of a file at the bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct There {
    /// Bytes of `NAME.part`.
    pub part: Option<u64>,
    /// Bytes of `NAME.ach`.
    pub whole: Option<u64>,
    /// `NAME.ack` is there.
    pub acknowledged: bool,
}

/// What to do about a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Write `NAME.part` from its first byte, then rename it.
    Write,
    /// `NAME.part` was whole when its rename was begun: rename it.
    Rename,
    /// The bank has it.
    Done,
    /// Nothing that is certain: wait.
    Hold(&'static str),
}

/// Decides what to do about a file of so many bytes.
pub fn next(state: FileState, there: There, size: u64) -> Next {
    if !state.is_to_send() {
        return Next::Hold("it is not to be sent");
    }
    if there.acknowledged || there.whole == Some(size) {
        return Next::Done;
    }
    if there.whole.is_some() {
        return Next::Hold("a file of its name and of another size is there");
    }
    match (state, there.part) {
        (FileState::Renaming, Some(part)) if part == size => Next::Rename,
        // The part is still there, so that no rename moved it.
        (FileState::Renaming, Some(_)) => Next::Write,
        (FileState::Renaming, None) => Next::Hold("it was handed over or lost: it is not there"),
        _ => Next::Write,
    }
}

/// What is durably begun, found or decided about a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its bytes are fixed anew: what it is rebuilt from changed before a byte left.
    Fix { hash: String, size: i64 },
    /// Bytes are about to leave.
    Begin,
    /// It is about to be handed over.
    Rename,
    /// It is known to be there.
    Arrive,
    /// Nothing certain is known.
    Hold { why: String },
    /// A person says that it is not there.
    Resend,
}

/// The state after a step; `None` where that step may not follow.
pub fn advance(state: FileState, step: &Step) -> Option<FileState> {
    use FileState::{Fixed, Held, Renaming, Sending, Sent};
    match (step, state) {
        (Step::Fix { .. }, Fixed) | (Step::Resend, Held) => Some(Fixed),
        (Step::Begin, Fixed | Sending) => Some(Sending),
        // It stays under the name that hands nothing over: a look will still find it there.
        (Step::Begin, Renaming) => Some(Renaming),
        (Step::Rename, Sending | Renaming) => Some(Renaming),
        (Step::Arrive, Fixed | Sending | Renaming | Held) => Some(Sent),
        (Step::Hold { .. }, Fixed | Sending | Renaming) => Some(Held),
        _ => None,
    }
}

/// What a file that cannot be rebuilt as it was fixed comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// No byte left: its bytes are fixed anew.
    Fix,
    /// Something may be there.
    Hold,
}

/// Decides on it.
pub fn changed(state: FileState) -> Changed {
    if state == FileState::Fixed { Changed::Fix } else { Changed::Hold }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `state | nothing | part short | part whole | whole | whole wrong | ack`
    const LIVES: &str = "
Fixed        | Write | Write | Write  | Done | Hold | Done
Sending      | Write | Write | Write  | Done | Hold | Done
Renaming     | Hold  | Write | Rename | Done | Hold | Done
Held         | Hold  | Hold  | Hold   | Hold | Hold | Hold
Sent         | Hold  | Hold  | Hold   | Hold | Hold | Hold
Acknowledged | Hold  | Hold  | Hold   | Hold | Hold | Hold
Refused      | Hold  | Hold  | Hold   | Hold | Hold | Hold
";

    #[test]
    fn every_state_with_every_step() {
        let steps = [
            Step::Fix { hash: "ab".to_owned(), size: 1 },
            Step::Begin,
            Step::Rename,
            Step::Arrive,
            Step::Hold { why: "why".to_owned() },
            Step::Resend,
        ];
        // In the order of the steps.
        const LIVES: &str = "
Fixed        | Fixed | Sending  | -        | Sent | Held | -
Sending      | -     | Sending  | Renaming | Sent | Held | -
Renaming     | -     | Renaming | Renaming | Sent | Held | -
Held         | -     | -        | -        | Sent | -    | Fixed
Sent         | -     | -        | -        | -    | -    | -
Acknowledged | -     | -        | -        | -    | -    | -
Refused      | -     | -        | -        | -    | -    | -
";
        let lines = LIVES.lines().filter(|line| !line.trim().is_empty());
        for (state, line) in FileState::ALL.into_iter().zip(lines) {
            let cells: Vec<&str> = line.split('|').map(str::trim).skip(1).collect();
            let found: Vec<String> = steps
                .iter()
                .map(|step| advance(state, step).map_or("-".to_owned(), |next| format!("{next:?}")))
                .collect();
            assert_eq!(found, cells, "{state:?}");
        }
    }

    #[test]
    fn every_state_with_everything_that_is_seen() {
        let seen = [
            There::default(),
            There { part: Some(9), ..There::default() },
            There { part: Some(10), ..There::default() },
            There { whole: Some(10), ..There::default() },
            There { whole: Some(9), part: Some(10), ..There::default() },
            There { acknowledged: true, ..There::default() },
        ];
        let lines = LIVES.lines().filter(|line| !line.trim().is_empty());
        for (state, line) in FileState::ALL.into_iter().zip(lines) {
            let mut cells = line.split('|').map(str::trim);
            assert_eq!(cells.next().unwrap(), format!("{state:?}"));
            let expected: Vec<&str> = cells.collect();
            let found = seen.map(|there| match next(state, there, 10) {
                Next::Write => "Write",
                Next::Rename => "Rename",
                Next::Done => "Done",
                Next::Hold(_) => "Hold",
            });
            assert_eq!(found.to_vec(), expected, "{state:?}");
            assert_eq!(FileState::from_number(state.number()), Some(state));
            let expected = if state == FileState::Fixed { Changed::Fix } else { Changed::Hold };
            assert_eq!(changed(state), expected);
        }
        assert_eq!(FileState::from_number(7), None);
    }
}
