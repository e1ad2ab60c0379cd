//! One log line, as istiod writes it: tabs between time, level, scope and message; or JSON. Whatever was named, a
//! message is one line of it.

use std::fmt::{self, Debug, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::scopes;
use crate::output::one_line;

/// How lines look.
pub(super) struct Line {
    pub(super) as_json: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now().to_string();
        let scope = scopes::of_target(metadata.target());
        writer.write_str(&fields.line(&time, word(*metadata.level()), scope, self.as_json))?;
        writer.write_char('\n')
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The message of an event and what comes with it.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn line(self, time: &str, level: &str, scope: Option<&str>, as_json: bool) -> String {
        if as_json {
            return self.json(time, level, scope);
        }
        let mut line = format!("{time}\t{level}\t");
        if let Some(scope) = scope {
            line += &format!("{scope}\t");
        }
        line += &self.message;
        for (name, value) in &self.others {
            // Writing to a text cannot fail.
            let _ = match value {
                Value::String(text) => write!(line, " {name}={text}"),
                other => write!(line, " {name}={other}"),
            };
        }
        line
    }

    fn json(self, time: &str, level: &str, scope: Option<&str>) -> String {
        let mut line = self.others;
        let scope = scope.map(|scope| ("scope", scope));
        for (name, value) in
            [("level", level), ("time", time), ("msg", &self.message)].into_iter().chain(scope)
        {
            line.insert(name.to_owned(), value.into());
        }
        Value::Object(line).to_string()
    }

    fn put(&mut self, field: &Field, value: Value) {
        let value = match value {
            Value::String(text) => one_line(&text).into(),
            other => other,
        };
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn fields() -> Fields {
        let others = [("address", Value::from("127.0.0.1:1")), ("count", 2.into())];
        let others = others.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Fields { message: "serving".into(), others }
    }

    #[test]
    fn lines_are_istiods() {
        let time = "2026-11-24T15:00:00.5Z";
        let plain = fields().line(time, "info", Some("ads"), false);
        assert_eq!(plain, "2026-11-24T15:00:00.5Z\tinfo\tads\tserving address=127.0.0.1:1 count=2");
        assert_eq!(fields().line(time, "warn", None, false).split('\t').count(), 3);
        let json: Value = serde_json::from_str(&fields().line(time, "info", Some("ads"), true)).unwrap();
        let expected = serde_json::json!({"time": time, "level": "info", "scope": "ads", "msg": "serving",
            "address": "127.0.0.1:1", "count": 2});
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_named_ends_no_line_and_moves_no_cursor() {
        let evil = "a\nb\u{1b}[31m\tc\u{9b}\u{2028}é";
        let lines = [false, true].map(|as_json| {
            let taken = Taken::default();
            let layer =
                tracing_subscriber::fmt::layer().with_writer(taken.clone()).event_format(Line { as_json });
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::info!(file = evil, shown = ?Shown(evil), "{evil}");
            });
            taken.text()
        });
        let escaped = r"a\nb\u{1b}[31m\tc\u{9b}\u{2028}é";
        assert!(lines[0].ends_with(&format!("\t{escaped} file={escaped} shown={escaped}\n")), "{}", lines[0]);
        let json: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((json["msg"].as_str(), json["file"].as_str()), (Some(escaped), Some(escaped)));
    }

    /// Shown as it is.
    struct Shown(&'static str);

    impl Debug for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<u8>>>);

    impl Taken {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl std::io::Write for Taken {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Taken {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }
}
