//! ABA routing numbers: nine digits, of which the last makes the weighted sum a multiple of ten.

/// Whether `text` is a routing number: nine digits whose sum weighted 3-7-1 is a multiple of 10,
/// and not 000000000. Says nothing of whether a bank has it.
pub fn is_valid(text: &str) -> bool {
    let Ok(digits) = <&[u8; 9]>::try_from(text.as_bytes()) else { return false };
    digits.iter().all(u8::is_ascii_digit)
        && digits != b"000000000"
        && check_digit(&text[..8]) == Some(char::from(digits[8]))
}

/// The ninth digit for the first eight, or `None` if these are not eight digits.
pub fn check_digit(first_eight: &str) -> Option<char> {
    let digits = <&[u8; 8]>::try_from(first_eight.as_bytes()).ok()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let weights = [3_u32, 7, 1, 3, 7, 1, 3, 7];
    let sum: u32 = digits.iter().zip(weights).map(|(d, w)| u32::from(d - b'0') * w).sum();
    char::from_digit((10 - sum % 10) % 10, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits() {
        for good in ["021000021", "011401533", "091000019", "322271627", "111000025"] {
            assert!(is_valid(good), "{good}");
            for place in 0..9 {
                for digit in b'0'..=b'9' {
                    let mut other = good.as_bytes().to_vec();
                    other[place] = digit;
                    let other = String::from_utf8(other).unwrap();
                    assert_eq!(is_valid(&other), other == good, "{other}");
                }
            }
        }
        for bad in ["000000000", "", "02100002", "0210000210", "02100002a", "٠٢١"] {
            assert!(!is_valid(bad), "{bad}");
        }
        assert_eq!(check_digit("02100002"), Some('1'));
        assert_eq!(check_digit("0210000"), None);
    }
}
