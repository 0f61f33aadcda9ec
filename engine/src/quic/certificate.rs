//! What the engine reads from a certificate beyond what `webpki` tells: the end of its validity (RFC 5280 §4.1).

/// Unix time in milliseconds of `notAfter`; `None` when the bytes are no certificate.
pub fn not_after_ms(certificate: &[u8]) -> Option<u64> {
    let mut outer = certificate;
    let mut fields = take(&mut outer, SEQUENCE)?;
    let mut tbs = take(&mut fields, SEQUENCE)?;
    if tbs.first() == Some(&EXPLICIT_VERSION) {
        take(&mut tbs, EXPLICIT_VERSION)?;
    }
    take(&mut tbs, INTEGER)?; // serial number
    take(&mut tbs, SEQUENCE)?; // signature algorithm
    take(&mut tbs, SEQUENCE)?; // issuer
    let mut validity = take(&mut tbs, SEQUENCE)?;
    take_time(&mut validity)?; // notBefore
    take_time(&mut validity)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// Takes one DER element of the given tag off the front and returns its content.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    (*found == tag).then_some(content)
}

fn take_time(bytes: &mut &[u8]) -> Option<u64> {
    match *bytes.first()? {
        UTC_TIME => {
            let text = take(bytes, UTC_TIME)?;
            let year = number(text.get(..2)?)?;
            // Two-digit years from 50 on are of the last century.
            unix_ms(
                if year >= 50 { 1900 + year } else { 2000 + year },
                text.get(2..)?,
            )
        }
        _ => {
            let text = take(bytes, GENERALIZED_TIME)?;
            unix_ms(number(text.get(..4)?)?, text.get(4..)?)
        }
    }
}

/// `rest` is `MMDDHHMMSSZ`.
fn unix_ms(year: u64, rest: &[u8]) -> Option<u64> {
    if rest.len() != 11 || rest[10] != b'Z' {
        return None;
    }
    let field = |index: usize| number(&rest[index * 2..index * 2 + 2]);
    let (month, day, hour, minute, second) =
        (field(0)?, field(1)?, field(2)?, field(3)?, field(4)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds =
        days_since_epoch(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000)
}

/// Days of the civil calendar, counted in years that begin in March so that the leap day comes last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468) // days from 1 March of year 0 to 1 January 1970
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_days() {
        assert_eq!(unix_ms(1970, b"0101000000Z"), Some(0));
        assert_eq!(unix_ms(2000, b"0229000000Z"), Some(951_782_400_000));
        assert_eq!(unix_ms(2026, b"1121102030Z"), Some(1_795_256_430_000));
        assert_eq!(unix_ms(2026, b"1321102030Z"), None);
        assert_eq!(unix_ms(1969, b"1231000000Z"), None);
    }

    #[test]
    fn reads_a_real_certificate() {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let key = rcgen::KeyPair::generate().expect("key");
        let certificate = parameters.self_signed(&key).expect("certificate");
        assert_eq!(
            not_after_ms(certificate.der()),
            unix_ms(2031, b"0506000000Z")
        );
        for end in 0..certificate.der().len().min(200) {
            assert_eq!(not_after_ms(&certificate.der()[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            not_after_ms(&bytes);
        }
    }
}
