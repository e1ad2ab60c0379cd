//! Templates as Go's text/template runs them: the engine with our own table of functions.

mod collections;
mod conversions;
mod istio;
mod numbers;
mod operators;
mod otel;
mod text;
mod value;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gtmpl_ng::{Context, Func, FuncError, Limits, Template as Parsed, Value};

pub(crate) use value::{ORIGIN, from_json, to_json};

/// What a rendered template may be: far more than any pod is.
const OUTPUT_BYTES: usize = 4 << 20;
/// What one function may return.
const VALUE_BYTES: usize = 1 << 20;
const ITERATIONS: usize = 200_000;
/// How long rendering may take; the API server gives up after ten seconds.
const DEADLINE: Duration = Duration::from_secs(2);

/// Environment variables that templates may ask for with `env`.
pub type Environment = Arc<BTreeMap<String, String>>;

thread_local! {
    /// The environment of the template that this thread is rendering: functions have no other way to it.
    static ENVIRONMENT: RefCell<Environment> = RefCell::default();
}

/// A parsed template.
pub(crate) struct Template(Parsed);

impl Template {
    /// Parses a template's text; an unknown function is an error, as in Go.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let limits = Limits::default()
            .with_output_bytes(OUTPUT_BYTES)
            .with_function_output(VALUE_BYTES)
            .with_total_iterations(ITERATIONS)
            .with_deadline(DEADLINE);
        let mut parsed = Parsed::with_limits(limits);
        name.clone_into(&mut parsed.name);
        for table in [
            operators::TABLE,
            text::TABLE,
            collections::TABLE,
            conversions::TABLE,
            numbers::TABLE,
            istio::TABLE,
        ] {
            parsed.add_funcs(table);
        }
        parsed.parse(without_string_methods(text)).map_err(|error| error.to_string())?;
        Ok(Self(parsed))
    }

    /// Renders; whatever the template does, it ends in bounded time and with bounded output.
    pub(crate) fn render(&self, data: &Context, environment: &Environment) -> Result<String, String> {
        let before = ENVIRONMENT.replace(Arc::clone(environment));
        let rendered = self.0.render(data);
        ENVIRONMENT.set(before);
        rendered.map_err(|error| error.to_string())
    }
}

/// Enumerations are given as their names, so that the method that asks for the name has nothing to do.
fn without_string_methods(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(".String") {
        let (before, after) = rest.split_at(at);
        let after = after.get(".String".len()..).unwrap_or_default();
        let is_method = before.ends_with(|last: char| last.is_ascii_alphanumeric())
            && !after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        out.push_str(before);
        if !is_method {
            out.push_str(".String");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What a function answers.
type Answer = Result<Value, FuncError>;
/// Functions by the names that templates call them.
type Table = [(&'static str, Func)];

fn wrong(message: impl Into<String>) -> FuncError {
    FuncError::Generic(message.into())
}

fn argument(arguments: &[Value], at: usize) -> Result<&Value, FuncError> {
    arguments.get(at).ok_or_else(|| wrong(format!("too few arguments: {} given", arguments.len())))
}

/// An argument that must be text.
fn text_at(arguments: &[Value], at: usize) -> Result<&str, FuncError> {
    match argument(arguments, at)? {
        Value::String(text) => Ok(text),
        other => Err(wrong(format!("argument {} is {}; text is expected", at + 1, value::type_name(other)))),
    }
}

/// An argument that must be a whole number.
fn number_at(arguments: &[Value], at: usize) -> Result<i64, FuncError> {
    let given = argument(arguments, at)?;
    numbers::whole(given).ok_or_else(|| {
        wrong(format!("argument {} is {}; a number is expected", at + 1, value::type_name(given)))
    })
}

#[cfg(test)]
mod tests;
