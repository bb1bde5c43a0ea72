//! Shamir's secret sharing over GF(2^8), as Vault and sops do it: a share is its y bytes, then one x byte.

use subtle::{Choice, ConditionallySelectable as _};
use zeroize::Zeroizing;

use super::key::DataKey;

/// Shares that cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShamirError {
    /// One share says nothing about the secret, whatever threshold the file claims.
    #[error("at least two parts of the data key are needed")]
    TooFew,
    /// A share needs its x and at least one byte more.
    #[error("a part of the data key is too short")]
    TooShort,
    /// Shares of different secrets.
    #[error("the parts of the data key differ in length")]
    Lengths,
    /// The same share twice.
    #[error("two parts of the data key are the same one")]
    Repeated,
}

/// Combines all the given shares. Too few of them give a wrong key, not an error: the first value then fails.
///
/// Time does not depend on what the shares hold, only on their number and length.
pub(crate) fn combine(shares: &[DataKey]) -> Result<DataKey, ShamirError> {
    let [first, _, ..] = shares else { return Err(ShamirError::TooFew) };
    let length = first.expose().len();
    if length < 2 {
        return Err(ShamirError::TooShort);
    }
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let (x, ys) = share.expose().split_last().ok_or(ShamirError::TooShort)?;
        if ys.len() + 1 != length {
            return Err(ShamirError::Lengths);
        }
        if points.iter().any(|(other, _)| other == x) {
            return Err(ShamirError::Repeated);
        }
        points.push((*x, ys));
    }
    let mut secret = Zeroizing::new(vec![0_u8; length - 1]);
    for (x, ys) in &points {
        // The Lagrange basis polynomial of this point, at zero.
        let basis = points
            .iter()
            .filter(|(other, _)| other != x)
            .fold(1, |basis, (other, _)| multiply(basis, multiply(*other, invert(other ^ x))));
        for (byte, y) in secret.iter_mut().zip(*ys) {
            *byte ^= multiply(*y, basis);
        }
    }
    Ok(DataKey::new(std::mem::take(&mut *secret)))
}

/// Multiplication modulo x^8 + x^4 + x^3 + x + 1, without tables or branches.
fn multiply(a: u8, b: u8) -> u8 {
    let mut power = a;
    let mut product = 0;
    for bit in 0..8 {
        product ^= u8::conditional_select(&0, &power, Choice::from((b >> bit) & 1));
        let carry = Choice::from(power >> 7);
        power = (power << 1) ^ u8::conditional_select(&0, &0x1b, carry);
    }
    product
}

/// The inverse by Fermat: a^254.
fn invert(a: u8) -> u8 {
    let mut power = a;
    let mut product = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(texts: &[&[u8]]) -> Vec<DataKey> {
        texts.iter().map(|text| DataKey::new(text.to_vec())).collect()
    }

    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xc1); // FIPS 197, 4.2
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
    }

    #[test]
    fn every_two_points_of_a_line_give_its_constant() {
        // secret 0x2a, slope 0x53: y = 0x2a + 0x53 x
        let point = |x: u8| vec![0x2a ^ multiply(0x53, x), x];
        for (a, b) in [(1, 2), (2, 3), (1, 255)] {
            let combined = combine(&shares(&[&point(a), &point(b)])).unwrap();
            assert_eq!(combined.expose(), [0x2a]);
        }
        let combined = combine(&shares(&[&point(3), &point(1), &point(2)])).unwrap();
        assert_eq!(combined.expose(), [0x2a]);
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let error = |texts: &[&[u8]]| combine(&shares(texts)).map(|_| ()).unwrap_err();
        assert_eq!(error(&[&[1, 1]]), ShamirError::TooFew);
        assert_eq!(error(&[]), ShamirError::TooFew);
        assert_eq!(error(&[&[1], &[2]]), ShamirError::TooShort);
        assert_eq!(error(&[&[1, 1], &[1, 1, 2]]), ShamirError::Lengths);
        assert_eq!(error(&[&[1, 1], &[1, 1, 2, 3]]), ShamirError::Lengths);
        assert_eq!(error(&[&[7, 1], &[8, 1]]), ShamirError::Repeated);
    }
}
