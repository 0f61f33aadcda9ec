//! JSON lines on stderr. The packet path logs nothing: it counts.

use std::io::Write;

use serde_json::{Value, json};

use crate::clock::Now;

pub fn info(message: &str, fields: Value) {
    write("info", message, fields);
}

pub fn warn(message: &str, fields: Value) {
    write("warn", message, fields);
}

pub fn error(message: &str, fields: Value) {
    write("error", message, fields);
}

fn write(level: &str, message: &str, fields: Value) {
    let mut line = json!({ "timeMs": Now::read().unix_ms, "level": level, "message": message });
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    // A log that can't be written must not stop packets.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
