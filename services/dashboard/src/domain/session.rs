//! Sessions: who is signed in, for how long, and the token that proves a form is ours.

use std::collections::BTreeMap;

use contracts::ids::AccountId;

/// Without a request a session lasts so long, and in all never longer than the second.
const IDLE_MICROS: u64 = 15 * 60 * 1_000_000;
const AGE_MICROS_MOST: u64 = 12 * 60 * 60 * 1_000_000;
/// Sessions of one process; the one that was idle longest makes room for a new one.
const SESSIONS_MOST: usize = 4_096;

/// 128 random bits, as they stand in the cookie: 32 hexadecimal digits.
pub type Secret = [u8; 16];

/// Who is signed in. No `Debug`: it holds a key.
#[derive(Clone)]
pub struct Session {
    /// The `Authorization` of the key that signed in; in memory only.
    pub authorization: String,
    pub account: AccountId,
    pub name: String,
    pub operator: bool,
    /// Must come with every form.
    pub token: Secret,
    began: u64,
    used: u64,
}

impl Session {
    /// A session that begins now.
    pub fn new(
        authorization: String,
        (account, name, operator): (AccountId, String, bool),
        token: Secret,
        now: u64,
    ) -> Self {
        Self { authorization, account, name, operator, token, began: now, used: now }
    }
    fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.used) >= IDLE_MICROS
            || now.saturating_sub(self.began) >= AGE_MICROS_MOST
    }
}

/// All sessions, by their secret.
#[derive(Default)]
pub struct Sessions(BTreeMap<Secret, Session>);

impl Sessions {
    /// Begins a session under a fresh secret.
    pub fn begin(&mut self, secret: Secret, session: Session) {
        let now = session.used;
        self.0.retain(|_, session| !session.is_over(now));
        if self.0.len() >= SESSIONS_MOST {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.used);
            let oldest = oldest.map(|(secret, _)| *secret);
            self.0.retain(|secret, _| Some(*secret) != oldest);
        }
        self.0.insert(secret, session);
    }
    /// The session of a secret, used now; none where it is over.
    pub fn touch(&mut self, secret: &Secret, now: u64) -> Option<Session> {
        let session = self.0.get_mut(secret)?;
        if session.is_over(now) {
            self.0.remove(secret);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }
    /// The session of a secret without using it: a page that refreshes itself keeps nobody in.
    pub fn peek(&self, secret: &Secret, now: u64) -> Option<Session> {
        self.0.get(secret).filter(|session| !session.is_over(now)).cloned()
    }
    /// Ends a session.
    pub fn end(&mut self, secret: &Secret) {
        self.0.remove(secret);
    }
}

/// A secret as 32 hexadecimal digits.
pub fn hex(secret: &Secret) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The secret of 32 hexadecimal digits.
pub fn unhex(text: &str) -> Option<Secret> {
    let mut secret = Secret::default();
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(secret)
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub fn equal(one: &Secret, other: &Secret) -> bool {
    one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(now: u64) -> Session {
        let who = (AccountId::from_parts(1, 1), "Acme".to_owned(), true);
        Session::new("Basic x".to_owned(), who, [7; 16], now)
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let mut sessions = Sessions::default();
        sessions.begin([1; 16], session(0));
        let mut now = 0;
        while now + IDLE_MICROS / 2 < AGE_MICROS_MOST {
            now += IDLE_MICROS / 2;
            assert!(sessions.touch(&[1; 16], now).is_some(), "{now}");
        }
        assert!(sessions.touch(&[1; 16], AGE_MICROS_MOST).is_none(), "twelve hours are over");
        sessions.begin([2; 16], session(10));
        assert!(sessions.peek(&[2; 16], 10 + IDLE_MICROS - 1).is_some());
        assert!(sessions.touch(&[2; 16], 10 + IDLE_MICROS).is_none(), "it was idle, peeks aside");
        sessions.begin([3; 16], session(20));
        sessions.end(&[3; 16]);
        assert!(sessions.touch(&[3; 16], 20).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_the_longest_idle_goes_first() {
        let mut sessions = Sessions::default();
        let secret = |number: u64| {
            let mut secret = Secret::default();
            secret[..8].copy_from_slice(&number.to_be_bytes());
            secret
        };
        for number in 0..4_097 {
            sessions.begin(secret(number), session(number));
        }
        assert!(sessions.peek(&secret(0), 5_000).is_none());
        assert!(sessions.peek(&secret(1), 5_000).is_some());
        assert_eq!(sessions.0.len(), SESSIONS_MOST);
    }

    #[test]
    fn secrets_are_read_as_they_are_written() {
        let secret = [0x0f; 16];
        assert_eq!(unhex(&hex(&secret)), Some(secret));
        for wrong in ["", "0f", &"0g".repeat(16), &"+f".repeat(16), &"é".repeat(16)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
        assert!(equal(&secret, &secret) && !equal(&secret, &[0; 16]));
    }
}
