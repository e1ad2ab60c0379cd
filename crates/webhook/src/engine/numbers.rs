//! Sprig's arithmetic.

use gtmpl_ng::{NumberKind, Value};

use super::value::shown;
use super::{Answer, Table, number_at, text_at, wrong};

pub(super) const TABLE: &Table = &[
    ("int", int),
    ("int64", int),
    ("atoi", int),
    ("float64", float64),
    ("add", add),
    ("add1", add1),
    ("sub", sub),
    ("mul", mul),
    ("div", div),
    ("mod", modulo),
    ("max", max),
    ("biggest", max),
    ("min", min),
    ("until", until),
    ("untilStep", until_step),
    ("toDecimal", to_decimal),
];

/// A number that lists may grow to.
const MOST: i64 = 10_000;

/// A value as a whole number, as sprig casts it; text that is no number is none.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => match number.kind() {
            NumberKind::Signed(whole) => Some(whole),
            NumberKind::Unsigned(whole) => i64::try_from(whole).ok(),
            NumberKind::Float(fraction) => truncated(fraction),
        },
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(is) => Some(i64::from(*is)),
        _ => None,
    }
}

fn truncated(fraction: f64) -> Option<i64> {
    format!("{:.0}", fraction.trunc()).parse().ok()
}

fn int(arguments: &[Value]) -> Answer {
    Ok(Value::from(super::argument(arguments, 0).map(whole)?.unwrap_or_default()))
}

fn float64(arguments: &[Value]) -> Answer {
    let given = super::argument(arguments, 0)?;
    let number = match given {
        Value::Number(number) => number.as_f64(),
        other => shown(other).trim().parse().ok(),
    };
    Ok(Value::from(number.unwrap_or_default()))
}

fn fold(arguments: &[Value], apply: fn(i64, i64) -> Option<i64>) -> Answer {
    let mut result = number_at(arguments, 0)?;
    for at in 1..arguments.len() {
        let next = number_at(arguments, at)?;
        result = apply(result, next).ok_or_else(|| wrong("the result is no number of 64 bits"))?;
    }
    Ok(Value::from(result))
}

fn add(arguments: &[Value]) -> Answer {
    fold(arguments, i64::checked_add)
}

fn add1(arguments: &[Value]) -> Answer {
    Ok(Value::from(number_at(arguments, 0)?.saturating_add(1)))
}

fn sub(arguments: &[Value]) -> Answer {
    fold(arguments, i64::checked_sub)
}

fn mul(arguments: &[Value]) -> Answer {
    fold(arguments, i64::checked_mul)
}

fn div(arguments: &[Value]) -> Answer {
    fold(arguments, i64::checked_div)
}

fn modulo(arguments: &[Value]) -> Answer {
    fold(arguments, i64::checked_rem)
}

fn max(arguments: &[Value]) -> Answer {
    fold(arguments, |one, two| Some(one.max(two)))
}

fn min(arguments: &[Value]) -> Answer {
    fold(arguments, |one, two| Some(one.min(two)))
}

fn until(arguments: &[Value]) -> Answer {
    let end = number_at(arguments, 0)?;
    steps(0, end, if end < 0 { -1 } else { 1 })
}

fn until_step(arguments: &[Value]) -> Answer {
    steps(number_at(arguments, 0)?, number_at(arguments, 1)?, number_at(arguments, 2)?)
}

fn steps(start: i64, end: i64, step: i64) -> Answer {
    let distance = end.saturating_sub(start);
    if step == 0 || distance.signum() != step.signum() {
        return Ok(Value::Array(Vec::new()));
    }
    if distance.saturating_abs() / step.saturating_abs() > MOST {
        return Err(wrong(format!("a list of more than {MOST} numbers")));
    }
    let mut numbers = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        numbers.push(Value::from(at));
        at = at.saturating_add(step);
    }
    Ok(Value::Array(numbers))
}

fn to_decimal(arguments: &[Value]) -> Answer {
    Ok(Value::from(i64::from_str_radix(text_at(arguments, 0)?, 8).unwrap_or_default()))
}
