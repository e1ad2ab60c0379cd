//! Fractional numbers that can be compared and hashed.

/// A fraction in millionths: `0.5 %` is 5,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millionths(pub u32);

impl Millionths {
    /// The whole: 100 %.
    pub const ALL: Self = Self(1_000_000);

    /// From a percentage; the part beyond a ten-thousandth of a percent is cut off as istiod does.
    pub fn from_percent(percent: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range of u32"
        )]
        Self((percent * 10_000.0).clamp(0.0, f64::from(u32::MAX)) as u32)
    }
}

/// A floating-point number compared by its bits; NaN never stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decimal(u64);

impl Decimal {
    /// A number; NaN becomes 0.
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0 } else { value.to_bits() })
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}
